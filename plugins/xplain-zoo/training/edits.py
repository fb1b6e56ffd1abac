"""Latents of which parts are replaced by those of silence, as explanations do."""

from __future__ import annotations

import math
import random

import torch
from torch import Tensor

LEAST = 0.02
"""The smallest share of a clip's elements that is kept."""


def edited(latents: Tensor, silence: Tensor, scale: Tensor, draw: random.Random) -> Tensor:
    """Keep a share of each clip's elements, and put silence in the place of the others.

    latents: (B, D, N). silence: (D, N). scale: (B, D, 1), how far from silence each channel
    is. What is kept is drawn for each clip: how much of it, whether single elements or whole
    frames, and how far it is what differs most from silence.
    """
    kept = []
    for clip, far in zip(latents, scale, strict=True):
        share = math.exp(draw.uniform(math.log(LEAST), 0.0))
        order = (clip - silence).abs() / far
        if draw.random() < 0.25:
            order = order.mean(0, keepdim=True).expand_as(order)
        chance = torch.rand(1 if draw.random() < 0.25 else clip.shape[0], clip.shape[1])
        order = order * draw.random() + chance * order.mean() * draw.choice((0.5, 1, 2))
        least = order.flatten().kthvalue(max(1, round((1 - share) * order.numel()))).values
        keep = order >= least
        # What is left when the most telling is taken out, too.
        if draw.random() < 0.2 and share < 0.5:
            keep = ~keep
        kept.append(torch.where(keep, clip, silence))
    return torch.stack(kept)
