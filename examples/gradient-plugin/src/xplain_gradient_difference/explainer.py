"""The gradient times how far the latents are from the baseline."""

import torch
from torch import Tensor

from xplain import Explainer, Score


class GradientDifference(Explainer):
    """What the score would change if it were linear: (latents − baseline) · ∇score(latents).

    The first term of a Taylor series (Baehrens et al. 2010). Needs one evaluation, and is
    exact for a linear score only.
    """

    uses_gradients = True

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N): (D, N); over draws (S, D, N) of the baseline, the mean."""
        draws = baseline if baseline.ndim == 3 else baseline[None]
        variant = latents.detach().clone().requires_grad_()
        # To the latents alone: backward() would leave gradients in the model's weights.
        (gradient,) = torch.autograd.grad(score(variant[None]).sum(), variant)
        return gradient * (latents - draws.mean(dim=0))
