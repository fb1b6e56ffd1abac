"""What holds for the methods here beyond the contract of all explainers (tests/test_registered)."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import xplain
from xplain.registry import registry

METHODS = [
    p.name
    for p in xplain.list_plugins()
    if (p.kind, p.distribution) == ("explainer", "xplain-captum")
]
CLAIMING = [n for n in METHODS if registry().create("explainer", n, {}).completeness_tolerance]


def attributed(name: str, score: Any, latents: Tensor, baseline: Tensor) -> Tensor:
    torch.manual_seed(5)
    np.random.seed(5)
    random.seed(5)
    explainer: xplain.Explainer = registry().create("explainer", name, {})
    with torch.set_grad_enabled(explainer.uses_gradients):
        return explainer.attribute(score, latents, baseline)


def test_deep_lift_refuses_a_budget_of_one(headed: Any, clip: Any) -> None:
    with pytest.raises(xplain.PluginError, match="max_batch 2 or more"):
        attributed("deep-lift", headed("convolutions", max_batch=1), *clip)


@pytest.mark.parametrize("name", ["deep-lift", "lrp", "guided-backprop", "deconvolution"])
def test_nothing_that_captum_sets_on_layers_is_left(name: str, headed: Any, clip: Any) -> None:
    score = headed("convolutions")
    before = [set(vars(module)) for module in score.modules()]
    attributed(name, score, *clip)
    assert [set(vars(module)) for module in score.modules()] == before


@pytest.mark.parametrize("name", CLAIMING)
def test_over_draws_it_adds_up_to_the_difference_from_their_mean_score(
    name: str, headed: Any, clip: Any
) -> None:
    score, (latents, baseline) = headed("convolutions"), clip
    draws = torch.stack([baseline, torch.zeros_like(baseline), 2 * baseline])
    scores = score(torch.cat([latents[None], draws])).detach()
    tolerance = registry().create("explainer", name, {}).completeness_tolerance
    total = float(attributed(name, score, latents, draws).sum())
    assert total == pytest.approx(float(scores[0] - scores[1:].mean()), rel=tolerance)


def test_methods_with_gradients_say_so(headed: Any, clip: Any) -> None:
    class Opaque(xplain.Score):
        max_batch = 8

        def forward(self, variants: Tensor) -> Tensor:
            return torch.from_numpy(variants.detach().numpy()).square().sum(dim=(1, 2))

    for name in METHODS:
        explainer: xplain.Explainer = registry().create("explainer", name, {})
        if explainer.uses_gradients:
            with pytest.raises((RuntimeError, xplain.PluginError)):
                attributed(name, Opaque(), *clip)
        else:
            assert attributed(name, Opaque(), *clip).abs().max() > 0
