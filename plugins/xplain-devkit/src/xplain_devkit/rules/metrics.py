"""Rules for metrics: what they declare and return, and what they must not change."""

from __future__ import annotations

import inspect
import json
import math
from dataclasses import fields, replace
from functools import cache

import torch
from torch import Tensor

from xplain.borrowing import seeded
from xplain.errors import PluginError, XplainError
from xplain.explaining import explain
from xplain.explanation import Explanation
from xplain.metric import Evidence, Metric, Undefined
from xplain_devkit.rules.rule import Broken, NotApplicable, Rule, Subject, demand
from xplain_devkit.rules.state import changed, copied
from xplain_devkit.toys.evidence import evidence, extremes
from xplain_devkit.toys.models import RATE, Levels, Nothing, noise
from xplain_evaluation.controls import Chance
from xplain_evaluation.planted.planted import planted_model

CLIPS = 5


def is_a_declared_function(subject: Subject) -> None:
    """It is declared by xplain.metric.metric and registered by its name."""
    made = subject.make()
    demand(isinstance(made, Metric), f"a {type(made).__name__}.")
    if subject.name is not None:
        registered = subject.name.rpartition("/")[2]
        demand(made.name == registered, f"the function {made.name} registered as {registered}.")


def says_how_to_read_it(subject: Subject) -> None:
    """It declares its direction, range, category, source and summary."""
    made = subject.make()
    low, high = made.range
    demand(made.better in ("higher", "lower"), f"better = {made.better!r}.")
    demand(low < high, f"range = {made.range!r}.")
    for name in ("category", "source", "summary"):
        demand(bool(str(getattr(made, name)).strip()), f"no {name}.")


def gives_a_value_in_its_range(subject: Subject) -> None:
    """The value of every clip, of edge cases too, is in the declared range."""
    made = subject.make()
    low, high = made.range
    usual = [value(made, evidence(seed)) for seed in range(CLIPS)]
    if all(each is None for each in usual):
        raise Broken(f"no value for any of {CLIPS} clips of which everything is known.")
    for each in (*usual, *(value(made, odd) for _, odd in extremes())):
        if each is not None:
            demand(low <= each <= high, f"{each:g}, outside {low:g} … {high:g}.")


def gives_a_python_float(subject: Subject) -> None:
    """The value is a Python float, not a tensor (which holds memory) or a bool."""
    made = subject.make()
    for seed in range(CLIPS):
        known = gathered(made, evidence(seed))
        if value(made, known) is None:
            continue
        with seeded(0, torch.device("cpu")):
            # The function itself: Metric makes a float of whatever it gives.
            found = made.function(*map(known.of, made.needs), **made.parameters)
        demand(isinstance(found, float), f"a {type(found).__name__}; return float(…).")


def says_undefined_instead_of_nan(subject: Subject) -> None:
    """It raises Undefined instead of returning NaN."""
    made = subject.make()
    for name, odd in extremes():
        try:
            # The function itself: Metric raises Undefined for a NaN in its place.
            found = made.function(*map(gathered(made, odd).of, made.needs), **made.parameters)
        except XplainError:
            continue
        demand(not math.isnan(found), f"NaN for {name}.")


def is_undefined_without_its_evidence(subject: Subject) -> None:
    """It raises Undefined if its evidence is missing."""
    made = subject.make()
    if not made.needs:
        raise Broken("a metric that needs no evidence.")
    try:
        found = made.measure(Evidence())
    except Undefined:
        return
    raise Broken(f"{found:g}.")


def is_pure(subject: Subject) -> None:
    """The value depends on the evidence and the seed only."""
    made = subject.make()
    found = [value(made, evidence()), value(subject.make(), evidence())]
    value(made, evidence(3))
    found.append(value(made, evidence()))
    demand(len(set(found)) == 1, f"the values {', '.join(map(str, found))} of the same clip.")


def changes_no_evidence(subject: Subject) -> None:
    """It does not change the evidence."""
    made = subject.make()
    known = gathered(made, evidence())
    held = {**{f.name: getattr(known, f.name) for f in fields(known)}, **known.given}
    tensors = {name: each for name, each in held.items() if isinstance(each, Tensor)}
    before = copied(tensors)
    value(made, known)
    other = changed(before, tensors)
    demand(not other, f"another {' and '.join(other)}.")


def leaves_grad_mode_as_it_was(subject: Subject) -> None:
    """It restores torch's gradient mode."""
    made = subject.make()
    for on in (True, False):
        with torch.set_grad_enabled(on):
            value(made, evidence())
            after = torch.is_grad_enabled()
        demand(after == on, f"on={after} after on={on}.")


def comes_back_from_its_description(subject: Subject) -> None:
    """Its parameters survive JSON, and a metric made from them gives the same value."""
    made = subject.make()
    signature = inspect.signature(made.function).parameters
    parameters = {name: signature[name].default for name in made.settable} | dict(made.parameters)
    if not parameters:
        raise NotApplicable("it has no parameters")
    again = made.configured(**json.loads(json.dumps(parameters)))
    one, other = value(made, evidence()), value(again, evidence())
    demand(one == other, f"{one} before and {other} after.")


def refuses_a_parameter_it_does_not_have(subject: Subject) -> None:
    """An unknown parameter raises a PluginError that names it."""
    try:
        subject.make().configured(no_such_parameter=1)
    except PluginError as error:
        demand("no_such_parameter" in str(error), f"an error that does not name it: {error}.")
    else:
        raise Broken("it was taken.")


def value(made: Metric, known: Evidence) -> float | None:
    """The value of a clip with a fixed seed; None if undefined."""
    known = gathered(made, known)
    missing = [need for need in made.needs if known.of(need) is None]
    if missing:
        raise NotApplicable(f"no {' and no '.join(missing)} is made here")
    try:
        with seeded(0, torch.device("cpu")):
            return made.measure(known)
    except XplainError:  # Undefined, or evidence that it refuses
        return None


def gathered(made: Metric, known: Evidence) -> Evidence:
    """The evidence, with what the metric gathers by itself and is not made here.

    That is of an explanation of noise; NotApplicable where it takes another kind of explanation.
    """
    asked = {name: gather for name, gather in made.evidence.items() if known.of(name) is None}
    try:
        found = {name: gather(explained()) for name, gather in asked.items()}
    except XplainError as error:
        raise NotApplicable(f"it gathers nothing of an explanation of noise: {error}") from error
    return replace(known, given={**known.given, **found})


@cache
def explained() -> Explanation:
    """An explanation of noise in a toy's latents."""
    return explain(
        noise(RATE),
        planted_model(RATE),
        sample_rate=RATE,
        synthesizer=Levels(),
        explainer=Chance(),
        replacement=Nothing(),
    )


RULES = tuple(
    Rule(function)
    for function in (
        is_a_declared_function,
        says_how_to_read_it,
        gives_a_value_in_its_range,
        gives_a_python_float,
        says_undefined_instead_of_nan,
        is_undefined_without_its_evidence,
        is_pure,
        changes_no_evidence,
        leaves_grad_mode_as_it_was,
        comes_back_from_its_description,
        refuses_a_parameter_it_does_not_have,
    )
)
