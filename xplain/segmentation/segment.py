"""A stretch of time in which a label holds, and the frequencies that speak for it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from xplain.bands import Band


@dataclass(frozen=True)
class Part:
    """A part of an additive segmenter by its number, and what it added to the label's logit."""

    number: int
    relevance: float


@dataclass(frozen=True)
class Segment:
    """A label from start to end, in seconds to the microsecond.

    score: its mean probability over the frames; None where it was read from a file that
    holds none. bands: where what speaks for it lies, by their shares, None where that was
    not asked; none at all where nothing speaks for it. parts: the largest ones, of an
    additive segmenter.
    """

    label: str
    start: float
    end: float
    score: float | None = None
    bands: tuple[Band, ...] | None = None
    parts: tuple[Part, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        bands = None if self.bands is None else [asdict(band) for band in self.bands]
        data = {"label": self.label, "start": self.start, "end": self.end}
        data |= {"score": self.score, "bands": bands}
        return {**data, "parts": [asdict(p) for p in self.parts]} if self.parts else data
