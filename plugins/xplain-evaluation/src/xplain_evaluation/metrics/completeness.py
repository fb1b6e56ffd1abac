"""Completeness: how far an attribution's sum is from the score difference."""

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
    """Relative error of the attribution's sum against the difference of the scores.

    |Σ a − (score − baseline score)| / |score − baseline score|, in logits. attribution: (D, N).
    Undefined where both scores are the same.
    """
    total = float(checks.attribution(attribution).sum())
    owed = checks.number(score, "score") - checks.number(baseline_score, "baseline_score")
    if owed == 0:
        raise Undefined(
            "the clip and its baseline have the same score, so the relative error is undefined"
        )
    return abs(total - owed) / abs(owed)
