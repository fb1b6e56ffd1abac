"""What holds for every method here, on a model that all of them have rules for."""

from __future__ import annotations

import copy
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


@pytest.mark.parametrize("name", METHODS)
def test_it_is_the_same_again_for_a_seed(name: str, headed: Any, clip: Any) -> None:
    first, again = (attributed(name, headed("convolutions"), *clip) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.isfinite(first).all()


@pytest.mark.parametrize("max_batch", [2, 5, 64])
@pytest.mark.parametrize("name", METHODS)
def test_it_never_asks_about_more_variants_than_the_budget(
    name: str, max_batch: int, headed: Any, clip: Any
) -> None:
    score = headed("convolutions", max_batch)
    attributed(name, score, *clip)
    assert max(score.sizes) <= max_batch


@pytest.mark.parametrize("name", sorted({*METHODS} - {"deep-lift"}))
def test_a_budget_of_one_is_enough(name: str, headed: Any, clip: Any) -> None:
    score = headed("convolutions", max_batch=1)
    attributed(name, score, *clip)
    assert max(score.sizes) == 1


def test_deep_lift_refuses_a_budget_of_one(headed: Any, clip: Any) -> None:
    with pytest.raises(xplain.PluginError, match="max_batch 2 or more"):
        attributed("deep-lift", headed("convolutions", max_batch=1), *clip)


@pytest.mark.parametrize("name", METHODS)
def test_the_model_is_left_as_it_was(name: str, headed: Any, clip: Any) -> None:
    score = headed("convolutions")
    before = [dict(vars(m)) for m in score.modules()]
    state = copy.deepcopy(score.state_dict())
    attributed(name, score, *clip)
    for module, had in zip(score.modules(), before, strict=True):
        assert vars(module).keys() == had.keys()
        assert not (module._forward_hooks or module._forward_pre_hooks or module._backward_hooks)
    assert all(torch.equal(state[name], value) for name, value in score.state_dict().items())
    assert not score.training
    assert all(p.grad is None for p in score.parameters())


@pytest.mark.parametrize("name", CLAIMING)
def test_it_adds_up_to_the_score_difference_within_its_tolerance(
    name: str, headed: Any, clip: Any
) -> None:
    score, (latents, baseline) = headed("convolutions"), clip
    ends = score(torch.stack([latents, baseline])).detach()
    tolerance = registry().create("explainer", name, {}).completeness_tolerance
    total = float(attributed(name, score, latents, baseline).sum())
    assert total == pytest.approx(float(ends[0] - ends[1]), rel=tolerance)


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
