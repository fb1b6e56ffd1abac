"""Control attributions that ignore the model; every method has to beat them."""

from __future__ import annotations

import torch
from torch import Tensor

from xplain.interfaces import Explainer, Score


class Chance(Explainer):
    """A random attribution, the control of every comparison."""

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Normal noise (D, N)."""
        return torch.randn_like(latents)


class Loudness(Explainer):
    """Each element's distance from the baseline: a control that sees the clip, not the model."""

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """|latents − baseline| (D, N); over draws of the baseline, its mean."""
        nothing = baseline if baseline.ndim == 2 else baseline.mean(dim=0)
        return (latents - nothing).abs()
