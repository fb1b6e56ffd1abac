"use strict";
// The page of a recording: labels over time, to hear, to correct and to export.

// --- thresholds, as xplain/segmentation/tracker.py has them ----------------------------------

/** Stretches [first, end) of frames of one label: begun at onset, ended under offset, joined, cut. */
function stretches(probability, frames, { onset, offset, min_on: minOn, min_off: minOff }, step) {
  const lower = offset ?? onset, shortest = minOn / step - 1e-6, apart = minOff / step - 1e-6, found = [];
  let start = null;
  for (let frame = 0; frame <= frames; frame++) {
    const p = frame < frames ? probability(frame) : -1;
    if (start === null && p >= onset) start = frame;
    else if (start !== null && p < lower) {
      if (found.length && start - found.at(-1)[1] < apart) found.at(-1)[1] = frame;
      else found.push([start, frame]);
      start = null;
    }
  }
  return found.filter(([first, end]) => end - first >= shortest);
}

// --- files of other programs, as xplain/segmentation/formats.py writes them -------------------

const byStart = (a, b) => a.start - b.start || a.end - b.end;
const six = (value) => value.toFixed(6);

const formats = {
  rttm: { ending: ".rttm", write: (d, segments) => {
    const word = (text) => text.replace(/[\s"']/g, "_") || "_";
    return segments.map((s) => `SPEAKER ${word(d.name)} 1 ${six(s.start)} ${six(s.end - s.start)} <NA> <NA> ${word(s.label)} <NA> <NA>\n`).join("");
  } },
  textgrid: { ending: ".TextGrid", write: (d, segments) => {
    const end = Math.max(d.duration, ...segments.map((s) => s.end)), quote = (text) => `"${text.replaceAll('"', '""')}"`;
    const lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", `xmax = ${six(end)}`, "tiers? <exists>", `size = ${d.labels.length}`, "item []:"];
    d.labels.forEach((label, number) => {
      const tier = [];
      let at = 0;
      for (const s of segments.filter((one) => one.label === label)) { // overlaps, which a tier cannot hold, are cut
        const start = Math.max(at, s.start);
        if (s.end <= start) continue;
        if (start > at) tier.push([at, start, ""]);
        tier.push([start, s.end, label]);
        at = s.end;
      }
      if (at < end) tier.push([at, end, ""]);
      lines.push(`    item [${number + 1}]:`, '        class = "IntervalTier"', `        name = ${quote(label)}`, "        xmin = 0", `        xmax = ${six(end)}`, `        intervals: size = ${tier.length}`);
      tier.forEach(([first, last, text], place) => lines.push(`        intervals [${place + 1}]:`, `            xmin = ${six(first)}`, `            xmax = ${six(last)}`, `            text = ${quote(text)}`));
    });
    return `${lines.join("\n")}\n`;
  } },
  audacity: { ending: ".txt", write: (d, segments) => segments.map((s) => `${six(s.start)}\t${six(s.end)}\t${s.label.split(/\s+/).filter(Boolean).join(" ")}\n`).join("") },
  labelstudio: { ending: ".json", write: (d, segments) => `${JSON.stringify([{
    data: { audio: d.file || d.name },
    annotations: [{ result: segments.map((s, i) => ({ id: `s${i}`, from_name: "label", to_name: "audio", type: "labels", original_length: d.duration,
      value: { start: s.start, end: s.end, channel: 0, labels: [s.label] } })) }],
  }], null, 1)}\n` },
};

// --- the page -------------------------------------------------------------------------------

const CRITICAL = [0, 100, 200, 300, 400, 510, 630, 770, 920, 1080, 1270, 1480, 1720, 2000, 2320, 2700, 3150, 3700, 4400, 5300, 6400, 7700, 9500, 12000, 15500, 24000];

/** A frequency on the scale of critical bands (Zwicker 1961), even between their borders. */
function bark(hertz) {
  const above = Math.max(1, CRITICAL.findIndex((border) => border >= hertz));
  const [low, high] = [CRITICAL[above - 1], CRITICAL[above]];
  return above - 1 + Math.min(1, (hertz - low) / (high - low));
}

const AROUND = 2; // seconds that are heard before and after a segment whose evidence is left out

/** How segments were explained: by the segmenter itself, or asked as a black box. */
function method(how) {
  return how.method ?? t("black_box", { explainer: how.explainer.name, synthesizer: how.synthesizer.name, longest: significant(how.longest) });
}

async function recordingPage(d, main) {
  const frames = new Uint16Array(await inflated(d.frames)), count = frames.length / d.labels.length;
  const probability = (label) => { // frames are stored label after label
    const first = d.labels.indexOf(label) * count;
    return (frame) => frames[first + frame] / 65535;
  };
  const thresholds = structuredClone(d.thresholds);
  let segments = d.segments.map((s) => ({ ...s })).sort(byStart), selected = null, changed = false;
  const transport = new FileTransport(d.audio ? new Blob([bytes(d.audio)], { type: "audio/ogg" }) : null, d.duration);

  const explained = d.segments.some((s) => s.bands !== null);
  const curveLane = (label) => ({ height: 58, label: () => t("label_over_time", { label }), draw(context, place) {
    const height = place.height, first = d.labels.indexOf(label) * count;
    const y = (p) => height - 2 - p * (height - 18);
    context.fillStyle = colour("for");
    for (const s of segments) {
      if (s.label !== label || s.end < place.start || s.start > place.end) continue;
      const left = Math.max(place.left, place.x(s.start)), right = Math.min(place.left + place.width, place.x(s.end));
      context.globalAlpha = s === selected ? 0.6 : 0.28;
      context.fillRect(left, 14, Math.max(1, right - left), height - 16);
      context.globalAlpha = 1;
      context.fillRect(left, height - 3, Math.max(1, right - left), 3);
    }
    context.fillStyle = colour("ink");
    const perPixel = (place.end - place.start) / place.width / d.frame_step;
    context.globalAlpha = perPixel > 8 ? 0.5 : 1; // many frames to a pixel are a black bar else
    for (let x = 0; x < place.width; x++) {
      const from = Math.floor((place.start / d.frame_step) + x * perPixel), to = Math.min(count, Math.max(from + 1, Math.floor(from + perPixel + 1)));
      if (from >= count) break;
      let low = 65535, high = 0;
      for (let frame = from; frame < to; frame++) { const p = frames[first + frame]; if (p < low) low = p; if (p > high) high = p; }
      context.fillRect(place.left + x, y(high / 65535), 1, Math.max(1, y(low / 65535) - y(high / 65535)));
    }
    context.globalAlpha = 1;
    context.strokeStyle = colour("soft");
    context.setLineDash([3, 3]);
    context.beginPath();
    context.moveTo(place.left, y(thresholds[label].onset));
    context.lineTo(place.left + place.width, y(thresholds[label].onset));
    context.stroke();
    context.setLineDash([]);
    gutterNumbers(context, [0, 1], y, String);
    context.fillStyle = colour("ink");
    context.font = `600 ${FONT}`;
    context.fillText(fitted(context, label, place.width), place.left + 8, 11);
  } });
  const highest = bark(Math.max(8000, ...d.segments.flatMap((s) => (s.bands ?? []).map((b) => b.high))));
  const bandsLane = (label) => ({ height: 56, label: () => t("bands_over_time", { label }), draw(context, place) {
    const y = (hertz) => place.height * (1 - bark(hertz) / highest);
    context.fillStyle = colour("for");
    for (const s of segments) {
      if (s.label !== label || s.end < place.start || s.start > place.end) continue;
      const left = Math.max(place.left, place.x(s.start)), right = Math.min(place.left + place.width, place.x(s.end));
      for (const band of s.bands ?? []) {
        context.globalAlpha = 0.25 + 0.75 * Math.min(1, (2 * band.share) / (bark(band.high) - bark(band.low)));
        context.fillRect(left, y(band.high), Math.max(1, right - left), y(band.low) - y(band.high));
      }
      context.globalAlpha = 1;
    }
    context.strokeStyle = colour("line");
    context.strokeRect(place.left, 0.5, place.width, place.height - 1);
    gutterNumbers(context, [300, 1270, 5300], y, (hertz) => (hertz < 1000 ? `${hertz} Hz` : `${significant(hertz / 1000)} k`));
  } });
  const lanes = d.labels.flatMap((label) => (explained ? [curveLane(label), bandsLane(label)] : [curveLane(label)]));
  lanes.push(rulerLane(d.duration));
  const laneLabels = d.labels.flatMap((label) => (explained ? [label, label] : [label]));

  const timeline = new Timeline(transport, lanes, { select: (region) => { transport.setLoop(region); refresh(); }, click: (second, y) => {
    let top = 0;
    const lane = lanes.findIndex((one) => (top += one.height + 4) > y);
    const hit = segments.find((s) => s.label === laneLabels[lane] && s.start <= second && s.end >= second);
    if (hit) pick(hit, true);
  } });
  const at = (second) => moment(second, d.duration);
  const controls = transportControls(transport, timeline, at);
  transport.addEventListener("change", refresh);

  // The table of segments.
  const columns = [
    { key: "start", value: (s) => s.start, cell: (s) => at(s.start) }, { key: "end", value: (s) => s.end, cell: (s) => at(s.end) },
    { key: "name", value: (s) => s.label, cell: (s) => s.label },
    { key: "probability", value: (s) => s.score, cell: (s) => (s.score === null ? "" : percent(s.score)) },
    { key: "bands", cell: (s) => (s.bands === null ? "" : s.bands.map((b) => `${Math.round(b.low)}–${Math.round(b.high)} Hz ${Math.round(100 * b.share)} %`).join(", ") || t("no_evidence")) },
    { key: "parts", value: (s) => s.parts?.[0]?.number, cell: (s) => (s.parts ?? []).map((p) => `${p.number} (${significant(p.relevance)})`).join(", ") },
    { key: "listen", cell: (s) => h("button", { type: "button", "aria-label": t("play_segment", { label: s.label, start: at(s.start) }), onclick: () => pick(s, true) }, "▶") },
  ].filter((c) => (c.key !== "bands" || explained) && (c.key !== "parts" || d.segments.some((s) => s.parts?.length)));
  const filter = { label: "" };
  const rows = [];
  const table = virtualTable(columns, rows, { label: () => t("segments"), keep: (s) => !filter.label || s.label === filter.label, mark: (s) => s === selected });
  const update = () => { rows.splice(0, rows.length, ...segments); table.update(); timeline.draw(); refresh(); };

  function pick(segment, play) {
    selected = segment;
    fill();
    if (segment.start < timeline.start || segment.end > timeline.end) timeline.show(segment.start - timeline.span * 0.2, timeline.span);
    if (play) listen("segment");
    timeline.draw();
    table.repaint();
    refresh();
  }

  // What is selected: to hear, alone or left out of the recording, with its bands and components.
  let heard = null;
  function listen(mode, bands = selected.bands, name = mode) {
    const { start, end } = selected;
    heard = name;
    timeline.setRegion(null);
    if (mode === "segment") transport.span(start, end);
    else if (mode === "alone") transport.span(start, end, { bands, without: false, start, end });
    else transport.span(Math.max(0, start - AROUND), Math.min(d.duration, end + AROUND), { bands, without: true, start, end });
    refresh();
  }
  const hertz = (b) => `${Math.round(b.low)}–${Math.round(b.high)} Hz`;
  const evidence = h("section", { class: "evidence", "aria-label": () => t("selected") });
  function evidenceOf(s) {
    const button = (text, mode, bands, name) => h("button", { type: "button", disabled: () => !transport.ready, "aria-pressed": () => String(transport.playing && heard === (name ?? mode)), onclick: () => listen(mode, bands, name) }, text);
    const line = (text, ...nodes) => h("div", { class: "controls" }, h("span", { class: "soft" }, text), h("div", { class: "group" }, nodes.flat()));
    const explained_ = s.bands?.length > 0, parts = (s.parts ?? []).filter((part) => d.method?.parts?.[part.number]?.length);
    return [h("h2", {}, t("selected")),
      h("p", {}, h("strong", {}, s.label), ` ${at(s.start)} – ${at(s.end)}${s.score === null ? "" : ` (${percent(s.score)})`}`),
      line(t("listen_to"), button(t("the_segment"), "segment"), explained_ ? button(t("alone"), "alone") : "", explained_ ? button(t("without"), "without") : ""),
      explained_ && line(t("column_bands"), s.bands.map((b, i) => button(`${hertz(b)} (${Math.round(100 * b.share)} %)`, "alone", [b], `band ${i}`))),
      parts.length && h("div", { class: "components" }, h("span", { class: "soft" }, t("column_parts")), parts.map((part) => h("span", { class: "component" }, button(`${part.number}: ${part.relevance > 0 ? "+" : ""}${significant(part.relevance)}`, "alone", d.method.parts[part.number], `part ${part.number}`), h("span", { class: "soft" }, d.method.parts[part.number].map(hertz).join(", "))))),
      h("p", { class: "soft" }, t(explained_ ? "evidence_how" : s.bands ? "evidence_none" : "evidence_not_asked", { label: quoted(s.label) })),
      /:/.test(d.segmenter) && d.file ? h("p", { class: "soft" }, t("evidence_verify"), " ", command("xplain", "explain", d.file, "--model", d.segmenter, "--target", `${s.label}@${s.start}-${s.end}`)) : ""].filter(Boolean);
  }

  const apply = () => {
    segments = d.labels.flatMap((label) => {
      const p = probability(label), before = segments.filter((s) => s.label === label);
      return stretches(p, count, thresholds[label], d.frame_step).map(([first, end]) => {
        const start = Number((first * d.frame_step).toFixed(6)), stop = Number(Math.min(end * d.frame_step, d.duration).toFixed(6));
        const same = before.find((s) => s.start === start && s.end === stop);
        let sum = 0;
        for (let frame = first; frame < end; frame++) sum += p(frame);
        return same ?? { label, start, end: stop, score: sum / (end - first), bands: null, parts: [] };
      });
    }).sort(byStart);
    selected = null;
    update();
  };
  const threshold = (label, key, most, step) => h("input", { type: "number", min: key === "onset" || key === "offset" ? 0.01 : 0, max: most, step, "aria-label": () => `${label}: ${t(key)}`,
    value: thresholds[label][key] ?? thresholds[label].onset, onchange: (e) => {
      const value = Number(e.target.value);
      if (!(value >= 0)) return;
      thresholds[label][key] = value;
      if (key === "onset" && (thresholds[label].offset ?? 0) > value) thresholds[label].offset = value;
      apply();
    } });
  const limits = [["onset", 1, 0.01], ["offset", 1, 0.01], ["min_on", 60, 0.1], ["min_off", 60, 0.1]];

  // The editor of the selected segment, or of the region.
  const start = h("input", { type: "number", min: 0, max: d.duration, step: 0.01, "aria-label": () => t("column_start") });
  const end = h("input", { type: "number", min: 0, max: d.duration, step: 0.01, "aria-label": () => t("column_end") });
  const label = h("select", { "aria-label": () => t("column_name") }, d.labels.map((name) => h("option", { value: name }, name)));
  function fill() { if (selected) [start.value, end.value, label.value] = [selected.start, selected.end, selected.label]; }
  const edit = (work) => { work(); changed = true; segments.sort(byStart); update(); };
  const read = () => {
    const [first, last] = [Number(start.value), Math.min(d.duration, Number(end.value))];
    return first >= 0 && last > first ? { start: first, end: last, label: label.value } : null;
  };
  const editor = h("section", {}, h("h2", {}, () => t("correct")), h("p", { class: "soft" }, () => t("correct_how")),
    h("div", { class: "controls" }, label, start, "–", end,
      h("button", { type: "button", disabled: () => !selected, onclick: () => { const to = read(); if (to) edit(() => Object.assign(selected, to, { bands: null, parts: [], score: null })); } }, () => t("change")),
      h("button", { type: "button", onclick: () => {
        if (timeline.region) [start.value, end.value] = timeline.region.map((s) => s.toFixed(2));
        const to = read();
        if (to) edit(() => { selected = { ...to, score: null, bands: null, parts: [] }; segments.push(selected); });
      } }, () => t("add")),
      h("button", { type: "button", disabled: () => !selected, onclick: () => edit(() => { segments = segments.filter((s) => s !== selected); selected = null; }) }, () => t("delete"))));

  const open = h("input", { type: "file", accept: "audio/*", onchange: (e) => {
    if (e.target.files[0]) { transport.open(e.target.files[0]); refresh(); }
  } });
  const followed = (value) => (label_) => segments.filter((s) => s.label === label_).reduce(value, 0);
  const lasting = followed((sum, s) => sum + s.end - s.start), many = followed((sum) => sum + 1);
  keys(transport, timeline, { 1: () => selected && listen("segment"), 2: () => selected?.bands?.length && listen("alone"), 3: () => selected?.bands?.length && listen("without") });

  main.append(h("header", {}, d.compact ? "" : preferences(() => timeline.draw()), h("h1", {}, d.name),
    h("p", {}, () => t("segmented", { duration: at(d.duration), segmenter: d.segmenter }), d.method ? h("span", {}, " ", () => t("bands_by", { method: method(d.method) })) : "")),
  ...[warned(d.warnings)].filter(Boolean),
  h("section", { class: "player", "aria-label": () => t("player") },
    h("div", { class: "controls", hidden: () => !transport.ready }, controls.button, controls.now, zoomControls(timeline), h("label", {}, () => t("speed"), " ", controls.speed)),
    h("div", { class: "controls", hidden: () => transport.ready }, h("label", {}, () => t("no_audio"), open), zoomControls(timeline)),
    timeline.node, controls.position,
    h("p", { class: "soft" }, () => t("segments_marked"))),
  evidence,
  h("div", { class: "columns tools" }, editor, h("section", {}, h("h2", {}, () => t("export")), h("p", { class: "soft" }, () => t("export_how")), h("div", { class: "controls" }, Object.entries(formats).map(([name, format]) =>
    h("button", { type: "button", onclick: () => download(`${d.name}${format.ending}`, format.write(d, [...segments].sort(byStart))) }, () => t(`format_${name}`)))))),
  h("section", {}, h("h2", {}, () => t("labels")), h("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": () => t("labels") }, h("table", {}, h("thead", {}, h("tr", {},
    ["column_name", "column_count", "column_total", ...limits.map(([key]) => key)].map((key) => h("th", { scope: "col" }, () => t(key))))),
  h("tbody", {}, d.labels.map((name) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, () => String(many(name))), h("td", {}, () => at(lasting(name))),
    limits.map(([key, most, step]) => h("td", {}, threshold(name, key, most, step)))))))),
    h("p", { class: "soft" }, () => t("thresholds_how"))),
  h("section", {}, h("h2", {}, () => t("segments")), h("div", { class: "controls" }, h("label", {}, () => t("column_name"),
    h("select", { onchange: (e) => { filter.label = e.target.value; table.update(); } }, h("option", { value: "" }, () => t("all")), d.labels.map((name) => h("option", { value: name }, name))))), table.node),
  ...(d.compact ? [] : [h("details", { class: "tools" }, h("summary", {}, () => t("keys")), h("p", {}, () => t("keys_text_recording"))), facts({ ...d.facts, explanation: d.method && { ...d.method, parts: undefined } })]));
  let told = "";
  follow(evidence, () => { // made again for another segment alone, so that a button keeps its focus
    const key = selected && [segments.indexOf(selected), selected.label, selected.start, selected.end, language].join(" ");
    if (key === told) return;
    told = key;
    for (const follower of followers) if (follower.node !== evidence && evidence.contains(follower.node)) followers.delete(follower);
    evidence.replaceChildren(...(selected ? evidenceOf(selected) : []));
    evidence.hidden = !selected;
  });
  addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });
  update();
  Object.assign(globalThis, { transport, timeline, segmentsNow: () => segments }); // for the tests, and the curious
}

if (data.kind === "recording") recordingPage(data, document.querySelector("main"));
