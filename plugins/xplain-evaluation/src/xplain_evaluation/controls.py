"""Attributions that explain nothing: what every method has to do better than."""

from __future__ import annotations

import torch
from torch import Tensor

from xplain.interfaces import Explainer, Score


class Chance(Explainer):
    """The control of every comparison: a random attribution."""

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Normal noise (D, N)."""
        return torch.randn_like(latents)


class Loudness(Explainer):
    """The control that knows the clip and not the model: how far each element is from nothing."""

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """|latents − baseline| (D, N); over draws of the baseline, its mean."""
        nothing = baseline if baseline.ndim == 2 else baseline.mean(dim=0)
        return (latents - nothing).abs()
