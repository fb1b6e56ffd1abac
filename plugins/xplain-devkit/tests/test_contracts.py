"""A contract finds what is wrong, names the rule, and lets what is right pass."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any

import pytest
import soundfile
import torch
from torch import Tensor
from typer.testing import CliRunner
from wrong_metrics import declared
from wrong_plugins import RIGHT, WRONG, Additive, GivesTheSameMemory, Lossy, Right

from xplain import Explanation, PluginError, Score, explain, wrap
from xplain.metric import metric
from xplain_devkit import ExplainerContract, SynthesizerContract
from xplain_devkit.check import RULES, check
from xplain_devkit.cli.check import app
from xplain_devkit.rules.rule import Case, Report, Rule, Subject, examine
from xplain_devkit.toys.models import RATE, Frames, Levels, Nothing, noise
from xplain_evaluation.planted.planted import CUES, planted_model

WRONG_ONES = [
    pytest.param(kind, wrong, rule, id=f"{kind}-{wrong.__name__}")
    for kind, ones in WRONG.items()
    for wrong, rule in ones.items()
]


def report(kind: str, made: Any) -> Report:
    plain = isinstance(made, FunctionType) and kind == "metric"
    make = (lambda: declared(made)) if plain else made
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
    state = torch.get_rng_state()
    found = report(kind, wrong)
    assert torch.is_grad_enabled()
    if kind == "explainer":
        assert torch.equal(torch.get_rng_state(), state)
    assert found.verdict == "failed"
    assert list(found.failed) == [rule], failures(found)
    (message,) = failures(found)
    demand = next(r.demand for r in RULES[kind] if r.name == rule)
    assert message.startswith(f"{rule}: {demand} Found: ")


def test_a_codec_that_says_so_may_lose_something() -> None:
    assert report("synthesizer", Lossy).verdict == "passed"
    assert report("synthesizer", Levels).verdict == "passed"


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


# Metrics that gather evidence of their own


def test_a_metric_that_gathers_evidence_is_tested_on_an_explanation() -> None:
    def kept(e: Explanation) -> object:
        return e.keep(0.1)

    def scaled(e: Explanation) -> object:
        return e.extras["scaled"]

    declare = partial(metric, better="higher", category="c", source="here")

    @declare(range=(0, 1), evidence={"kept": kept})
    def level(kept: Tensor) -> float:
        """Root mean square of the kept audio."""
        return float(kept.square().mean().sqrt())

    @declare(range=(0, 1), evidence={"scaled": scaled})
    def fails(scaled: float) -> float:
        """Takes for granted what one method alone gives."""
        return scaled

    found = report("metric", level.configured)
    assert found.verdict == "passed", failures(found)
    assert "KeyError" in failures(report("metric", fails.configured))[0]


# A method that explains one model alone


class Bound(Right):
    """Explains one network alone, as a method that was trained on it."""

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        if not any(isinstance(part, Square) for part in score.modules()):
            raise PluginError("it was trained on another model")
        return super().attribute(score, latents, baseline)


class Square(torch.nn.Module):
    def forward(self, waveform: Tensor) -> Tensor:
        return waveform.square().mean(dim=1, keepdim=True) * torch.tensor([1.0, 2.0])


class WithTheClipBefore(Bound):
    def __init__(self) -> None:
        self._last = 0.0

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        before, self._last = self._last, float(latents.abs().max())
        return super().attribute(score, latents, baseline) + before


def test_a_method_of_one_model_is_tested_on_it() -> None:
    case = Case(wrap(Square(), sample_rate=RATE, labels=("a", "b")), Frames(), noise(400))
    alone = examine(Subject("explainer", Bound), RULES["explainer"])
    assert alone.verdict == "failed"
    found = examine(Subject("explainer", Bound, case=case), RULES["explainer"])
    assert found.verdict == "passed", failures(found)
    assert sum(o.state == "passed" for o in found.outcomes) > 15
    wrong = examine(Subject("explainer", WithTheClipBefore, case=case), RULES["explainer"])
    assert "remembers-no-clip" in wrong.failed


def test_the_command_takes_a_model_and_a_clip(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", noise(4000).numpy(), RATE)
    (tmp_path / "models.py").write_text(
        "import torch, xplain\n\n\n"
        "def one():\n"
        "    head = torch.nn.Sequential(torch.nn.AdaptiveAvgPool1d(8), torch.nn.Linear(8, 2))\n"
        "    return xplain.wrap(head, sample_rate=8000, labels=['a', 'b'])\n"
    )
    given = ["--model", f"{tmp_path}/models.py:one", "--audio", str(tmp_path / "a.wav")]
    run = partial(CliRunner().invoke, app)
    done = run(["saliency", *given, "--synthesizer", "waveform", "--json"])
    assert json.loads(done.stdout)["verdict"] == "passed", done.stdout
    assert "give --model and --audio" in str(run(["saliency", *given[:2]]).exception)
    assert "leave --model" in str(run(["sparseness", *given]).exception)


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
