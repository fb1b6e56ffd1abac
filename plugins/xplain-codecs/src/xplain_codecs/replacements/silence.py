"""What stands for "nothing here" in place of elements that are not kept."""

from __future__ import annotations

import torch
from torch import Tensor

from xplain import Clip, Replacement


class Silence(Replacement):
    """What the synthesizer makes of digital silence of the clip's length."""

    depends_on_keep = False

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        """Latents (D, N) of silence; zeros where they are gains, of what the context holds."""
        if clip.synthesizer.values_are_gains:
            return torch.zeros_like(latents)
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

    Of a steady sound that is the sound itself, so that its evidence is missed.
    """

    depends_on_keep = False

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        """The mean over the N frames in every frame of (D, N)."""
        return latents.mean(dim=1, keepdim=True).expand_as(latents)
