"""How sure a mean over clips is, and a difference between two methods on the same clips.

SciPy computes them. Which interval serves which values was chosen by coverage:
benchmarks/interval_coverage.py. Of shares of clips, see xplain.intervals.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from xplain.intervals import Interval

DRAWS = 2000
"""Resamples of the clips."""

Z = NormalDist().inv_cdf(0.975)
"""Standard errors on each side of a 95 % interval."""


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
    """Mean of values (n,) with the interval of the BCa bootstrap over clips.

    Efron (1987), "Better Bootstrap Confidence Intervals"; the percentile bootstrap where BCa
    is not defined, as of values that are all the same. Of decisions, which are 0 or 1, take
    share().
    """
    if not values:
        return Interval(None, None, None)
    mean = float(np.mean(values))
    if len(values) == 1:
        return Interval(mean, None, None)
    from scipy import stats  # here, since loading it takes longer than all else of this module

    ends = (math.nan, math.nan)
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of values that are all the same, or nearly
            ends = stats.bootstrap(
                (np.array(values),),
                np.mean,
                n_resamples=draws,
                method=method,
                rng=np.random.default_rng(seed),
            ).confidence_interval
        if all(map(math.isfinite, ends)):
            break
    return Interval(mean, float(ends[0]), float(ends[1]))


def difference(
    one: Sequence[float | None],
    other: Sequence[float | None],
    seed: int,
    draws: int = DRAWS,
    *,
    whole: float | None = None,
) -> Difference:
    """Of two methods' values (n,) for the same clips: one − other, paired by clip.

    Clips for which either has no value (None) are left out. The interval is that of
    interval(), or of difference_of_shares() where ``whole`` says that values are shares. p is
    of a permutation test over the signs of the differences (Good 2005, ch. 3): exact where
    there are no more than ``draws`` ways to draw them, else from so many draws.
    """
    paired = [a - b for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    if len(paired) < 2:
        return Difference(paired[0] if paired else None, None, None, None, len(paired))
    from scipy import stats

    if whole is None:
        found = interval(paired, seed, draws)
        low, high = found.low, found.high
    else:
        low, high = difference_of_shares(paired, whole)
    p = stats.permutation_test(
        (np.array(paired),),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=draws,
        rng=np.random.default_rng(seed),
    ).pvalue
    return Difference(float(np.mean(paired)), low, high, float(p), len(paired))


def difference_of_shares(paired: Sequence[float], whole: float = 1.0) -> tuple[float, float]:
    """95 % interval of a mean of differences (n,) between values from 0 to ``whole``.

    Two clips are added that differ by all there is, one in each direction, so that the interval
    has a width where no clip differs. Bonett, Price (2012), "Adjusted Wald Confidence Interval
    for a Difference of Binomial Proportions Based on Paired Data", eq. 4; their variance from
    the counts of differing pairs is here that of the differences, which is the same for 0 and 1.
    """
    values = np.array([*paired, whole, -whole])
    around = Z * float(values.std()) / math.sqrt(len(values))
    mean = float(values.mean())
    return max(-whole, mean - around), min(whole, mean + around)


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Correct p for having asked so many questions: Holm (1979); None stays None."""
    asked = sorted((value, place) for place, value in enumerate(p) if value is not None)
    corrected: list[float | None] = [None] * len(p)
    highest = 0.0
    for rank, (value, place) in enumerate(asked):
        highest = max(highest, min(1.0, value * (len(asked) - rank)))
        corrected[place] = highest
    return corrected
