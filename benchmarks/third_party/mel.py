"""Triangular filters on the mel scales."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def htk_edges(low: float, high: float, bands: int) -> Tensor:
    """Edges of triangles, equally spaced on 2595 log10(1 + f / 700): (bands + 2,) in Hz."""
    ends = [2595 * math.log10(1 + hz / 700) for hz in (low, high)]
    mel = torch.linspace(*ends, bands + 2, dtype=torch.float64)
    return 700 * (10 ** (mel / 2595) - 1)


def slaney_edges(low: float, high: float, bands: int) -> Tensor:
    """Edges on Slaney's scale: linear to 1 kHz, 27 steps for a factor of 6.4 above."""
    step = math.log(6.4) / 27

    def mel(hz: float) -> float:
        return hz * 3 / 200 if hz < 1000 else 15 + math.log(hz / 1000) / step

    place = torch.linspace(mel(low), mel(high), bands + 2, dtype=torch.float64)
    return torch.where(place < 15, place * 200 / 3, 1000 * torch.exp(step * (place - 15)))


def triangles(edges: Tensor, size: int, rate: int) -> Tensor:
    """Filters (bands, size // 2 + 1) of unit area over a transform of ``size`` points."""
    bins = torch.arange(size // 2 + 1, dtype=torch.float64) * rate / size
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    slopes = torch.minimum((bins - low) / (middle - low), (high - bins) / (high - middle))
    return slopes.clamp(min=0) * 2 / (high - low)
