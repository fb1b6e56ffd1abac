"""The label's probability along a curve: more and more kept, or more and more removed.

ratios: shares of the elements, most important first, ascending. keep_curve, remove_curve: the
probability of the explained label at each of them, (R,).
"""

from __future__ import annotations

import torch
from torch import Tensor

from xplain.errors import XplainError
from xplain.metric import metric
from xplain_evaluation.metrics import checked as checks


@metric(
    better="higher",
    range=(-1, 1),
    category="faithfulness",
    source="DeYoung et al. 2020, ERASER (comprehensiveness, AOPC)",
)
def comprehensiveness(p: float, remove_curve: Tensor, ratios: Tensor) -> float:
    """Mean fall of the label's probability over the ratios that are removed."""
    points, _ = checks.curve(remove_curve, ratios, "remove_curve")
    return float((checks.probability(p, "p") - points).mean())


@metric(
    better="lower",
    range=(-1, 1),
    category="faithfulness",
    source="DeYoung et al. 2020, ERASER (sufficiency, AOPC)",
)
def sufficiency(p: float, keep_curve: Tensor, ratios: Tensor) -> float:
    """Mean fall of the label's probability over the ratios that alone are kept."""
    points, _ = checks.curve(keep_curve, ratios, "keep_curve")
    return float((checks.probability(p, "p") - points).mean())


@metric(
    better="higher",
    range=(0, 1),
    category="faithfulness",
    source="Petsiuk et al. 2018, RISE (insertion)",
)
def insertion_auc(keep_curve: Tensor, ratios: Tensor) -> float:
    """Area under the label's probability while elements are put in, most important first.

    By the trapezoidal rule. XplainError where the ratios do not run from 0 to 1.
    """
    return _area(keep_curve, ratios, "keep_curve")


@metric(
    better="lower",
    range=(0, 1),
    category="faithfulness",
    source="Petsiuk et al. 2018, RISE (deletion)",
)
def deletion_auc(remove_curve: Tensor, ratios: Tensor) -> float:
    """Area under the label's probability while elements are taken out, most important first.

    By the trapezoidal rule. XplainError where the ratios do not run from 0 to 1.
    """
    return _area(remove_curve, ratios, "remove_curve")


def _area(curve: Tensor, ratios: Tensor, name: str) -> float:
    points, shares = checks.curve(curve, ratios, name)
    if float(shares[0]) != 0 or float(shares[-1]) != 1:
        raise XplainError(
            f"an area needs ratios from 0 to 1, and these run from {float(shares[0]):g} to "
            f"{float(shares[-1]):g}; pass ratios that begin with 0 and end with 1"
        )
    return min(1.0, float(torch.trapezoid(points, shares)))  # a sum of shares rounds past 1
