"""How well frames are decided: F1, and the thresholds at which it is highest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def f1(decided: Tensor, labels: Tensor) -> Tensor:
    """F1 of each label over all frames: (frames, L) bool, (frames, L) → (L,).

    NaN where a label is neither there nor decided.
    """
    labels = labels > 0
    hits = (decided & labels).sum(dim=0).double()
    return 2 * hits / (decided.sum(dim=0) + labels.sum(dim=0))


def best_thresholds(logits: Tensor, labels: Tensor) -> tuple[float, ...]:
    """The probabilities, in hundredths, at which F1 is highest: (frames, L) each → L numbers."""
    steps = torch.arange(5, 96) / 100
    scores = torch.stack([f1(logits > torch.logit(step), labels) for step in steps])
    return tuple(round(float(step), 2) for step in steps[scores.nan_to_num(0).argmax(dim=0)])


def decide(logits: Tensor, thresholds: Sequence[float]) -> Tensor:
    """Which labels are there, at a probability each: (..., L) → bool."""
    return logits > torch.logit(torch.tensor(thresholds, dtype=torch.float64))
