"""What an attribution owes to the score it divides up."""

from __future__ import annotations

import math

from torch import Tensor

from xplain.metric import Undefined, metric
from xplain_evaluation.metrics import checked as checks


@metric(
    better="lower",
    range=(0, math.inf),
    category="axiomatic",
    source="Sundararajan et al. 2017, Axiomatic Attribution, prop. 1 (completeness)",
)
def completeness_error(attribution: Tensor, score: float, baseline_score: float) -> float:
    """How far the attribution's sum is off the scores' difference, relative to that.

    |Σ a − (score − baseline score)| / |score − baseline score|, in logits. attribution: (D, N).
    Undefined where both scores are the same.
    """
    total = float(checks.attribution(attribution).sum())
    owed = checks.number(score, "score") - checks.number(baseline_score, "baseline_score")
    if owed == 0:
        raise Undefined("the clip and its baseline have the same score: nothing is to be divided")
    return abs(total - owed) / abs(owed)
