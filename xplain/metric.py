"""What a metric is: a pure function of one clip's evidence that says what it means.

A metric is written as a function and declared by a decorator. What it needs are its
positional arguments, by the names of Evidence; what can be set are its keyword-only
arguments. It measures one clip; a data set's value is the mean over its clips, so that no
batch weighs more than another and an undefined clip can be named instead of averaged in.

    @metric(better="lower", range=(0, 100), category="faithfulness", source="…")
    def average_drop(p: float, o: float) -> float:
        return 100 * max(0.0, p - o) / p
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, Literal

from torch import Tensor

from xplain.errors import PluginError, XplainError, nearest
from xplain.interfaces import Score


class Undefined(XplainError):
    """A metric has no value for a clip; the message says why."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Evidence:
    """What is known of one clip's explanation; None is what is not known.

    D channels, N frames, L labels, R ratios. c is the explained label, f the model's
    probabilities: softmax where labels exclude each other, else a sigmoid for each.
    """

    label: int | None = None
    """c, its index."""
    multilabel: bool | None = None
    """Whether labels are independent: decided for from a probability of one half."""
    probabilities: Tensor | None = None
    """f(x), (L,)."""
    p: float | None = None
    """f(x)_c."""
    score: float | None = None
    """The logit that was explained, of the unchanged latents."""
    baseline_score: float | None = None
    """The same of the baseline; over draws of it, their mean."""

    attribution: Tensor | None = None
    """(D, N), signed."""
    latents: Tensor | None = None
    """(D, N)."""
    baseline: Tensor | None = None
    """(D, N), or draws (S, D, N)."""
    randomised: Tensor | None = None
    """(K, D, N): attributions of copies of the model, more of its layers randomised each time."""
    ask: Score | None = None
    """The score of variants (n, D, N): (n,). A metric that needs it costs model evaluations."""
    attribute: Callable[[Tensor], Tensor] | None = None
    """The method itself: other latents (D, N) of the clip → their attribution (D, N)."""

    ratios: Tensor | None = None
    """(R,), ascending shares of the elements, most important first."""
    keep_curve: Tensor | None = None
    """(R,): f_c with only the top of each ratio kept."""
    remove_curve: Tensor | None = None
    """(R,): f_c with the top of each ratio removed."""

    kept: Tensor | None = None
    """f(x_in), (L,): with only the top ρ kept. Known at each ratio, as the next five are."""
    removed: Tensor | None = None
    """f(x_out), (L,): with the top ρ removed."""
    o: float | None = None
    """f(x_in)_c."""
    u: float | None = None
    """f(x_out)_c."""
    reencoded_kept: Tensor | None = None
    """(L,): the model's output for x_in, decoded and re-encoded."""
    reencoded_removed: Tensor | None = None
    """(L,): the same of x_out."""
    round_trip: Tensor | None = None
    """(L,): the model's output for the unchanged latents, decoded and re-encoded."""

    event: Tensor | None = None
    """Bool (N,): the frames in which the annotated event sounds."""
    region: Tensor | None = None
    """Bool (D, N): the elements that belong to it."""

    given: Mapping[str, Any] = field(default_factory=dict)
    """What a metric gathers by itself, by name; see Metric.evidence."""

    def of(self, need: str) -> Any:
        """What is known by a name; None where it is not."""
        return self.given.get(need, getattr(self, need, None))


AT_A_RATIO = frozenset({"kept", "removed", "o", "u", "reencoded_kept", "reencoded_removed"})
"""What is known once for each ratio; a metric that needs it has a value at each."""

KNOWN = tuple(f.name for f in fields(Evidence))


@dataclass(frozen=True)
class Metric:
    """A function with what one has to know to read its value.

    better: "higher" or "lower". range: lowest and highest value. category: what it is
    about (faithfulness, complexity, localisation, robustness, randomisation, proxy, …).
    source: paper and equation. parameters: keyword arguments it is called with. share: whether
    a clip's value is a decision: the highest value where something holds, 0 where not, between
    them only for ties. The mean is then a share of clips, whose interval is Wilson's. evidence: of
    what it needs and Evidence has not, functions of the Explanation, which may raise Undefined.
    """

    function: Callable[..., float]
    better: Literal["higher", "lower"]
    range: tuple[float, float]
    category: str
    source: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    share: bool = False
    evidence: Mapping[str, Callable[[Any], object]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what the benchmark could not supply."""
        for need in self.needs:
            if need not in KNOWN and need not in self.evidence:
                raise PluginError(
                    f"the metric {self.name!r} needs {need!r}, which is not evidence; "
                    f"{nearest(need, KNOWN)}, or evidence= says how it is gathered"
                )
        if self.share and (self.range[0] != 0 or not 0 < self.range[1] < math.inf):
            raise PluginError(
                f"the metric {self.name!r} is a share, whose range is from 0 to 1 or 100, "
                f"not from {self.range[0]:g} to {self.range[1]:g}"
            )

    @property
    def name(self) -> str:
        """The function's name in kebab-case, as it is to be registered."""
        return self.function.__name__.replace("_", "-")

    @property
    def label(self) -> str:
        """Its name with the parameters that were set, as tables list it."""
        if not self.parameters:
            return self.name
        return f"{self.name}({', '.join(f'{k}={v}' for k, v in self.parameters.items())})"

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the evidence it is computed from."""
        return tuple(p.name for p in self._arguments() if p.kind is not p.KEYWORD_ONLY)

    @property
    def settable(self) -> tuple[str, ...]:
        """Names of its parameters."""
        return tuple(p.name for p in self._arguments() if p.kind is p.KEYWORD_ONLY)

    @property
    def at_a_ratio(self) -> bool:
        """Whether it has a value at each ratio, in place of one for the clip."""
        return not AT_A_RATIO.isdisjoint(self.needs)

    @property
    def whole(self) -> float | None:
        """The value of a clip of which something holds; None for what is no share of clips."""
        return self.range[1] if self.share else None

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    def __call__(self, *evidence: Any, **named: Any) -> float:
        """Call the function: evidence in the order of ``needs``, or by name.

        Raises Undefined where there is no value.
        """
        value = float(self.function(*evidence, **{**self.parameters, **named}))
        if not math.isfinite(value):
            raise Undefined(f"{self.name} gave {value}")
        return value

    def measure(self, evidence: Evidence) -> float:
        """Measure one clip. Raises Undefined where evidence is missing or there is no value."""
        if missing := [need for need in self.needs if evidence.of(need) is None]:
            raise Undefined(f"{self.name} does not apply: it needs {', '.join(missing)}")
        return self(*map(evidence.of, self.needs))

    def configured(self, **parameters: object) -> Metric:
        """Set parameters; PluginError for one that the function does not have."""
        for parameter in parameters:
            if parameter not in self.settable:
                raise PluginError(
                    f"metric {self.name!r} has no parameter {parameter!r}; "
                    f"{nearest(parameter, self.settable)}"
                )
        return replace(self, parameters={**self.parameters, **parameters})

    def _arguments(self) -> tuple[inspect.Parameter, ...]:
        return _parameters(self.function)


@cache
def _parameters(function: Callable[..., float]) -> tuple[inspect.Parameter, ...]:
    return tuple(inspect.signature(function).parameters.values())


def metric(
    *,
    better: Literal["higher", "lower"],
    range: tuple[float, float],
    category: str,
    source: str,
    share: bool = False,
    evidence: Mapping[str, Callable[[Any], object]] | None = None,
) -> Callable[[Callable[..., float]], Metric]:
    """Declare a function of one clip's evidence to be a metric; see Metric."""

    def declare(function: Callable[..., float]) -> Metric:
        return Metric(
            function, better, range, category, source, share=share, evidence=evidence or {}
        )

    return declare
