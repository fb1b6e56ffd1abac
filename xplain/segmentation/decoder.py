"""From a segmenter's values, as they come in, to probabilities and segments that say why."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import TypeAlias

import torch
from torch import Tensor

from xplain.bands import Band
from xplain.errors import PluginError
from xplain.interfaces import AdditiveSegmenter, Segmenter, Thresholds
from xplain.segmentation.additive import Relevance, Sums
from xplain.segmentation.segment import Part, Segment
from xplain.segmentation.tracker import Stretch, Tracker

Why: TypeAlias = tuple[tuple[Band, ...] | None, tuple[Part, ...]]
"""Bands that speak for a segment, where asked, and the parts they come from."""


class Decoder:
    """Turns values, as they come in, into probabilities and segments."""

    def __init__(
        self,
        thresholds: Mapping[str, Thresholds],
        step: float,
        frames: int,
        segmenter: Segmenter | None = None,
        relevance: Relevance | None = None,
    ) -> None:
        """Decide by thresholds of every label; say why, where relevance is given.

        step: seconds. frames: as many as there can be, or more. segmenter: whose values come.
        """
        self._labels, self._step = tuple(thresholds), step
        self._trackers = [Tracker(given, step) for given in thresholds.values()]
        self._head: tuple[Tensor, Tensor] | None = None
        if isinstance(segmenter, AdditiveSegmenter):
            self._head = segmenter.weights.detach().float().cpu(), segmenter.bias.detach().cpu()
        self._relevance = relevance
        self._sums = Sums(0 if self._head is None else self._head[0].shape[1])
        # Taken at once: pieces that stay, put down between what each window needs for a while,
        # would keep the heap from being used again, and an hour would take 100 MB more.
        self._all = torch.empty(frames, len(thresholds))
        self.frames = 0
        """How many are decided."""
        self._found: list[tuple[int, Stretch, Why]] = []

    def feed(self, values: Tensor) -> None:
        """Take the next parts (n, K), or logits (n, L); PluginError where they are not finite."""
        logits = values
        if self._head is not None:
            logits = (self._head[0] @ values.T).T + self._head[1]
        if not torch.isfinite(logits).all():
            raise PluginError(
                "the segmenter gave values that are NaN or infinite; mend it, or leave this "
                "recording out"
            )
        frames = logits.sigmoid()
        first, self.frames = self.frames, self.frames + len(frames)
        self._all[first : self.frames] = frames
        columns = frames.numpy().T
        if self._relevance is not None:
            borders = [t.edges(column) for t, column in zip(self._trackers, columns, strict=True)]
            self._sums.feed(values.numpy(), chain.from_iterable(borders))
        for label, (tracker, column) in enumerate(zip(self._trackers, columns, strict=True)):
            self._take(label, tracker.feed(column))
        self._sums.keep(chain.from_iterable(tracker.pending for tracker in self._trackers))

    def finish(self, duration: float) -> tuple[Tensor, tuple[Segment, ...]]:
        """The recording is over: its probabilities (T, L), and its segments by their start."""
        for label, tracker in enumerate(self._trackers):
            self._take(label, tracker.finish())
        frames = self._all[: self.frames].clone()
        self._found.sort(key=lambda found: (found[1], found[0]))
        return frames, tuple(
            Segment(
                label=self._labels[label],
                start=round(start * self._step, 6),
                end=round(min(end * self._step, duration), 6),
                score=float(frames[start:end, label].mean(dtype=torch.float64)),
                bands=bands,
                parts=parts,
            )
            for label, (start, end), (bands, parts) in self._found
        )

    def _take(self, label: int, stretches: list[Stretch]) -> None:
        for stretch in stretches:
            why: Why = (None, ())
            if self._relevance is not None:
                why = self._relevance.of(label, self._sums.mean(stretch))
            self._found.append((label, stretch, why))
