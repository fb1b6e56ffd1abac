"""Why a segmenter of any kind decided as it did: each segment is explained in its excerpt.

An additive segmenter explains itself in the same pass. Others have to be asked: the STFT of the
recording around the segment is attributed, by integrated gradients where gradients pass, else by
ablating one range of frequencies after another. That takes tens of evaluations of the excerpt
for each segment.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import torch

from xplain.audio import Audio
from xplain.bands import bands_of
from xplain.clips import Failure, guarded
from xplain.explaining import compare_each
from xplain.explanation import Explanation
from xplain.job import Job, Settings
from xplain.models import Model
from xplain.segmentation.result import Segmentation
from xplain.segmentation.segment import Segment
from xplain.targets import Target

LONGEST = 10.0
"""Seconds: of a longer segment the middle is explained, so that the cost stays bounded."""

RANGES = 24
"""Ranges of frequencies that are silenced one after another, about as many as critical bands."""


Part: TypeAlias = Callable[[float, float], Audio]


class BlackBox:
    """Explains the segments that a segmenter found but says nothing of."""

    def __init__(self, model: Model, context: float, device: torch.device, asked: Settings) -> None:
        """Explain what a model decided, with ``context`` seconds around each segment.

        asked: of explain(); where no explainer is among it, one that fits the model is chosen.
        """
        self._context = context
        settings: Settings = {"synthesizer": "stft", **asked, "device": device}
        if "explainer" not in asked:
            job = Job.prepare(model, {**settings, "explainer": "feature-ablation", "params": {}})
            channels = len(job.route.synthesizer.frequencies or ())
            if model.differentiable and not job.route.broken_at:
                settings["explainer"] = "integrated-gradients"
            else:
                block = f"block:{-(-channels // RANGES)}x{10**9}"
                settings["params"] = {"grouping": block, **asked.get("params", {})}
                settings["explainer"] = "feature-ablation"
        self._job = Job.prepare(model, settings)

    @property
    def record(self) -> dict[str, Any]:
        """How segments are explained, for provenance."""
        known = self._job.provenance
        record = {name: known[name] for name in ("explainer", "synthesizer", "route", "baseline")}
        return {**record, "context": self._context, "longest": LONGEST}

    def explained(self, part: Part, segmentation: Segmentation) -> Segmentation:
        """The segmentation of a clip with the bands of its segments.

        part: reads what of the clip lies from start to end, in seconds.
        A segment that cannot be explained has none, and a warning says why; so do the
        warnings of the excerpts, each once with how many segments it was given for.
        """
        segments: list[Segment] = []
        failed: list[str] = []
        said: Counter[str] = Counter()
        for segment in segmentation.segments:
            result = self._explain(part, segment)
            if isinstance(result, Failure):
                failed.append(
                    f"{segment.label} at {segment.start:.2f} s cannot be explained: {result.error}"
                )
                segments.append(segment)
                continue
            bands = bands_of(result.attribution, self._job.route.synthesizer) or ()
            segments.append(replace(segment, bands=bands))
            said.update(result.warnings)
        warnings = [f"{text} ({count} segments)" for text, count in said.items()]
        return replace(
            segmentation,
            segments=tuple(segments),
            warnings=(*segmentation.warnings, *failed, *warnings),
        )

    def _explain(self, part: Part, segment: Segment) -> Explanation | Failure:
        """Explain a segment, of a long one the middle, with its context on both sides."""
        middle = (segment.start + segment.end) / 2
        start = max(segment.start, middle - LONGEST / 2)
        end = min(segment.end, middle + LONGEST / 2)
        step = self._job.route.model.frame_step or 1.0
        # At a frame, so that the excerpt has the frames that the recording has.
        first = max(0, math.floor((start - self._context) / step)) * step
        target = Target(segment.label, start=start - first, end=end - first)
        job = replace(self._job, target=target)
        with warnings.catch_warnings(record=True):  # handed on with the result
            warnings.simplefilter("always")
            piece, _ = guarded(segment.label, partial(part, first, end + self._context))
            if isinstance(piece, Failure):
                return piece
            (result,) = compare_each([piece], [job])
        return result
