"""Which elements of the latents stay: the ranking an attribution gives, cut at a ratio."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from xplain.errors import XplainError, nearest

ORDERS: dict[str, Callable[[Tensor], Tensor]] = {
    "signed": lambda attribution: attribution,
    "absolute": lambda attribution: attribution.abs(),
}
"""How important an element is, given its attribution. None of them alters the attribution."""

GROUPINGS = ("element", "channel", "frame", "block")


BLOCK = (8, 8)
"""Channels × frames of a block where no size is given."""


@dataclass(frozen=True)
class Selection:
    """What is ranked and how.

    grouping: element; channel (a row over all frames); frame (a column over all
    channels); block (8 channels × 8 frames) or block:CxF (C × F). A group's importance
    is the mean over its elements.
    """

    grouping: str = "element"
    order: str = "signed"

    def __post_init__(self) -> None:
        """Refuse names that do not exist."""
        sized = re.fullmatch(r"block:[1-9]\d*x[1-9]\d*", str(self.grouping))
        if self.grouping not in GROUPINGS and sized is None:
            known = nearest(str(self.grouping), (*GROUPINGS, "block:CxF"))
            raise XplainError(f"no grouping {self.grouping!r}; {known}")
        if self.order not in ORDERS:
            raise XplainError(f"no order {self.order!r}; {nearest(str(self.order), ORDERS)}")

    def rank(self, attribution: Tensor, generator: torch.Generator) -> Tensor:
        """Rank every element of attribution (D, N): (D, N) int64, 0 is the most important.

        Elements of one group share its rank. Ties are broken by chance: by position, an
        attribution that is constant would select the start of the clip.
        """
        importance = ORDERS[self.order](attribution.detach().cpu().double())
        group = self.groups(*attribution.shape)
        count = int(group.max()) + 1
        means = importance.flatten()
        if count < len(means):
            sizes = torch.bincount(group.flatten(), minlength=count)
            sums = torch.zeros(count, dtype=torch.float64)
            means = sums.index_add_(0, group.flatten(), importance.flatten()) / sizes
        shuffled = torch.randperm(count, generator=generator)
        best_first = shuffled[means[shuffled].argsort(descending=True, stable=True)]
        ranks = torch.empty(count, dtype=torch.int64)
        ranks[best_first] = torch.arange(count)
        return ranks[group]

    def groups(self, channels: int, frames: int) -> Tensor:
        """Number of the group of every element: (channels, frames) int64, from 0."""
        rows, columns = torch.arange(channels)[:, None], torch.arange(frames)[None, :]
        if self.grouping == "channel":
            return rows.expand(channels, frames)
        if self.grouping == "frame":
            return columns.expand(channels, frames)
        if self.grouping == "element":
            high, wide = 1, 1
        else:
            _, _, size = self.grouping.partition(":")
            high, wide = map(int, size.split("x")) if size else BLOCK
        return (rows // high) * -(-frames // wide) + columns // wide


def blocks(channels: int, frames: int, count: int) -> Tensor:
    """Number of the block of every element, of about ``count``: (channels, frames) int64."""
    high = -(-channels // math.isqrt(count))
    wide = -(-frames // max(1, count // -(-channels // high)))
    return Selection(f"block:{high}x{wide}").groups(channels, frames)


def top(rank: Tensor, ratio: float) -> Tensor:
    """The most important ``ratio`` of the groups of a ranking (D, N): bool (D, N).

    With single elements k = round(ratio · D · N) are selected.
    """
    return rank < round(checked_ratio(ratio) * (int(rank.max()) + 1))


def checked_ratio(ratio: float) -> float:
    """A ratio as it is; XplainError for one that is no share."""
    if not 0 <= ratio <= 1:
        raise XplainError(f"a ratio lies between 0 and 1, not at {ratio:g}; 0.1 is a tenth")
    return ratio
