"""How sure a share of clips is; SciPy computes it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Interval:
    """A mean over clips with its 95 % interval; None where there is one clip, or none."""

    mean: float | None
    low: float | None
    high: float | None


def share(values: Sequence[float], whole: float = 1.0) -> Interval:
    """Share of clips (n,) of which something holds, with Wilson's interval.

    values: ``whole`` (1, or 100 for percent) where it holds, 0 where not, and between them
    where it holds in part, as of tied labels. Where the sum is no whole number of clips, the
    interval reaches from that of the number below to that of the number above. Wilson (1927).
    """
    if not values:
        return Interval(None, None, None)
    mean = float(np.mean(values))
    if len(values) == 1:
        return Interval(mean, None, None)
    count = round(sum(values) / whole, 9)  # thirds add up to a whole but for rounding
    low, _ = _wilson(math.floor(count), len(values))
    _, high = _wilson(math.ceil(count), len(values))
    return Interval(mean, whole * low, whole * high)


@lru_cache
def _wilson(count: int, clips: int) -> tuple[float, float]:
    from scipy import stats  # here, since loading it takes longer than all else of this module

    found = stats.binomtest(count, clips).proportion_ci(method="wilson")
    return float(found.low), float(found.high)
