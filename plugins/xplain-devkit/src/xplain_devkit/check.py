"""check(): run the contract tests of its kind on an installed plugin."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xplain.errors import PluginError, nearest
from xplain.interfaces import Synthesizer
from xplain.registry import registry
from xplain_devkit.rules import (
    explainers,
    groupings,
    metrics,
    replacements,
    segmenters,
    synthesizers,
)
from xplain_devkit.rules.questions import Question
from xplain_devkit.rules.replacements import ReplacementSubject
from xplain_devkit.rules.rule import Case, Outcome, Report, Rule, Subject, examine
from xplain_devkit.toys.models import RATE

RULES: Mapping[str, tuple[Rule, ...]] = {
    "explainer": explainers.RULES,
    "synthesizer": synthesizers.RULES,
    "segmenter": segmenters.RULES,
    "replacement": replacements.RULES,
    "grouping": groupings.RULES,
    "metric": metrics.RULES,
}
"""The rules of each kind, in the order in which they are tried."""


def check(
    kind: str,
    name: str,
    parameters: Mapping[str, object] | None = None,
    case: Case | None = None,
    synthesizer: Synthesizer | None = None,
) -> Report:
    """Run the contract tests on what is registered as ``name``, short or full.

    parameters: what it is made with in place of its defaults, as a codec's weights. case: what
    an explainer is asked about that explains one model alone. synthesizer: whose latents a
    replacement fills that is for these alone, as a trained one. Raises PluginError for a kind
    without rules, and for a name that is unknown or ambiguous; XplainError for a case that
    cannot be asked. What cannot be made is a failed report.
    """
    if kind == "model":
        scheme = name.rpartition("/")[2]
        raise PluginError(
            "no contract for the kind 'model', of which anything may be explained; explain a clip "
            f"with it instead: xplain explain AUDIO --model {scheme}:…"
        )
    if kind not in RULES:
        raise PluginError(f"no contract for the kind {kind!r}; {nearest(kind, RULES)}")
    if case is not None:
        if kind != "explainer":
            raise PluginError(f"a {kind} is tested without a model; leave --model and --audio out")
        Question(case)
    subject = registered(kind, name, parameters, case)
    if synthesizer is not None:
        if kind != "replacement":
            raise PluginError(f"a {kind} is tested in every representation; leave it out")
        subject = ReplacementSubject(kind, subject.make, subject.name, synthesizer=synthesizer)
    try:
        subject.make()
    except PluginError as error:
        cause = Outcome("can-be-made", "failed", f"can-be-made: {error}", 0.0)
        return Report(kind, subject.name or name, (cause,))
    return examine(subject, RULES[kind])


def registered(
    kind: str,
    name: str,
    parameters: Mapping[str, object] | None = None,
    case: Case | None = None,
) -> Subject:
    """What is registered as ``name``, to be made with parameters in place of its defaults."""
    full_name = registry().find(kind, name).full_name

    def make() -> Any:
        given = dict(parameters or {})
        if kind == "synthesizer" and "sample_rate" in registry().parameters(kind, full_name):
            given.setdefault("sample_rate", RATE)
        return registry().create(kind, full_name, given)

    return Subject(kind, make, full_name, case)
