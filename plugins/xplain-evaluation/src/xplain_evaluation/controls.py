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


class Given(Explainer):
    """An attribution made elsewhere. It claims completeness only where that is said of it."""

    def __init__(self, attribution: Tensor, tolerance: float | None = None) -> None:
        """Hand on ``attribution`` (D, N), said to be complete within ``tolerance``."""
        self.attribution = attribution
        self.completeness_tolerance = tolerance

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """The attribution given, (D, N)."""
        return self.attribution.to(latents)
