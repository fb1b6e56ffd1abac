"""Every method gives what Captum gives when it is called by hand for that clip."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from typing import Any

import captum.attr
import numpy as np
import pytest
import torch
from captum._utils.models.linear_model import SkLearnRidge
from captum.attr._utils.lrp_rules import EpsilonRule
from torch import Tensor

from xplain.registry import registry

BLOCKS = torch.arange(6)[:, None] // 3 * 3 + torch.arange(12)[None, :] // 4  # block:3x4
SIZE = 12


def spread(x: Tensor) -> float:
    return float(x.detach().max() - x.detach().min())


BY_HAND: dict[str, tuple[dict[str, object], Callable[[Any, Tensor, Tensor], Tensor]]] = {
    "integrated-gradients": (
        {"steps": 20},
        lambda score, x, b: captum.attr.IntegratedGradients(score).attribute(x, b, n_steps=20),
    ),
    "saliency": ({}, lambda score, x, b: captum.attr.Saliency(score).attribute(x)),
    "input-x-gradient": ({}, lambda score, x, b: captum.attr.InputXGradient(score).attribute(x)),
    "gradient-shap": (
        {"samples": 30},
        lambda score, x, b: captum.attr.GradientShap(score).attribute(x, b, n_samples=30),
    ),
    "smooth-grad": (
        {"samples": 30, "noise": 0.2},
        lambda score, x, b: captum.attr.NoiseTunnel(captum.attr.Saliency(score)).attribute(
            x, "smoothgrad", 30, stdevs=0.2 * spread(x), abs=False
        ),
    ),
    "var-grad": (
        {"samples": 30, "noise": 0.2},
        lambda score, x, b: captum.attr.NoiseTunnel(captum.attr.Saliency(score)).attribute(
            x, "vargrad", 30, stdevs=0.2 * spread(x), abs=False
        ),
    ),
    "feature-ablation": (
        {"grouping": "block:3x4"},
        lambda score, x, b: (
            captum.attr.FeatureAblation(score).attribute(x, b, feature_mask=BLOCKS[None]) / SIZE
        ),
    ),
    "occlusion": (
        {"window": "3x4", "stride": "3x2"},  # no window is cut at the end
        lambda score, x, b: (
            captum.attr.Occlusion(score).attribute(x, (3, 4), strides=(3, 2), baselines=b) / SIZE
        ),
    ),
    "shapley-sampling": (
        {"grouping": "block:3x4", "orders": 5},
        lambda score, x, b: (
            captum.attr.ShapleyValueSampling(score).attribute(
                x, b, feature_mask=BLOCKS[None], n_samples=5
            )
            / SIZE
        ),
    ),
    "kernel-shap": (
        {"grouping": "block:3x4", "samples": 60},
        lambda score, x, b: (
            captum.attr.KernelShap(score).attribute(x, b, feature_mask=BLOCKS[None], n_samples=60)
            / SIZE
        ),
    ),
    "lime": (
        {"grouping": "block:3x4", "samples": 60},
        lambda score, x, b: (
            captum.attr.Lime(score, SkLearnRidge(alpha=1.0)).attribute(
                x, b, feature_mask=BLOCKS[None], n_samples=60
            )
            / SIZE
        ),
    ),
}


def with_rules(score: Any, x: Tensor) -> Tensor:
    for place in (0, 1, 4, 6, 7):  # layers that Captum knows no rule for in one dimension
        score.head[place].rule = EpsilonRule()
    return captum.attr.LRP(score).attribute(x)  # type: ignore[no-any-return]


FOR_LAYERS: dict[str, Callable[[Any, Tensor, Tensor], Tensor]] = {
    "deep-lift": lambda score, x, b: captum.attr.DeepLift(score).attribute(x, b),
    "guided-backprop": lambda score, x, b: captum.attr.GuidedBackprop(score).attribute(x),
    "deconvolution": lambda score, x, b: captum.attr.Deconvolution(score).attribute(x),
    "lrp": lambda score, x, b: with_rules(score, x),
}


def seed() -> None:
    torch.manual_seed(7)
    np.random.seed(7)
    random.seed(7)


@pytest.mark.parametrize("head", ["convolutions", "transformer", "gru"])
@pytest.mark.parametrize("name", BY_HAND)
def test_a_method_is_captums(name: str, head: str, headed: Any, clip: Any) -> None:
    parameters, by_hand = BY_HAND[name]
    latents, baseline = clip
    seed()
    got = (
        registry().create("explainer", name, parameters).attribute(headed(head), latents, baseline)
    )
    seed()
    expected = by_hand(headed(head), latents[None].requires_grad_(), baseline[None])[0]
    assert not got.requires_grad
    assert expected.abs().max() > 0
    assert (got - expected).abs().max() < 1e-5


@pytest.mark.filterwarnings("ignore:\\s*Setting")
@pytest.mark.parametrize("name", FOR_LAYERS)
def test_a_method_for_layers_is_captums_where_it_has_rules(
    name: str, headed: Any, clip: Any
) -> None:
    latents, baseline = clip
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = (
            registry()
            .create("explainer", name, {})
            .attribute(headed("convolutions"), latents, baseline)
        )
    expected = FOR_LAYERS[name](
        headed("convolutions"), latents[None].requires_grad_(), baseline[None]
    )[0]
    assert not got.requires_grad
    assert expected.abs().max() > 0
    assert (got - expected).abs().max() < 1e-5


def test_the_methods_here_are_all_that_are_registered() -> None:
    registered = {
        p.name
        for p in registry().plugins
        if (p.kind, p.distribution) == ("explainer", "xplain-captum")
    }
    assert registered == {*BY_HAND, *FOR_LAYERS}


@pytest.mark.filterwarnings("ignore:\\s*Setting")
def test_deep_lift_over_draws_of_the_baseline_is_captums_deep_lift_shap(
    headed: Any, clip: Any
) -> None:
    latents, baseline = clip
    draws = torch.stack([baseline, torch.zeros_like(baseline), -baseline])
    got = (
        registry()
        .create("explainer", "deep-lift", {})
        .attribute(headed("convolutions"), latents, draws)
    )
    expected = captum.attr.DeepLiftShap(headed("convolutions")).attribute(latents[None], draws)
    assert (got - expected[0]).abs().max() < 1e-5
