"""Mid-ranks and Spearman's correlation: ties share their mean rank."""

from __future__ import annotations

import torch
from torch import Tensor


def mid_ranks(values: Tensor) -> Tensor:
    """Rank of each of values (n,) from 1 to n, float64; equal values share their mean rank."""
    _, place, count = torch.unique(values, return_inverse=True, return_counts=True)
    ranks: Tensor = count.cumsum(0) - (count.to(torch.float64) - 1) / 2
    return ranks[place]


def rank_correlation(one: Tensor, other: Tensor) -> float | None:
    """Spearman's correlation of (n,) and (n,): Pearson's, of mid-ranks. None for a constant."""
    x, y = (mid_ranks(values) - (len(values) + 1) / 2 for values in (one, other))
    scale = float(x.norm() * y.norm())
    return None if scale == 0 else min(1.0, max(-1.0, float(x @ y) / scale))
