"""How sure a mean over clips is, and a difference between two methods on the same clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

DRAWS = 2000
"""Resamples of the clips."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean over clips with its 95 % interval; None where there is one clip, or none."""

    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Difference:
    """Of two methods on the same clips: mean difference, 95 % interval, and p.

    p: two-sided, that the difference is none; None where there is one clip, or none.
    clips: how many both have a value for.
    """

    mean: float | None
    low: float | None
    high: float | None
    p: float | None
    clips: int


def interval(values: Sequence[float], seed: int, draws: int = DRAWS) -> Interval:
    """Mean of values (n,) with the percentile bootstrap's interval over clips.

    Efron, Tibshirani (1993), "An Introduction to the Bootstrap", ch. 13.
    """
    if not values:
        return Interval(None, None, None)
    mean = float(np.mean(values))
    if len(values) == 1:
        return Interval(mean, None, None)
    low, high = np.quantile(_weights(len(values), seed, draws) @ np.array(values), [0.025, 0.975])
    return Interval(mean, float(low), float(high))


def difference(
    one: Sequence[float | None], other: Sequence[float | None], seed: int, draws: int = DRAWS
) -> Difference:
    """Of two methods' values (n,) for the same clips: one − other, paired by clip.

    Clips for which either has no value (None) are left out. p is the share of draws, the
    clips' own among them, in which the differences with their signs drawn by chance have a
    mean as large (a permutation test; Good 2005, ch. 3): with n clips it is at least 1 / 2ⁿ⁻¹.
    """
    paired = [a - b for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    mean = interval(paired, seed, draws)
    if mean.mean is None or mean.low is None:
        return Difference(mean.mean, None, None, None, len(paired))
    drawn = np.abs(_signs(len(paired), seed, draws) @ np.array(paired)) / len(paired)
    # What differs by rounding alone is as large.
    as_large = (drawn >= abs(mean.mean) - 1e-12 * max(map(abs, paired))).sum()
    p = float(as_large + 1) / (draws + 1)
    return Difference(mean.mean, mean.low, mean.high, p, len(paired))


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Correct p for having asked so many questions: Holm (1979); None stays None."""
    asked = sorted((value, place) for place, value in enumerate(p) if value is not None)
    corrected: list[float | None] = [None] * len(p)
    highest = 0.0
    for rank, (value, place) in enumerate(asked):
        highest = max(highest, min(1.0, value * (len(asked) - rank)))
        corrected[place] = highest
    return corrected


@lru_cache(maxsize=4)
def _weights(clips: int, seed: int, draws: int) -> Floats:
    """Share of each clip in each resample: (draws, clips)."""
    drawn = np.random.default_rng(seed).multinomial(clips, np.full(clips, 1 / clips), size=draws)
    return drawn / clips


@lru_cache(maxsize=4)
def _signs(clips: int, seed: int, draws: int) -> Floats:
    """A sign for each clip in each draw: (draws, clips)."""
    return np.random.default_rng(seed).choice([-1.0, 1.0], size=(draws, clips))
