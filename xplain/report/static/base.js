"use strict";
// What all pages share: their data, words in the reader's language, and elements that follow a state.
// Every text goes through textContent: nothing that a page shows is ever read as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const words = JSON.parse(document.getElementById("words").textContent);
const followers = new Set(); // what refresh() updates: {node, update}

let language = "en";
const framed = () => new URLSearchParams(location.hash.slice(1)); // what a page around this one has chosen

/** Take the language and the colours of the page around this one; or the reader's language. */
function adopt() {
  const wanted = framed().get("language") ?? (navigator.language || "en").slice(0, 2), theme = framed().get("theme");
  if (Object.hasOwn(words, wanted)) language = wanted;
  if (theme) document.documentElement.dataset.theme = theme;
}
adopt();

/** A text of the dictionary, with {names} filled in; the key itself where it has none. */
function t(key, values = {}) {
  const text = words[language][key] ?? words.en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** An element. Functions among attributes and children are evaluated again by refresh(). */
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (typeof value === "function") follow(node, () => attribute(node, name, value()));
    else attribute(node, name, value);
  }
  for (const child of children.flat()) {
    if (typeof child === "function") {
      const text = document.createTextNode("");
      follow(node, () => { text.textContent = child(); });
      node.append(text);
    } else if (child !== null && child !== undefined) node.append(child);
  }
  return node;
}

function attribute(node, name, value) {
  if (name === "style") Object.entries(value).forEach(([key, v]) => node.style.setProperty(key, v));
  else if (name in node && typeof value === "boolean") node[name] = value;
  else if (value === null || value === false) node.removeAttribute(name);
  else node.setAttribute(name, value);
}

function follow(node, update) {
  followers.add({ node, update });
  update();
}

function refresh() {
  document.documentElement.lang = language;
  document.querySelector("footer").textContent = t("made_by");
  for (const { update } of followers) update();
}

// --- numbers ------------------------------------------------------------------------------

function number(value, digits = 2) {
  return new Intl.NumberFormat(language, { maximumFractionDigits: digits, minimumFractionDigits: digits }).format(value);
}

/** So many digits of a number; of very small and large ones times a power of ten. */
function significant(value, digits = 2) {
  const power = value === 0 ? 0 : Math.floor(Math.log10(Math.abs(value)) + 1e-9), scientific = power < -3 || power >= 6;
  const shown = new Intl.NumberFormat(language, { maximumSignificantDigits: digits }).format(scientific ? value / 10 ** power : value).replace("-", "−");
  return scientific ? `${shown} × 10${[...String(power)].map((c) => "⁰¹²³⁴⁵⁶⁷⁸⁹"[c] ?? "⁻").join("")}` : shown;
}

/**
 * A sentence of the program (a reason of a verdict, a warning) in the reader's language: the
 * dictionary's "_said" holds patterns of the English one. What it does not hold stays English.
 */
function said(text) {
  for (const [pattern, own] of Object.entries(words[language]._said ?? {})) {
    const names = [], literal = pattern.split(/\{(\w+)\}/).map((part, i) => (i % 2 ? (names.push(part), "(.+?)") : part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")));
    const found = text.match(new RegExp(`^${literal.join("")}$`));
    if (found) return own.replace(/\{(\w+)\}/g, (_, name) => said(found[1 + names.indexOf(name)]));
  }
  const figure = text.match(/^(-?)(\d+)(?:\.(\d+))?(%?)$/); // written as the language writes numbers
  if (figure) return `${figure[1] && "−"}${number(Number(`${figure[2]}.${figure[3] ?? 0}`), figure[3]?.length ?? 0)}${figure[4] && "\u00a0%"}`;
  return text.replace(/(\d)%/g, "$1\u00a0%").replace(/(^|[\s(])-(?=\d)/g, "$1−");
}

/** A probability in words: whole percents, decimals only near the ends. */
function percent(p) {
  if (p >= 0.01 && p < 0.985) return `${number(100 * p, 0)}\u00a0%`;
  if (p >= 0.9995) return t("over", { value: `${number(99.9, 1)}\u00a0%` });
  if (p < 0.0005) return t("under", { value: `${number(0.1, 1)}\u00a0%` });
  return `${number(100 * p, 1)}\u00a0%`;
}

function ratioText(ratio) { return `${significant(100 * ratio, 4)}\u00a0%`; }

function quoted(label) { return t("quoted", { label }); }

function listed(parts) {
  return parts.length < 2 ? parts.join("") : t("and", { first: parts.slice(0, -1).join(", "), last: parts.at(-1) });
}

/** Seconds as a clock shows them: 1:02:03.45, with the hours only where there are any. */
function clock(seconds, digits = 2) {
  const whole = Math.max(0, seconds), s = whole % 60, minutes = Math.floor(whole / 60);
  const shown = s.toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  if (minutes < 60) return `${minutes}:${shown}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${shown}`;
}

/** A moment of a recording of `total` seconds: in seconds, or as a clock where it lasts minutes. */
function moment(seconds, total, digits = 2) {
  return total < 60 ? `${number(Math.max(0, seconds), digits)}\u00a0s` : clock(seconds, digits);
}

/** A command line to copy, broken between its words alone. */
function command(...args) { return h("code", {}, args.flatMap((arg, i) => [i ? " " : "", h("span", {}, shell(arg))])); }

/** An argument as a shell takes it. */
function shell(text) { return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`; }

// --- packed data --------------------------------------------------------------------------

function bytes(base64) { return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)); }

/** Bytes that were deflated, as an ArrayBuffer. */
async function inflated(base64) {
  const stream = new Blob([bytes(base64)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

let colours = {}; // asking the browser for one makes it lay out the page again

function colour(name) {
  return (colours[name] ??= getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
}

function rgb(name) { return colour(name).match(/[0-9a-f]{2}/gi).map((pair) => parseInt(pair, 16)); }

// --- the parts every page has ---------------------------------------------------------------

function preferences(repaint) {
  const dark = () => document.documentElement.dataset.theme
    ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const repainted = () => { colours = {}; refresh(); repaint(); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repainted);
  matchMedia("print").addEventListener("change", () => { repainted(); globalThis.timeline?.paint(); }); // on paper, light
  addEventListener("hashchange", () => { adopt(); repainted(); });
  const languages = h("select", { "aria-label": () => t("language"), onchange: (e) => { language = e.target.value; refresh(); repaint(); } },
    Object.keys(words).map((code) => h("option", { value: code, lang: code, selected: code === language }, words[code]._)));
  return h("div", { class: "preferences", hidden: framed().has("theme") }, languages,
    h("button", { type: "button", onclick: () => {
      document.documentElement.dataset.theme = dark() === "dark" ? "light" : "dark";
      repainted();
    } }, () => t(dark() === "dark" ? "light" : "dark")));
}

function warned(warnings) {
  return warnings.length === 0 ? null : h("div", { class: "warn", role: "note" },
    h("strong", {}, () => t("warnings")), h("ul", {}, warnings.map((w) => h("li", {}, () => said(w)))));
}

/** Nested values as [dotted name, text]; a list of plain ones reads as one. */
function named(value, prefix = "") {
  const nested = (inner) => inner !== null && typeof inner === "object";
  const inner = nested(value) ? Object.entries(value) : [];
  if (inner.length && (!Array.isArray(value) || value.some(nested))) return inner.flatMap(([key, one]) => named(one, prefix ? `${prefix}.${key}` : key));
  if (nested(value)) return [[prefix, inner.map(([, one]) => String(one)).join(", ") || "–"]];
  return [[prefix, typeof value === "boolean" ? t(value ? "yes" : "no") : String(value ?? "–")]];
}

function facts(provenance) {
  const pairs = named(provenance);
  return h("details", {}, h("summary", {}, () => t("provenance")),
    h("dl", { class: "facts" }, pairs.flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])));
}

/** A file for the reader to keep. */
function download(name, text, type = "text/plain") {
  const link = h("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}
