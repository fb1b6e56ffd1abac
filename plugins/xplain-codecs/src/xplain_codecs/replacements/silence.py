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

    The baseline for models that normalise loudness, as many speech encoders do. From
    silence to the clip their score changes at the very start of the path alone, and
    integrated gradients do not converge.
    """

    depends_on_keep = False

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        """The mean over the N frames in every frame of (D, N)."""
        return latents.mean(dim=1, keepdim=True).expand_as(latents)


class WhiteNoise(Replacement):
    """The latents of white noise at the clip's level, as the synthesizer gives the clip back.

    What Akman, Sun, Schuller (2024), arXiv 2410.07530, put in place of removed elements.
    """

    depends_on_keep = False

    def __init__(self, draws: int = 1) -> None:
        """Draw noise; as a baseline, ``draws`` of it, over which methods take the mean."""
        if draws < 1:
            raise ValueError(f"draws is at least 1, not {draws!r}")
        self.draws = draws

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        """Latents (D, N) of noise; where nothing is kept and draws > 1, (draws, D, N)."""
        heard = clip.synthesizer.decode(latents[None], clip.context)
        level = heard.square().mean().sqrt()
        # One after another, so that the first is the same however many follow.
        drawn = []
        for _ in range(1 if keep.any() else self.draws):
            noise = torch.randn(1, clip.samples, generator=clip.generator)
            drawn.append(clip.synthesizer.encode(noise.to(latents) * level).values)
        values = torch.cat(drawn)
        return values if len(values) > 1 else values[0]
