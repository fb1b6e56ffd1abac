"""How concentrated an attribution is; both metrics use absolute values."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from xplain.metric import Undefined, metric
from xplain_evaluation.metrics import checked as checks


@metric(
    better="higher",
    range=(0, 1),
    category="complexity",
    source="Chalasani et al. 2020, Concise Explanations (Gini index)",
)
def sparseness(attribution: Tensor) -> float:
    """Gini coefficient of the attribution's absolute values.

    Σ (2i − n − 1) |a|₍ᵢ₎ / (n Σ |a|), |a| in ascending order: 0 where all elements count alike,
    1 − 1/n where one has it all. attribution: (D, N). Undefined where it is zero everywhere.
    """
    # NumPy sorts values ten times as fast as torch, which sorts their places along.
    sizes = torch.from_numpy(np.sort(_sizes(attribution, "sparseness").numpy()))
    n = len(sizes)
    weights = 2 * torch.arange(1, n + 1, dtype=torch.float64) - n - 1
    return max(0.0, float((weights * sizes).sum() / (n * sizes.sum())))


@metric(
    better="lower",
    range=(0, math.inf),
    category="complexity",
    source="Bhatt et al. 2020, Evaluating and Aggregating Explanations (complexity)",
)
def complexity(attribution: Tensor) -> float:
    """Entropy in nats of the attribution's absolute values, normalised to sum 1.

    From 0, one element has it all, to log n, all count alike. attribution: (D, N). Undefined
    where it is zero everywhere.
    """
    sizes = _sizes(attribution, "complexity")
    return max(0.0, float(torch.special.entr(sizes / sizes.sum()).sum()))


def _sizes(attribution: Tensor, name: str) -> Tensor:
    """Absolute values, (D · N,), the largest of them 1, which no sum can make overflow."""
    sizes = checks.attribution(attribution).abs().flatten()
    if not bool(sizes.any()):
        raise Undefined(f"the attribution is zero everywhere, and {name} divides by its sum")
    return sizes / sizes.max()
