"""The correlation of predicted and measured drops, against scipy and cases with a known answer."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from xplain.check import PARTS, Prediction, parts, predict

GROUPS = 200


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=drawn(seed), dtype=torch.float64)


def predicted(attribution: Tensor, effects: Tensor, loudness: Tensor | None = None) -> Prediction:
    """A model that adds up: each group's removal costs its effect."""
    removed = parts(len(effects), drawn())
    loud = torch.ones(len(effects)) if loudness is None else loudness
    return predict(attribution, loud, removed, removed.double() @ effects, drawn(1))


def test_parts_are_different_tenths() -> None:
    removed = parts(GROUPS, drawn())
    assert removed.shape == (PARTS, GROUPS)
    assert (removed.sum(dim=1) == GROUPS // 10).all()
    # Of four groups there are four parts of one.
    few = parts(4, drawn())
    assert sorted(map(tuple, few.tolist()), reverse=True) == [
        tuple(place == group for place in range(4)) for group in range(4)
    ]


def test_the_correlation_is_pearsons() -> None:
    attribution, effects = normal(0, GROUPS), normal(1, GROUPS)
    removed = parts(GROUPS, drawn()).double()
    ours = predicted(attribution, effects).correlation
    theirs = stats.pearsonr(removed @ attribution, removed @ effects).statistic
    assert ours == pytest.approx(theirs)


def test_beyond_loudness_is_the_partial_correlation() -> None:
    attribution, effects, loud = normal(0, GROUPS), normal(1, GROUPS), normal(2, GROUPS).abs()
    removed = parts(GROUPS, drawn()).double()
    x, y, z = (removed @ v for v in (attribution, effects, loud))
    xy, xz, yz = (stats.pearsonr(*pair).statistic for pair in ((x, y), (x, z), (y, z)))
    expected = (xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2))
    assert predicted(attribution, effects, loud).beyond == pytest.approx(expected)


def test_the_truth_holds_and_its_opposite_does_not() -> None:
    effects = normal(1, GROUPS)
    true = predicted(3 * effects, effects)
    assert true.correlation == pytest.approx(1) and true.holds and true.holds_beyond
    assert not predicted(-effects, effects).holds


def test_loudness_predicts_only_loudness() -> None:
    loud = normal(2, GROUPS).abs()
    found = predicted(loud, 2 * loud, loud)
    assert found.holds
    assert (found.beyond, found.holds_beyond) == (0, False)


def test_truth_beside_loudness_holds_beyond_it() -> None:
    loud, true = normal(2, GROUPS).abs(), normal(3, GROUPS)
    assert predicted(true + loud, true + loud, loud).holds_beyond


def test_signs_by_chance_hold_once_in_two_hundred_times() -> None:
    loud = normal(2, GROUPS).abs() ** 3
    effects = loud * torch.sign(normal(3, GROUPS))
    held = [
        predicted(loud * torch.sign(normal(10 + seed, GROUPS)), effects).holds
        for seed in range(150)
    ]
    assert np.mean(held) < 0.04


def test_one_group_that_holds_everything_is_found_though_signs_are_few() -> None:
    effects = torch.zeros(GROUPS, dtype=torch.float64)
    effects[7] = 5.0
    found = predicted(effects, effects)
    assert found.chance == pytest.approx(1) and found.holds
    elsewhere = predicted(effects.roll(1), effects)
    assert not elsewhere.holds


def test_a_model_that_nothing_moves_is_predicted_by_nothing() -> None:
    found = predicted(normal(0, GROUPS), torch.zeros(GROUPS, dtype=torch.float64))
    assert (found.correlation, found.beyond, found.holds) == (0, 0, False)


def test_long_clips_are_drawn_in_pieces_with_the_same_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attribution, effects = normal(0, GROUPS), normal(1, GROUPS)
    whole = predicted(attribution, effects)
    monkeypatch.setattr("xplain.check.AT_ONCE", 7 * GROUPS)
    assert asdict(predicted(attribution, effects)) == pytest.approx(asdict(whole))
