"""Where an annotated event lies among the elements of a representation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from xplain.errors import XplainError


@dataclass(frozen=True)
class Event:
    """An annotated event: start to end in seconds, low to high in Hz.

    low, high: None where no band was marked.
    """

    start: float
    end: float
    low: float | None = None
    high: float | None = None

    def frames(self, frames: int, samples: int, sample_rate: int) -> Tensor:
        """Mark the frames, of N, in which the event is active: bool (N,).

        Frame t of N covers t/N … (t + 1)/N of the clip, and counts if the event sounds in its
        middle. For samples that is exact. The centred frames of an STFT lie up to half a hop
        beside it. That a frame's window reaches further is not counted: the event is what a
        person would mark, whatever the representation. Raises XplainError where frames are
        so long that none counts.
        """
        # In whole numbers, 2 · samples · frames to the clip: a rounded edge is a frame off.
        first, last = round(self.start * sample_rate), round(self.end * sample_rate)
        middle = (2 * torch.arange(frames) + 1) * samples
        inside = (middle >= 2 * first * frames) & (middle < 2 * last * frames)
        if not inside.any():
            raise XplainError(
                f"no middle of {frames} frames lies in the event, {self.start:.3f}-"
                f"{self.end:.3f} s of {samples / sample_rate:.3f} s; take shorter frames"
            )
        return inside

    def region(
        self,
        shape: Sequence[int],
        samples: int,
        sample_rate: int,
        frequencies: Sequence[float] | None = None,
    ) -> Tensor:
        """Mark the event's elements in a representation: bool (D, N).

        shape: (D, N). frequencies: Hz of the D channels, as an Explanation has them; where
        channels are no frequencies, or no band was marked, all of them count in the frames in
        which it sounds. Raises XplainError where no channel lies in the band.
        """
        channels, count = shape
        inside = torch.ones(channels, dtype=torch.bool)
        if frequencies is not None and self.low is not None and self.high is not None:
            hertz = torch.tensor(list(frequencies), dtype=torch.float64)
            inside = (hertz >= self.low) & (hertz <= self.high)
            if len(hertz) != channels or not inside.any():
                raise XplainError(
                    f"the event lies between {self.low:g} and {self.high:g} Hz, and of {channels} "
                    f"channels with {len(hertz)} frequencies none is there; give one frequency "
                    "for each channel, or a representation that is finer"
                )
        return inside[:, None] & self.frames(count, samples, sample_rate)
