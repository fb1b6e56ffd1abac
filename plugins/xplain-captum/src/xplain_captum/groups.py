"""Elements that are changed together: groups, and the blocks of a grid where none are named."""

from __future__ import annotations

import math

from torch import Tensor

from xplain import PluginError, Score, XplainError
from xplain.errors import nearest
from xplain.selection import GROUPINGS, Block, built_in


def grid(channels: int, frames: int, count: int) -> tuple[int, int]:
    """Channels × frames of blocks of which about ``count`` cover latents, as square a grid.

    The number of blocks, and with it the cost, then does not depend on the representation:
    a spectrogram and the samples of a waveform are both cut into so many.
    """
    rows = min(channels, max(1, math.isqrt(count)))
    columns = min(frames, max(1, count // rows))
    rows = min(channels, max(1, count // columns))
    return math.ceil(channels / rows), math.ceil(frames / columns)


def groups(score: Score, latents: Tensor, grouping: str | None, count: int) -> Tensor:
    """Number of the group of each element of latents (D, N): (D, N) int64, from 0.

    grouping: one that needs no plugin; None for the score's own groups, and where each element
    is by itself a grid of about ``count`` blocks.
    """
    if grouping is None and score.groups is not None:
        return score.groups.numbers.to(latents.device)
    channels, frames = latents.shape
    block = built_in(grouping) if grouping else Block(*grid(channels, frames, count))
    assert block is not None
    return block.of(channels, frames).contiguous().to(latents.device)


def several_groups(
    score: Score, latents: Tensor, grouping: str | None, count: int, method: str
) -> Tensor:
    """The groups, of which there are two or more; PluginError where there are not."""
    numbers = groups(score, latents, grouping, count)
    if int(numbers.max()) == 0:
        raise PluginError(
            f"{method} compares groups of elements, and latents of {latents.shape[0]} channels × "
            f"{latents.shape[1]} frames are a single group by the grouping "
            f"{grouping or 'that was asked'}; choose a finer one, or a longer clip"
        )
    return numbers


def shared_out(attribution: Tensor, numbers: Tensor) -> Tensor:
    """What was said of each group, in equal shares to its elements: (D, N).

    attribution: (D, N), the group's value at each of its elements, as Captum gives it. Only
    shares make the sum over elements the sum over groups, which is what completeness,
    infidelity and a ranking by other groups read.
    """
    return attribution / numbers.flatten().bincount()[numbers]


def checked_grouping(grouping: str | None) -> str | None:
    """A grouping as it is; XplainError with the nearest where there is none of that name."""
    if grouping is not None and built_in(grouping) is None:
        raise XplainError(
            f"no grouping {grouping!r}; {nearest(grouping, (*GROUPINGS, 'block:CxF'))}"
        )
    return grouping
