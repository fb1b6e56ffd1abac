"""The two ways of training a proxy: the paper's, and ours, whose explanations are causal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xplain_nmf.training.objectives import Objective, Weights


@dataclass(frozen=True)
class Preset:
    """What is minimised, and how the proxy differs from the configuration's defaults.

    The spectrum is the dictionary's. classwise: whether it needs a dictionary whose components
    are of one label each. calibrated: whether biases are moved at the end to where decisions
    agree best.
    """

    objective: Objective
    config: Mapping[str, Any]
    classwise: bool
    calibrated: bool


PRESETS = {
    # Mariotte et al. 2024: 10 KL(teacher ‖ student) + 5 MSE(X, W H) + 0.1 mean |H|.
    "paper": Preset(Objective(Weights(10.0, 5.0, 0.1)), {}, classwise=False, calibrated=False),
    "causal": Preset(
        Objective(
            Weights(
                distillation=30.0,
                factorisation=1.0,
                sparsity=0.01,
                separation=5.0,
                necessity=0.3,
                removal=0.8,
                keeping=0.1,
                silence=0.6,
                contrast=0.5,
                gating=1.0,
            ),
            start=0.25,
            thinning=3,
            resynthesised=3,
            every=1,
        ),
        {
            "norm": "frame",
            "refinements": 4,
            "gains": True,
            "dictionary_trained": True,
            "gates": True,
            "spread": 25,
        },
        classwise=True,
        calibrated=True,
    ),
}
