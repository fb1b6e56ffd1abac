"""Means over clips, with what they would be of others like them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from xplain.intervals import Interval


def mean(values: Sequence[float] | npt.NDArray[np.float64]) -> Interval:
    """Mean over clips with Student's interval; none for fewer than two."""
    if not len(values):
        return Interval(None, None, None)
    middle = float(np.mean(values))
    if len(values) < 2:
        return Interval(middle, None, None)
    half = float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values))
    return Interval(middle, middle - half, middle + half)
