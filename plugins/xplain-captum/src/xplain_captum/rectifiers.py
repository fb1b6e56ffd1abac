"""Gradients that are changed where they pass a ReLU.

Both let only positive evidence pass, and show what the network reacts to more than what it
decides by: they hardly change when the upper layers are randomised (Adebayo et al. 2018,
"Sanity Checks for Saliency Maps"). They need no baseline, and completeness does not hold.
"""

from __future__ import annotations

import captum.attr
from torch import Tensor, nn

from xplain import Explainer, Score
from xplain_captum.captum_calls import hooks_by_captum, refusal
from xplain_captum.effects import Effect
from xplain_captum.tracing import Trace, trace

GATED = (nn.RNNBase, nn.RNNCellBase)
"""Recurrent layers: no gradient there passes a ReLU that could be hooked."""


class GuidedBackprop(Explainer):
    """The gradient, of which every ReLU passes on only what is positive.

    Springenberg, Dosovitskiy, Brox, Riedmiller (2015), "Striving for Simplicity". Smooth
    activations (tanh, GELU) pass the plain gradient. Refuses models without a ReLU module, with
    recurrent layers or attention, and with rectifiers that are not ReLU modules of the model:
    functions, limits at zero, masks by a comparison, leaky ReLUs, layers that the model does
    not register.
    """

    uses_baseline = False
    uses_gradients = True

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N), whatever the baseline. Raises PluginError; see above."""
        return _attributed("guided-backprop", captum.attr.GuidedBackprop(score), score, latents)


class Deconvolution(Explainer):
    """The gradient, rectified where the network has a ReLU, whatever that let pass.

    Zeiler, Fergus (2014), "Visualizing and Understanding Convolutional Networks", sec. 2.
    Refuses what guided backpropagation refuses.
    """

    uses_baseline = False
    uses_gradients = True

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N), whatever the baseline. Raises PluginError; see above."""
        return _attributed("deconvolution", captum.attr.Deconvolution(score), score, latents)


def _attributed(
    method: str,
    captums: captum.attr.GuidedBackprop | captum.attr.Deconvolution,
    score: Score,
    latents: Tensor,
) -> Tensor:
    seen = trace(score, latents[None])
    check_rectified(method, seen)
    with hooks_by_captum(method, score, seen, latents[None]):
        attribution: Tensor = captums.attribute(latents[None].requires_grad_())
    return attribution[0].detach()


def check_rectified(method: str, seen: Trace) -> None:
    """Refuse a score whose rectifiers are not all ReLU modules that can be hooked."""
    refused = {Effect.RECTIFY, Effect.ATTEND}
    for layer in seen.layers:
        hooked = isinstance(layer.module, nn.ReLU) and layer.name is not None
        if isinstance(layer.module, GATED) or (not hooked and seen.inside[layer] & refused):
            raise refusal(method, f"it has no rule for {layer}")
    for operation in seen.operations:
        if operation.effects & refused:
            raise refusal(method, f"it has no rule for {operation}")
    if not any(isinstance(layer.module, nn.ReLU) for layer in seen.layers):
        kinds = sorted({type(layer.module).__name__ for layer in seen.layers})
        raise refusal(
            method,
            f"it changes gradients at ReLU modules, and among the layers "
            f"({', '.join(kinds) or 'none'}) there is none",
        )
