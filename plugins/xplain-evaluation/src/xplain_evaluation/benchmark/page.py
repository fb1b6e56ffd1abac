"""The HTML page of a benchmark: rankings with intervals, differences, failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from xplain.errors import PluginError
from xplain.intervals import share
from xplain.registry import registry
from xplain.report import html
from xplain_evaluation.benchmark import plots
from xplain_evaluation.structured import CONTROLS as EQUAL
from xplain_evaluation.structured import JUDGE

if TYPE_CHECKING:
    # The benchmark imports this page.
    from xplain_evaluation.benchmark.table import Against, Comparison, Group, Results, Row

CONTROLS = {
    "random": "Random is noise: it knows neither the clip nor the model.",
    "loudness": "Loudness is how far each element is from the baseline (silence, unless another "
    "was asked for): it knows the clip, not the model.",
}
"""The controls, listed in every table beside the methods."""
KINDS = ("faithful", "partly", "unfaithful", "inconclusive")
"""Verdicts of check()."""
SURE = 0.05
"""Significance level of the corrected p for a difference between two methods."""
NAMED = 6
"""Maximum number of methods that a sentence names."""
Wins = frozenset[tuple[str, str, str]]
"""Metric, method, other: by the metric the method is better, and told apart from the other."""
Told = tuple[str, str, tuple[str, ...]]
"""A clip, a message about it, and the methods by which it was explained."""


@dataclass(frozen=True)
class Column:
    """A metric: its name, which direction is better, whether methods are ranked by it."""

    metric: str
    better: str
    ranked: bool


@dataclass(frozen=True)
class Cell:
    """A mean with its interval. near: not significantly different from the best."""

    row: Row
    best: bool
    near: bool


@dataclass(frozen=True)
class Line:
    """A method of the table. place: None where what ranks has no value."""

    method: str
    place: int | None
    control: bool
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Curve:
    """A metric against the ratios: rows of each method, and the picture where there are two."""

    column: Column
    ratios: tuple[float, ...]
    rows: Mapping[str, tuple[Row, ...]]
    picture: str | None


@dataclass(frozen=True)
class Beyond:
    """A method beside the controls that take as much energy, by one metric.

    controls: random, the hardest structured one, and loudness, where they were measured.
    hardest: the hardest of these. judge: another model, of which the same was measured.
    """

    row: Row
    controls: tuple[Against | None, ...]
    hardest: Against
    judge: Against | None


@dataclass(frozen=True)
class Section:
    """What was measured within one group, as the template lays it out.

    controls: what those in it are. remarks: which methods do not beat them. told: pairs that
    are told apart, out of ``asked``. too_few: resamples that would be needed for any to be,
    where there are not enough. verdicts: by method, how many explanations check() called
    what. beyond: methods beside controls of equal energy, by column. findings: of the sanity
    checks, by method and check.
    """

    id: str
    title: str
    what: str
    columns: tuple[Column, ...]
    lines: tuple[Line, ...]
    controls: tuple[str, ...]
    remarks: tuple[str, ...]
    curves: tuple[Curve, ...]
    beyond: Sequence[tuple[Column, Sequence[Beyond]]]
    told: tuple[Comparison, ...]
    asked: int
    too_few: int | None
    kinds: tuple[str, ...]
    verdicts: Mapping[str, Mapping[str, int]]
    checks: tuple[str, ...]
    findings: Mapping[str, Mapping[str, Mapping[str, Any]]]
    failures: tuple[Told, ...]
    warnings: tuple[Told, ...]


def page(results: Results) -> str:
    """Render a benchmark as one self-contained HTML page."""
    styles = plots.styles(results, CONTROLS)
    sections = [_section(n, results, group, styles) for n, group in enumerate(results.order, 1)]
    metrics = dict.fromkeys((row.metric, row.better) for row in results.rows)
    return html.render(
        __package__ or "",
        "page.html",
        {"number": _number, "p": _p, "wilson": _wilson, "ratio": plots.ratio_text},
        style=(files(__package__ or "") / "page.css").read_text("utf-8"),
        kind="benchmark",
        title="How good the explanations are"
        + (f": {sections[0].title}" if len(sections) == 1 else ""),
        sections=sections,
        keys={method: plots.key(style) for method, style in styles.items()},
        metrics=[(metric, better, _meaning(metric)) for metric, better in metrics],
        controls=CONTROLS,
        equal=EQUAL,
        sure=SURE,
        rank_by=results.rank_by,
        reasons=results.reasons,
        facts=list(_facts(results.provenance)),
    )


def _facts(value: object, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested values as (dotted name, text); what JSON turns into a list reads as one."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _facts(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list | tuple) and any(
        isinstance(v, Mapping | list | tuple) for v in value
    ):
        for number, inner in enumerate(value):
            yield from _facts(inner, f"{prefix}.{number}")
    elif isinstance(value, list | tuple | Mapping):
        yield prefix, ", ".join(map(str, value)) or "none"
    elif isinstance(value, bool):
        yield prefix, "yes" if value else "no"
    else:
        yield prefix, "none" if value is None else str(value)


def _section(
    number: int, results: Results, group: Group, styles: Mapping[str, plots.Style]
) -> Section:
    model, data, synthesizer = group
    order = results.order[group]
    rows = [row for row in results.rows if row.group == group]
    columns = tuple(
        Column(metric, better, metric == results.rank_by)
        for metric, better in dict.fromkeys((row.metric, row.better) for row in rows)
    )
    compared = tuple(c for c in results.comparisons if c.group == group)
    wins = _wins(compared, columns)
    verdicts = {method: counts for (g, method), counts in results.verdicts.items() if g == group}
    kinds = tuple(dict.fromkeys([*KINDS, *(kind for v in verdicts.values() for kind in v)]))
    found = [f for f in results.findings if (f["model"], f["data"], f["synthesizer"]) == group]
    clips = max((row.clips + row.undefined + row.failed for row in rows), default=0)
    return Section(
        id=f"group-{number}",
        title=f"{model} on {data}" + (f", {synthesizer}" if synthesizer else ""),
        what=_what(results, group, clips),
        columns=columns,
        lines=tuple(_lines(rows, order, columns, wins)),
        controls=tuple(said for control, said in CONTROLS.items() if control in order),
        remarks=tuple(_remarks(results.rank_by, order, wins)),
        curves=tuple(_curves(rows, order, columns, styles)),
        beyond=list(_beyond(results, group, columns, rows)),
        told=tuple(c for c in compared if _sure(c)),
        asked=len(compared),
        too_few=_too_few(results, compared),
        kinds=kinds,
        verdicts={method: verdicts[method] for method in order if method in verdicts},
        checks=tuple(dict.fromkeys(f["check"] for f in found)),
        findings={
            method: {f["check"]: f for f in found if f["explainer"] == method}
            for method in order
            if any(f["explainer"] == method for f in found)
        },
        failures=tuple(_by_clip(results.failures, group)),
        warnings=tuple(_by_clip(results.warnings, group)),
    )


def _what(results: Results, group: Group, clips: int) -> str:
    """Summarise the benchmark in a sentence or two."""
    model, data, synthesizer = group
    order = results.order[group]
    controls = len(CONTROLS.keys() & set(order))
    by = _several(len(order) - controls, "method")
    by += f" and {_several(controls, 'control')}" if controls else ""
    where = f" in the representation “{synthesizer}”" if synthesizer else ""
    sentence = (
        f"{_several(clips, 'clip')} of “{data}”, each explained for the model "
        f"“{model}” by {by}{where}."
    )
    draws, seed = (results.provenance.get(name) for name in ("draws", "seed"))
    if clips == 1:
        sentence += " One clip: no interval, and no difference that could be more than chance."
    elif draws is not None and seed is not None:
        sentence += f" Bootstraps and permutation tests use {draws} draws, random seed {seed}."
    return sentence


def _sure(comparison: Comparison) -> bool:
    return comparison.p is not None and comparison.p < SURE


def _wins(compared: Sequence[Comparison], columns: Sequence[Column]) -> Wins:
    higher = {column.metric: column.better == "higher" for column in columns}
    return frozenset(
        (c.metric, c.one, c.other)
        if (c.difference.mean > 0) == higher[c.metric]
        else (c.metric, c.other, c.one)
        for c in compared
        if _sure(c) and c.difference.mean
    )


def _lines(
    rows: Sequence[Row], order: Sequence[str], columns: Sequence[Column], wins: Wins
) -> Iterator[Line]:
    """The ranked table, best first; methods of one value have one place."""
    summaries = {(row.metric, row.explainer): row for row in rows if row.ratio is None}
    best = {c.metric: _best([summaries[c.metric, m] for m in order]) for c in columns}
    place, before = 0, None
    for number, method in enumerate(order, 1):
        cells = []
        value = None
        for column in columns:
            row, leaders = summaries[column.metric, method], best[column.metric]
            beaten = all((row.metric, leader, method) in wins for leader in leaders)
            near = row.mean is not None and method not in leaders and not beaten
            cells.append(Cell(row, best=method in leaders, near=near))
            if column.ranked:
                value = row.mean
        if value != before:
            place = number
        before = value
        yield Line(method, None if value is None else place, method in CONTROLS, tuple(cells))


def _best(rows: Sequence[Row]) -> list[str]:
    """The best methods; none if all are equal."""
    means = {row.explainer: row.mean for row in rows if row.mean is not None}
    if len(set(means.values())) < 2:
        return []
    best = (max if rows[0].better == "higher" else min)(means.values())
    return [method for method, mean in means.items() if mean == best]


def _remarks(metric: str, order: Sequence[str], wins: Wins) -> Iterator[str]:
    """Name the methods that do not beat the controls on the ranking metric."""
    methods = [method for method in order if method not in CONTROLS]
    for control in CONTROLS:
        behind = [method for method in methods if (metric, method, control) not in wins]
        if control in order and behind:
            named = ", ".join(behind[:NAMED])
            more = f" and {len(behind) - NAMED} more" if len(behind) > NAMED else ""
            yield f"By {metric}, not shown to be better than {control}: {named}{more}."


def _beyond(
    results: Results, group: Group, columns: Sequence[Column], rows: Sequence[Row]
) -> Iterator[tuple[Column, Sequence[Beyond]]]:
    """Each metric of what is kept and removed, with its methods, the best first."""
    summaries = {(row.metric, row.explainer): row for row in rows if row.ratio is None}
    for column in columns:
        sign = 1 if column.better == "higher" else -1
        lines = []
        for method in results.order[group]:
            some = {
                a.control: a
                for a in results.against
                if (a.group, a.metric, a.explainer) == (group, column.metric, method)
            }
            judge = some.pop(JUDGE, None)
            known = [a for a in some.values() if a.difference.mean is not None]
            row = summaries.get((column.metric, method))
            if not known or row is None:
                continue
            structured = next((a for a in known if a.hardest), None)
            hardest = min(known, key=lambda a: sign * (a.difference.mean or 0.0))
            controls = (some.get("random"), structured, some.get("loudness"))
            lines.append(Beyond(row, controls, hardest, judge))
        if lines:
            yield column, lines


def _too_few(results: Results, compared: Sequence[Comparison]) -> int | None:
    """Resamples needed for any pair to be told apart, where there are fewer; else None.

    Of n resamples p is at least 2 / (n + 1), and Holm multiplies it by the number of pairs.
    """
    draws = results.provenance.get("draws")
    pairs = Counter(c.metric for c in compared if c.p is not None)
    if not pairs or draws is None:
        return None
    most = max(pairs.values())
    return round(2 * most / SURE) if 2 * most / (draws + 1) >= SURE else None


def _by_clip(said: Sequence[tuple[Group, str, str, str]], group: Group) -> Iterator[Told]:
    """Each message about a clip once, with all methods that it concerns."""
    methods: dict[tuple[str, str], dict[str, None]] = {}
    for where, method, clip, message in said:
        if where == group:
            methods.setdefault((clip, message), {})[method] = None
    for (clip, message), named in methods.items():
        yield clip, message, tuple(named)


def _curves(
    rows: Sequence[Row],
    order: Sequence[str],
    columns: Sequence[Column],
    styles: Mapping[str, plots.Style],
) -> Iterator[Curve]:
    for column in columns:
        at = {
            (row.explainer, row.ratio): row
            for row in rows
            if row.metric == column.metric and row.ratio is not None
        }
        ratios = sorted({ratio for _, ratio in at if ratio is not None})
        if not ratios:
            continue
        lines = {method: tuple(at[method, ratio] for ratio in ratios) for method in order}
        picture = (
            plots.picture(plots.curve_figure(ratios, lines, styles)) if len(ratios) > 1 else None
        )
        yield Curve(column, tuple(ratios), lines, picture)


def _meaning(metric: str) -> str:
    """A registered metric's summary; empty if unregistered."""
    try:
        return registry().find("metric", metric.partition("(")[0]).summary
    except PluginError:
        return ""


def _several(count: int, thing: str) -> str:
    return f"{count:,} {thing}" if count == 1 else f"{count:,} {thing}s"


def _number(value: float) -> str:
    """A value in a table, with a proper minus; the page has all of its digits besides."""
    size = abs(value)
    if value == 0 or 0.001 <= size < 100:
        text = f"{value:.3f}"
    else:
        text = f"{value:.1f}" if 100 <= size < 10000 else f"{value:.2e}"
    return text.replace("-", "\N{MINUS SIGN}")


def _p(value: float) -> str:
    return "under 0.001" if value < 0.001 else f"{value:.3f}"


def _wilson(count: int, clips: int) -> str:
    """The interval of a share of clips, in percent; nothing for one clip."""
    found = share([1.0] * count + [0.0] * (clips - count))
    if found.low is None or found.high is None:
        return ""
    return f" [{100 * found.low:.0f}, {100 * found.high:.0f}]"
