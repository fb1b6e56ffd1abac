"""Wrong explanations that take as much energy: what a right one has to be better than.

A mask on the spectrum that takes a label out takes a lot out. Whether it is *this* mask that counts
shows beside others of the same shape: shifted in frequency, with its frames in another order, of
another label, of random components, each scaled to take the same energy in the label's frames.
"""

from __future__ import annotations

import torch
from torch import Tensor

from proxies.explaining import Explanations
from proxies.resynthesis import mask_of, random_mask
from xplain_nmf.model import NmfProxy

KINDS = ("shifted", "shuffled", "other label", "random components")
SHIFTS = 3
"""Draws of a shift, which matter most: how far a mask was shifted decides what it meets."""
MOST = 1e4
"""By which a mask is scaled at most, before it lets everything through."""


def controls(
    proxy: NmfProxy,
    h: Tensor,
    chosen: Explanations,
    number: int,
    power: Tensor,
    where: Tensor,
    draw: torch.Generator,
) -> dict[str, list[Tensor]]:
    """Masks (F, T) by kind, one or several draws, for the label of a number.

    h: (K, T). power: (F, T). where: (T,) bool.
    """
    mask = mask_of(proxy, h, chosen.members[number])
    energy = float((mask.square() * power)[:, where].sum())
    shifts = torch.randint(16, mask.shape[0] - 16, (SHIFTS,), generator=draw).tolist()
    order = torch.randperm(mask.shape[1], generator=draw)
    found = {
        "shifted": [at_energy(mask.roll(shift, 0), power, where, energy) for shift in shifts],
        "shuffled": [at_energy(mask[:, order], power, where, energy)],
        "random components": [random_mask(proxy, h, power, energy, where, draw)],
    }
    own = set(chosen.members[number].tolist())
    apart = [members for members in chosen.members if not own & set(members.tolist())]
    if proxy.config.component_labels is None:  # labels share components: those that are not shared
        left = [set(members.tolist()) - own for members in chosen.members]
        apart = [torch.tensor(sorted(members)) for members in left if members]
    if apart:
        # The one that is loudest there, which needs the least scaling.
        masks = [mask_of(proxy, h, members) for members in apart]
        loudest = max(masks, key=lambda other: float((other.square() * power)[:, where].sum()))
        found["other label"] = [at_energy(loudest, power, where, energy)]
    return found


def at_energy(mask: Tensor, power: Tensor, where: Tensor, energy: float) -> Tensor:
    """A mask scaled, and cut off at 1, to take so much energy where a label is; or all it can."""
    seen, known = mask[:, where], power[:, where]

    def taken(scale: float) -> float:
        return float(((scale * seen).clamp(max=1).square() * known).sum())

    low, high = 0.0, 1.0
    while taken(high) < energy and high < MOST:
        low, high = high, 2 * high
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if taken(middle) >= energy else (middle, high)
    return (high * mask).clamp(max=1)
