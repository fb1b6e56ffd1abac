"""The page of one recording: which label holds when, and which frequencies speak for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from xplain.bands import CRITICAL
from xplain.report import html
from xplain.report.plots import COLUMNS, FOR
from xplain.segmentation.result import Segmentation
from xplain.segmentation.segment import Segment
from xplain.storage import write_text

TICKS = (100, 300, 630, 1270, 2700, 5300, 9500, 15500)
"""Hz, of the frequency axis, which is even in critical bands."""

_INK, _CURVE = "#1c2026", "#7d8794"


@dataclass(frozen=True)
class Shown:
    """A label, as the template lays it out. picture: base64 of a PNG file."""

    label: str
    count: int
    seconds: float
    picture: str


def write_page(segmentation: Segmentation, path: Path) -> Path:
    """Write one HTML file that needs no other; ArtifactError where that is not possible."""
    text = html.render(
        "xplain.report",
        "segments.html",
        {},
        s=segmentation,
        labels=[_shown(segmentation, label) for label in segmentation.labels],
        explained=any(segment.bands is not None for segment in segmentation.segments),
        method=_method(segmentation.provenance.get("explanation")),
    )
    write_text(path, text)
    return path


def label_figure(segmentation: Segmentation, label: str) -> Figure:
    """A label over time: probability and segments; below them, where explained, the bands."""
    own = [s for s in segmentation.segments if s.label == label]
    explained = any(s.bands is not None for s in own)
    heights = [1.0, 1.5] if explained else [1.0]
    height = 2.9 if explained else 1.5
    figure = Figure(figsize=(9.0, height), dpi=110)
    # Placed by hand: matplotlib's own layout draws everything several times to find it.
    figure.subplots_adjust(0.1, 0.45 / height, 0.985, 1 - 0.1 / height, hspace=0.12)
    panes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[
        :, 0
    ]
    _draw_probability(panes[0], segmentation, label, own)
    if explained:
        _draw_bands(panes[1], own)
    panes[-1].set_xlim(0, segmentation.duration)
    panes[-1].set_xlabel("time (s)")
    for pane in panes:
        pane.yaxis.set_label_coords(-0.08, 0.5)
    return figure


def _shown(segmentation: Segmentation, label: str) -> Shown:
    own = [s for s in segmentation.segments if s.label == label]
    return Shown(
        label=label,
        count=len(own),
        seconds=sum(s.end - s.start for s in own),
        picture=html.picture(label_figure(segmentation, label)),
    )


def _method(record: Any) -> str | None:
    """What the provenance says of how segments were explained, for people."""
    if record is None:
        return None
    return (
        record["method"]
        if "method" in record
        else (
            f"{record['explainer']['name']} over {record['synthesizer']['name']}, of up to "
            f"{record['longest']:g} s of each segment"
        )
    )


def _draw_probability(
    axes: Any, segmentation: Segmentation, label: str, own: Sequence[Segment]
) -> None:
    """From the least to the largest probability of each column, over the segments."""
    values = segmentation.frames[:, segmentation.labels.index(label)].numpy()
    pool = -(-len(values) // COLUMNS)
    starts = np.arange(0, len(values), pool)
    seconds = np.minimum(np.append(starts, len(values)), len(values)) * segmentation.frame_step
    high, low = np.maximum.reduceat(values, starts), np.minimum.reduceat(values, starts)
    boxes = [_box(s.start, s.end, 0, 1) for s in own]
    axes.add_collection(PolyCollection(boxes, facecolor=FOR, alpha=0.22, linewidth=0))
    for edge in (low, high):
        axes.step(seconds, np.append(edge, edge[-1]), where="post", color=_INK, linewidth=0.7)
    axes.fill_between(
        seconds, np.append(low, low[-1]), np.append(high, high[-1]), step="post", color=_CURVE
    )
    axes.axhline(segmentation.thresholds[label].onset, color=_INK, linewidth=0.6, linestyle=":")
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.5, 1])
    axes.set_ylabel("probability")


def _draw_bands(axes: Any, own: Sequence[Segment]) -> None:
    """A box for each band of each segment, the darker the larger its share."""
    bands = [(s, band) for s in own for band in s.bands or ()]
    top = max([8000.0, *(band.high for _, band in bands)])
    boxes = [_box(s.start, s.end, _critical(band.low), _critical(band.high)) for s, band in bands]
    # A wide band is a sum of many: the share is spread over it.
    density = [b.share / max(1e-9, _critical(b.high) - _critical(b.low)) for _, b in bands]
    largest = max(density, default=1.0)
    faces = [(0xD1 / 255, 0x35 / 255, 0x0F / 255, 0.15 + 0.85 * d / largest) for d in density]
    axes.add_collection(PolyCollection(boxes, facecolors=faces, linewidth=0))
    ticks = [hertz for hertz in TICKS if hertz <= top]
    axes.set_yticks([_critical(hertz) for hertz in ticks])
    axes.set_yticklabels([f"{h / 1000:g} k" if h >= 1000 else f"{h}" for h in ticks])
    axes.set_ylim(0, _critical(top))
    axes.set_ylabel("frequency (Hz)")


def _critical(hertz: float) -> float:
    """A frequency on the scale of critical bands, even between their borders."""
    return float(np.interp(hertz, [*CRITICAL, 24000.0], np.arange(len(CRITICAL) + 1)))


def _box(left: float, right: float, bottom: float, top: float) -> list[tuple[float, float]]:
    return [(left, bottom), (right, bottom), (right, top), (left, top)]
