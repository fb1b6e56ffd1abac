"""Which elements of the latents stay: the ranking an attribution gives, cut at a ratio."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from xplain.errors import XplainError, nearest
from xplain.interfaces import Clip, Grouping, Groups

ORDERS: dict[str, Callable[[Tensor], Tensor]] = {
    "signed": lambda attribution: attribution,
    "absolute": lambda attribution: attribution.abs(),
}
"""How important an element is, given its attribution. None of them alters the attribution."""


class Block(Grouping):
    """Groups of ``high`` channels × ``wide`` frames, side by side; None: all there are."""

    def __init__(self, high: int | None = 8, wide: int | None = 8) -> None:
        """Cut the latents into blocks; those at the edge may be smaller."""
        self.high, self.wide = high, wide

    def groups(self, clip: Clip) -> Groups:
        """Number the blocks row by row."""
        return Groups(self.of(*clip.shape))

    def of(self, channels: int, frames: int) -> Tensor:
        """Number of the block of every element: (channels, frames) int64, from 0."""
        high, wide = self.high or channels, self.wide or frames
        rows, columns = torch.arange(channels)[:, None], torch.arange(frames)[None, :]
        return (rows // high) * -(-frames // wide) + columns // wide


GROUPINGS = {
    "element": Block(1, 1),
    "channel": Block(1, None),
    "frame": Block(None, 1),
    "block": Block(),
}
"""Groupings that need no plugin; also block:CxF, blocks of C channels × F frames."""


def built_in(name: str) -> Block | None:
    """A grouping that needs no plugin; None where there is none of that name."""
    sized = re.fullmatch(r"block:([1-9]\d*)x([1-9]\d*)", name)
    return Block(int(sized[1]), int(sized[2])) if sized else GROUPINGS.get(name)


@dataclass(frozen=True)
class Group:
    """A named group: from when to when, in seconds, it has elements, and their evidence summed."""

    name: str
    start: float
    end: float
    evidence: float


def listed(groups: Groups, attribution: Tensor, duration: float) -> tuple[Group, ...] | None:
    """The groups by number, of a clip of so many seconds; None where they have no names."""
    if groups.names is None:
        return None
    frames = groups.numbers.shape[1]
    there = torch.zeros(len(groups.names), frames, dtype=torch.bool)
    there[groups.numbers, torch.arange(frames)] = True
    starts = there.int().argmax(dim=1) / frames * duration
    ends = (frames - there.flip(1).int().argmax(dim=1)) / frames * duration
    columns = (starts.tolist(), ends.tolist(), groups.sums(attribution).tolist())
    return tuple(map(Group, groups.names, *columns))


@dataclass(frozen=True)
class Selection:
    """What is ranked and how.

    grouping: name of the groups that are ranked, built in or a plugin's.
    """

    grouping: str = "element"
    order: str = "signed"

    def __post_init__(self) -> None:
        """Refuse an order that does not exist."""
        if self.order not in ORDERS:
            raise XplainError(f"no order {self.order!r}; {nearest(str(self.order), ORDERS)}")

    def rank(self, attribution: Tensor, groups: Groups, generator: torch.Generator) -> Tensor:
        """Rank every element of attribution (D, N): (D, N) int64, 0 is the most important.

        Elements of one group share its rank. A group's importance is the mean over its
        elements; of a named one the sum, since a long word is not less of one. Ties are broken
        by chance: by position, an attribution that is constant would select the clip's start.
        """
        numbers = groups.numbers.cpu()
        values, order = attribution.detach().cpu().double(), ORDERS[self.order]
        if groups.names is None:
            importance = groups.sums(order(values)) / numbers.flatten().bincount()
        else:
            importance = order(groups.sums(values))
        shuffled = torch.randperm(len(importance), generator=generator)
        best_first = shuffled[importance[shuffled].argsort(descending=True, stable=True)]
        ranks = torch.empty(len(importance), dtype=torch.int64)
        ranks[best_first] = torch.arange(len(importance))
        return ranks[numbers]


def top(rank: Tensor, ratio: float) -> Tensor:
    """The most important ``ratio`` of the groups of a ranking (D, N): bool (D, N).

    With single elements k = round(ratio · D · N) are selected; of groups at least one.
    """
    count = round(checked_ratio(ratio) * (int(rank.max()) + 1))
    return rank < max(count, ratio > 0)


def checked_ratio(ratio: float) -> float:
    """A ratio as it is; XplainError for one that is no share."""
    if not 0 <= ratio <= 1:
        raise XplainError(f"a ratio lies between 0 and 1, not at {ratio:g}; 0.1 is a tenth")
    return ratio
