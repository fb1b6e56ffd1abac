"""What looks right and is not is caught by the rule that is meant for it."""

from __future__ import annotations

import pytest
from subtly_wrong import RIGHT_TOO, SUBTLY_WRONG

from xplain_devkit.check import RULES
from xplain_devkit.rules.rule import Broken, Subject, examine

ONES = [
    pytest.param(kind, wrong, rule, id=f"{kind}-{wrong.__name__}")
    for kind, wrongs in SUBTLY_WRONG.items()
    for wrong, rule in wrongs.items()
]


@pytest.mark.parametrize(("kind", "wrong", "rule"), ONES)
def test_each_is_caught_by_the_rule_that_is_meant_for_it(kind: str, wrong: type, rule: str) -> None:
    (asked,) = (r for r in RULES[kind] if r.name == rule)
    with pytest.raises(Broken, match=f"^{rule}: "):
        asked.check(Subject(kind, wrong))


def test_there_are_thirty_and_two_at_least_for_each_rule() -> None:
    assert len(ONES) >= 30
    meant = [rule for wrongs in SUBTLY_WRONG.values() for rule in wrongs.values()]
    general = {"groups-every-element", "remembers-no-clip", "changes-no-input"}
    general.add("draws-from-the-clips-generator-alone")
    assert {rule for rule in meant if meant.count(rule) < 2} <= general


@pytest.mark.parametrize(("kind", "right"), RIGHT_TOO, ids=lambda p: getattr(p, "__name__", p))
def test_what_is_right_passes_them(kind: str, right: type) -> None:
    meant = {rule for rules in SUBTLY_WRONG.values() for rule in rules.values()}
    found = examine(Subject(kind, right), tuple(r for r in RULES[kind] if r.name in meant))
    assert found.verdict == "passed", [o.message for o in found.outcomes if o.state == "failed"]
