"use strict";
// The page of xplain serve: a sound in, an explanation in a frame below.

for (const [code, texts] of Object.entries(data.texts)) Object.assign((words[code] ??= {}), texts);

/** Samples at `rate` Hz as a 16-bit WAV file: what a browser records, libsndfile does not read. */
function wav(samples, rate) {
  const view = new DataView(new ArrayBuffer(44 + 2 * samples.length));
  const text = (at, word) => [...word].forEach((c, i) => view.setUint8(at + i, c.charCodeAt(0)));
  text(0, "RIFF"); view.setUint32(4, 36 + 2 * samples.length, true); text(8, "WAVEfmt ");
  view.setUint32(16, 16, true); view.setUint16(20, 1, true); view.setUint16(22, 1, true);
  view.setUint32(24, rate, true); view.setUint32(28, 2 * rate, true); view.setUint16(32, 2, true); view.setUint16(34, 16, true);
  text(36, "data"); view.setUint32(40, 2 * samples.length, true);
  samples.forEach((s, i) => view.setInt16(44 + 2 * i, Math.max(-1, Math.min(1, s)) * 32767, true));
  return new File([view], "recording.wav", { type: "audio/wav" });
}

let sound = null, recorder = null, busy = false, failure = "", page = null;
const choose = (file) => { sound = file; failure = ""; refresh(); };

async function record() {
  if (recorder) { recorder.stop(); return; }
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true }), chunks = [];
    recorder = new MediaRecorder(stream);
    recorder.ondataavailable = (event) => chunks.push(event.data);
    recorder.onstop = async () => {
      stream.getTracks().forEach((track) => track.stop());
      recorder = null;
      const context = new AudioContext(), audio = await context.decodeAudioData(await new Blob(chunks).arrayBuffer());
      choose(wav(audio.getChannelData(0), audio.sampleRate));
    };
    recorder.start();
  } catch (error) { recorder = null; failure = String(error.message ?? error); }
  refresh();
}

async function ask(event) {
  event.preventDefault();
  const form = new FormData();
  form.append("sound", sound, sound.name);
  for (const [name, select] of Object.entries(selects)) form.append(name, select.value);
  busy = true; failure = "";
  refresh();
  try {
    const answer = await fetch("/explain", { method: "POST", body: form, headers: { "X-Xplain": "1" } });
    const said = await answer.text();
    if (answer.ok) { page = `/result/${encodeURIComponent(said)}`; show(); } else failure = said;
  } catch (error) { failure = String(error.message ?? error); }
  busy = false;
  refresh();
}

const select = (options) => h("select", {}, options.map((value) => h("option", { value }, value)));
const selects = { model: select(Object.keys(data.models)), explainer: select(data.explainers), grouping: select(data.groupings), target: h("select") };
const labels = () => selects.target.replaceChildren(h("option", { value: "" }, () => t("serve_own")), ...data.models[selects.model.value].map((label) => h("option", { value: label }, label)));
selects.model.addEventListener("change", labels);
labels();
selects.explainer.value = data.explainers.find((name) => name === "integrated-gradients") ?? data.explainers[0];
const file = h("input", { type: "file", accept: "audio/*", id: "sound", onchange: (e) => e.target.files[0] && choose(e.target.files[0]) });
const frame = h("iframe", { class: "result", sandbox: "allow-scripts allow-downloads", title: () => t("serve_result"), hidden: () => page === null });
/** Show the explanation, in this page's language and colours; where it is shown already, these alone change. */
function show() {
  if (page === null) return;
  const theme = rgb("paper")[0] > 127 ? "light" : "dark";
  frame.src = `${page}#language=${language}&theme=${theme}`;
}
document.querySelector("main").append(preferences(show), h("h1", {}, () => t("serve_title")),
  h("form", { class: "player", onsubmit: ask },
    h("div", { class: "controls" }, h("label", { class: "drop" }, file, h("strong", {}, () => sound?.name ?? t("serve_sound")), h("span", { class: "soft" }, () => t(sound ? "serve_other" : "serve_choose"))),
      h("button", { type: "button", onclick: record, "aria-pressed": () => String(recorder !== null) }, () => `${recorder ? "■" : "●"} ${t(recorder ? "serve_stop" : "serve_record")}`)),
    h("div", { class: "controls" }, Object.entries(selects).map(([name, node]) => h("label", {}, () => t(`serve_${name}`), node))),
    h("div", { class: "controls" }, h("button", { type: "submit", class: "play primary", disabled: () => !sound || busy }, () => t("serve_go")),
      h("span", { role: "status" }, () => (busy ? t("serve_busy") : failure || (sound ? "" : t("serve_first")))))),
  frame);
for (const [name, over] of [["dragover", true], ["dragleave", false], ["drop", false]]) {
  addEventListener(name, (event) => { event.preventDefault(); document.body.classList.toggle("dropping", over); });
}
addEventListener("drop", (event) => { if (event.dataTransfer.files[0]) choose(event.dataTransfer.files[0]); });
refresh();
