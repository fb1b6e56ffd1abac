"""Methods that follow the gradient of the score."""

from __future__ import annotations

import captum.attr
import torch
from torch import Tensor

from xplain import Explainer, Score


class IntegratedGradients(Explainer):
    """Path integral of gradients from the baseline to the latents.

    Sundararajan, Taly, Yan (2017), "Axiomatic Attribution for Deep Networks", eq. 1,
    approximated by Gauss-Legendre quadrature. Adds up to the difference of the scores.
    """

    uses_gradients = True

    def __init__(self, steps: int = 50, tolerance: float = 0.05) -> None:
        """Integrate with ``steps`` points.

        tolerance: relative completeness error up to which it is called converged.
        """
        if not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps is a whole number, at least 1, not {steps!r}")
        self.steps = steps
        self.tolerance = tolerance
        self.completeness_tolerance = tolerance

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N); over draws (S, D, N) of the baseline, the mean."""
        method = captum.attr.IntegratedGradients(score)
        draws = baseline if baseline.ndim == 3 else baseline[None]
        attributions = [
            method.attribute(
                latents[None],
                baselines=draw[None],
                n_steps=self.steps,
                method="gausslegendre",
                internal_batch_size=score.max_batch,
            )[0]
            for draw in draws
        ]
        return torch.stack(attributions).mean(dim=0)


class Saliency(Explainer):
    """Absolute value of the score's gradient: where a small change changes most.

    Simonyan, Vedaldi, Zisserman (2014), "Deep Inside Convolutional Networks", sec. 3.
    Says nothing of the direction, and needs no baseline.
    """

    uses_gradients = True

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N), whatever the baseline."""
        inputs = latents[None].requires_grad_()
        gradient: Tensor = captum.attr.Saliency(score).attribute(inputs, abs=True)
        return gradient[0]
