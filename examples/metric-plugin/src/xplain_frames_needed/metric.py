"""In how little time an attribution lies."""

import torch
from torch import Tensor

from xplain.metric import Undefined, metric


@metric(
    better="lower",
    range=(0, 1),
    category="complexity",
    source="effective complexity (Nguyen, Martínez 2020, sec. 3.2), here of frames",
)
def frames_needed(attribution: Tensor, *, mass: float = 0.9) -> float:
    """Share of the frames that is needed for most of the attribution's absolute sum.

    attribution: (D, N). mass: how much of the sum "most" is. Undefined where it is zero
    everywhere.
    """
    frames = attribution.abs().double().sum(dim=0).sort(descending=True).values
    if float(frames.sum()) == 0:
        raise Undefined("the attribution is zero everywhere")
    held = frames.cumsum(0) / frames.sum()
    needed = int(torch.searchsorted(held, mass - 1e-9)) + 1
    return min(needed, len(frames)) / len(frames)
