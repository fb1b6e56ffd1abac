"""What stands for "nothing here" in place of elements that are not kept."""

from __future__ import annotations

import torch
from torch import Tensor

from xplain import Clip, Replacement


class Silence(Replacement):
    """What the synthesizer makes of digital silence of the clip's length."""

    depends_on_keep = False

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        """Latents (D, N) of silence."""
        waveform = torch.zeros(1, clip.samples, device=latents.device, dtype=latents.dtype)
        return clip.synthesizer.encode(waveform).values[0]


class Zero(Replacement):
    """Zero in every element, whatever that sounds like."""

    depends_on_keep = False

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        """Zeros (D, N)."""
        return torch.zeros_like(latents)


class Mean(Replacement):
    """Each channel's mean over the clip: its colour and level, without what happens in it.

    The baseline for models that divide loudness out, as many speech encoders do. From
    silence to the clip their score changes at the very start of the path alone, and
    integrated gradients do not converge.
    """

    depends_on_keep = False

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        """The mean over the N frames in every frame of (D, N)."""
        return latents.mean(dim=1, keepdim=True).expand_as(latents)
