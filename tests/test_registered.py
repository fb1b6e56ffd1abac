"""What every registered plugin has to do, whoever wrote it; found by entry point."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from toys import RATE, Convolutions, tone

import xplain
from xplain.registry import registry
from xplain_devkit.check import RULES, registered
from xplain_devkit.rules.replacements import ReplacementSubject
from xplain_devkit.rules.rule import NotApplicable, Rule, Subject


def names(kind: str) -> list[str]:
    return [p.full_name for p in xplain.list_plugins() if p.kind == kind]


def can_be_made(kind: str, name: str) -> bool:
    """Whether it needs nothing that only its user has: weights, a recording."""
    try:
        registered(kind, name).make()
    except xplain.PluginError:
        return False
    return True


SUBJECTS = {
    (kind, name): registered(kind, name)
    for kind in RULES
    for name in names(kind)
    if can_be_made(kind, name)
}


def made_here(kind: str) -> list[str]:
    return [name for k, name in SUBJECTS if k == kind]


def keeps(subject: Subject, rule: Rule) -> None:
    try:
        rule.check(subject)
    except NotApplicable as reason:
        pytest.skip(str(reason))


def test_no_plugin_of_this_project_failed() -> None:
    assert [p for p in xplain.list_plugins() if p.state == "failed"] == []
    for kind in ("explainer", "synthesizer", "replacement", "metric", "model"):
        assert names(kind)


@pytest.mark.parametrize(
    ("kind", "name", "rule"),
    [
        pytest.param(kind, name, rule, id=f"{kind}-{name}-{rule.name}")
        for kind, name in SUBJECTS
        for rule in RULES[kind]
    ],
)
def test_a_registered_plugin_keeps_the_rules_of_its_kind(kind: str, name: str, rule: Rule) -> None:
    keeps(SUBJECTS[kind, name], rule)


@pytest.mark.parametrize(
    ("kind", "name"), [(k, n) for k in RULES for n in names(k) if (k, n) not in SUBJECTS]
)
def test_what_needs_something_of_its_user_says_what(kind: str, name: str) -> None:
    with pytest.raises(xplain.PluginError, match=r"give \w+= "):
        registered(kind, name).make()


@pytest.mark.parametrize("rule", RULES["replacement"], ids=lambda rule: rule.name)
@pytest.mark.parametrize("synthesizer", made_here("synthesizer"))
@pytest.mark.parametrize("name", made_here("replacement"))
def test_a_replacement_keeps_its_rules_in_every_representation(
    name: str, synthesizer: str, rule: Rule
) -> None:
    make, made = SUBJECTS["replacement", name].make, SUBJECTS["synthesizer", synthesizer].make()
    keeps(ReplacementSubject("replacement", make, name, synthesizer=made), rule)


@pytest.mark.parametrize("name", made_here("explainer") + made_here("replacement"))
def test_an_instance_is_described_by_the_name_it_is_registered_under(name: str) -> None:
    kind = next(p.kind for p in xplain.list_plugins() if p.full_name == name)
    made = registry().create(kind, name, {})
    described = registry().describe(kind, made)
    # The zoo gives weights to the in-painter of xplain-codecs, which is what is recorded.
    assert described["name"] == name.replace("xplain-zoo/zoo-", "xplain-codecs/")
    again = registry().create(kind, name, described["parameters"])
    assert registry().describe(kind, again) == described


@pytest.mark.parametrize("explainer", made_here("explainer"))
@pytest.mark.parametrize("synthesizer", made_here("synthesizer"))
def test_any_explainer_works_in_any_synthesizer_or_says_why_not(
    explainer: str, synthesizer: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = xplain.wrap(Convolutions(), sample_rate=RATE, labels=[*"abc"])
    clip = tone(440, 0.05)
    try:
        e = xplain.explain(clip, model, explainer=explainer, synthesizer=synthesizer)
    except xplain.XplainError as refusal:
        assert refusal.__cause__ is None or isinstance(refusal.__cause__, xplain.XplainError)
        pytest.skip(str(refusal))
    loaded = xplain.Explanation.load(e.save(tmp_path / "clip"))
    assert len(loaded.keep(0.1)) == len(clip)
    assert torch.equal(loaded.attribution, e.attribution)
