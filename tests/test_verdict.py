"""What a trial of an explanation shows: judged by hand-made measurements."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from xplain.verdict import Trial, judge

UP = torch.arange(1.0, 9.0)
TRUE = Trial(
    constant=False,
    silent=False,
    predicted=UP,
    measured=2 * UP + 1,
    order=3.0,
    chance=torch.tensor([-1.0, 0.5, 2.9]),
    complete=0.01,
    tolerance=0.05,
    round_trip=True,
)
UNRELATED = torch.tensor([1.0, -1, -1, 1, 1, -1, -1, 1])
"""Orthogonal to a line: correlation 0 with 1 … 8."""


def test_what_predicts_ranks_and_adds_up_is_sound() -> None:
    verdict = judge(TRUE)
    assert verdict.kind == "sound"
    assert verdict.figures["correlation"] == pytest.approx(1)
    # Fisher's z of 8 pairs has a standard deviation of 1 / √5.
    assert verdict.figures["correlation_by_chance"] == pytest.approx(math.tanh(2.326 / 5**0.5))
    assert verdict.figures["order_by_chance"] == pytest.approx(2.9)
    assert str(verdict).startswith("sound: it predicts what removing parts does (correlation 1.00)")


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        ({"measured": UNRELATED}, "weak", "does not predict"),
        ({"measured": -UP}, "weak", "does not predict"),
        ({"order": 2.9}, "weak", "no better than 1 of 3 by chance"),
        ({"order": -0.1, "chance": torch.tensor([-3.0])}, "weak", "what it leaves does more"),
        ({"measured": UNRELATED, "order": 2.0}, "broken", "no better than 1 of 3 by chance"),
        (
            {"measured": UNRELATED, "order": -0.1, "chance": torch.tensor([-3.0])},
            "broken",
            "does not predict",
        ),
        ({"complete": 0.06}, "weak", "did not converge (completeness error 6.0%)"),
        ({"complete": 0.5}, "weak", "did not converge"),
        ({"complete": 0.51}, "broken", "does not add up"),
        ({"complete": None, "tolerance": None}, "sound", "predicts"),
        ({"round_trip": False}, "weak", "representation alone already changes the decision"),
        ({"constant": True}, "broken", "says the same of every element"),
        ({"silent": True, "constant": True}, "weak", "sounds like what replaces it"),
        ({"predicted": UP[:7], "measured": UP[:7]}, "weak", "too few parts"),
        ({"predicted": UP[:7], "measured": UP[:7], "order": 0.0}, "weak", "too few parts"),
    ],
)
def test_what_is_lacking_is_named(change: dict[str, object], kind: str, reason: str) -> None:
    verdict = judge(replace(TRUE, **change))  # type: ignore[arg-type]
    assert verdict.kind == kind
    assert reason in "; ".join(verdict.reasons)


def test_a_model_that_nothing_moves_predicts_nothing() -> None:
    still = judge(replace(TRUE, measured=torch.full((8,), 5.0), order=0.0))
    assert still.kind == "broken"
    assert still.figures["correlation"] == 0
