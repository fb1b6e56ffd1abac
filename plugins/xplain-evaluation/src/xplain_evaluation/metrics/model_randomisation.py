"""Whether an attribution depends on what the model has learnt."""

from __future__ import annotations

from torch import Tensor

from xplain.metric import Undefined, metric
from xplain_evaluation.metrics import checked as checks
from xplain_evaluation.ranking import rank_correlation


@metric(
    better="lower",
    range=(-1, 1),
    category="randomisation",
    source="Adebayo et al. 2018, Sanity Checks for Saliency Maps (cascading)",
)
def randomisation(attribution: Tensor, randomised: Tensor) -> float:
    """Rank correlation of the attribution with those of randomised copies of the model.

    Spearman's, of signed values, with mid-ranks for ties; the mean over the copies, so that a
    method that ignores the upper layers is seen too. One copy's: pass it alone. attribution:
    (D, N), randomised: (K, D, N). Undefined where one of them is constant.
    """
    before = checks.attribution(attribution)
    copies = checks.finite(randomised, "randomised", 3)
    checks.same_shape(copies[0], before, "an attribution of randomised", "attribution")
    correlations = []
    for place, copy in enumerate(copies, start=1):
        correlation = rank_correlation(before.flatten(), copy.flatten())
        if correlation is None:
            raise Undefined(
                f"the attribution or that of copy {place} is the same everywhere and ranks nothing"
            )
        correlations.append(correlation)
    return sum(correlations) / len(correlations)
