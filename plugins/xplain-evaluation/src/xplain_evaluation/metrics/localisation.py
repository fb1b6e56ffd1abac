"""Whether an attribution lies where the cause is known to be."""

from __future__ import annotations

from torch import Tensor

from xplain.metric import Undefined, metric
from xplain_evaluation.metrics import checked as checks
from xplain_evaluation.ranking import mid_ranks


@metric(
    better="higher",
    range=(0, 1),
    category="localisation",
    source="Mann, Whitney 1947 (ROC-AUC as the U statistic), of attributions",
)
def time_localisation_auc(attribution: Tensor, event: Tensor) -> float:
    """How often a frame of the event has more attribution than one outside of it; ties half.

    A frame's attribution is the sum over its channels. attribution: (D, N), event: bool (N,).
    Undefined where the event covers no frame or every frame.
    """
    frames = checks.attribution(attribution).sum(dim=0)
    inside = checks.mask(event, "event", frames.shape)
    n, outside = int(inside.sum()), int((~inside).sum())
    if n == 0 or outside == 0:
        covered = "no frame" if n == 0 else "every frame"
        raise Undefined(f"the event covers {covered}, so there are no two kinds to tell apart")
    above = float(mid_ranks(frames)[inside].sum()) - n * (n + 1) / 2
    return above / (n * outside)


@metric(
    better="higher",
    range=(0, 1),
    category="localisation",
    source="Arras et al. 2022, CLEVR-XAI (relevance mass accuracy)",
)
def relevance_mass(attribution: Tensor, region: Tensor) -> float:
    """Share of the positive attribution that lies inside the region.

    attribution: (D, N), region: bool (D, N). Undefined where nothing is positive or the region
    is empty.
    """
    positive, inside = _positive(attribution, region)
    positive = positive / positive.max()  # so that no sum overflows
    return min(1.0, float(positive[inside].sum() / positive.sum()))  # the two sums round apart


@metric(
    better="higher",
    range=(0, 1),
    category="localisation",
    source="Zhang et al. 2018, Top-down Neural Attention (pointing game)",
    share=True,
)
def pointing_game(attribution: Tensor, region: Tensor) -> float:
    """Whether the largest attribution lies inside the region.

    Where several elements are largest, the share of them that lies inside. attribution: (D, N),
    region: bool (D, N). Undefined where nothing is positive or the region is empty.
    """
    positive, inside = _positive(attribution, region)
    largest = positive == positive.max()
    return float((largest & inside).sum()) / float(largest.sum())


def _positive(attribution: Tensor, region: Tensor) -> tuple[Tensor, Tensor]:
    """What of the attribution is positive, else 0, and the region; neither is empty."""
    positive = checks.attribution(attribution).clamp(min=0)
    inside = checks.mask(region, "region", positive.shape)
    if not bool(inside.any()):
        raise Undefined("the region is empty: there is nowhere for attribution to be")
    if not bool(positive.any()):
        raise Undefined("no attribution is positive: nothing is said to speak for the label")
    return positive, inside
