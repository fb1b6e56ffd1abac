"use strict";
// A table of thousands of rows, of which only those in sight are elements; and the folder's page.

const ROW = 46; // pixels, of every row

/**
 * columns: {key, cell(row): node or text, value(row): number or text to sort by}. keep(row):
 * whether it passes the filters; mark(row): whether it is the one that is chosen.
 * Returns {node, update(): filter and sort again}.
 */
function virtualTable(columns, rows, { label, keep, mark = () => false }) {
  let sorted = null, descending = false, shown = rows, painted = "", made = new Map();
  const heads = columns.map((column) => h("th", { scope: "col", class: column.key, "aria-sort": () => (sorted === column ? (descending ? "descending" : "ascending") : null) },
    column.value ? h("button", { type: "button", onclick: () => {
      descending = sorted === column ? !descending : false;
      sorted = column;
      update();
    } }, () => t(`column_${column.key}`), () => (sorted === column ? (descending ? " ↓" : " ↑") : "")) : () => t(`column_${column.key}`)));
  const body = h("tbody"), above = h("tr", { "aria-hidden": "true" }, h("td", { colspan: columns.length })), below = above.cloneNode(true);
  const table = h("table", { class: "rows", "aria-rowcount": () => String(shown.length + 1) }, h("thead", {}, h("tr", {}, heads)), body);
  const node = h("div", { class: "window", tabindex: "0", role: "group", "aria-label": label }, table);
  const line = (row, index) => h("tr", { "aria-rowindex": String(index + 2), class: row.error ? "damaged" : mark(row) ? "chosen" : "" },
    row.error ? [columns[0].cell(row), h("span", { class: "why" }, row.error)].map((content, i) => h("td", { colspan: i ? columns.length - 1 : 1, class: i ? "" : columns[0].key, title: i ? row.error : null }, content))
      : columns.map((column) => {
        const content = column.cell(row);
        return h("td", { class: column.key, title: typeof content === "string" && content.length > 20 ? content : null }, content);
      }));
  const paint = (force) => {
    const first = Math.max(0, Math.min(shown.length - 1, Math.floor(node.scrollTop / ROW) - 5));
    const last = Math.min(shown.length, first + Math.ceil((node.clientHeight || 600) / ROW) + 12);
    if (!force && painted === `${first}-${last}`) return;
    painted = `${first}-${last}`;
    above.firstChild.style.height = `${first * ROW}px`;
    below.firstChild.style.height = `${(shown.length - last) * ROW}px`;
    above.hidden = first === 0;
    below.hidden = last === shown.length;
    const before = force ? new Map() : made; // rows that stay in sight are not made again
    made = new Map(shown.slice(first, last).map((row, i) => [row, before.get(row) ?? line(row, first + i)]));
    body.replaceChildren(above, ...made.values(), below);
  };
  const update = () => {
    shown = rows.filter(keep);
    if (sorted) {
      const sign = descending ? -1 : 1, none = (v) => v === null || v === undefined;
      const values = new Map(shown.map((row) => [row, row.error ? null : sorted.value(row)]));
      shown.sort((a, b) => {
        const x = values.get(a), y = values.get(b);
        if (none(x) || none(y)) return Number(none(x)) - Number(none(y)); // what has no value is last
        return sign * (typeof x === "string" ? x.localeCompare(y, language) : x - y);
      });
    }
    node.scrollTop = 0;
    paint(true);
    refresh();
  };
  node.addEventListener("scroll", () => requestAnimationFrame(() => paint(false)), { passive: true });
  new ResizeObserver(() => paint(false)).observe(node);
  return { node, update, repaint: () => paint(true), count: () => shown.length };
}

/** The probability of the label against what is kept, as a small picture. */
function sparkline(points) {
  const svg = (tag, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    Object.entries(attributes).forEach(([name, value]) => node.setAttribute(name, value));
    return node;
  };
  const picture = svg("svg", { class: "spark", viewBox: "0 0 92 30", role: "img",
    "aria-label": points.map(([ratio, p]) => `${ratioText(ratio)}: ${percent(p)}`).join(", ") });
  // By the root of the ratio, since the small ones tell the most.
  const places = points.map(([ratio, p]) => [3 + Math.sqrt(ratio) * 86, 3 + (1 - p) * 24]);
  picture.append(svg("polyline", { points: places.join(" ") }), ...places.map(([cx, cy]) => svg("circle", { cx, cy, r: 2 })));
  return picture;
}

function thumbnail({ values, rows, columns }) {
  const canvas = h("canvas", { class: "thumb", "aria-hidden": "true" });
  [canvas.width, canvas.height] = [columns, rows];
  return paintSigned(new Int8Array(bytes(values).buffer), rows, columns, { for: true, against: true }, canvas);
}

function folderPage(d, main) {
  const filter = { text: "", verdict: "", label: "" };
  const own = (row) => (row.error ? "damaged" : row.verdict ?? "none");
  const columns = [
    { key: "clip", value: (row) => row.name, cell: (row) => (row.link ? h("a", { href: row.link, title: row.name }, row.name) : row.name) },
    { key: "map", cell: (row) => thumbnail(row.map) },
    { key: "prediction", value: (row) => row.prediction, cell: (row) => row.prediction },
    { key: "label", value: (row) => row.label, cell: (row) => row.label },
    { key: "probability", value: (row) => row.probability, cell: (row) => (row.probability === null ? row.reading : percent(row.probability)) },
    { key: "verdict", value: (row) => (row.verdict === null ? null : ["unfaithful", "inconclusive", "partly", "faithful"].indexOf(row.verdict)), cell: (row) => (row.verdict === null ? h("span", { class: "soft" }, t("not_checked")) : h("span", { class: `badge ${row.badge}` }, t(row.badge === "noticed" ? "verdict_noticed" : `verdict_${row.verdict}`, { verdict: t(`verdict_${row.verdict}`) }))) },
    { key: "kept", value: (row) => (row.kept.length ? row.kept.reduce((sum, [, p]) => sum + p, 0) / row.kept.length : null), cell: (row) => sparkline(row.kept) },
    { key: "method", value: (row) => row.method, cell: (row) => h("span", { class: "soft" }, row.method) },
    { key: "file", value: (row) => row.file, cell: (row) => h("span", { class: "soft", title: row.file }, row.file.split(/[\\/]/).slice(-2).join("/")) },
  ].filter((column) => column.key !== "method" || new Set(d.rows.filter((row) => !row.error).map((row) => row.method)).size > 1);
  const searched = new Map(d.rows.map((row) => [row, [row.name, row.prediction, row.label, row.file, row.method, row.error].join("\n").toLowerCase()]));
  const table = virtualTable(columns, d.rows, { label: () => t("explanations"), keep: (row) => searched.get(row).includes(filter.text)
    && (!filter.verdict || own(row) === filter.verdict) && (!filter.label || row.label === filter.label) });
  const set = (key) => (e) => { filter[key] = key === "text" ? e.target.value.toLowerCase() : e.target.value; table.update(); };
  const whole = (count) => number(count, 0), count = (key, value) => d.rows.filter((row) => (key === "verdict" ? own(row) : row[key]) === value).length;
  const verdicts = [...new Set(d.rows.map(own))], labels = [...new Set(d.rows.map((row) => row.label).filter(Boolean))].sort();
  const pick = (key, values, name) => h("label", {}, () => t(`column_${key}`), h("select", { onchange: set(key) },
    h("option", { value: "" }, () => t("all")), values.map((value) => h("option", { value }, () => `${name(value)} (${whole(count(key, value))})`))));
  main.append(preferences(() => table.repaint()), h("h1", {}, d.name),
    h("p", { role: "status" }, () => t("of_explanations", { shown: whole(table.count()), total: whole(d.rows.length) })),
    h("div", { class: "controls" }, h("label", {}, () => t("search"), h("input", { type: "search", oninput: set("text") })),
      pick("verdict", verdicts, (v) => t(v === "damaged" ? "damaged" : v === "none" ? "not_checked" : `verdict_${v}`)), pick("label", labels, String)),
    table.node);
  table.update();
}

if (data.kind === "explanations") { folderPage(data, document.querySelector("main")); refresh(); }
