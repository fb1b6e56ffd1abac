"""Infidelity and sensitivity of an attribution, as Captum computes them.

Yeh, Hsieh, Suggala, Inouye, Ravikumar (2019), "On the (In)fidelity and Sensitivity of
Explanations". Both draw from torch's global generator and cost model evaluations.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import captum.metrics
import torch
from torch import Tensor

from xplain import Score
from xplain.metric import Undefined, metric
from xplain_captum.groups import checked_grouping, groups


@metric(
    better="lower",
    range=(0.0, math.inf),
    category="faithfulness",
    source="Yeh et al. 2019, definition 2.1",
)
def infidelity(
    ask: Score,
    attribution: Tensor,
    latents: Tensor,
    baseline: Tensor,
    *,
    samples: int = 64,
    share: float = 0.5,
    grouping: str = "block",
    normalize: bool = False,
) -> float:
    """Mean squared error of the attribution as a prediction of score drops.

    Each of ``samples`` times, every group of elements (see xplain.selection) is replaced by
    the baseline with probability ``share``, by one of its draws where there are several. The
    prediction is the sum of the attribution over the replaced elements, the truth the drop of
    the score; the value is in squared units of the score. This is the paper's perturbation of a
    subset of the latents to the baseline, which suits attributions that are contributions to
    the score. For those in other units (gradients) ``normalize`` scales the prediction by the
    factor of least squared error.
    """
    numbers = groups(ask, latents, checked_grouping(grouping), 1)
    draws = baseline if baseline.ndim == 3 else baseline[None]

    def replaced(variants: Tensor) -> tuple[Tensor, Tensor]:
        chosen = torch.rand(len(variants), int(numbers.max()) + 1) < share
        gone = chosen.to(variants.device)[:, numbers]
        instead = draws[torch.randint(len(draws), (len(variants),)).to(draws.device)]
        return gone.to(variants), torch.where(gone, instead, variants)

    value: Tensor = captum.metrics.infidelity(
        ask,
        replaced,
        latents[None],
        attribution.to(latents)[None],
        n_perturb_samples=samples,
        max_examples_per_batch=min(samples, ask.max_batch),
        normalize=normalize,
    )
    return float(value)


@metric(
    better="lower",
    range=(0.0, math.inf),
    category="robustness",
    source="Yeh et al. 2019, definition 3.1",
)
def max_sensitivity(
    attribute: Callable[[Tensor], Tensor],
    latents: Tensor,
    *,
    samples: int = 10,
    radius: float = 0.02,
) -> float:
    """Largest relative change of the attribution under small changes of the latents.

    Over ``samples`` draws of uniform noise within ±``radius`` of the latents' range on every
    element: ‖attribution of the changed − attribution‖ / ‖attribution‖, Euclidean. Costs
    ``samples`` + 1 attributions. A stochastic method is also charged for what its own draws
    change. Undefined where the attribution is zero everywhere.
    """
    wanted = torch.is_grad_enabled()  # Captum switches gradients off for everything

    def explained(variants: Tensor | tuple[Tensor]) -> Tensor | tuple[Tensor]:
        (batch,) = variants if isinstance(variants, tuple) else (variants,)
        with torch.set_grad_enabled(wanted):
            found = torch.stack([attribute(variant).detach() for variant in batch])
        if not found.any():
            raise Undefined("max-sensitivity is relative to an attribution that is zero")
        # A tuple for a tuple: of a bare tensor Captum would take the rows to be several inputs.
        return (found,) if isinstance(variants, tuple) else found

    value: Tensor = captum.metrics.sensitivity_max(
        explained,
        latents[None],
        perturb_radius=radius * float(latents.max() - latents.min()),
        n_perturb_samples=samples,
        max_examples_per_batch=1,
    )
    return float(value)
