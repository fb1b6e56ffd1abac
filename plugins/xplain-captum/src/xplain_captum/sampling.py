"""Gradients averaged over random variants."""

from __future__ import annotations

from typing import Literal

import captum.attr
import torch
from torch import Tensor

from xplain import Explainer, Score


class GradientShap(Explainer):
    """Expected gradients: the mean of (latents − draw) · gradient at random places between.

    Erion, Janizek, Sturmfels, Lundberg, Lee (2021), "Improving performance of deep learning
    models with axiomatic attribution priors and expected gradients". The baseline's
    draws are its distribution; with a single baseline it is Monte Carlo integrated gradients.
    Completeness holds in expectation: the error falls with the square root of ``samples``.
    """

    uses_gradients = True

    def __init__(self, samples: int = 256, tolerance: float = 0.25) -> None:
        """Take the mean over ``samples`` draws.

        tolerance: relative completeness error up to which it is called converged.
        """
        self.samples = checked_samples(samples)
        self.tolerance = tolerance
        self.completeness_tolerance = tolerance

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N); baseline (D, N), or draws (S, D, N)."""
        method = captum.attr.GradientShap(score)
        draws = baseline if baseline.ndim == 3 else baseline[None]
        total = torch.zeros_like(latents)
        # Captum scores all samples at once, so they come in parts of the budget's size.
        for first in range(0, self.samples, score.max_batch):
            count = min(score.max_batch, self.samples - first)
            inputs = latents[None].requires_grad_()
            mean: Tensor = method.attribute(inputs, baselines=draws, n_samples=count)
            total += mean[0].detach() * (count / self.samples)
        return total


class SmoothGrad(Explainer):
    """The gradient's mean over noisy copies of the latents, with its sign.

    Smilkov, Thorat, Kim, Viégas, Wattenberg (2017), "SmoothGrad: removing noise by adding
    noise". Like any gradient a direction, and not an element's contribution to the score.
    """

    uses_baseline = False
    uses_gradients = True

    def __init__(self, samples: int = 50, noise: float = 0.1) -> None:
        """Take ``samples`` noisy copies.

        noise: standard deviation as a share of the latents' range (the paper: 0.1 to 0.2).
        """
        self.samples = checked_samples(samples)
        self.noise = checked_noise(noise)

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N), whatever the baseline."""
        return noise_tunnel(score, latents, "smoothgrad", self.samples, self.noise)


class VarGrad(Explainer):
    """The gradient's variance over noisy copies of the latents: where it is unstable.

    Adebayo, Gilmer, Goodfellow, Kim (2018), "Local explanation methods for deep neural
    networks lack sensitivity to parameter values". Not negative; unsigned evidence.
    Zero where the score is linear.
    """

    uses_baseline = False
    uses_gradients = True

    def __init__(self, samples: int = 50, noise: float = 0.1) -> None:
        """Take ``samples`` noisy copies; see SmoothGrad."""
        self.samples = checked_samples(samples)
        self.noise = checked_noise(noise)

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N), whatever the baseline."""
        # Captum subtracts two means, and rounding takes what should be zero below it.
        return noise_tunnel(score, latents, "vargrad", self.samples, self.noise).clamp(min=0)


def noise_tunnel(
    score: Score,
    latents: Tensor,
    kind: Literal["smoothgrad", "vargrad"],
    samples: int,
    noise: float,
) -> Tensor:
    """Captum's noise tunnel around the signed gradient, for latents (D, N): (D, N)."""
    method = captum.attr.NoiseTunnel(captum.attr.Saliency(score))
    attribution: Tensor = method.attribute(
        latents[None].requires_grad_(),
        nt_type=kind,
        nt_samples=samples,
        nt_samples_batch_size=score.max_batch,
        stdevs=noise * float(latents.max() - latents.min()),
        abs=False,
    )
    return attribution[0].detach()


def checked_samples(samples: int) -> int:
    """A number of samples as it is; ValueError for one that is none."""
    if not isinstance(samples, int) or samples < 1:
        raise ValueError(f"samples is a whole number, at least 1, not {samples!r}")
    return samples


def checked_noise(noise: float) -> float:
    """A share as it is; ValueError where there would be no noise."""
    if not noise > 0:
        raise ValueError(f"noise is a share of the latents' range above 0, not {noise!r}")
    return noise
