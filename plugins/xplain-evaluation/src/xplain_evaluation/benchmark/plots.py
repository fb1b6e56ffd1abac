"""Pictures of a benchmark: curves of metrics, and the stroke that stands for each method."""

from __future__ import annotations

import io
import math
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from PIL import Image

from xplain.report import html

if TYPE_CHECKING:
    # The benchmark imports its page.
    from xplain_evaluation.benchmark.table import Results, Row

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#7b3294")
"""Colours for any colour vision, after Okabe, Ito (2008), with a darker yellow."""
MARKERS = ("o", "s", "^", "D", "v", "P", "<", "X", ">")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1)), (0, (6, 2, 1, 2)))
GREYS: Mapping[str, Mapping[str, Any]] = {
    "random": {"color": "#8a8a8a", "marker": "x", "linestyle": (0, (1, 1))},
    "loudness": {"color": "#555555", "marker": "+", "linestyle": (0, (5, 2))},
}
TICKS = 12
"""Of the axis of ratios; of more, some go without a number."""

Style = Mapping[str, Any]
"""What a method's line looks like in every picture, as Line2D takes it."""


def curve_figure(
    ratios: Sequence[float], lines: Mapping[str, Sequence[Row]], styles: Mapping[str, Style]
) -> Figure:
    """Mean and interval against the ratios, which stand evenly however uneven they are.

    Names are anyone's text and stand on the page, beside the same strokes.
    """
    figure = Figure(figsize=(7.2, 3.6), dpi=140, layout="constrained")
    axes = figure.subplots()
    places = range(len(ratios))
    # So that the bands of many methods do not add up to one dark field.
    shade = min(0.16, 1.0 / len(lines))
    for method, rows in lines.items():
        mean, low, high = (
            [math.nan if value is None else value for value in column]
            for column in zip(*((r.mean, r.low, r.high) for r in rows), strict=True)
        )
        style = styles[method]
        axes.fill_between(places, low, high, color=style["color"], alpha=shade, linewidth=0)
        axes.plot(places, mean, **style)
    every = -(-len(ratios) // TICKS)
    axes.set_xticks(places[::every], [ratio_text(ratio) for ratio in ratios[::every]])
    axes.set_xlabel("share of the elements, those that count most first")
    axes.grid(axis="y", color="#e2e5e9", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def results_figure(results: Results) -> Figure:
    """The metric that ranks: each method's mean and interval, a pane for each group."""
    groups = list(results.order)
    most = max(len(order) for order in results.order.values())
    size = (7.2, len(groups) * (0.8 + 0.28 * most))
    figure = Figure(figsize=size, dpi=140, layout="constrained")
    panes = figure.subplots(len(groups), 1, squeeze=False)[:, 0]
    for pane, group in zip(panes, groups, strict=True):
        order = results.order[group]
        for place, method in enumerate(order):
            row = results.row(group, method, results.rank_by)
            if row.mean is None:
                continue
            low, high = (row.mean if v is None else v for v in (row.low, row.high))
            pane.plot([low, high], [place, place], color="#555555", linewidth=1.2)
            pane.plot([row.mean], [place], marker="o", color=COLOURS[0])
        pane.set_yticks(range(len(order)), order, parse_math=False)
        pane.invert_yaxis()
        pane.set_title(" · ".join(map(str, filter(None, group))), parse_math=False, fontsize=9)
        pane.set_xlabel(results.rank_by, parse_math=False)
    return figure


def styles(results: Results, controls: Collection[str]) -> dict[str, Style]:
    """A stroke for every method: the same colour, dash and marker all over the page."""
    methods = dict.fromkeys(row.explainer for row in results.rows)
    made: dict[str, Style] = {}
    for method in methods:
        n = sum(other not in controls for other in made)
        own = {
            "color": COLOURS[n % len(COLOURS)],
            "marker": MARKERS[n % len(MARKERS)],
            "linestyle": DASHES[n % len(DASHES)],
        }
        made[method] = {"linewidth": 1.6, "markersize": 5, **GREYS.get(method, own)}
    return made


def key(style: Style) -> str:
    """A method's stroke alone, to stand before its name."""
    figure = Figure(figsize=(0.5, 0.18), dpi=140)
    figure.add_artist(Line2D([0.05, 0.5, 0.95], [0.5, 0.5, 0.5], markevery=[1], **style))
    return picture(figure)


def picture(figure: Figure) -> str:
    """A figure as base64 of a PNG file, the same bytes for the same figure."""
    buffer, reduced = io.BytesIO(), io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    picture = Image.open(buffer).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(reduced, "PNG", optimize=True)
    return html.encoded(min(buffer.getvalue(), reduced.getvalue(), key=len))


def ratio_text(value: float) -> str:
    """A part of the elements: ``10 %``."""
    return f"{100 * value:.4g}\N{NO-BREAK SPACE}%"
