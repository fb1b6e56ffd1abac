"""The relevance of a linear head's inputs, in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from xplain import Explainer, Score
from xplain.errors import PluginError

SAME = 1e-4
"""Share by which slopes, and what they add up to, may differ by rounding."""


class Relevance(Explainer):
    """r = θ · (h − baseline) / span: what each element added to the mean logit over the span.

    Of a proxy's activations h and a baseline of silence, whose activations are zero, these
    are the paper's r_{c,k} (arXiv 2401.08268) before its mean over frames, not scaled, so
    that they add up to the logit minus the bias. θ / span is the slope of the score, the
    same at every h; what has no such slope is refused.
    """

    uses_gradients = True
    compares_with = "silence"
    completeness_tolerance = 1e-3

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute to latents (D, N); PluginError for a score that is not linear in them."""
        baseline = baseline.reshape(-1, *latents.shape).mean(dim=0)
        slope, value = _slope(score, latents)
        elsewhere = torch.linspace(-1, 1, latents.numel()).reshape(latents.shape).to(latents)
        elsewhere = elsewhere.sin() * (latents.abs().max() + 1)
        for other in (baseline, torch.zeros_like(latents), elsewhere, -elsewhere):
            there, value_there = _slope(score, other)
            linear = value_there + float((slope * (latents - other)).sum(dtype=torch.float64))
            size = abs(value) + abs(value_there) + 1e-6
            if not torch.allclose(there, slope, SAME, SAME * float(slope.abs().max())) or not (
                abs(value - linear) <= SAME * size * 10
            ):
                raise PluginError(
                    "relevance is of models that are linear in the latents, as a proxy's head is "
                    "in its activations, and this one is not; explain a model nmf:FOLDER in its "
                    "own activations, or choose integrated-gradients"
                )
        return slope * (latents - baseline)


def _slope(score: Score, latents: Tensor) -> tuple[Tensor, float]:
    """The gradient (D, N) of the score at some latents, and the score."""
    variant = latents.detach().clone().requires_grad_()
    value = score(variant[None])
    (slope,) = torch.autograd.grad(value.sum(), variant)
    return slope, float(value.detach())
