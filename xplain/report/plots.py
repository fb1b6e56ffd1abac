"""Figures for papers: an explanation and a segmentation, on axes in seconds and Hz.

Drawn with matplotlib's objects and no pyplot, so that nothing global is touched; save one with
``figure.savefig("name.pdf")``, or .svg, or .png.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from torch import Tensor

from xplain.explanation import Explanation
from xplain.report.arrays import Array, Drawn, drawn, summed
from xplain.segmentation.result import Segmentation

FOR, AGAINST = "#b83a00", "#0a58b8"
WINDOW = 0.032
"""Seconds of a spectrogram's window; four of them cover a sample."""
RANGE = 60.0
"""dB from the loudest point of the original down to white."""

_PALE = LinearSegmentedColormap.from_list("pale loudness", ["#ffffff", "#8a8a8a"])
_SIGNED = LinearSegmentedColormap.from_list("signed", [AGAINST, "#ffffff", FOR])
_IMAGE: dict[str, Any] = {"origin": "lower", "aspect": "auto", "interpolation": "nearest"}


class NotebookFigure(Figure):
    """A figure that a notebook shows by itself, though pyplot was never told of it."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()


def explanation_figure(explanation: Explanation) -> Figure:
    """The spectrogram with the attribution over it, or under it where channels have no Hz.

    Below both, the attribution summed over the channels, against time.
    """
    over = explanation.frequencies is not None
    heights = [3.2, 1.0] if over else [2.2, 1.9, 1.0]
    figure = NotebookFigure(figsize=(7.2, 4.0 if over else 5.0), dpi=140, layout="constrained")
    panes = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    duration = len(explanation.waveform) / explanation.sample_rate
    values = explanation.attribution.detach().cpu().double().numpy()
    picture = drawn(values, explanation.frequencies, duration)
    _draw_spectrogram(panes[0], explanation.waveform, explanation.sample_rate)
    if picture.limit is None:
        panes[-2].set_title("the attribution is zero everywhere")
    elif over:
        _draw_overlay(panes[0], picture)
    elif len(picture.values) == 1:
        _fill(panes[1], picture.values[0], picture.end)
        panes[1].set_ylabel("attribution")
    else:
        limits = Normalize(-picture.limit, picture.limit)
        extent = (0, picture.end, picture.bottom, picture.top)
        panes[1].imshow(picture.values, cmap=_SIGNED, norm=limits, extent=extent, **_IMAGE)
        panes[1].set_ylabel("channel")
    if picture.limit is not None and (over or len(picture.values) > 1):
        mappable = ScalarMappable(Normalize(-picture.limit, picture.limit), _SIGNED)
        figure.colorbar(mappable, ax=panes[-2], label="attribution", fraction=0.04, pad=0.015)
    _fill(panes[-1], summed(values), duration)
    panes[-1].set_ylabel("sum")
    panes[-1].set_xlabel("time (s)")
    panes[-1].set_xlim(0, duration)
    for second in (explanation.target.start, explanation.target.end):
        for pane in panes if second is not None else ():
            pane.axvline(second, color="#111111", linewidth=1.2, linestyle=(0, (4, 3)))
    figure.align_ylabels(panes)
    return figure


def segmentation_figure(segmentation: Segmentation) -> Figure:
    """Each label's probability over time, with its segments."""
    labels: Sequence[str] = segmentation.labels
    figure = NotebookFigure(figsize=(7.2, 0.6 + 0.9 * len(labels)), dpi=140, layout="constrained")
    panes = figure.subplots(len(labels), 1, sharex=True, squeeze=False)[:, 0]
    seconds = (np.arange(len(segmentation.frames)) + 0.5) * segmentation.frame_step
    for number, (pane, label) in enumerate(zip(panes, labels, strict=True)):
        for one in segmentation.segments:
            if one.label == label:
                pane.axvspan(one.start, one.end, color=FOR, alpha=0.22, linewidth=0)
        pane.plot(seconds, segmentation.frames[:, number].numpy(), color="#1c2026", linewidth=0.7)
        pane.axhline(segmentation.thresholds[label].onset, color="#545c68", linestyle=":")
        pane.set_ylim(0, 1.02)
        pane.set_ylabel(label, parse_math=False)
    panes[-1].set_xlim(0, segmentation.duration)
    panes[-1].set_xlabel("time (s)")
    return figure


@np.errstate(divide="ignore")  # silence has no level
def _draw_spectrogram(axes: Axes, waveform: Tensor, rate: int) -> None:
    """Levels in dB relative to the loudest point; nothing under RANGE less than that."""
    size = max(16, round(WINDOW * rate))
    samples = np.pad(waveform.detach().cpu().numpy(), size // 2)
    loudest = max(float(np.abs(samples).max()), 1e-9)
    axes.specgram(
        samples / loudest + 1e-9,
        NFFT=size,
        Fs=rate,
        noverlap=size - size // 4,
        mode="magnitude",
        scale="dB",
        cmap=_PALE,
        xextent=(0, len(waveform) / rate),
    )
    image = axes.images[0]
    high = float(np.max(np.asarray(image.get_array())))
    image.set_clim(high - RANGE, high)
    axes.set_ylim(0, rate / 2)
    axes.set_ylabel("frequency (Hz)")


def _draw_overlay(axes: Axes, picture: Drawn) -> None:
    assert picture.limit is not None
    values = np.clip(picture.values / picture.limit, -1, 1)
    colours = np.empty((*values.shape, 4))
    colours[..., :3] = np.where((values > 0)[..., None], to_rgb(FOR), to_rgb(AGAINST))
    colours[..., 3] = np.abs(values)
    span = axes.get_xlim(), axes.get_ylim()
    extent = (0, picture.end, picture.bottom, picture.top)
    axes.imshow(colours, extent=extent, **_IMAGE)
    axes.set_xlim(span[0])
    axes.set_ylim(span[1])


def _fill(axes: Axes, values: Array, end: float) -> None:
    seconds = (np.arange(len(values)) + 0.5) / len(values) * end
    axes.axhline(0, color="#555555", linewidth=0.8)
    for part, colour in ((np.maximum, FOR), (np.minimum, AGAINST)):
        axes.fill_between(seconds, part(values, 0), 0, color=colour, linewidth=0.6, step="mid")
