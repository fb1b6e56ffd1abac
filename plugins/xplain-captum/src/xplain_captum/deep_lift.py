"""DeepLIFT: differences from the baseline, followed through the layers."""

from __future__ import annotations

from functools import partial

import captum.attr
import torch
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR
from torch import Tensor, nn

from xplain import Explainer, PluginError, Score
from xplain_captum.draws import mean_over_draws
from xplain_captum.hooking import attributes_restored, quiet
from xplain_captum.refusals import refusal
from xplain_captum.tracing import MOVES, Trace, trace

LINEAR_LAYERS = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d),
    *(nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d),
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d),
    *(nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d),
    *(nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d),
    *(nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d),
    *(nn.Flatten, nn.Unflatten, nn.Identity, nn.ZeroPad1d, nn.ZeroPad2d),
)
"""In evaluation mode their gradient is their rule."""

EXACT = frozenset(SUPPORTED_NON_LINEAR) - {nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.Softmax}
"""Activations whose rule always adds up; Captum's for pooling and softmax often do not."""

LINEAR_OPERATIONS = MOVES | {"add", "__add__", "__radd__", "sub", "__sub__", "mean", "sum", "pad"}

NEGLIGIBLE = 1e-4
"""A miss so small beside all that was attributed is rounding, whatever the difference is."""


class DeepLift(Explainer):
    """How each element's difference from the baseline moved the score's, layer by layer.

    Shrikumar, Greenside, Kundaje (2017), "Learning Important Features Through Propagating
    Activation Differences", the rescale rule. About one gradient, two variants at once. Over
    draws (S, D, N) of the baseline the mean is DeepLIFT SHAP (Lundberg and Lee 2017).

    Every rule hands all of a difference on, so the attribution adds up *exactly*. Where it
    does not, something has no rule that holds (a layer, a function that no hook sees, a decoder
    that is not linear), the plain gradient went through, and what comes out is neither DeepLIFT nor
    anything else with a name. So it is refused, and not returned with a warning: more steps
    or another setting would not mend it.
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
        seen = trace(score, latents)
        for layer in seen.repeated:
            if type(layer.module) in SUPPORTED_NON_LINEAR:
                raise refusal("deep-lift", f"{layer} is called {seen.calls[layer]} times")
        return mean_over_draws(partial(self._from, score, latents, seen), baseline)

    def _from(self, score: Score, latents: Tensor, seen: Trace, baseline: Tensor) -> Tensor:
        inputs, draw = latents[None].requires_grad_(), baseline[None]
        with quiet(), attributes_restored(score):
            found: Tensor = captum.attr.DeepLift(score).attribute(inputs, baselines=draw)
        attribution = found[0].detach()
        with torch.no_grad():
            ends = score(torch.stack([latents, baseline]))
        difference = float(ends[0] - ends[1])
        total = float(attribution.sum(dtype=torch.float64))
        allowed = max(self.tolerance * abs(difference), NEGLIGIBLE * float(attribution.abs().sum()))
        if not abs(total - difference) <= allowed:
            raise refusal(
                "deep-lift",
                f"the attribution adds up to {total:.3g} and not to the score difference "
                f"{difference:.3g}, since no rule holds for {suspect(seen)}",
            )
        return attribution


def suspect(seen: Trace) -> object:
    """What in a score no rule holds for, the first that is found."""
    ruled = (*EXACT, *LINEAR_LAYERS)
    layers = [layer for layer in seen.layers if type(layer.module) not in ruled]
    functions = [o for o in seen.operations if o.name not in LINEAR_OPERATIONS]
    return next(iter([*layers, *functions]), "something that it cannot see")
