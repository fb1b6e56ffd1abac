"""Layer-wise relevance propagation."""

from __future__ import annotations

from collections.abc import Callable

import captum.attr
from captum.attr._utils.lrp_rules import EpsilonRule, IdentityRule, PropagationRule
from torch import Tensor, nn

from xplain import Explainer, Score
from xplain_captum.captum_calls import hooks_by_captum, refusal
from xplain_captum.effects import Effect
from xplain_captum.tracing import Trace, trace

BY_SHARE = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d),
    *(nn.Flatten, nn.Unflatten),
)
"""Layers that give each input its share of the output: the ε rule."""

AS_IT_IS = (
    *(nn.LeakyReLU, nn.ELU, nn.Softplus, nn.SiLU, nn.GELU, nn.Hardtanh, nn.ReLU6),
    *(nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.Identity),
)
"""Activations, element by element: relevance passes as it is."""

CAPTUMS = (nn.ReLU, nn.Tanh, nn.Dropout)
"""Activations that Captum passes relevance through by itself."""


class Lrp(Explainer):
    """The score handed down from layer to layer, to each input its share: the ε rule.

    Bach, Binder, Montavon, Klauschen, Müller, Samek (2015), "On Pixel-Wise Explanations for
    Non-Linear Classifier Decisions", eq. 58. About one gradient, and no baseline.

    No completeness is claimed: it distributes the score itself and not the difference to a
    baseline's, and the biases' shares of it are nobody's. For a network of ReLUs without
    biases it is latents × gradient, and sums to the score.

    Rules are for layers that are modules, called once: linear, convolution, batch norm,
    pooling, activations. Between them only views, slices and the like may happen: relevance
    that meets a sum, a mean or a decoder would be spread by the gradient, which is no rule.
    So it refuses attention, recurrent and normalising layers, residual sums, means outside of
    a pooling layer, one label against another, spans of time, and models that read audio
    where what is explained is decoded to it.
    """

    uses_baseline = False
    uses_gradients = True

    def __init__(self, epsilon: float = 1e-9) -> None:
        """epsilon: what is added to each denominator; larger ones absorb weak relevance."""
        if not epsilon > 0:
            raise ValueError(f"epsilon is above 0, not {epsilon!r}")
        self.epsilon = epsilon

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N), whatever the baseline. Raises PluginError; see above."""
        seen = trace(score, latents[None])
        check_ruled(seen)
        with hooks_by_captum("lrp", score, seen, latents[None]):
            for module in score.modules():
                # Captum asks for a rule of every module without children, called or not.
                if module is not score and not list(module.children()):
                    set_rule(module, self.epsilon)
            attribution: Tensor = captum.attr.LRP(score).attribute(latents[None].requires_grad_())
        return attribution[0].detach()


def set_rule(module: nn.Module, epsilon: float) -> None:
    """Tell Captum the rule of a module, by the attribute that it reads."""
    if type(module) in CAPTUMS:
        return
    rule: Callable[[], PropagationRule] = IdentityRule
    if type(module) in BY_SHARE:
        rule = lambda: EpsilonRule(epsilon)  # noqa: E731
    module.rule = rule()


def check_ruled(seen: Trace) -> None:
    """Refuse a score of which any part has no rule."""
    for layer in seen.layers:
        if layer.name is None or type(layer.module) not in (*BY_SHARE, *AS_IT_IS, *CAPTUMS):
            raise refusal("lrp", f"it has no rule for {layer}")
    for layer in seen.repeated:
        raise refusal("lrp", f"{layer} is called {seen.calls[layer]} times")
    for operation in seen.beyond(Effect.MOVE, Effect.IDLE):
        raise refusal("lrp", f"it has no rule for {operation}")
    if not seen.layers:
        raise refusal("lrp", "it hands relevance down through layers, and there are none")
