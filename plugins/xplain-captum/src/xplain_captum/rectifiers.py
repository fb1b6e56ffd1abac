"""Gradients that are changed where they pass a ReLU.

Both let only what speaks *for* the label pass, and show what the network reacts to more than
what it decides by: they hardly change when the upper layers are randomised (Adebayo et al.
2018, "Sanity Checks for Saliency Maps"). They need no baseline and add up to nothing.
"""

from __future__ import annotations

import captum.attr
from torch import Tensor, nn

from xplain import Explainer, Score
from xplain_captum.hooking import quiet
from xplain_captum.refusals import refusal
from xplain_captum.tracing import trace

UNSEEN_RECTIFIERS = frozenset({"relu", "relu_", "threshold", "threshold_", "relu6"})
ATTENTION = frozenset({"scaled_dot_product_attention", "multi_head_attention_forward"})
GATED = (
    nn.RNNBase,
    nn.RNNCellBase,
    nn.MultiheadAttention,
    nn.Transformer,
    nn.TransformerEncoder,
    nn.TransformerEncoderLayer,
    nn.TransformerDecoder,
    nn.TransformerDecoderLayer,
)
"""Recurrent layers and attention: no gradient there passes a ReLU that could be hooked."""


class GuidedBackprop(Explainer):
    """The gradient, of which every ReLU passes on only what is positive.

    Springenberg, Dosovitskiy, Brox, Riedmiller (2015), "Striving for Simplicity".
    Other activations pass the plain gradient. Refuses models without a ReLU module, with
    recurrent layers or attention, and with ReLUs that are functions, which no hook sees.
    """

    uses_gradients = True

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N), whatever the baseline. Raises PluginError; see above."""
        check_rectified("guided-backprop", score, latents)
        with quiet():
            attribution: Tensor = captum.attr.GuidedBackprop(score).attribute(
                latents[None].requires_grad_()
            )
        return attribution[0].detach()


class Deconvolution(Explainer):
    """The gradient, rectified where the network has a ReLU, whatever that let pass.

    Zeiler, Fergus (2014), "Visualizing and Understanding Convolutional Networks", sec. 2.
    Refuses what guided backpropagation refuses.
    """

    uses_gradients = True

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N), whatever the baseline. Raises PluginError; see above."""
        check_rectified("deconvolution", score, latents)
        with quiet():
            attribution: Tensor = captum.attr.Deconvolution(score).attribute(
                latents[None].requires_grad_()
            )
        return attribution[0].detach()


def check_rectified(method: str, score: Score, latents: Tensor) -> None:
    """Refuse a score whose rectifiers are not all ReLU modules."""
    seen = trace(score, latents)
    for layer in seen.layers:
        if isinstance(layer.module, GATED):
            raise refusal(method, f"it has no rule for {layer}")
    for operation in seen.operations:
        if operation.name in UNSEEN_RECTIFIERS | ATTENTION:
            raise refusal(method, f"it has no rule for {operation}")
    if not any(isinstance(layer.module, nn.ReLU) for layer in seen.layers):
        kinds = sorted({type(layer.module).__name__ for layer in seen.layers})
        raise refusal(
            method,
            f"it changes gradients at ReLU modules, and among the layers "
            f"({', '.join(kinds) or 'none'}) there is none",
        )
