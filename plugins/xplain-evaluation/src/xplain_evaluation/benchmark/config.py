"""A benchmark's configuration: models × data × synthesizers × methods × metrics."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from xplain.curves import RATIOS
from xplain.errors import XplainError, nearest
from xplain.job import Settings
from xplain.metric import Metric
from xplain.models import runs_file
from xplain.registry import registry
from xplain.validated import convert, decode_toml
from xplain_evaluation.benchmark.data import Data, Item, Natural, Text, known, sets
from xplain_evaluation.controls import Chance, Loudness
from xplain_evaluation.intervals import DRAWS
from xplain_evaluation.metrics.proxy import EVIDENCE
from xplain_evaluation.structured import CONTROLS as EQUAL

__all__ = ["CONTROLS", "Config", "Data", "Item", "Method", "Representation"]

METRICS = ("fidelity", "removal", "comprehensiveness", "sufficiency", "sparseness", "round-trip")
"""Metrics by default."""
ALWAYS = "round-trip"
"""Always measured, since errors of decoding are no fault of an explanation."""
NAMES = ("grouping", "order", "device")
"""Settings of explain() that are texts."""
FILLED = ("replacement", "baseline")
"""Settings of explain() that are names with parameters."""

Named = Text | dict[str, Any]
"""A name, or a table of a name, parameters and, in lists, a label."""
Ratio = Annotated[float, msgspec.Meta(ge=0, le=1)]
Seed = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Table(msgspec.Struct, frozen=True):
    """Schema of the TOML file; see Config."""

    models: list[Text]
    data: list[dict[str, Any]]
    explainers: list[Named]
    synthesizers: list[Named] | UnsetType = UNSET
    metrics: list[Named] | UnsetType = UNSET
    ratios: list[Ratio] | UnsetType = UNSET
    target: str | UnsetType = UNSET
    rank_by: str | UnsetType = UNSET
    seed: int | UnsetType = UNSET
    draws: int | UnsetType = UNSET
    check: bool | UnsetType = UNSET
    sanity: bool | UnsetType = UNSET
    controls: list[Text] | UnsetType = UNSET
    judge: Text | UnsetType = UNSET
    grouping: Text | UnsetType = UNSET
    order: Text | UnsetType = UNSET
    device: Text | UnsetType = UNSET
    replacement: Named | UnsetType = UNSET
    baseline: Named | UnsetType = UNSET
    max_batch: Natural | UnsetType = UNSET


class Values(msgspec.Struct, frozen=True):
    """Constraints on a Config's values, from a file or from Python."""

    models: list[Text]
    synthesizers: list[Text | None]
    ratios: list[Ratio]
    target: Literal["prediction", "label"]
    rank_by: str
    seed: Seed
    draws: Natural
    check: bool
    sanity: bool
    controls: list[Text]


@dataclass(frozen=True)
class Method:
    """A row of the table: a label, and an explainer by name with parameters, or itself."""

    label: str
    explainer: Any
    params: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Representation:
    """What is attributed in: a label, and a synthesizer by name with parameters.

    synthesizer: None for what the model reads, or stft.
    """

    label: str
    synthesizer: str | None = None
    params: Mapping[str, object] = field(default_factory=dict)


CONTROLS = (Method("random", Chance()), Method("loudness", Loudness()))
"""Controls of every table: a random one, and one that sees the clip but not the model."""


@dataclass(frozen=True)
class Config:
    """A benchmark.

    models: references. synthesizers: names, or with parameters; None for what the model reads,
    or stft. ratios: of the curves, ascending. target: "prediction" (the model's own) or "label"
    (the annotated one). settings: those of explain() that are the same for all. rank_by: the
    metric that orders the table; default: the first. draws: bootstrap resamples. check:
    whether check() judges every explanation. sanity: whether each method is put to the
    sanity checks, on the first two clips of the data. controls: what each method is compared
    with at equal energy, by names of xplain_evaluation.structured. judge: reference of another
    model of the same task, of which is measured what is measured of the model.
    """

    models: tuple[str, ...]
    data: tuple[Data, ...]
    explainers: tuple[Method, ...]
    synthesizers: tuple[str | Representation | None, ...] = (None,)
    metrics: tuple[Metric, ...] = ()
    ratios: tuple[float, ...] = RATIOS
    target: str = "prediction"
    settings: Settings = field(default_factory=lambda: Settings())
    rank_by: str = ""
    seed: int = 0
    draws: int = DRAWS
    check: bool = False
    sanity: bool = False
    controls: tuple[str, ...] = tuple(EQUAL)
    judge: str | None = None

    def __post_init__(self) -> None:
        """Validate the values and add what is always measured."""
        for name in ("models", "data", "explainers", "synthesizers", "ratios"):
            if not getattr(self, name):
                raise XplainError(f"a benchmark needs {name}; name at least one")
        self._check_values()
        metrics = list(self.metrics or map(_metric, METRICS))
        if ALWAYS not in (m.name for m in metrics):
            metrics.append(_metric(ALWAYS))
        for metric in metrics:
            if absent := EVIDENCE.keys() & set(metric.needs):
                raise XplainError(
                    f"the metric {metric.name!r} does not apply: it needs "
                    f"{', '.join(sorted(absent))}, which a proxy model has and an explanation "
                    "has not; leave it out"
                )
        labels = [metric.label for metric in metrics]
        _once("metrics", labels, "leave one out, or set its parameters")
        if self.rank_by and self.rank_by not in labels:
            raise XplainError(f"cannot rank by {self.rank_by!r}; {nearest(self.rank_by, labels)}")
        _check_methods(self.explainers)
        named = {method.label for method in self.explainers}
        controls = [control for control in CONTROLS if control.label not in named]
        object.__setattr__(self, "metrics", tuple(metrics))
        object.__setattr__(self, "explainers", (*self.explainers, *controls))
        object.__setattr__(self, "rank_by", self.rank_by or labels[0])

    @property
    def representations(self) -> tuple[Representation, ...]:
        """The synthesizers with their labels; no label for what the model reads."""
        return tuple(
            one if isinstance(one, Representation) else Representation(one or "", one)
            for one in self.synthesizers
        )

    def _check_values(self) -> None:
        """Refuse values of a wrong type, out of range or repeated."""
        names = ("models", "ratios", "target", "rank_by", "seed", "draws", "check", "sanity")
        values = {name: getattr(self, name) for name in (*names, "controls")}
        synthesizers = [representation.synthesizer for representation in self.representations]
        convert("the benchmark", values | {"synthesizers": synthesizers}, Values)
        if list(self.ratios) != sorted(set(self.ratios)):
            raise XplainError(f"ratios ascend, each only once, not {list(self.ratios)}")
        for control in self.controls:
            if control not in EQUAL:
                raise XplainError(f"no control {control!r}; {nearest(control, EQUAL)}")
        _once("models", self.models, "leave one out")
        _once("controls", self.controls, "leave one out")
        labels = [representation.label for representation in self.representations]
        _once("synthesizers", labels, "leave one out, or give it another label")
        _once("data", [data.name for data in self.data], "give one of them another name")

    @classmethod
    def load(cls, path: str | Path, *, allow_code: bool = False) -> Config:
        """Read a TOML file; see docs/metrics.md. Raises XplainError for what is wrong in it.

        allow_code: whether its models may be FILE.py:FACTORY, which runs that file. A TOML file
        may come from anybody, so it is refused otherwise.
        """
        path = Path(path)
        table = decode_toml(path, dict[str, Any])
        try:
            config = cls.read(table, path.parent)
        except XplainError as error:
            raise type(error)(f"{path}: {error}") from error
        named = [*config.models, *filter(None, [config.judge])]
        for model in filter(runs_file, () if allow_code else named):
            raise XplainError(
                f"{path}: the model {model!r} would run that file; give --allow-code where you "
                "trust it"
            )
        return config

    @classmethod
    def read(cls, table: Mapping[str, Any], home: Path) -> Config:
        """Read what a TOML file holds; paths in it are taken from ``home``."""
        known(table, Table.__struct_fields__, "the benchmark")
        given = convert("the benchmark", table, Table)
        own: dict[str, Any] = {
            "models": tuple(given.models),
            "data": tuple(data for entry in given.data for data in sets(entry, home)),
            "explainers": tuple(map(_method, given.explainers)),
            "metrics": tuple(map(_metric, () if given.metrics is UNSET else given.metrics)),
        }
        if given.synthesizers is not UNSET:
            own["synthesizers"] = tuple(map(_representation, given.synthesizers))
        for name in ("ratios", "controls"):
            if (values := getattr(given, name)) is not UNSET:
                own[name] = tuple(values)
        for name in ("target", "rank_by", "seed", "draws", "check", "sanity", "judge"):
            if (value := getattr(given, name)) is not UNSET:
                own[name] = value
        settings: Any = {
            name: value
            for name in (*NAMES, "max_batch")
            if (value := getattr(given, name)) is not UNSET
        }
        for name in FILLED:
            if (entry := getattr(given, name)) is not UNSET:
                named, params = _named(entry, f"a {name}")
                settings |= {name: named, f"{name}_params": params}
        return cls(**own, settings=settings)


def _named(entry: str | dict[str, Any], what: str) -> tuple[str, dict[str, Any]]:
    """A name and its parameters."""
    if isinstance(entry, str):
        return entry, {}
    name, params = entry.get("name"), {k: v for k, v in entry.items() if k != "name"}
    if not isinstance(name, str) or not name:
        raise XplainError(f"{what} is a name, or a table with a name and parameters, not {entry!r}")
    for parameter, value in params.items():
        if isinstance(value, datetime.date | datetime.time):
            raise XplainError(
                f"{parameter} of {what} {name!r} is a date or a time, {value}; write it in quotes"
            )
    return name, params


def _labelled(entry: str | dict[str, Any], what: str) -> tuple[str, str, dict[str, Any]]:
    """A label, by default the name; the name; its parameters."""
    name, params = _named(entry, what)
    label = convert(f"label of {what} {name!r}", params.pop("label", name), Text)
    return label, name, params


def _method(entry: str | dict[str, Any]) -> Method:
    label, name, params = _labelled(entry, "an explainer")
    registry().find("explainer", name)
    return Method(label, name, params)


def _representation(entry: str | dict[str, Any]) -> str | Representation:
    """A synthesizer, with its parameters where it has some."""
    return entry if isinstance(entry, str) else Representation(*_labelled(entry, "a synthesizer"))


def _metric(entry: str | dict[str, Any]) -> Metric:
    name, params = _named(entry, "a metric")
    metric: Metric = registry().create("metric", name, params)
    return metric


def _check_methods(methods: Sequence[Method]) -> None:
    """Refuse repeated labels, and methods labelled like a control."""
    _once("explainers", [method.label for method in methods], "give one of them another label")
    for method in methods:
        for control in CONTROLS:
            own = isinstance(method.explainer, type(control.explainer))
            if method.label == control.label and not own:
                raise XplainError(
                    f"the label {method.label!r} is that of a control, which is in every table; "
                    "give the explainer another label"
                )


def _once(what: str, names: Iterable[str | None], advice: str) -> None:
    """Refuse a repeated name, since it identifies results."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise XplainError(f"two {what} have the same name, {twice[0]!r}; {advice}")
