"""Rules, their outcomes and the report that a contract gives.

A rule is a function of a Subject. Its docstring states the requirement in one sentence; it
returns if the subject meets it, raises Broken if not, and NotApplicable if there is
nothing to check.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from torch import Tensor

from xplain.interfaces import Synthesizer
from xplain.models import Model
from xplain.registry import registry

State: TypeAlias = Literal["passed", "failed", "not applicable"]


class Broken(AssertionError):
    """A rule is not kept; the message says what was found instead."""


class NotApplicable(Exception):
    """A rule has nothing to check here; the message says why."""


@dataclass(frozen=True, eq=False)
class Case:
    """What an explainer is asked about: a model and a clip, (samples,) at the synthesizer's rate.

    label: the one that is explained; None for the model's own decision.
    """

    model: Model
    synthesizer: Synthesizer
    waveform: Tensor
    label: str | None = None


@dataclass(frozen=True)
class Subject:
    """What the rules are tested on: something that each rule makes anew.

    make: gives a new instance with its default parameters. name: under which it is
    registered; None for what is not. case: for an explainer of one model alone, as one that is
    trained on it; None for one that explains the models made here.
    """

    kind: str
    make: Callable[[], Any]
    name: str | None = None
    case: Case | None = None

    def parameters(self, made: object) -> dict[str, Any]:
        """The parameters of an instance, as provenance writes them down."""
        plugin = None if self.name is None else registry().find(self.kind, self.name)
        described = registry().describe(self.kind, made, plugin)
        return dict(described["parameters"])

    def make_with(self, parameters: Mapping[str, object]) -> Any:
        """Make one with these parameters."""
        if self.name is None:
            return type(self.make())(**parameters)
        return registry().create(self.kind, self.name, parameters)


@dataclass(frozen=True)
class Rule:
    """A named demand; the function checks it."""

    function: Callable[[Subject], None]

    @property
    def name(self) -> str:
        """The function's name in kebab-case."""
        return self.function.__name__.replace("_", "-")

    @property
    def demand(self) -> str:
        """What is demanded, in a sentence."""
        return " ".join((self.function.__doc__ or "").split())

    def check(self, subject: Subject) -> None:
        """Return where the rule is kept.

        Raises Broken, whose message names the rule, also where the subject fails with an
        error of its own; NotApplicable where there is nothing to check.
        """
        try:
            self.function(subject)
        except NotApplicable:
            raise
        except Broken as broken:
            raise Broken(f"{self.name}: {self.demand} Found: {broken}") from broken.__cause__
        except (Exception, SystemExit) as error:
            raise Broken(
                f"{self.name}: {self.demand} Found: {type(error).__name__}: {error}"
            ) from error


@dataclass(frozen=True)
class Outcome:
    """What one rule found, and how long that took."""

    rule: str
    state: State
    message: str
    seconds: float


@dataclass(frozen=True)
class Report:
    """What all rules of a kind found of one subject."""

    kind: str
    name: str
    outcomes: tuple[Outcome, ...]

    @property
    def verdict(self) -> Literal["passed", "failed"]:
        """ "failed" where one rule is broken, or where none applied."""
        states = {outcome.state for outcome in self.outcomes}
        return "passed" if "passed" in states and "failed" not in states else "failed"

    @property
    def failed(self) -> tuple[str, ...]:
        """Names of the rules that are broken."""
        return tuple(o.rule for o in self.outcomes if o.state == "failed")

    @property
    def seconds(self) -> float:
        """How long all rules took."""
        return sum(outcome.seconds for outcome in self.outcomes)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it: kind, name, verdict, seconds, outcomes."""
        return {
            "kind": self.kind,
            "name": self.name,
            "verdict": self.verdict,
            "seconds": round(self.seconds, 3),
            "outcomes": [asdict(outcome) for outcome in self.outcomes],
        }


def examine(subject: Subject, rules: Sequence[Rule]) -> Report:
    """Test a subject by every rule, also after one is broken."""
    outcomes = []
    for rule in rules:
        start = time.perf_counter()
        state: State = "passed"
        message = ""
        try:
            rule.check(subject)
        except Broken as broken:
            state, message = "failed", str(broken)
        except NotApplicable as reason:
            state, message = "not applicable", str(reason)
        outcomes.append(Outcome(rule.name, state, message, time.perf_counter() - start))
    return Report(subject.kind, subject.name or "unregistered", tuple(outcomes))


def demand(kept: bool, found: str) -> None:
    """Raise Broken, saying what was found, unless kept."""
    if not kept:
        raise Broken(found)
