"""From probabilities over time to stretches of time: onset, offset, minimum durations.

As in Gelly & Gauvain 2018 ("Optimization of RNN-based speech activity detection"), and as
pyannote.audio's Binarize has it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from xplain.interfaces import Thresholds

Probabilities = npt.NDArray[np.float32]
Stretch = tuple[int, int]
"""Frames [first, end)."""


class Tracker:
    """The stretches of one label, as its probabilities come in.

    What is apart by less than min_off is joined first; what is then shorter than min_on is
    dropped. The same frames give the same stretches however they are cut in pieces.
    """

    def __init__(self, thresholds: Thresholds, frame_step: float) -> None:
        """Follow a label whose frames are ``frame_step`` seconds apart."""
        self._thresholds = thresholds
        # 0.3 / 0.1 is 2.9999999999999996 to a computer.
        self._min_on = thresholds.min_on / frame_step - 1e-6
        self._min_off = thresholds.min_off / frame_step - 1e-6
        self._frames = 0
        self._start: int | None = None
        """Where it began, while it is on."""
        self._ended: Stretch | None = None
        """What is over, unless it goes on within min_off."""

    @property
    def pending(self) -> tuple[int, ...]:
        """Frames at which a stretch still to come may begin or end."""
        start = () if self._start is None else (self._start,)
        return (*start, *(self._ended or ()))

    def edges(self, probabilities: Probabilities) -> list[int]:
        """Frames at which it goes on or off in the next probabilities (n,); nothing changes."""
        marks = np.where(
            probabilities >= self._thresholds.onset,
            1,
            np.where(probabilities < self._thresholds.lower, 0, -1),
        )
        marks = np.concatenate([[int(self._start is not None)], marks])
        # Between the thresholds it stays as it was: as the last frame that is not between.
        last = np.maximum.accumulate(np.where(marks >= 0, np.arange(len(marks)), 0))
        return [self._frames + int(i) for i in np.flatnonzero(np.diff(marks[last]))]

    def feed(self, probabilities: Probabilities) -> list[Stretch]:
        """Take the next probabilities (n,): the stretches that are now certain."""
        certain: list[Stretch] = []
        for edge in self.edges(probabilities):
            if self._start is None:
                if self._ended is not None and edge - self._ended[1] < self._min_off:
                    self._start = self._ended[0]
                else:
                    certain += self._kept()
                    self._start = edge
                self._ended = None
            else:
                self._ended, self._start = (self._start, edge), None
        self._frames += len(probabilities)
        return certain

    def finish(self) -> list[Stretch]:
        """The recording is over: the stretches that are left."""
        if self._start is not None:
            self._ended, self._start = (self._start, self._frames), None
        return self._kept()

    def _kept(self) -> list[Stretch]:
        ended, self._ended = self._ended, None
        return [ended] if ended is not None and ended[1] - ended[0] >= self._min_on else []


def stretches(
    probabilities: Probabilities, thresholds: Thresholds, frame_step: float
) -> list[Stretch]:
    """Find the stretches of one label in its probabilities (T,), ``frame_step`` seconds apart."""
    tracker = Tracker(thresholds, frame_step)
    return [*tracker.feed(probabilities), *tracker.finish()]
