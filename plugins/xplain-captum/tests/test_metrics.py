"""Infidelity and max-sensitivity: values that are known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from xplain.metric import Evidence, Undefined
from xplain.registry import registry
from xplain_captum.metrics import infidelity, max_sensitivity

X = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.0, -1.0]])
B = torch.tensor([[0.5, 0.0, 0.0], [1.0, 1.0, 1.0]])
W = torch.tensor([[2.0, -1.0, 0.0], [0.5, 3.0, 1.0]])
PARTS = W * (X - B)


def linear(z: Tensor) -> Tensor:
    return (W * z).sum(dim=(1, 2))


@pytest.mark.parametrize("grouping", ["element", "frame", "block:1x2"])
def test_the_parts_of_a_linear_score_forecast_every_removal(grouping: str, closed: Any) -> None:
    got = infidelity(closed(linear), PARTS, X, B, grouping=grouping)
    assert got == pytest.approx(0.0, abs=1e-9)


def test_who_forecasts_nothing_is_wrong_by_the_square_of_the_difference(closed: Any) -> None:
    # With a share of 1 everything goes: f(x) − f(b) is the sum of the parts.
    got = infidelity(closed(linear), torch.zeros_like(X), X, B, share=1.0, samples=5)
    assert got == pytest.approx(float(PARTS.sum()) ** 2, rel=1e-5)


def test_half_the_time_one_of_two_channels_goes(closed: Any) -> None:
    # Nothing is forecast for the first channel: its part squared, half of the time.
    forecast = PARTS * torch.tensor([[0.0], [1.0]])
    torch.manual_seed(0)
    got = infidelity(closed(linear), forecast, X, B, grouping="channel", samples=4000)
    assert got == pytest.approx(0.5 * float(PARTS[0].sum()) ** 2, rel=0.1)


def test_normalised_it_does_not_depend_on_the_units_of_the_attribution(closed: Any) -> None:
    got = infidelity(closed(linear), 100 * PARTS, X, B, grouping="element", normalize=True)
    assert got == pytest.approx(0.0, abs=1e-3)


def test_of_several_draws_each_removal_takes_one(closed: Any) -> None:
    draws = torch.stack([B, B + 1])
    torch.manual_seed(0)
    forecast = torch.zeros_like(X)
    got = infidelity(closed(linear), forecast, X, draws, share=1.0, samples=4000)
    falls = [float((W * (X - draw)).sum()) for draw in draws]
    assert got == pytest.approx((falls[0] ** 2 + falls[1] ** 2) / 2, rel=0.1)


def test_the_budget_is_kept(headed: Any, clip: Any) -> None:
    score = headed("convolutions", max_batch=3)
    infidelity(score, torch.zeros(6, 12), *clip, samples=20)
    assert max(score.sizes) <= 3


def test_an_attribution_that_never_changes_is_not_sensitive() -> None:
    assert max_sensitivity(lambda z: W, X) == 0.0


def test_latents_as_their_own_attribution_are_as_sensitive_as_the_noise_is_large() -> None:
    torch.manual_seed(2)
    got = max_sensitivity(lambda z: z, X, radius=0.1, samples=6)
    torch.manual_seed(2)
    size = 0.1 * 5  # of the range of X
    noise = [torch.empty(2, 3).uniform_(-size, size) for _ in range(6)]
    assert got == pytest.approx(max(float(n.norm() / X.norm()) for n in noise), rel=1e-4)


def test_the_attribution_is_computed_with_gradients_where_they_are_on() -> None:
    seen: list[bool] = []

    def attribute(latents: Tensor) -> Tensor:
        seen.append(torch.is_grad_enabled())
        return latents

    max_sensitivity(attribute, X, samples=2)
    with torch.no_grad():
        max_sensitivity(attribute, X, samples=2)
    assert seen == [True] * 3 + [False] * 3


def test_sensitivity_of_nothing_is_undefined() -> None:
    with pytest.raises(Undefined, match="zero"):
        max_sensitivity(torch.zeros_like, X)


def test_both_are_registered_and_measure_from_evidence(closed: Any) -> None:
    evidence = Evidence(
        ask=closed(linear), attribution=PARTS, latents=X, baseline=B, attribute=lambda z: W * z
    )
    for name, parameters in (("infidelity", {"samples": 8}), ("max-sensitivity", {"samples": 2})):
        made = registry().create("metric", name, parameters)
        assert made.name == name and made.better == "lower"
        assert made.range == (0.0, math.inf)
        assert 0 <= made.measure(evidence) < 1
