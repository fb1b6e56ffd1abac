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

let sound = null, recorder = null, busy = false, failure = "";
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
    if (answer.ok) frame.src = `/result/${encodeURIComponent(said)}`;
    else failure = said;
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
const frame = h("iframe", { class: "result", sandbox: "allow-scripts allow-downloads", title: "explanation" });
document.querySelector("main").append(preferences(() => {}), h("h1", {}, () => t("serve_title")),
  h("form", { class: "player", onsubmit: ask },
    h("p", {}, h("label", { for: "sound" }, () => t("serve_sound")), ": "),
    h("div", { class: "controls" }, file, h("button", { type: "button", onclick: record }, () => t(recorder ? "serve_stop" : "serve_record")), h("strong", {}, () => sound?.name ?? "")),
    h("div", { class: "controls" }, Object.entries(selects).map(([name, node]) => h("label", {}, () => t(`serve_${name}`), node)),
      h("button", { type: "submit", class: "play", disabled: () => !sound || busy }, () => t("serve_go"))),
    h("p", { role: "status" }, () => (busy ? t("serve_busy") : failure))),
  frame);
frame.style.cssText = "width:100%;height:80vh;border:0";
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => { event.preventDefault(); if (event.dataTransfer.files[0]) choose(event.dataTransfer.files[0]); });
refresh();
