"""Models, methods and sounds that the tests share; all made here, none trained."""

from __future__ import annotations

import math
import random

import numpy as np
import torch
from torch import Tensor, nn

import xplain
from xplain_devkit.toys.models import RATE
from xplain_devkit.toys.models import OfSound as Convolutions

__all__ = ["RATE", "BandEnergies", "Convolutions", "Noisy", "tone"]


class BandEnergies(nn.Module):
    """Logits are the log energies of three bands: a model whose reasons are known."""

    edges = ((100, 700), (900, 1700), (2000, 3600))

    def forward(self, waveform: Tensor) -> Tensor:
        padded = nn.functional.pad(waveform, (0, max(0, 256 - waveform.shape[-1])))
        spectrum = torch.fft.rfft(padded).abs().square() / padded.shape[-1]
        hertz = torch.fft.rfftfreq(padded.shape[-1], 1 / RATE).to(waveform.device)
        bands = [spectrum[:, (hertz >= a) & (hertz < b)].sum(-1) for a, b in self.edges]
        return torch.log1p(torch.stack(bands, dim=-1))


class Noisy(xplain.Explainer):
    """A stochastic method: draws from every generator the pipeline seeds."""

    def attribute(self, score: xplain.Score, latents: Tensor, baseline: Tensor) -> Tensor:
        drawn = torch.randn_like(latents) + torch.from_numpy(np.random.randn(*latents.shape))
        return (latents * (drawn + random.random())).float()


def tone(hertz: float, seconds: float = 0.5, level: float = 0.3) -> Tensor:
    time = torch.arange(round(seconds * RATE)) / RATE
    return level * torch.sin(2 * math.pi * hertz * time)
