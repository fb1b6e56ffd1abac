"""Why a segmenter of any kind decided as it did: each segment is explained in its excerpt.

Where an additive segmenter says it in passing, others have to be asked: an attribution over
the STFT of the recording around the segment, by integrated gradients where gradients pass,
else by silencing one range of frequencies after another. That takes tens of evaluations of
the excerpt for each segment.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from xplain import audio as audio_io
from xplain.audio import Audio
from xplain.bands import Band, bands_of
from xplain.clips import AudioLike, Failure
from xplain.errors import XplainError
from xplain.explaining import compare_each
from xplain.job import Job, Settings
from xplain.models import Model
from xplain.segmentation.result import Segmentation
from xplain.segmentation.segment import Segment
from xplain.targets import Target

LONGEST = 10.0
"""Seconds: of a longer segment the middle is explained, so that the cost stays bounded."""

RANGES = 24
"""Ranges of frequencies that are silenced one after another, about as many as critical bands."""


class Excerpts:
    """Explains the segments of recordings."""

    def __init__(self, model: Model, context: float, device: torch.device) -> None:
        """Explain what a model decided, with ``context`` seconds around each segment."""
        self._context = context
        settings: Settings = {"device": device, "synthesizer": "stft"}
        job = Job.prepare(model, {**settings, "explainer": "feature-ablation"})
        channels = len(job.route.synthesizer.frequencies or ())
        if model.differentiable and not job.route.broken_at:
            settings["explainer"] = "integrated-gradients"
        else:
            settings["params"] = {"granularity": f"block:{-(-channels // RANGES)}x{10**9}"}
            settings["explainer"] = "feature-ablation"
        self._job = Job.prepare(model, settings)

    @property
    def record(self) -> dict[str, Any]:
        """How segments are explained, for provenance."""
        known = self._job.provenance
        record = {name: known[name] for name in ("explainer", "synthesizer", "route", "baseline")}
        return {**record, "context": self._context, "longest": LONGEST}

    def explained(self, clip: AudioLike, segmentation: Segmentation) -> Iterator[Segment]:
        """The segments of a recording one after another, each with its bands."""
        for segment in segmentation.segments:
            middle = (segment.start + segment.end) / 2
            start = max(segment.start, middle - LONGEST / 2)
            end = min(segment.end, middle + LONGEST / 2)
            yield replace(segment, bands=self._bands(clip, segment.label, start, end))

    def _bands(self, clip: AudioLike, label: str, start: float, end: float) -> tuple[Band, ...]:
        """Where what speaks for a label between two times, in seconds, lies."""
        step = self._job.route.model.frame_step or 1.0
        # At a frame, so that the excerpt has the frames that the recording has.
        first = max(0, math.floor((start - self._context) / step)) * step
        piece = _excerpt(clip, first, end + self._context, self._job.sample_rate)
        target = Target(label, start=start - first, end=end - first)
        (result,) = compare_each([piece], [replace(self._job, target=target)])
        if isinstance(result, Failure):
            raise XplainError(f"{label} at {start:.2f} s cannot be explained: {result.error}")
        return bands_of(result.attribution, self._job.route.synthesizer) or ()


def _excerpt(clip: AudioLike, start: float, end: float, rate: int) -> Audio:
    """A recording from start to end, in seconds."""
    if isinstance(clip, str | Path):
        return audio_io.read(clip, start, end)
    whole = clip if isinstance(clip, Audio) else audio_io.from_tensor(clip, rate, "clip")
    first, last = (round(t * whole.sample_rate) for t in (start, end))
    return replace(whole, waveform=whole.waveform[first:last])
