"""DeepLIFT: differences from the baseline, followed through the layers."""

from __future__ import annotations

from functools import partial

import captum.attr
import torch
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR
from torch import Tensor, nn

from xplain import Explainer, PluginError, Score
from xplain_captum.captum_calls import hooks_by_captum, mean_over_draws, refusal
from xplain_captum.effects import Effect
from xplain_captum.tracing import Trace, trace

EXACT = frozenset(SUPPORTED_NON_LINEAR) - {nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.Softmax}
"""Activations whose rule keeps completeness; Captum's for pooling and softmax often do not."""

LINEAR = frozenset({Effect.MOVE, Effect.LINEAR, Effect.IDLE})
"""What needs no rule: there the gradient is how a difference is handed on."""

NEGLIGIBLE = 1e-4
"""A miss so small beside all that was attributed is rounding, whatever the difference is."""


class DeepLift(Explainer):
    """How each element's difference from the baseline moved the score's, layer by layer.

    Shrikumar, Greenside, Kundaje (2017), "Learning Important Features Through Propagating
    Activation Differences", the rescale rule. About one gradient, two variants at once. Over
    draws (S, D, N) of the baseline the mean is DeepLIFT SHAP (Lundberg and Lee 2017).

    Every rule passes all of a difference on, so completeness holds *exactly*. Where it does not,
    a layer, an unhooked function or a nonlinear decoder has no rule and the plain gradient
    passed through; the result would not be DeepLIFT. It is refused instead of returned with a
    warning, since no setting mends it.
    """

    uses_gradients = True

    def __init__(self, tolerance: float = 0.01) -> None:
        """tolerance: relative completeness error above which the model is refused."""
        if not tolerance > 0:
            raise ValueError(f"tolerance is a share above 0, not {tolerance!r}")
        self.tolerance = tolerance
        self.completeness_tolerance = tolerance

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N); over draws (S, D, N) of the baseline, the mean.

        Raises PluginError for a model with a part that has no rule, and for a budget of one.
        """
        if score.max_batch < 2:
            raise PluginError(
                "deep-lift compares the latents with the baseline in one batch, and the memory "
                "budget is one variant; give max_batch 2 or more, or use integrated-gradients"
            )
        return mean_over_draws(partial(self._from, score, latents), baseline)

    def _from(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        both = torch.stack([latents, baseline])
        seen = trace(score, both)
        check_followed(seen)
        inputs, draw = latents[None].requires_grad_(), baseline[None]
        with hooks_by_captum("deep-lift", score, seen, both):
            found: Tensor = captum.attr.DeepLift(score).attribute(inputs, baselines=draw)
        attribution = found[0].detach()
        difference = float(seen.scores[0] - seen.scores[1])
        total = float(attribution.sum(dtype=torch.float64))
        allowed = max(self.tolerance * abs(difference), NEGLIGIBLE * float(attribution.abs().sum()))
        if not abs(total - difference) <= allowed:
            raise refusal(
                "deep-lift",
                f"completeness does not hold: the attribution sums to {total:.3g}, the scores "
                f"differ by {difference:.3g}; no rule holds for {suspect(seen)}",
            )
        return attribution


def check_followed(seen: Trace) -> None:
    """Refuse a score of which any part is neither linear nor has a rule."""
    for layer in seen.layers:
        hooked = layer.name is not None and type(layer.module) in SUPPORTED_NON_LINEAR
        if not hooked and seen.inside[layer] - LINEAR:
            raise refusal("deep-lift", f"it has no rule for {layer}")
    for layer in seen.repeated:
        if type(layer.module) in SUPPORTED_NON_LINEAR:
            raise refusal("deep-lift", f"{layer} is called {seen.calls[layer]} times")
    for operation in seen.beyond(*LINEAR):
        raise refusal("deep-lift", f"it has no rule for {operation}")
    if not seen.followed:
        raise refusal("deep-lift", "its scores do not come from the latents by operations of torch")


def suspect(seen: Trace) -> object:
    """Find a layer whose rule does not always hold."""
    inexact = set(SUPPORTED_NON_LINEAR) - EXACT
    layers = [layer for layer in seen.layers if type(layer.module) in inexact]
    return next(iter(layers), "something that it cannot see")
