"""Recordings of any length in windows, whose values go over into one another without a seam.

Every window hears ``context`` on each side of what it decides. Around the border of two
windows, in ``fade`` frames, the values of the one go over linearly into those of the other
(overlap-add). Where values depend on no more than the context, both are the same, and what
comes out is what the whole recording at once would have given.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from xplain.errors import PluginError

Listen = Callable[[Tensor], Tensor]
"""A stretch of waveform (samples,) → values of its frames (frames, C)."""

MISSING = 0.1
"""Seconds that the values of a window may fall short of it, or exceed it."""

ROUNDING = 1e-6
"""Of a frame: 0.3 / 0.1 is 2.9999999999999996 to a computer."""


@dataclass(frozen=True)
class Windows:
    """Where windows lie.

    hop: samples per frame. In frames: length, what each window decides; context, what it
    hears besides on each side; fade, in which it goes over into the next one; missing, what
    its values may fall short of it.
    """

    hop: float
    length: int
    context: int
    fade: int
    missing: int

    @classmethod
    def of(
        cls, sample_rate: int, frame_step: float, *, window: float, context: float, fade: float
    ) -> Windows:
        """Windows from seconds. Raises PluginError for what makes none."""
        if not (0 < window < math.inf and 0 <= context < math.inf and 0 <= fade <= window):
            raise PluginError(
                f"a window of {window} s with a context of {context} s and a fade of {fade} s: "
                "windows have to last, and their fade cannot be longer than they are"
            )
        length = max(1, round(window / frame_step))
        return cls(
            hop=frame_step * sample_rate,
            length=length,
            context=math.ceil(context / frame_step - ROUNDING),
            fade=min(length, round(fade / frame_step)),
            missing=max(1, math.ceil(MISSING / frame_step - ROUNDING)),
        )

    def frames(self, samples: int) -> int:
        """How many frames so many samples are, the last one begun."""
        return math.ceil(samples / self.hop - ROUNDING)

    def run(self, blocks: Iterable[Tensor], listen: Listen) -> Iterator[Tensor]:
        """Values (n, C) of one frame after another, of a waveform that comes in blocks (m,).

        Holds one window of it at a time. Raises PluginError where listen gives another
        number of frames than the time that passed.
        """
        waveform = _Waveform(blocks)
        before = self.fade // 2
        rise = ((torch.arange(self.fade) + 0.5) / max(1, self.fade))[:, None]
        fading: Tensor | None = None
        border = 0
        """Frame where this window takes over."""
        while True:
            start = 0 if fading is None else border - before
            stop = border + self.length - before
            first = max(0, start - self.context)
            heard = waveform.between(
                round(first * self.hop), round((stop + self.fade + self.context) * self.hop)
            )
            values = self._checked(listen(heard), len(heard))[start - first :]
            risen = 0 if fading is None else self.fade
            if len(values) < (risen if waveform.over else stop - start + self.fade):
                raise PluginError(
                    f"{len(values)} frames are too few to go over into the next window; "
                    "give more context"
                )
            if fading is not None:
                yield torch.lerp(fading, values[:risen], rise)
            if waveform.over:
                yield values[risen:]
                return
            yield values[risen : stop - start]
            fading = values[stop - start :][: self.fade].clone()
            border += self.length

    def _checked(self, values: Tensor, samples: int) -> Tensor:
        """The values of a window, as many as its samples are frames, or a few less."""
        frames = self.frames(samples)
        if abs(len(values) - frames) > self.missing:
            raise PluginError(
                f"{len(values)} frames of {samples} samples, which are {frames} frames"
            )
        return values[:frames]


class _Waveform:
    """What comes in blocks (m,), held from where it was last asked for."""

    def __init__(self, blocks: Iterable[Tensor]) -> None:
        self._blocks = iter(blocks)
        # Used again for every window: new memory costs more than what is copied into it.
        self._buffer = torch.zeros(0)
        self._first = self._length = 0
        self.over = False
        """Whether the last stretch asked for reached the end."""

    def between(self, start: int, end: int) -> Tensor:
        """Samples from start to end, or to where the waveform ends; start never goes back.

        They are there until the next stretch is asked for.
        """
        kept = self._buffer[start - self._first : self._length].clone()
        self._first, self._length = start, 0
        self._append(kept)
        while self._length <= end - start:  # one more than asked, to know whether it goes on
            block = next(self._blocks, None)
            if block is None:
                self.over = True
                break
            self._append(block)
        return self._buffer[: min(self._length, end - start)]

    def _append(self, samples: Tensor) -> None:
        length = self._length + len(samples)
        if length > len(self._buffer):
            grown = samples.new_zeros(length)
            grown[: self._length] = self._buffer[: self._length]
            self._buffer = grown
        self._buffer[self._length : length] = samples
        self._length = length
