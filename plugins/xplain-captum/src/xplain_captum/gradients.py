"""Methods that follow the gradient of the score.

Captum is imported where it is called: it brings matplotlib and IPython along, half as much again
as torch itself, and the default method does without.
"""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor

from xplain import Explainer, Score
from xplain_captum.adaptive import adaptive_path_integral
from xplain_captum.captum_calls import mean_over_draws
from xplain_captum.fusing import fused


class IntegratedGradients(Explainer):
    """Path integral of gradients from the baseline to the latents.

    Sundararajan, Taly, Yan (2017), "Axiomatic Attribution for Deep Networks", eq. 1.
    Completeness: it sums to the difference of the scores. Approximated adaptively, until that
    holds (adaptive_path_integral), or by Gauss-Legendre quadrature with a fixed number of points.
    """

    uses_gradients = True

    def __init__(
        self, steps: int | Literal["adaptive"] = "adaptive", tolerance: float = 0.01
    ) -> None:
        """Integrate until the error is within tolerance, or with a number of points.

        tolerance: relative completeness error up to which it is called converged.
        """
        if steps != "adaptive" and (not isinstance(steps, int) or steps < 1):
            raise ValueError(
                f'steps is a whole number, at least 1, or "adaptive", and not {steps!r}'
            )
        if not tolerance > 0:
            raise ValueError(f"tolerance is a share above 0, not {tolerance!r}")
        self.steps = steps
        self.tolerance = tolerance
        self.completeness_tolerance = tolerance

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N); over draws (S, D, N) of the baseline, the mean."""
        if self.steps == "adaptive":
            along = partial(adaptive_path_integral, score, latents, tolerance=self.tolerance)
        else:
            along = partial(self._fixed, score, latents, self.steps)
        with fused(score, latents):
            return mean_over_draws(along, baseline)

    @staticmethod
    def _fixed(score: Score, latents: Tensor, steps: int, baseline: Tensor) -> Tensor:
        from captum.attr import IntegratedGradients

        attribution: Tensor = IntegratedGradients(score).attribute(
            latents[None],
            baselines=baseline[None],
            n_steps=steps,
            method="gausslegendre",
            internal_batch_size=score.max_batch,
        )
        return attribution[0]


class Saliency(Explainer):
    """Absolute value of the score's gradient: where a small change changes most.

    Simonyan, Vedaldi, Zisserman (2014), "Deep Inside Convolutional Networks", sec. 3.
    Unsigned; uses no baseline.
    """

    uses_baseline = False
    uses_gradients = True

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N), whatever the baseline."""
        return _gradient(score, latents).abs()


class InputXGradient(Explainer):
    """Latents times the score's gradient: the score's linear part, element by element.

    Shrikumar, Greenside, Shcherbina, Kundaje (2016), "Not Just a Black Box". One gradient.
    The baseline is zero, whichever is given: completeness holds against the score of zeros, and
    for linear scores only, so it is not claimed.
    """

    uses_baseline = False
    uses_gradients = True

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N), whatever the baseline."""
        return latents * _gradient(score, latents)


def _gradient(score: Score, latents: Tensor) -> Tensor:
    """The score's gradient by latents (D, N)."""
    variants = latents[None].detach().requires_grad_()
    (gradient,) = torch.autograd.grad(score(variants).sum(), variants)
    return gradient[0]
