"""What is measured: models × data × synthesizers × methods × metrics, from TOML or Python."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from xplain.curves import RATIOS
from xplain.errors import XplainError, nearest
from xplain.intervals import DRAWS
from xplain.job import Settings
from xplain.metric import Metric
from xplain.models import runs_file
from xplain.registry import registry
from xplain_evaluation.benchmark.data import Data, Item, known, listed, text, whole
from xplain_evaluation.controls import Chance, Loudness

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["CONTROLS", "Config", "Data", "Item", "Method", "Representation"]

METRICS = ("fidelity", "removal", "comprehensiveness", "sufficiency", "sparseness", "round-trip")
"""Where none are named."""
ALWAYS = "round-trip"
"""Measured whatever is asked, since what decoding costs is no fault of an explanation."""
UNAVAILABLE = {
    "truth",
    "teacher",
    "proxy",
    "proxy_without",
    "logits",
    "logits_without",
    "spectrum",
    "reconstruction",
    "activations",
}
"""Evidence of proxy models, which no explanation of a clip has."""
NAMES = ("grouping", "order", "device")
"""Settings of explain() that are texts."""
FILLED = ("replacement", "baseline")
"""Settings of explain() that are names with parameters."""
REQUIRED = ("models", "data", "explainers")
LISTS = (*REQUIRED, "synthesizers", "metrics", "ratios")
SETTINGS = (*NAMES, *FILLED, "max_batch")


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
"""In every table: what knows nothing, and what knows the clip but not the model."""


@dataclass(frozen=True)
class Config:
    """A benchmark.

    models: references. synthesizers: names, or with parameters; None for what the model reads,
    or stft. ratios: of the curves, ascending. target: "prediction" (the model's own) or "label"
    (the annotated one). settings: those of explain() that are the same for all. rank_by: the
    metric that orders the table; default: the first. draws: bootstrap resamples. check:
    whether check() judges every explanation. sanity: whether each method is put to the
    sanity checks, on the first two clips of the data.
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

    def __post_init__(self) -> None:
        """Refuse what cannot be measured, and complete what is always measured."""
        for name in ("models", "data", "explainers", "synthesizers", "ratios"):
            if not getattr(self, name):
                raise XplainError(f"a benchmark needs {name}; name at least one")
        self._check_values()
        metrics = list(self.metrics or map(_metric, METRICS))
        if ALWAYS not in (m.name for m in metrics):
            metrics.append(_metric(ALWAYS))
        for metric in metrics:
            if absent := UNAVAILABLE.intersection(metric.needs):
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
        """Refuse values that have the wrong type, lie outside of their range or come twice."""
        for model in self.models:
            text("each of the models", model)
        for representation in self.representations:
            if representation.synthesizer is not None:
                text("each of the synthesizers", representation.synthesizer)
        for ratio in self.ratios:
            number = isinstance(ratio, int | float) and not isinstance(ratio, bool)
            if not number or not 0 <= ratio <= 1:
                raise XplainError(f"ratios lie between 0 and 1, not at {ratio!r}; 0.1 is a tenth")
        if list(self.ratios) != sorted(set(self.ratios)):
            raise XplainError(f"ratios ascend, each only once, not {list(self.ratios)}")
        if self.target not in ("prediction", "label"):
            raise XplainError(f"a target is 'prediction' or 'label', not {self.target!r}")
        if not isinstance(self.rank_by, str):
            raise XplainError(f"rank_by is the name of a metric in quotes, not {self.rank_by!r}")
        whole("seed", self.seed, 0)
        whole("draws", self.draws, 1)
        for name in ("check", "sanity"):
            if not isinstance(value := getattr(self, name), bool):
                raise XplainError(f"{name} is true or false, without quotes, not {value!r}")
        _once("models", self.models, "leave one out")
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
        try:
            table = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise XplainError(f"{path} cannot be read as TOML: {error}") from error
        try:
            config = cls.read(table, path.parent)
        except XplainError as error:
            raise type(error)(f"{path}: {error}") from error
        for model in filter(runs_file, () if allow_code else config.models):
            raise XplainError(
                f"{path}: the model {model!r} would run that file; give --allow-code where you "
                "trust it"
            )
        return config

    @classmethod
    def read(cls, table: Mapping[str, Any], home: Path) -> Config:
        """Read what a TOML file holds; paths in it are taken from ``home``."""
        own = [f.name for f in fields(cls) if f.name != "settings"]
        known(table, (*own, *SETTINGS), "the benchmark")
        given = {name: table[name] for name in own if name in table}
        for name in LISTS:
            if name in given or name in REQUIRED:
                given[name] = tuple(listed(name, given.get(name), "the benchmark"))
        given["data"] = tuple(Data.read(entry, home) for entry in given["data"])
        given["explainers"] = tuple(map(_method, given["explainers"]))
        given["metrics"] = tuple(map(_metric, given.get("metrics", ())))
        if "synthesizers" in given:
            given["synthesizers"] = tuple(map(_representation, given["synthesizers"]))
        settings: Any = {name: text(name, table[name]) for name in NAMES if name in table}
        for name in FILLED:
            if name in table:
                named, params = _named(table[name], f"a {name}")
                settings |= {name: named, f"{name}_params": params}
        if "max_batch" in table:
            settings["max_batch"] = whole("max_batch", table["max_batch"], 1)
        return cls(**given, settings=settings)


def _named(entry: object, what: str) -> tuple[str, dict[str, Any]]:
    """A name, or a table of a name and parameters."""
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
        return entry["name"], {k: v for k, v in entry.items() if k != "name"}
    raise XplainError(f"{what} is a name, or a table with a name and parameters, not {entry!r}")


def _method(entry: object) -> Method:
    name, params = _named(entry, "an explainer")
    label = text(f"label of the explainer {name!r}", params.pop("label", name))
    registry().find("explainer", name)
    return Method(label, name, params)


def _representation(entry: Any) -> Any:
    """A synthesizer with parameters; what is no table is looked at with the other values."""
    if not isinstance(entry, Mapping):
        return entry
    name, params = _named(entry, "a synthesizer")
    label = text(f"label of the synthesizer {name!r}", params.pop("label", name))
    return Representation(label, name, params)


def _metric(entry: object) -> Metric:
    name, params = _named(entry, "a metric")
    metric: Metric = registry().create("metric", name, params)
    return metric


def _check_methods(methods: Sequence[Method]) -> None:
    """Refuse labels that come twice, or say of a method that it is a control."""
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
    """Refuse a name that comes twice, since results are told apart by it."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise XplainError(f"two {what} have the same name, {twice[0]!r}; {advice}")
