"""A contract finds what is wrong, names the rule, and lets what is right pass."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from wrong_metrics import declared
from wrong_plugins import RIGHT, WRONG, Additive, GivesTheSameMemory, Lossy

from xplain import Explanation, PluginError, explain
from xplain_devkit import ExplainerContract, SynthesizerContract
from xplain_devkit.check import RULES, check
from xplain_devkit.rules.rule import Report, Rule, Subject, examine
from xplain_devkit.toys.models import RATE, Levels, Nothing, noise
from xplain_evaluation.planted.planted import CUES, planted_model

WRONG_ONES = [
    pytest.param(kind, wrong, rule, id=f"{kind}-{wrong.__name__}")
    for kind, ones in WRONG.items()
    for wrong, rule in ones.items()
]


def report(kind: str, made: Any) -> Report:
    make = made if isinstance(made, type) or kind != "metric" else lambda: declared(made)
    return examine(Subject(kind, make), RULES[kind])


def failures(found: Report) -> list[str]:
    return [o.message for o in found.outcomes if o.state == "failed"]


@pytest.mark.parametrize("kind", RIGHT)
def test_what_is_right_passes(kind: str) -> None:
    found = examine(Subject(kind, RIGHT[kind]), RULES[kind])
    assert found.verdict == "passed", failures(found)


def test_an_additive_segmenter_passes() -> None:
    found = report("segmenter", Additive)
    assert found.verdict == "passed", failures(found)
    skipped = [o.rule for o in found.outcomes if o.state == "not applicable"]
    assert not {"says-what-its-parts-are", "adds-up-its-parts"} & set(skipped)


@pytest.mark.parametrize(("kind", "wrong", "rule"), WRONG_ONES)
def test_what_is_wrong_breaks_the_rule_that_is_meant_and_no_other(
    kind: str, wrong: Any, rule: str
) -> None:
    found = report(kind, wrong)
    assert found.verdict == "failed"
    assert list(found.failed) == [rule], failures(found)
    (message,) = failures(found)
    demand = next(r.demand for r in RULES[kind] if r.name == rule)
    assert message.startswith(f"{rule}: {demand} Found: ")


def test_a_codec_that_says_so_may_lose_something() -> None:
    assert report("synthesizer", Lossy).verdict == "passed"
    assert report("synthesizer", Levels).verdict == "passed"


def test_checking_leaves_torch_as_it_was() -> None:
    state = torch.get_rng_state()
    for wrong in WRONG["explainer"]:
        report("explainer", wrong)
    assert torch.is_grad_enabled()
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("kind", RULES)
def test_every_rule_has_a_name_of_its_own_and_says_in_a_sentence_what_it_demands(
    kind: str,
) -> None:
    names = [rule.name for rule in RULES[kind]]
    assert len(set(names)) == len(names)
    for rule in RULES[kind]:
        assert rule.demand[0].isupper() and rule.demand.endswith(".") and len(rule.demand) < 200


def test_a_method_that_gives_the_same_memory_twice_changes_no_explanation() -> None:
    model = planted_model(RATE)
    one, other = 0.3 * noise(RATE, seed=1), noise(RATE, seed=2)
    explainer = GivesTheSameMemory()

    def explained(clip: torch.Tensor) -> Explanation:
        return explain(
            clip,
            model,
            sample_rate=RATE,
            synthesizer=Levels(),
            explainer=explainer,
            replacement=Nothing(),
            target=next(iter(CUES)),
        )

    first = explained(one)
    before = first.attribution.clone()
    second = explained(other)
    assert not torch.equal(second.attribution, before)
    assert torch.equal(first.attribution, before)


# The report


def test_a_report_lists_every_rule_with_its_state_message_and_time() -> None:
    found = check("metric", "sparseness")
    assert [o.rule for o in found.outcomes] == [r.name for r in RULES["metric"]]
    written = json.loads(json.dumps(found.to_dict()))
    assert written["kind"] == "metric" and written["name"] == "xplain-evaluation/sparseness"
    assert written["verdict"] == "passed"
    assert {o["state"] for o in written["outcomes"]} <= {"passed", "failed", "not applicable"}
    for outcome in written["outcomes"]:
        assert outcome.keys() == {"rule", "state", "message", "seconds"}
        assert bool(outcome["message"]) == (outcome["state"] != "passed")
    assert written["seconds"] == pytest.approx(found.seconds, abs=1e-3)


def test_a_subject_to_which_nothing_applied_has_not_passed() -> None:
    assert Report("metric", "m", ()).verdict == "failed"


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("explainre", "saliency", "did you mean 'explainer'"),
        ("model", "zoo", "no contract for the kind 'model'.* explain AUDIO --model zoo:…"),
        ("metric", "sparsenes", "did you mean 'sparseness'"),
    ],
)
def test_a_kind_or_name_that_does_not_exist_is_refused(kind: str, name: str, said: str) -> None:
    with pytest.raises(PluginError, match=said):
        check(kind, name)


# The classes for pytest


def test_a_class_and_a_report_run_the_same_rules() -> None:
    (mark,) = ExplainerContract.test_keeps_the_rule.pytestmark  # type: ignore[attr-defined]
    assert mark.args == ("rule", RULES["explainer"])


def test_a_class_fails_for_a_broken_rule_and_skips_what_does_not_apply() -> None:
    class OfOffByOne(SynthesizerContract):
        def make(self) -> Any:
            return next(
                w for w in WRONG["synthesizer"] if getattr(w, "__name__", "") == "OffByOne"
            )()

    rules: dict[str, Rule] = {rule.name: rule for rule in RULES["synthesizer"]}
    contract = OfOffByOne()
    contract.test_keeps_the_rule(rules["encodes-a-batch"])
    with pytest.raises(AssertionError, match="gives-the-length-back: "):
        contract.test_keeps_the_rule(rules["gives-the-length-back"])
    with pytest.raises(pytest.skip.Exception, match="it is no torch"):
        contract.test_keeps_the_rule(rules["leaves-its-weights-alone"])


class TestARegisteredExplainer(ExplainerContract):
    name = "integrated-gradients"
