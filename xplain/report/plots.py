"""The pictures of the page: spectrograms, and the attribution over or under them.

Drawn with matplotlib's objects and no pyplot, so that nothing global is touched. No
label is drawn, only numbers: labels are anyone's text, and stand on the page.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from PIL import Image
from torch import Tensor

from xplain.explanation import Explanation

Array = npt.NDArray[np.float64]
Extent = tuple[float, float, float, float]
"""Left and right in seconds, bottom and top in Hz or channels."""

FOR, AGAINST = "#d1350f", "#1558c0"
WINDOW = 0.032
"""Seconds of a spectrogram's window; four of them cover a sample."""
COLUMNS, ROWS = 800, 400
"""About the pixels of the big picture; what is finer is pooled by its largest value."""
SMALL = 2
"""How much less of both a small picture has."""
CURVE = 400
"""Points of the curve over time; finer frames are added up to as many."""
RANGE = 60.0
"""dB from the loudest point of the original down to white."""
PERCENTILE, NOTABLE = 99.0, 0.01
"""Full colour is reached at this percentile of the magnitudes that are a notable part of the
largest: so that one outlier pales nothing, and a sparse attribution keeps its shades."""
FEW_BYTES = 60_000
"""A picture of more is reduced to 256 colours."""

_GREYS = LinearSegmentedColormap.from_list("loudness", ["#ffffff", "#262626"])
_PALE = LinearSegmentedColormap.from_list("pale loudness", ["#ffffff", "#8a8a8a"])
_SIGNED = LinearSegmentedColormap.from_list("signed", [AGAINST, "#ffffff", FOR])


@dataclass(frozen=True)
class Spectrogram:
    """Level over time and frequency: decibels (F, T) relative to a full-scale sine."""

    decibels: Array
    extent: Extent
    duration: float


@dataclass(frozen=True)
class Scale:
    """The levels in dB that white and dark grey stand for, the same for all of a clip."""

    low: float
    high: float


@dataclass(frozen=True)
class Drawn:
    """An attribution as it is drawn: values (rows, columns), row 0 at the bottom.

    limit: the magnitude of full colour; None where everything is zero. largest: the
    largest magnitude there is.
    """

    values: Array
    extent: Extent
    limit: float | None
    largest: float


def spectrogram(waveform: Tensor, rate: int) -> Spectrogram:
    """Analyse (samples,) at rate Hz; T ≤ COLUMNS however long the clip, in bounded memory."""
    hop = max(4, round(WINDOW * rate / 4))
    size = 4 * hop
    window = torch.hann_window(size)
    padded = torch.nn.functional.pad(waveform.detach().cpu().float(), (size // 2, size // 2))
    frames = padded.unfold(0, size, hop)
    pool = -(-len(frames) // COLUMNS)
    columns = []
    for block in torch.split(frames, 64 * pool):
        magnitude = torch.fft.rfft(block * window).abs() * (2 / float(window.sum()))
        columns.append(_pool(magnitude.T.double().numpy(), 1, pool))
    pooled = np.concatenate(columns, axis=1)
    half = rate / size / 2
    return Spectrogram(
        decibels=20 * np.log10(np.maximum(pooled, 1e-9)),
        extent=(
            -hop / rate / 2,
            (pooled.shape[1] * pool - 0.5) * hop / rate,
            -half,
            (len(pooled) - 0.5) * rate / size,
        ),
        duration=len(waveform) / rate,
    )


def scale_of(original: Spectrogram) -> Scale:
    """The scale of a clip's pictures: RANGE dB down from its loudest point."""
    loudest = float(original.decibels.max())
    high = loudest if loudest > -150 else 0.0
    return Scale(high - RANGE, high)


def drawn(explanation: Explanation) -> Drawn:
    """The attribution on the axes of the clip: seconds, and Hz or channels.

    The frames are spread evenly over the clip, so frame t lies at (t + ½) / N of it.
    """
    values = explanation.attribution.detach().cpu().double().numpy()
    duration = len(explanation.waveform) / explanation.sample_rate
    if explanation.frequencies is None:
        bottom, step = -0.5, 1.0
    else:
        values, bottom, step = _on_even_rows(values, explanation.frequencies)
    channels, frames = values.shape
    wide, high = -(-frames // COLUMNS), -(-channels // ROWS)
    pooled = _pool(_pool(values, 1, wide), 0, high)
    magnitudes = np.abs(pooled)
    largest = float(magnitudes.max(initial=0.0))
    notable = magnitudes[magnitudes >= NOTABLE * largest]
    limit = float(np.percentile(notable, PERCENTILE, method="higher"))
    rows, columns = pooled.shape
    return Drawn(
        values=pooled,
        extent=(0.0, columns * wide / frames * duration, bottom, bottom + rows * high * step),
        limit=limit if largest > 0 else None,
        largest=largest,
    )


def attribution_figure(
    explanation: Explanation, original: Spectrogram, scale: Scale, attribution: Drawn
) -> Figure:
    """The original with its attribution over it, or under it where channels have no Hz.

    Below both, the attribution summed over the channels, against time.
    """
    over = explanation.frequencies is not None
    heights = [3.2, 1.0] if over else [2.2, 1.9, 1.0]
    figure = Figure(figsize=(7.2, 4.0 if over else 5.0), dpi=140, layout="constrained")
    panes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    # Pale under colours, which would turn muddy on dark grey.
    _draw_spectrogram(panes[0], original, scale, _PALE if over else _GREYS)
    target = panes[0] if over else panes[1]
    if attribution.limit is None:
        _say(target, "the attribution is zero everywhere")
    elif over:
        _draw_overlay(target, attribution)
    elif explanation.attribution.shape[0] == 1:
        (values,) = attribution.values
        left, right, _, _ = attribution.extent
        _fill(target, left + (np.arange(len(values)) + 0.5) * (right - left) / len(values), values)
    else:
        target.imshow(
            attribution.values,
            cmap=_SIGNED,
            norm=Normalize(-attribution.limit, attribution.limit),
            extent=attribution.extent,
            **_IMAGE,
        )
    if not over:
        target.set_ylabel("attribution" if len(attribution.values) == 1 else "channel")
        if attribution.limit is None:
            target.set_yticks([])
    _draw_curve(panes[-1], explanation, original.duration)
    if attribution.limit is not None and (over or len(attribution.values) > 1):
        _draw_colour_bar(figure, target, attribution.limit)
    if explanation.target.start is not None and explanation.target.end is not None:
        for pane in panes:
            for second in (explanation.target.start, explanation.target.end):
                pane.axvline(second, color="#111111", linewidth=1.2, linestyle=(0, (4, 3)))
    figure.align_ylabels(panes)
    return figure


def spectrogram_figure(shown: Spectrogram, scale: Scale) -> Figure:
    """A small spectrogram, on the scale of the original."""
    figure = Figure(figsize=(4.2, 2.3), dpi=120, layout="constrained")
    axes = figure.subplots()
    _draw_spectrogram(axes, shown, scale, smaller=SMALL)
    axes.set_xlabel("time (s)")
    return figure


def png(figure: Figure) -> bytes:
    """A figure as a PNG file, the same bytes for the same figure."""
    FigureCanvasAgg(figure)
    whole, reduced = io.BytesIO(), io.BytesIO()
    figure.savefig(whole, format="png", metadata={"Software": None})
    if whole.tell() <= FEW_BYTES:
        return whole.getvalue()
    picture = Image.open(whole).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    picture.save(reduced, "PNG", optimize=True)
    return reduced.getvalue()


_IMAGE: dict[str, Any] = {"origin": "lower", "aspect": "auto", "interpolation": "nearest"}


def _draw_spectrogram(
    axes: Axes,
    shown: Spectrogram,
    scale: Scale,
    greys: LinearSegmentedColormap = _GREYS,
    smaller: int = 1,
) -> None:
    # Pooled to about the pixels there are: drawing would pick some cells and drop the rest.
    channels, frames = shown.decibels.shape
    high, wide = -(-channels * smaller // ROWS), -(-frames * smaller // COLUMNS)
    pooled = np.maximum.reduceat(shown.decibels, np.arange(0, channels, high), axis=0)
    pooled = np.maximum.reduceat(pooled, np.arange(0, frames, wide), axis=1)
    left, right, bottom, top = shown.extent
    axes.imshow(
        pooled,
        cmap=greys,
        norm=Normalize(scale.low, scale.high),
        extent=(
            left,
            left + pooled.shape[1] * wide * (right - left) / frames,
            bottom,
            bottom + len(pooled) * high * (top - bottom) / channels,
        ),
        **_IMAGE,
    )
    axes.set_xlim(0, shown.duration)
    axes.set_ylim(0, top + bottom)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    if top > 2000:
        axes.yaxis.set_major_formatter(FuncFormatter(lambda hertz, _: f"{hertz / 1000:g}"))
    axes.set_ylabel("frequency (kHz)" if top > 2000 else "frequency (Hz)")


def _draw_overlay(axes: Axes, attribution: Drawn) -> None:
    assert attribution.limit is not None
    values = np.clip(attribution.values / attribution.limit, -1, 1)
    picture = np.empty((*values.shape, 4))
    picture[..., :3] = np.where((values > 0)[..., None], to_rgb(FOR), to_rgb(AGAINST))
    picture[..., 3] = np.abs(values)
    span = axes.get_xlim(), axes.get_ylim()
    axes.imshow(picture, extent=attribution.extent, **_IMAGE)
    axes.set_xlim(span[0])
    axes.set_ylim(span[1])


def _draw_curve(axes: Axes, explanation: Explanation, duration: float) -> None:
    summed = explanation.attribution.detach().cpu().double().sum(dim=0).numpy()
    pool = -(-len(summed) // CURVE)
    starts = np.arange(0, len(summed), pool)
    values = np.add.reduceat(summed, starts)
    ends = np.minimum(starts + pool, len(summed))
    _fill(axes, (starts + ends) / 2 / len(summed) * duration, values)
    axes.set_ylabel("sum")
    axes.set_xlabel("time (s)")


def _fill(axes: Axes, seconds: Array, values: Array) -> None:
    axes.axhline(0, color="#555555", linewidth=0.8)
    step: Literal["mid"] | None = "mid" if len(seconds) <= 60 else None
    for part, colour in ((np.maximum, FOR), (np.minimum, AGAINST)):
        axes.fill_between(seconds, part(values, 0), 0, color=colour, linewidth=0.6, step=step)
    axes.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))


def _draw_colour_bar(figure: Figure, axes: Axes, limit: float) -> None:
    mappable = ScalarMappable(Normalize(-limit, limit), _SIGNED)
    bar = figure.colorbar(mappable, ax=axes, fraction=0.04, pad=0.015)
    bar.set_ticks([-limit, 0, limit])
    bar.set_ticklabels([f"−{limit:.2g}\nagainst", "0", f"for\n+{limit:.2g}"])


def _say(axes: Axes, text: str) -> None:
    axes.text(
        0.5,
        0.5,
        text,
        transform=axes.transAxes,
        ha="center",
        va="center",
        bbox={"facecolor": "white", "edgecolor": "#777777", "boxstyle": "round,pad=0.5"},
    )


def _on_even_rows(values: Array, frequencies: Sequence[float]) -> tuple[Array, float, float]:
    """Rows at even steps of Hz, from rows at given ones: rows, lower edge, step.

    Where the given ones are not even (mel bands), each row takes the nearest of them.
    """
    hertz = np.asarray(frequencies, dtype=np.float64)
    order = np.argsort(hertz)
    hertz, values = hertz[order], values[order]
    if len(hertz) == 1:
        return values, 0.0, 2 * max(1.0, float(hertz[0]))
    step = float(hertz[-1] - hertz[0]) / (len(hertz) - 1)
    if not np.allclose(np.diff(hertz), step, rtol=1e-3):
        step = float(hertz[-1] - hertz[0]) / (ROWS - 1)
        even = hertz[0] + step * np.arange(ROWS)
        values = values[np.abs(hertz[None] - even[:, None]).argmin(axis=1)]
    return values, float(hertz[0]) - step / 2, step


def _pool(values: Array, axis: int, size: int) -> Array:
    """The value of largest magnitude of each ``size`` neighbours; the last may be fewer."""
    if size == 1:
        return values
    starts = np.arange(0, values.shape[axis], size)
    highest = np.maximum.reduceat(values, starts, axis=axis)
    lowest = np.minimum.reduceat(values, starts, axis=axis)
    pooled: Array = np.where(highest >= -lowest, highest, lowest)
    return pooled
