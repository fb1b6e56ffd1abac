"""judge(): what a trial means, by figures made up for each case."""

from __future__ import annotations

from dataclasses import replace

import pytest

from xplain.verdict import Contrast, Trial, judge

WITH = Contrast("the opposite", 5.0, 0.2)
NEARLY = Contrast("itself 1 frame later", 1.5, 1.0)
AGAINST = Contrast("itself 1 frame later", 0.5, 1.5)
LOST = Contrast("itself 1 frame later", 0.0, 1.5)
TRUE = Trial(
    groups=1000,
    contrasts=(WITH, WITH),
    costs=(0.8, 0.97),
    rest=0.01,
    complete=0.001,
    tolerance=0.05,
    margin=0.8,
    probability=0.9,
    evaluations=81,
)


def test_all_that_speaks_for_an_attribution() -> None:
    verdict = judge(TRUE)
    assert verdict.kind == verdict.badge == "faithful" and verdict.evaluations == 81
    # (5 − 0.2) / (5 + 0.2)
    assert verdict.figures["hardest_contrast"] == pytest.approx(4.8 / 5.2)
    assert str(verdict).startswith("faithful: of 2 alternatives, the opposite comes nearest")
    assert "completeness holds (error 0.10%)" in str(verdict)


@pytest.mark.parametrize(
    ("change", "kind", "reason"),
    [
        ({"contrasts": (WITH, AGAINST)}, "unfaithful", "rather with itself 1 frame later"),
        ({"contrasts": (WITH, NEARLY)}, "partly", "itself 1 frame later comes nearest"),
        # Of larger groups a single contrast tells less, and of few of them nothing: their mean.
        ({"contrasts": (WITH, WITH, NEARLY), "fine": False}, "faithful", "comes nearest"),
        ({"contrasts": (WITH,) * 9 + (AGAINST,), "fine": False}, "partly", "itself 1 frame later"),
        ({"contrasts": (WITH,) * 9 + (LOST,), "fine": False, "costs": None},
         "unfaithful", "rather with itself"),
        # Where what parts of larger groups cost speaks for it, one refutes no more.
        ({"contrasts": (WITH,) * 9 + (LOST,), "fine": False}, "partly", "comes nearest"),
        ({"contrasts": (WITH,) * 9 + (LOST,), "fine": False, "groups": 60}, "faithful", "nearest"),
        ({"contrasts": (NEARLY, NEARLY), "fine": False, "costs": (0.7, 0.8)},
         "unfaithful", "rather with itself"),
        ({"contrasts": ()}, "faithful", "completeness holds"),
        ({"contrasts": (), "costs": None, "rest": None, "complete": None}, "partly", ""),
        ({"costs": (0.97, -0.3)}, "faithful", "cost alone is like what it says (cosine 0.97"),
        ({"costs": (0.1, 0.9)}, "partly", "of it cost on average is not quite like"),
        ({"costs": (0.1, 0.4)}, "unfaithful", "on average is unlike what it says (cosine 0.40)"),
        # Of larger groups the parts are few groups each.
        ({"costs": (0.1, 0.9), "fine": False}, "faithful", "shares of it cost on average is like"),
        ({"costs": (0.5, 0.1), "fine": False}, "partly", "of it cost alone is not quite like"),
        ({"costs": (0.3, 0.1), "fine": False}, "unfaithful", "shares of it cost alone is unlike"),
        ({"costs": (0.999, -0.3), "groups": 9}, "faithful", "groups cost alone is like what it"),
        ({"costs": (0.95, -0.3), "groups": 9}, "partly", "groups cost alone is not quite like"),
        ({"costs": (0.1, 0.92), "groups": 9}, "faithful", "groups cost on average is like what"),
        ({"costs": (0.1, 0.92), "groups": 5}, "partly", "cost on average is not quite like"),
        ({"costs": (0.1, 0.96), "groups": 5}, "faithful", "groups cost on average is like what"),
        ({"costs": (0.1, 0.8), "groups": 9}, "partly", "groups cost on average is not quite like"),
        ({"costs": (0.1, 0.7), "groups": 9}, "unfaithful", "is unlike what it says (cosine 0.70)"),
        # What single groups cost may be all that is said, whatever several cost together.
        ({"single": 0.999, "contrasts": (WITH, LOST), "costs": None, "fine": False},
         "faithful", "what single groups cost is what it says (cosine 1.00)"),
        ({"single": 0.999, "contrasts": (WITH, LOST), "rest": 0.3, "fine": False},
         "partly", "30% of the score hang on what it calls unimportant"),
        ({"single": 0.99, "contrasts": (WITH, LOST), "fine": False, "costs": (0.7, 0.8)},
         "unfaithful", "rather with"),
        ({"halved": True}, "faithful", "holds in half of the clip, and not of single parts"),
        ({"rest": 0.3}, "unfaithful", "30% of the score hang on what it calls unimportant"),
        ({"rest": -0.15}, "partly", "15% of the score hang on"),
        ({"complete": 0.06}, "partly", "completeness has not converged (error 6.00%)"),
        ({"complete": 0.56}, "unfaithful", "completeness does not hold"),
        ({"complete": None, "tolerance": None}, "faithful", "comes nearest"),
        ({"round_trip": False}, "partly", "representation alone already changes the decision"),
        ({"constant": True}, "inconclusive", "is the same for every element"),
        ({"flat": True, "contrasts": (AGAINST,)}, "inconclusive", "nothing to explain"),
        ({"groups": 2}, "inconclusive", "too few parts to remove (2)"),
        ({"margin": 0.004}, "inconclusive", "undecided (probabilities 0% apart)"),
        ({"doubts": ("the model draws random numbers",)}, "inconclusive", "draws random"),
    ],
)  # fmt: skip
def test_what_a_trial_means(change: dict[str, object], kind: str, reason: str) -> None:
    verdict = judge(replace(TRUE, **change))  # type: ignore[arg-type]
    assert verdict.kind == kind
    assert reason in "; ".join(verdict.reasons)


def test_an_unsure_model_is_noticed_and_gets_no_green_badge() -> None:
    verdict = judge(replace(TRUE, probability=0.45))
    assert verdict.kind == "faithful" and verdict.badge == "noticed"
    assert verdict.notices == ("the model is not sure of this label (45%)",)
    assert judge(replace(TRUE, probability=None, margin=None)).notices == ()


def test_what_refutes_stands_alone_and_what_lacks_stands_first() -> None:
    refuted = judge(replace(TRUE, rest=0.9))
    assert len(refuted.reasons) == 1
    lacking = judge(replace(TRUE, round_trip=False))
    assert lacking.reasons[0] == "the representation alone already changes the decision"
    assert len(lacking.reasons) == 4
