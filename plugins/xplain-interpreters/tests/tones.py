"""A model whose reason is known, and clips for it."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

RATE = 4000
TONES = (500.0, 1500.0)


class Square(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.square()


class TwoTones(nn.Module):
    """Which of two tones has more energy: hidden layers are filters of them, and energies."""

    def __init__(self) -> None:
        super().__init__()
        time = torch.arange(64) / RATE
        waves = [f(2 * math.pi * hz * time) for hz in TONES for f in (torch.sin, torch.cos)]
        self.filters = nn.Conv1d(1, 4, 64, 32, bias=False)
        self.filters.weight.data = torch.stack(waves)[:, None] / 8
        self.energy = Square()

    def forward(self, waveform: Tensor) -> Tensor:
        energy = self.energy(self.filters(waveform[:, None])).mean(dim=2)
        return (energy.unflatten(1, (2, 2)).sum(dim=2) + 1e-4).log()


def clip(seed: int, label: int) -> tuple[Tensor, float]:
    """Half a second of a tone in two seconds of noise, and where it begins."""
    chance = torch.Generator().manual_seed(seed)
    sound = 0.005 * torch.randn(2 * RATE, generator=chance)
    start = float(torch.rand((), generator=chance)) * 1.4
    first, last = round(start * RATE), round((start + 0.5) * RATE)
    time = torch.arange(last - first) / RATE
    sound[first:last] += 0.3 * torch.sin(2 * math.pi * TONES[label] * time)
    return sound, start
