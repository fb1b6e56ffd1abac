"""Adaptive integrated gradients: points where the path needs them, and honesty about it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

import xplain
from xplain_captum.adaptive import FEW_GRADIENTS, FIRST_PANELS, MOST_GRADIENTS, SLACK
from xplain_captum.gradients import IntegratedGradients

ONE = torch.ones(1, 1)
NOTHING = torch.zeros(1, 1)


class Counted(xplain.Score):
    """A function of the latents' sum, and the places of the path it was asked about."""

    def __init__(self, function: Any, max_batch: int = 64) -> None:
        super().__init__()
        self.function, self.max_batch = function, max_batch
        self.asked: list[float] = []
        self.largest = self.calls = 0

    def forward(self, variants: Tensor) -> Tensor:
        self.calls += 1
        self.asked += variants.detach().flatten().tolist()
        self.largest = max(self.largest, len(variants))
        return self.function(variants.sum(dim=(1, 2)))


FIRST = 2 * FIRST_PANELS + 1
"""Gradients that it begins with."""


def adaptive(tolerance: float) -> IntegratedGradients:
    return IntegratedGradients(steps="adaptive", tolerance=tolerance)


def test_it_stops_where_it_began_if_simpsons_rule_is_exact() -> None:
    score = Counted(lambda s: s**2 - s**1.5 + s)  # in roots of the place, its slope is a cubic
    got = adaptive(1e-5).attribute(score, ONE, NOTHING)
    assert float(got) == pytest.approx(1.0, abs=1e-6)
    assert len(score.asked) == FIRST


@pytest.mark.parametrize("tolerance", [0.01, 0.001])
def test_the_tolerance_is_kept_where_the_score_rises_in_a_corner_of_the_path(
    tolerance: float,
) -> None:
    score = Counted(lambda s: torch.tanh(60 * s))
    got = adaptive(tolerance).attribute(score, ONE, NOTHING)
    assert float(got) == pytest.approx(1.0, rel=tolerance)
    added = score.asked[FIRST:]
    assert added and max(added) < 1 / 3  # that is where the rise is


def test_errors_that_cancel_are_no_convergence() -> None:
    # A bump: up and down again, and the score difference is all but nothing beside it.
    score = Counted(lambda s: torch.exp(-((s - 0.4) ** 2) / 0.005) + 0.5 * s)
    got = adaptive(0.01).attribute(score, ONE, NOTHING)
    assert float(got) == pytest.approx(0.5, rel=0.01)
    assert len(score.asked) > 20


def test_more_precision_takes_more_gradients_and_none_twice() -> None:
    taken = []
    for tolerance in (0.1, 0.01, 0.001, 0.0001):
        score = Counted(lambda s: torch.tanh(10 * s))
        adaptive(tolerance).attribute(score, ONE, NOTHING)
        assert len(set(score.asked)) == len(score.asked)
        taken.append(len(score.asked))
    assert taken == sorted(taken) and taken[0] < taken[-1]


SHAPES: dict[str, Callable[[Tensor], Tensor]] = {
    "a corner": lambda s: torch.tanh(60 * s),
    "two rises": lambda s: torch.tanh(40 * (s - 0.2)) + torch.sigmoid(50 * (s - 0.8)),
    "a wave": lambda s: torch.sin(20 * s) + s,
    "a bump": lambda s: torch.exp(-((s - 0.4) ** 2) / 0.005) + 0.5 * s,
}


ALONE = {("a corner", 0.03), ("a corner", 0.003), ("two rises", 0.03)}
"""Where only one panel at a time is worth halving."""


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("tolerance", [0.03, 0.003])
def test_several_panels_at_once_take_no_gradient_more_than_one_after_another(
    shape: str, tolerance: float
) -> None:
    function = SHAPES[shape]
    score = Counted(function)
    adaptive(tolerance).attribute(score, ONE, NOTHING)
    one_by_one = greedy(function, tolerance)
    assert {round(place, 6) for place in score.asked} <= one_by_one
    one_after_another = 1 + (len(one_by_one) - FIRST) / 2
    # In a corner there is never more than one panel that is worth halving; of two rises at a
    # coarse tolerance the second is steep enough only when the first is done.
    saved = one_after_another - score.calls
    assert saved > 0 or (saved == 0 and (shape, tolerance) in ALONE)


def greedy(function: Callable[[Tensor], Tensor], tolerance: float) -> set[float]:
    """Places that Simpson's rule over their roots comes to, the worst panel halved each time."""

    def value(root: float) -> float:
        return float(function(torch.tensor(root).square()))

    def slope(root: float) -> float:
        at = torch.tensor(root, requires_grad=True)
        (found,) = torch.autograd.grad(function(at.square()), at)
        return float(found)

    def error(a: float, b: float) -> float:
        simpson = (slope(a) + 4 * slope((a + b) / 2) + slope(b)) * (b - a) / 6
        return simpson - (value(b) - value(a))

    ends = [place / FIRST_PANELS for place in range(FIRST_PANELS + 1)]
    panels = {(a, b): error(a, b) for a, b in pairwise(ends)}
    allowed = tolerance * abs(value(1.0) - value(0.0))
    while abs(sum(panels.values())) > allowed or sum(map(abs, panels.values())) > SLACK * allowed:
        a, b = max(panels, key=lambda panel: abs(panels[panel]))
        del panels[a, b]
        for part in ((a, (a + b) / 2), ((a + b) / 2, b)):
            panels[part] = error(*part)
    return {round(root**2, 6) for a, b in panels for root in (a, (a + b) / 2, b)}


def test_a_jump_is_given_up_on() -> None:
    score = Counted(lambda s: s + 5 * (s > 0.3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the framework measures the sum, and says it once
        got = adaptive(0.01).attribute(score, ONE, NOTHING)
    assert len(score.asked) == FEW_GRADIENTS and float(got) == pytest.approx(1, abs=1e-3)


def rough(share: float) -> Callable[[Tensor], Tensor]:
    """A straight line to 1, with so large a share of 400 kinks that point up and down by chance."""
    at = torch.rand(400, generator=torch.Generator().manual_seed(0))
    turns = torch.randn(400, generator=torch.Generator().manual_seed(1))
    return lambda s: s + share * ((s[:, None] - at).relu() * turns).sum(dim=1)


def test_a_rough_path_is_given_up_on_early_and_one_that_is_nearly_even_is_not() -> None:
    hopeless = Counted(rough(0.3))
    adaptive(1e-4).attribute(hopeless, ONE, NOTHING)
    assert FEW_GRADIENTS <= len(hopeless.asked) < MOST_GRADIENTS
    score = Counted(rough(0.003))
    got = adaptive(1e-4).attribute(score, ONE, NOTHING)
    assert len(score.asked) > FEW_GRADIENTS
    assert float(got) == pytest.approx(float(score.function(torch.ones(1))), rel=1e-4)


def test_it_says_how_far_it_is_where_it_takes_long(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    score = Counted(lambda s: torch.tanh(60 * s))
    adaptive(0.001).attribute(score, ONE, NOTHING)
    assert not capsys.readouterr().err
    monkeypatch.setattr("xplain_captum.adaptive.PATIENCE", 0.0)
    adaptive(0.001).attribute(score, ONE, NOTHING)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"{FIRST} gradients (at most 201), error ")
    assert "(0.001 asked for)" in lines[0] and len(lines) > 1


def test_jumps_that_cancel_in_the_sum_are_warned_of() -> None:
    score = Counted(lambda s: s + 5 * (s > 0.3) - 5 * (s > 0.7))
    with pytest.warns(xplain.XplainWarning, match="stopped after 65 gradients.* that cancel"):
        got = adaptive(0.01).attribute(score, ONE, NOTHING)
    assert len(score.asked) == FEW_GRADIENTS and float(got) == pytest.approx(1, abs=1e-3)


def test_a_score_that_does_not_change_is_attributed_zero_at_once() -> None:
    score = Counted(lambda s: 3.0 + 0 * s)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = adaptive(0.01).attribute(score, ONE, NOTHING)
    assert float(got) == 0 and len(score.asked) == FIRST


def test_a_budget_of_one_is_kept() -> None:
    score = Counted(lambda s: torch.tanh(10 * s), max_batch=1)
    adaptive(0.01).attribute(score, ONE, NOTHING)
    assert score.largest == 1


@pytest.mark.parametrize("head", ["convolutions", "transformer", "gru"])
def test_it_comes_to_what_very_many_fixed_points_come_to(head: str, headed: Any, clip: Any) -> None:
    got = adaptive(1e-3).attribute(headed(head), *clip)
    expected = IntegratedGradients(steps=2000).attribute(headed(head), *clip)
    assert (got - expected).abs().max() < 5e-3 * expected.abs().max()


def test_an_explanation_by_it_says_what_it_took(tmp_path: Any) -> None:
    model = xplain.load_model("zoo:digits")
    clip = 0.1 * torch.randn(4000, generator=torch.Generator().manual_seed(0))
    parameters = {"steps": "adaptive", "tolerance": 0.01}
    e = xplain.explain(clip, model, params=parameters)
    assert e.completeness_error is not None and e.completeness_error <= 0.01 and e.converged
    assert e.provenance["explainer"]["parameters"] == parameters
