"""The contracts as test classes for pytest: one test for each rule.

    class TestMyMethod(ExplainerContract):
        name = "my-method"

Here ``name`` is what is registered. For what is not registered, or needs other parameters
than its defaults, override make():

    class TestSteps(ExplainerContract):
        def make(self):
            return MyMethod(steps=200)

For a method that explains one model alone, as one that is trained on it, override case() too.
"""

from __future__ import annotations

from functools import cache
from operator import attrgetter
from typing import Any, ClassVar

import pytest

from xplain_devkit.check import RULES, registered
from xplain_devkit.rules.rule import Case, NotApplicable, Rule, Subject

one = cache(registered)
"""One subject for all rules, so that its properties are computed once."""


class Contract:
    """What the contracts have in common; use that of your kind."""

    kind: ClassVar[str]
    name: ClassVar[str]

    def make(self) -> Any:
        """Make a new instance, by default of what is registered as ``name``."""
        return one(self.kind, self.name).make()

    def case(self) -> Case | None:
        """The model and the clip that an explainer is asked about, if it takes no other."""
        return None

    def subject(self) -> Subject:
        """What the rules are tested on."""
        if type(self).make is Contract.make and type(self).case is Contract.case:
            return one(self.kind, self.name)
        return Subject(self.kind, self.make, case=self.case())

    def hold(self, rule: Rule) -> None:
        """Fail where a rule is broken; skip where there is nothing to check."""
        try:
            rule.check(self.subject())
        except NotApplicable as reason:
            pytest.skip(str(reason))


class ExplainerContract(Contract):
    """What an explainer has to do."""

    kind = "explainer"

    @pytest.mark.parametrize("rule", RULES[kind], ids=attrgetter("name"))
    def test_keeps_the_rule(self, rule: Rule) -> None:
        """One test for each rule of explainers."""
        self.hold(rule)


class SynthesizerContract(Contract):
    """What a synthesizer has to do."""

    kind = "synthesizer"

    @pytest.mark.parametrize("rule", RULES[kind], ids=attrgetter("name"))
    def test_keeps_the_rule(self, rule: Rule) -> None:
        """One test for each rule of synthesizers."""
        self.hold(rule)


class SegmenterContract(Contract):
    """What a segmenter has to do."""

    kind = "segmenter"

    @pytest.mark.parametrize("rule", RULES[kind], ids=attrgetter("name"))
    def test_keeps_the_rule(self, rule: Rule) -> None:
        """One test for each rule of segmenters."""
        self.hold(rule)


class ReplacementContract(Contract):
    """What a replacement has to do."""

    kind = "replacement"

    @pytest.mark.parametrize("rule", RULES[kind], ids=attrgetter("name"))
    def test_keeps_the_rule(self, rule: Rule) -> None:
        """One test for each rule of replacements."""
        self.hold(rule)


class GroupingContract(Contract):
    """What a grouping has to do."""

    kind = "grouping"

    @pytest.mark.parametrize("rule", RULES[kind], ids=attrgetter("name"))
    def test_keeps_the_rule(self, rule: Rule) -> None:
        """One test for each rule of groupings."""
        self.hold(rule)


class MetricContract(Contract):
    """What a metric has to do."""

    kind = "metric"

    @pytest.mark.parametrize("rule", RULES[kind], ids=attrgetter("name"))
    def test_keeps_the_rule(self, rule: Rule) -> None:
        """One test for each rule of metrics."""
        self.hold(rule)
