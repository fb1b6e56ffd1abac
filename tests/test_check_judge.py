"""What a trial of an explanation shows: judged by hand-made measurements."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from xplain.check import Prediction, Trial, judge

BORNE_OUT = Prediction(1000, correlation=0.8, chance=0.4, beyond=0.7, beyond_chance=0.3)
LOUD = Prediction(1000, correlation=0.8, chance=0.4, beyond=0.2, beyond_chance=0.3)
NOTHING = Prediction(1000, correlation=0.1, chance=0.4, beyond=0.0, beyond_chance=0.3)
TRUE = Trial(
    constant=False,
    silent=False,
    predictions=(BORNE_OUT,),
    order=3.0,
    chance=torch.tensor([-1.0, 0.5, 2.9]),
    complete=0.01,
    tolerance=0.05,
    round_trip=True,
)


def test_what_predicts_ranks_and_adds_up_is_sound() -> None:
    verdict = judge(TRUE)
    assert verdict.kind == "sound"
    assert verdict.figures["beyond_loudness"] == 0.7
    assert verdict.figures["order_by_chance"] == pytest.approx(2.9)
    assert str(verdict).startswith(
        "faithful: it predicts how the score drops when parts are removed "
        "(correlation 0.70 beyond loudness, random signs: at most 0.30); top-ranked elements matter"
    )


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        ({"predictions": (LOUD,)}, "weak", "no better than the parts' loudness does"),
        ({"predictions": (NOTHING,)}, "broken", "does not predict how the score drops"),
        ({"predictions": (NOTHING, BORNE_OUT)}, "sound", "correlation 0.70 beyond loudness"),
        ({"predictions": (LOUD, BORNE_OUT)}, "sound", "correlation 0.70 beyond loudness"),
        ({"predictions": (NOTHING, LOUD)}, "weak", "no better than the parts' loudness does"),
        ({"predictions": ()}, "weak", "too few parts"),
        ({"order": 2.9}, "weak", "1 of 3 random orders did as well or better"),
        ({"order": -0.1, "chance": torch.tensor([-3.0])}, "weak", "the rest matters more"),
        ({"complete": 0.06}, "weak", "did not converge (completeness error 6.0%)"),
        ({"complete": 0.5}, "weak", "did not converge"),
        ({"complete": 0.51}, "broken", "completeness does not hold"),
        ({"complete": None, "tolerance": None}, "sound", "predicts"),
        ({"round_trip": False}, "weak", "representation alone already changes the decision"),
        ({"constant": True, "predictions": ()}, "broken", "is the same for every element"),
        ({"silent": True, "constant": True}, "weak", "as it scores the baseline"),
    ],
)
def test_what_is_lacking_is_named(change: dict[str, object], kind: str, reason: str) -> None:
    verdict = judge(replace(TRUE, **change))  # type: ignore[arg-type]
    assert verdict.kind == kind
    assert reason in "; ".join(verdict.reasons)


def test_what_is_lacking_is_said_first() -> None:
    verdict = judge(replace(TRUE, round_trip=False))
    assert verdict.reasons[0] == "the representation alone already changes the decision"
    assert len(verdict.reasons) == 4
