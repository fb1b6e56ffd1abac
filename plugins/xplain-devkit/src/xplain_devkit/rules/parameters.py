"""Rules for the parameters of every kind: they can be recorded and set again."""

from __future__ import annotations

import json

from xplain.errors import PluginError
from xplain.interfaces import Explainer
from xplain.registry import constructor_parameters, interface
from xplain_devkit.rules.rule import Broken, NotApplicable, Rule, Subject, demand


def is_what_its_kind_asks(subject: Subject) -> None:
    """The factory returns an instance of its kind's interface."""
    asked = interface(subject.kind)
    made = subject.make()
    demand(isinstance(made, asked), f"a {type(made).__name__}, not an xplain.{asked.__name__}.")


def comes_back_from_its_description(subject: Subject) -> None:
    """Each parameter is an attribute of the same name, and survives JSON unchanged."""
    made = subject.make()
    described = subject.parameters(made)
    missing = [p for p in constructor_parameters(type(made)) if p not in described]
    demand(not missing, f"no attribute for the parameters {', '.join(missing)}.")
    again = subject.parameters(subject.make_with(json.loads(json.dumps(described))))
    demand(again == described, f"{described} came back as {again}.")


def follows_its_parameters(subject: Subject) -> None:
    """A number that is set is the number that is recorded."""
    made = subject.make()
    changed = 0
    for name, value in subject.parameters(made).items():
        if isinstance(value, bool) or not isinstance(value, int | float) or name == "sample_rate":
            continue
        # A share may have to stay below 1, and a whole number to stay whole.
        another = value + 1 if isinstance(value, int) else 0.75 * value or 0.25
        try:
            other = subject.make_with({**subject.parameters(made), name: another})
        except (PluginError, ValueError):
            continue  # not every number has a neighbour that is allowed
        found = subject.parameters(other)[name]
        demand(found == another, f"{name}={another} is recorded as {found!r}.")
        changed += 1
    if not changed:
        raise NotApplicable("it has no numbers to set")


def refuses_a_parameter_it_does_not_have(subject: Subject) -> None:
    """An unknown parameter raises a PluginError that names it."""
    if subject.name is None:
        raise NotApplicable("only what is registered is made by name")
    try:
        subject.make_with({"no_such_parameter": 1})
    except PluginError as error:
        demand("no_such_parameter" in str(error), f"an error that does not name it: {error}.")
    else:
        raise Broken("it was made all the same.")


def promises_of(made: Explainer) -> float | None:
    """The completeness tolerance; Broken where it is neither a number nor None."""
    tolerance = made.completeness_tolerance
    known = tolerance is None or (
        isinstance(tolerance, int | float) and not isinstance(tolerance, bool)
    )
    demand(known, f"completeness_tolerance is {tolerance!r}, neither a number nor None.")
    return tolerance


RULES = tuple(
    Rule(function)
    for function in (
        is_what_its_kind_asks,
        comes_back_from_its_description,
        follows_its_parameters,
        refuses_a_parameter_it_does_not_have,
    )
)
