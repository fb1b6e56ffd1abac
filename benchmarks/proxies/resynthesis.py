"""The explanation as sound: is it the stem, and does the teacher miss it when it is gone?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from xplain_nmf.model import NmfProxy
from xplain_nmf.spectrum import istft

CHUNKS = 16
"""Parts in which randomly drawn components are added until their energy is enough."""


def mask_of(proxy: NmfProxy, h: Tensor, members: Tensor) -> Tensor:
    """Share of W H that some components make: H (K, T) → (F, T); 1 where W H is 0."""
    w = proxy.dictionary
    whole = w @ h
    part = w[:, members] @ h[members]
    return torch.where(whole > 0, part / whole.clamp_min(1e-8), 1.0)


def random_mask(
    proxy: NmfProxy, h: Tensor, power: Tensor, energy: float, where: Tensor, draw: torch.Generator
) -> Tensor:
    """A mask of randomly drawn components that takes as much energy out of some frames.

    power: |S|² (F, T). energy: what is to be taken out of the frames ``where`` (T,) bool. The
    components that are drawn last are taken in part, so that the energy is the same.
    """
    w, order = proxy.dictionary, torch.randperm(h.shape[0], generator=draw)
    whole = (w @ h).clamp_min(1e-8)
    known, shown = power[:, where], whole[:, where]
    taken = torch.zeros_like(whole)
    for chunk in order.chunk(CHUNKS):
        more = w[:, chunk] @ h[chunk]

        def removed(share: float, taken: Tensor = taken, more: Tensor = more) -> float:
            mask = (taken[:, where] + share * more[:, where]) / shown
            return float((mask.square() * known).sum())

        if removed(1.0) >= energy:
            return (taken + bisect(removed, energy) * more) / whole
        taken = taken + more
    return (taken / whole).clamp(max=1)


def bisect(function: Callable[[float], float], value: float) -> float:
    """Where a function that rises over 0 to 1 reaches a value, to 1/1024."""
    low, high = 0.0, 1.0
    for _ in range(10):
        middle = (low + high) / 2
        low, high = (low, middle) if function(middle) >= value else (middle, high)
    return high


def resynthesised(mask: Tensor, transform: Tensor, samples: int) -> Tensor:
    """What a mask (F, T) lets through of the complex spectrum (1, F, T): (1, samples)."""
    return istft(mask[None] * transform, samples)


def si_sdr(estimate: Tensor, reference: Tensor) -> float:
    """Scale-invariant signal-to-distortion ratio (Le Roux et al. 2019), dB: each (samples,)."""
    target = (estimate @ reference) / (reference @ reference) * reference
    return float(10 * torch.log10(target.square().sum() / (estimate - target).square().sum()))
