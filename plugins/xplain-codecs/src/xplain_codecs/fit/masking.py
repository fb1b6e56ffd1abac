"""Training for decisions that do not hang on any one element: some are replaced by silence."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from xplain_codecs.fit.latents import LatentClip

MOST = 0.3
"""Of a clip's elements, the greatest share that is replaced."""


def masked(latents: Tensor, clips: Sequence[LatentClip], share: float) -> Tensor:
    """Latents (B, D, N) of which a share of the clips, one at least, lost elements.

    How much a clip loses is drawn from 0 to MOST, and which elements, one by one, from torch's
    chance; in their place is silence, as when an explanation's control removes elements at
    random. What a head learns from it is that single elements say little (after SpecAugment,
    Park et al. 2019, which masks bands and stretches).
    """
    latents = latents.clone()
    count = max(1, round(share * len(clips)))
    for row in torch.randperm(len(clips))[:count].tolist():
        whole = latents[row, :, : clips[row].frames]
        lost = torch.rand(whole.shape) < MOST * torch.rand(())
        whole[lost.to(whole.device)] = clips[row].edges().silence.to(whole)[lost.to(whole.device)]
    return latents
