"use strict";
// The page of one explanation. Its data: see xplain/report/page.py.

// --- sentences ------------------------------------------------------------------------------

/** Whether what is explained is the model's own decision. */
const own = (d) => (d.probabilities.length ? d.decided.includes(d.target.label) : d.target.threshold === null || d.target.value >= d.target.threshold);
const elements = (d) => t(`elements_${d.elements.grouping}`) === `elements_${d.elements.grouping}`
  ? t("elements_group", { grouping: grouping(d) }) : t(`elements_${d.elements.grouping}`);
const grouping = (d) => d.elements.grouping.split("/").at(-1); // without its distribution

/** A share of the elements; of a few named groups also how many these are, which is at least one. */
function part(d, ratio) {
  const total = d.groups.length, exact = ratio * total, half = Math.abs((exact % 1) - 0.5) < 1e-9;
  const count = Math.max(1, half ? 2 * Math.round(exact / 2) : Math.round(exact)); // as Python rounds
  return total && total <= 50 ? t("part_of_groups", { part: ratioText(ratio), count, total }) : ratioText(ratio);
}

/** What a model says of the target: a probability, or a value and its unit. */
function reading(r) {
  const { unit, unit_first: first } = data.target;
  if (r.value === null || r.value === undefined) return percent(r.probability);
  if (first) return `${unit} ${significant(r.value, 3)}`;
  return `${significant(r.value, 4)}${unit ? ` ${unit}` : ""}`;
}

/** When the decision has changed, for a task without labels. */
function criterion(d) {
  const { is_text: text, threshold, tolerance, unit, unit_first: first } = d.target;
  if (text) return t("changed_text");
  if (threshold !== null) return t("decides_from", { value: significant(threshold) });
  return t("changed_beyond", { value: `${significant(tolerance, 3)}${unit && !first ? ` ${unit}` : ""}` });
}

/** What the model says of a changed version: still the label, no longer, or another. */
function predicts(d, r) {
  const values = { label: quoted(d.target.label), other: quoted(r.label ?? ""), chance: reading(r) };
  if (d.target.is_text) return t(r.agrees ? "writes_still" : "writes_other", values);
  if (!d.probabilities.length) return t(r.agrees ? "value_same" : "value_changed", values);
  if (r.agrees) return t(own(d) ? "predicts_still" : "predicts", values);
  if (d.multilabel) return t(own(d) ? "predicts_no_longer" : "predicts_not", values);
  return t("predicts_other", values);
}

function decision(d) {
  const label = quoted(d.target.label), chance = reading(d.target);
  const chances = Object.fromEntries(d.probabilities);
  const who = d.target.start === null ? t("the_model") : t("the_model_between", { start: significant(d.target.start, 4), end: significant(d.target.end, 4) });
  const others = d.decided.filter((other) => other !== d.target.label).map((other) => `${quoted(other)} (${percent(chances[other])})`);
  const values = { who, label, chance, others: listed(others) };
  let sentence;
  if (d.target.is_text) sentence = t("writes", values);
  else if (!d.probabilities.length) sentence = t("gives", values);
  else if (own(d)) sentence = t(others.length ? "decides_also" : "decides", values);
  else if (d.multilabel) sentence = t(others.length ? "decides_not_but" : "decides_none", values);
  else sentence = t("decides_other", values);
  if (d.target.versus !== null) sentence += ` ${t("versus", { label, versus: quoted(d.target.versus), chance: chances[d.target.versus] === undefined ? "" : percent(chances[d.target.versus]) })}`;
  return sentence;
}

/** What a version is: the original, the representation alone, a part kept or removed. */
function versionSentence(d, v) {
  if (v.kind === "original") return t("is_original");
  if (v.kind === "reencoded") return t("is_reencoded", { predicts: predicts(d, v.reencoded) });
  return t(`is_${v.kind}`, { part: part(d, v.ratio), elements: elements(d), predicts: predicts(d, v.reencoded) });
}

/** Whether the smallest part that was both kept and removed is sufficient and necessary; or null. */
function enough(d) {
  const changed = d.versions.filter((v) => v.kind === "keep" || v.kind === "remove");
  if (changed.length && d.attribution.limit === null) return t("same_everywhere");
  if (changed.length && d.completeness.converged === false) return t("proves_little");
  const agrees = (kind, ratio) => changed.find((v) => v.kind === kind && v.ratio === ratio)?.reencoded.agrees;
  const both = changed.filter((v) => v.kind === "keep" && agrees("remove", v.ratio) !== undefined).map((v) => v.ratio);
  if (!both.length || !own(d)) return null;
  const ratio = Math.min(...both), kept = agrees("keep", ratio), needed = !agrees("remove", ratio);
  const found = t(kept ? (needed ? "enough_needed" : "enough_only") : needed ? "needed_only" : "neither", { part: part(d, ratio) });
  const without = changed.find((v) => v.kind === "remove" && v.ratio === ratio).reencoded.label;
  return needed && without === d.target.versus ? `${found} ${t("without_it", { versus: quoted(without) })}` : found;
}

function whatAnElementIs(d) {
  const { channels, frames, grouping, order, synthesizer, per_sample: sample } = d.elements;
  const one = t(d.attribution.hertz ? "one_frequency" : sample ? "one_sample" : "one_channel");
  const count = new Intl.NumberFormat(language).format(channels * frames);
  let sentence = t("an_element", { one, channels, frames, count, synthesizer: quoted(synthesizer) });
  if (grouping !== "element") sentence += ` ${t("ranked_in", { elements: elements(d) })}`;
  if (order === "absolute") sentence += ` ${t("ranked_absolute")}`;
  return sentence;
}

function bandText(band) {
  const hertz = (value) => new Intl.NumberFormat(language, { maximumFractionDigits: 0 }).format(value);
  return `${hertz(band.low)}–${hertz(band.high)}\u00a0Hz (${number(100 * band.share, 0)}\u00a0%)`;
}

function where(d) {
  const versus = d.target.versus === null ? "" : ` ${t("rather_than", { versus: quoted(d.target.versus) })}`;
  return t("half_lies", { label: quoted(d.target.label), versus, bands: d.bands.map(bandText).join(", ") });
}

function completeness(d) {
  const { error, converged } = d.completeness;
  if (error === null) return t("completeness_none");
  const value = error >= 1e-4 ? `${significant(100 * error, 3)} %` : t("under", { value: `${number(0.01, 2)} %` });
  return t(converged ? "completeness_holds" : "completeness_fails", { value });
}

/** What a method gave beside the map: a sound, a text or a table. */
function extra({ name, audio, text, rows }) {
  const columns = [...new Set((rows ?? []).flatMap(Object.keys))];
  return [h("h3", {}, name), audio ? h("audio", { controls: true, src: `data:audio/mpeg;base64,${audio}`, "aria-label": name })
    : text !== undefined ? h("p", {}, text)
    : h("table", {}, h("thead", {}, h("tr", {}, columns.map((c) => h("th", { scope: "col" }, c)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, columns.map((c) => h("td", {}, row[c] ?? ""))))))];
}

/** What to run to contrast the label that is explained with its rival; null where there is none. */
function whyNot(d) {
  const { label, versus } = d.target, rival = d.probabilities.filter(([other]) => other !== label).sort((a, b) => b[1] - a[1])[0];
  const { audio, model, explainer } = d.facts;
  if (d.compact || d.multilabel || versus !== null || !rival || rival[1] < NOTABLE || !audio?.path || !model.name.includes(":")) return null;
  const method = explainer.name === "xplain-captum/integrated-gradients" ? [] : ["--explainer", explainer.name];
  return h("p", { class: "soft" }, () => t("why_not", { label: quoted(label), versus: quoted(rival[0]) }), " ",
    command("xplain", "explain", audio.path, "--model", model.name, ...method, "--target", label, "--versus", rival[0]));
}

const NOTABLE = 0.05; // probability from which another label is worth a contrast

/** The verdict in a word or two; one with a notice says that there is one. */
function verdictWord({ kind, badge }) {
  return badge === "noticed" ? t("verdict_noticed", { verdict: t(`verdict_${kind}`) }) : t(`verdict_${kind}`);
}

const LARGEST = 8; // named groups with a bar of their evidence

/** Named groups by the size of their evidence. */
function groupBars(d) {
  const sorted = [...d.groups].sort((a, b) => Math.abs(b.evidence) - Math.abs(a.evidence)), most = Math.abs(sorted[0].evidence) || 1;
  return h("div", { class: "bars" }, h("ul", {}, sorted.slice(0, LARGEST).map(({ name, evidence }) => h("li", {}, h("span", { class: "name" }, name),
    h("span", { class: "value" }, () => `${evidence > 0 ? "+" : ""}${significant(evidence)}`),
    h("span", { class: "bar", "aria-hidden": "true" }, h("i", { class: evidence >= 0 ? "explained" : "versus", style: { width: `${(100 * Math.abs(evidence)) / most}%` } }))))),
    sorted.length > LARGEST ? h("p", { class: "soft" }, () => t("more_groups", { count: sorted.length - LARGEST })) : null);
}

const LANES = 8; // of named groups that overlap in time

/** Named groups as bars in time, in as many lanes as it takes that none lies on another. */
function groupLanes(d, pageTime) {
  const largest = Math.max(...d.groups.map((group) => Math.abs(group.evidence)), 0) || 1, lanes = [];
  for (const { name, start, end, evidence } of [...d.groups].sort((a, b) => a.start - b.start)) {
    const bar = { label: name, start: pageTime(start), end: pageTime(end), kind: evidence >= 0 ? "for" : "against", weight: Math.abs(evidence) / largest };
    const free = lanes.find((lane) => lane.at(-1).end <= bar.start + 1e-6);
    if (free) free.push(bar);
    else lanes.push([bar]);
  }
  return lanes.slice(0, LANES);
}

// --- the page -------------------------------------------------------------------------------

/** What is shown of the state: kind and ratio pick one of the versions. */
const state = { kind: "original", ratio: null, spectrogram: 0.45, attribution: 1, for: true, against: true };

function explanationPage(d, main) {
  const ratios = [...new Set(d.versions.filter((v) => v.ratio !== null && v.kind !== "reencoded").map((v) => v.ratio))].sort((a, b) => a - b);
  state.ratio = ratios.includes(0.1) ? 0.1 : ratios[0] ?? null;
  if (d.groups.length) [state.spectrogram, state.attribution] = [0.7, 0.6]; // whole words are one colour, in which the sound is to be seen
  const version = () => d.versions.find((v) => v.kind === state.kind && (state.kind === "original" || state.kind === "reencoded" || v.ratio === state.ratio));
  const kinds = ["original", "keep", "remove", "reencoded"].filter((kind) => d.versions.some((v) => v.kind === kind));
  const transport = new Transport(Object.fromEntries(d.versions.map((v) => [v.id, v.audio])), d.rate, d.duration);
  const clipTime = (second) => {
    let rest = second;
    for (const [start, end] of d.spans) { if (rest <= end - start) return start + rest; rest -= end - start; }
    return d.spans.at(-1)[1];
  };
  const pageTime = (second) => { // where a second of the clip is among the excerpts
    let before = 0;
    for (const [start, end] of d.spans) { if (second <= end) return before + Math.max(0, second - start); before += end - start; }
    return before;
  };

  const choose = (kind, ratio) => {
    if (!d.versions.some((v) => v.kind === kind && (ratio === null || v.ratio === ratio || kind === "original" || kind === "reencoded"))) return;
    Object.assign(state, { kind, ratio });
    transport.select(version().id);
    picture(version());
    refresh();
  };

  // The spectrogram of what is heard, on the scale of the original.
  const pictures = {};
  let loudest = 0, levels = null, signed = null, values = null;
  const picture = async (v) => {
    if (!pictures[v.id]) {
      const audio = await transport.buffer(v.id);
      pictures[v.id] = spectrogram(audio.getChannelData(0).map((sample) => sample / v.gain), d.rate);
      if (v.kind === "original") loudest = pictures[v.id].decibels.reduce((a, b) => Math.max(a, b), -180);
      if (loudest <= -150) loudest = 0;
    }
    if (version() === v) { levels = { ...pictures[v.id], canvas: paintLevels(pictures[v.id], loudest) }; timeline.draw(); }
  };
  const repaint = () => {
    if (levels) levels.canvas = paintLevels(levels, loudest);
    if (values) signed = paintSigned(values, d.attribution.rows, d.attribution.columns, state);
    timeline.draw();
  };

  const top = d.rate / 2, over = d.attribution.hertz;
  const drawImage = (context, place, canvas, left, right, low, high, bottom, ceiling) => {
    context.save();
    context.beginPath();
    context.rect(place.left, 0, place.width, place.height);
    context.clip();
    const y = (value) => place.height * (1 - (value - bottom) / (ceiling - bottom));
    context.drawImage(canvas, place.x(left), y(high), place.x(right) - place.x(left), y(low) - y(high));
    context.restore();
  };
  const drawSigned = (context, place, bottom, ceiling) => {
    if (!signed) return;
    context.globalAlpha = state.attribution;
    context.globalCompositeOperation = rgb("paper")[0] > 127 ? "multiply" : "screen"; // so that neither hides the other
    context.imageSmoothingEnabled = false;
    drawImage(context, place, signed, 0, d.attribution.end, d.attribution.bottom, d.attribution.top, bottom, ceiling);
    context.globalCompositeOperation = "source-over";
    context.globalAlpha = 1;
  };
  const spans = (context, place) => {
    context.fillStyle = colour("soft");
    let at = 0;
    for (const [start, end] of d.spans.slice(0, -1)) { at += end - start; context.fillRect(place.x(at), 0, 2, place.height); }
    if (d.target.start === null) return;
    context.setLineDash([4, 3]);
    context.strokeStyle = colour("ink");
    for (const second of [d.target.start, d.target.end].map(pageTime)) { context.beginPath(); context.moveTo(place.x(second), 0); context.lineTo(place.x(second), place.height); context.stroke(); }
    context.setLineDash([]);
  };
  const lanes = [{ height: d.compact ? 150 : 230, label: () => t("picture", { what: d.peak === null ? t("zero_everywhere") : t("peak", { label: quoted(d.target.label), peak: number(d.peak), total: number(d.total) }) }), draw(context, place) {
    if (levels) {
      context.globalAlpha = state.spectrogram;
      context.imageSmoothingEnabled = true;
      drawImage(context, place, levels.canvas, -levels.step / 2, (levels.columns - 0.5) * levels.step, 0, levels.top, 0, top);
      context.globalAlpha = 1;
    }
    if (over) drawSigned(context, place, 0, top);
    spans(context, place);
    const step = steps(top, 5), kilo = top > 2000, unit = kilo ? "kHz" : "Hz";
    const marks = Array.from({ length: Math.floor(top / step - 0.15) }, (_, i) => step * (i + 1));
    context.strokeStyle = colour("line");
    context.strokeRect(place.left + 0.5, 0.5, place.width - 1, place.height - 1);
    gutterNumbers(context, [0, ...marks], (hertz) => place.height * (1 - hertz / top), (hertz) => significant(kilo ? hertz / 1000 : hertz, 4));
    context.fillText(unit, 0, 12);
  } }];
  if (!over && !d.elements.per_sample) {
    lanes.push({ height: 130, label: () => t("channels_picture"), draw(context, place) {
      drawSigned(context, place, d.attribution.bottom, d.attribution.top);
      spans(context, place);
      const step = Math.max(1, steps(d.attribution.top, 4));
      const marks = Array.from({ length: Math.ceil(d.elements.channels / step) }, (_, i) => step * i);
      gutterNumbers(context, marks, (c) => place.height * (1 - (c - d.attribution.bottom) / (d.attribution.top - d.attribution.bottom)), String);
    } });
  }
  const limit = Math.max(...d.curve.map(Math.abs), 1e-30);
  lanes.push({ height: 70, label: () => t(d.attribution.hertz ? "curve_hertz" : "curve_channels"), draw(context, place) {
    const middle = place.height / 2, n = d.curve.length, first = Math.max(0, Math.floor((place.start / d.attribution.end) * n) - 1);
    for (let i = first; i < n; i++) {
      const [left, right] = [i, i + 1].map((edge) => Math.round(place.x((edge / n) * d.attribution.end))); // on pixels: no seams
      if (left > place.left + place.width) break;
      if (right < place.left) continue;
      context.fillStyle = colour(d.curve[i] > 0 ? "for" : "against");
      const height = (d.curve[i] / limit) * (middle - 3), x = Math.max(place.left, left);
      context.fillRect(x, middle - Math.max(0, height), Math.max(1, right - x), Math.abs(height));
    }
    context.fillStyle = colour("soft");
    context.fillRect(place.left, middle, place.width, 1);
    context.fillText("+", GUTTER - 14, 14);
    context.fillText("−", GUTTER - 14, place.height - 5);
    context.fillText(t("sum"), 0, middle + 4);
    spans(context, place);
  } });
  groupLanes(d, pageTime).forEach((items, i) => lanes.push(barsLane(i ? "" : grouping(d), items)));
  lanes.push(rulerLane(d.total, clipTime));

  let repeat = null;
  const timeline = new Timeline(transport, lanes, { select: (region) => {
    transport.setLoop(region);
    refresh();
  } });
  const controls = transportControls(transport, timeline, (second) => moment(clipTime(second), d.total));
  transport.addEventListener("change", refresh);

  const slider = h("input", { type: "range", min: 0, max: Math.max(0, ratios.length - 1), step: 1, class: "ratio",
    value: () => String(ratios.indexOf(state.ratio)), "aria-label": () => t("ratio"),
    "aria-valuetext": () => (state.ratio === null ? "" : t("top_part", { part: part(d, state.ratio), elements: elements(d) })),
    oninput: (e) => choose(["keep", "remove"].includes(state.kind) ? state.kind : "keep", ratios[Number(e.target.value)]) });
  follow(slider, () => { slider.value = ratios.indexOf(state.ratio); });
  const stepRatio = (by) => {
    const next = ratios[ratios.indexOf(state.ratio) + by];
    if (next !== undefined) choose(["keep", "remove"].includes(state.kind) ? state.kind : "keep", next);
  };
  const versionButtons = h("div", { class: "group versions", role: "group", "aria-label": () => t("listen_to") },
    kinds.map((kind, i) => h("button", { type: "button", "aria-pressed": () => String(state.kind === kind), "aria-keyshortcuts": String(i + 1), onclick: () => choose(kind, state.ratio) },
      h("kbd", { "aria-hidden": "true" }, String(i + 1)), " ", () => t(kind))));
  repeat = h("button", { type: "button", "aria-pressed": () => String(transport.loop !== null), onclick: () => timeline.setRegion(timeline.region ? null : [timeline.start, timeline.end]) }, () => t("loop"));
  const layer = (key) => h("label", {}, () => t(key), h("input", { type: "range", min: 0, max: 1, step: 0.05, value: state[key], oninput: (e) => { state[key] = Number(e.target.value); timeline.draw(); } }));
  const sign = (key) => h("label", { class: "legend" }, h("input", { type: "checkbox", checked: true, onchange: (e) => { state[key] = e.target.checked; repaint(); } }),
    h("span", { class: `swatch ${key}`, "aria-hidden": "true" }), " ", () => t(d.target.versus === null ? `evidence_${key}` : `evidence_${key}_versus`, { label: quoted(d.target.label), versus: quoted(d.target.versus ?? "") }));

  keys(transport, timeline, {
    ...Object.fromEntries(kinds.map((kind, i) => [String(i + 1), () => choose(kind, state.ratio)])),
    ArrowUp: () => stepRatio(1), ArrowDown: () => stepRatio(-1), l: () => repeat.click(),
  });

  const player = h("section", { class: "player", "aria-label": () => t("player") },
    h("div", { class: "controls" }, controls.button, controls.now, versionButtons,
      ratios.length < 2 ? null : h("label", { class: "ratios" }, h("span", {}, () => (state.ratio === null ? "" : t("top_part", { part: part(d, state.ratio), elements: elements(d) }))), slider)),
    h("p", { class: "heard", "aria-live": "polite" }, () => versionSentence(d, version())),
    timeline.node, controls.position,
    h("div", { class: "controls legends" }, sign("for"), sign("against")),
    h("div", { class: "controls" }, zoomControls(timeline, repeat), h("label", {}, () => t("speed"), " ", controls.speed),
      h("div", { class: "controls layers" }, layer("spectrogram"), layer("attribution"))),
    h("p", { class: "soft" }, () => [
      d.excerpts ? t("excerpts", { shown: number(d.duration, 0), total: number(d.total, 0) }) : "",
      d.lossy ? t("lossy") : "",
      version().silent ? t("silence") : "",
      version().gain < 1 ? t("turned_down", { value: number(-20 * Math.log10(version().gain), 1) }) : "",
    ].filter(Boolean).join(" ")));

  const bars = h("section", { class: "bars" }, h("h2", {}, () => t("predictions")),
    h("p", { class: "soft" }, () => t(state.kind === "original" ? "bars_original" : "bars_changed", { version: t(state.kind) })),
    h("ul", {}, d.probabilities.map(([label], i) => h("li", { class: () => (version().decided.includes(label) ? "decided" : "") },
      h("span", { class: "name" }, label, label === d.target.label ? h("span", { class: "tag" }, () => t("explained")) : null,
        label === d.target.versus ? h("span", { class: "tag" }, () => t("against_this")) : null),
      h("span", { class: "value" }, () => percent(version().probabilities[i])),
      h("span", { class: "bar", "aria-hidden": "true" }, h("i", { class: label === d.target.label ? "explained" : label === d.target.versus ? "versus" : "", style: {} }))))),
    d.multilabel ? h("p", { class: "soft" }, () => t("multilabel")) : null, whyNot(d));
  bars.querySelectorAll("i").forEach((bar, i) => follow(bar, () => { bar.style.width = `${100 * version().probabilities[i]}%`; }));
  const value = h("section", { class: "bars" }, h("h2", {}, () => t("predictions")), h("p", { class: "value" }, () => `${d.target.label}: ${reading(version())}`),
    h("p", { class: "soft" }, () => criterion(d)));

  const verdictBadge = () => h("span", { class: `badge ${d.verdict.badge}` }, () => verdictWord(d.verdict));
  const figures = Object.entries(d.verdict?.figures ?? {}).filter(([, value]) => value !== null);
  const verdict = h("section", { class: "verdict" }, h("h2", {}, () => t("trust")),
    d.verdict === null ? h("p", {}, () => t("not_checked")) : [
      h("p", {}, verdictBadge(), " ", () => t(`checked_${d.verdict.kind}`)),
      h("ul", {}, [...d.verdict.notices.map((notice) => h("li", { class: "notice" }, () => said(notice))), ...d.verdict.reasons.map((reason) => h("li", {}, () => said(reason)))]),
      figures.length ? h("table", { class: "figures" }, h("caption", {}, () => t("effect_sizes")), h("tbody", {}, figures.map(([key, value]) =>
        h("tr", {}, h("th", { scope: "row" }, () => (t(`figure_${key}`) === `figure_${key}` ? key.replaceAll("_", " ") : t(`figure_${key}`))), h("td", {}, () => (Number.isInteger(value) ? number(value, 0) : typeof value === "number" ? significant(value, 3) : String(value))))))) : null],
    h("p", {}, () => completeness(d)),
    d.reconstruction === null ? null : h("p", {}, () => t("control", { predicts: predicts(d, d.reconstruction) })));
  const place = d.compact ? null : h("section", {}, h("h2", {}, () => t("where")),
    d.groups.length ? groupBars(d) : d.bands.length ? h("p", {}, () => where(d)) : null,
    h("p", { class: "soft" }, () => (d.attribution.limit === null ? t("zero_everywhere") : t("full_colour", { limit: significant(d.attribution.limit), largest: significant(d.attribution.largest) }))),
    h("p", { class: "soft" }, () => whatAnElementIs(d)));

  main.append(
    h("header", {}, d.compact ? null : preferences(repaint), h("h1", {}, d.name), d.compact ? null : h("p", { class: "soft" }, d.made),
      h("p", { class: "lead" }, () => `${decision(d)} `, d.verdict && verdictBadge()), enough(d) === null ? null : h("p", { class: "enough" }, () => enough(d))),
    ...[warned(d.warnings)].filter(Boolean), player, h("div", { class: "columns" }, h("div", {}, d.probabilities.length ? bars : value, place), verdict));
  if (d.extras.length) main.append(h("section", {}, h("h2", {}, () => t("extras")), d.extras.flatMap(extra)));
  if (!d.compact) {
    main.append(h("details", { class: "tools" }, h("summary", {}, () => t("keys")), h("p", {}, () => t("keys_text"))), facts(d.facts));
  }

  picture(d.versions[0]);
  inflated(d.attribution.values).then((buffer) => { values = new Int8Array(buffer); repaint(); });
  Object.assign(globalThis, { transport, timeline }); // for the tests, and the curious
}

refresh();
if (data.kind === "explanation") explanationPage(data, document.querySelector("main"));
