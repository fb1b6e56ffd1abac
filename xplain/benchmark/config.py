"""What is measured: models × data × synthesizers × methods × metrics, from TOML or Python."""

from __future__ import annotations

import csv
import glob
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from xplain.audio import Audio, from_tensor
from xplain.errors import XplainError, nearest
from xplain.metrics.controls import Chance, Loudness
from xplain.metrics.curves import RATIOS
from xplain.metrics.event import Event
from xplain.metrics.intervals import DRAWS
from xplain.metrics.metric import Metric
from xplain.registry import registry
from xplain.selection import checked_ratio
from xplain.settings import Settings
from xplain.testing.planted import PlantedClip, planted_clips

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

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
SOURCES = ("files", "manifest", "planted")
SETTINGS = ("replacement", "baseline", "granularity", "order", "device", "max_batch")


@dataclass(frozen=True)
class Item:
    """A clip: a file or samples, its annotated label (None: not known), the event marked in it."""

    audio: Path | Audio
    label: str | None = None
    event: Event | None = None

    @property
    def name(self) -> str:
        """As tables list it."""
        return self.audio.name


@dataclass(frozen=True)
class Data:
    """A named set of clips."""

    name: str
    items: tuple[Item, ...]

    @classmethod
    def read(cls, table: Mapping[str, Any], home: Path) -> Data:
        """Read one [[data]] table; paths are taken from ``home``.

        planted: how many clips with a planted cue, see xplain.testing.planted; or files:
        names or patterns; or manifest: a CSV with a column path, from its folder, and
        where there are such a label, start and end (seconds), low and high (Hz). where:
        columns and the values they must have. every: only every so-manieth clip.
        """
        _known(table, ("name", *SOURCES, "where", "every"), "[[data]]")
        name = table.get("name")
        if not isinstance(name, str) or sum(source in table for source in SOURCES) != 1:
            raise XplainError("a [[data]] table needs a name, and one of files, manifest, planted")
        if "planted" in table:
            items = [_planted(n, c) for n, c in enumerate(planted_clips(table["planted"], 0))]
        elif "files" in table:
            items = [Item(path) for path in _files(table["files"], home)]
        else:
            items = _manifest(home / table["manifest"], table.get("where", {}))
        items = items[:: table.get("every", 1)]
        if not items:
            raise XplainError(f"the data {name!r} has no clips; correct its files, or its where")
        return cls(name, tuple(items))


@dataclass(frozen=True)
class Method:
    """A row of the table: a label, and an explainer by name with parameters, or itself."""

    label: str
    explainer: Any
    params: Mapping[str, object] = field(default_factory=dict)


CONTROLS = (Method("random", Chance()), Method("loudness", Loudness()))
"""In every table: what knows nothing, and what knows the clip but not the model."""


@dataclass(frozen=True)
class Config:
    """A benchmark.

    models: references. synthesizers: names; None for what the model reads, or stft. ratios:
    of the curves, ascending. target: "prediction" (the model's own) or "label" (the
    annotated one). settings: those of explain() that are the same for all. rank_by: the
    metric that orders the table; default: the first. draws: bootstrap resamples. check:
    whether check() judges every explanation. sanity: whether each method is put to the
    sanity checks, on the first two clips of the data.
    """

    models: tuple[str, ...]
    data: tuple[Data, ...]
    explainers: tuple[Method, ...]
    synthesizers: tuple[str | None, ...] = (None,)
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
        for ratio in self.ratios:
            checked_ratio(ratio)
        if list(self.ratios) != sorted(set(self.ratios)):
            raise XplainError("ratios ascend, each only once")
        if self.target not in ("prediction", "label"):
            raise XplainError(f"a target is 'prediction' or 'label', not {self.target!r}")
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
        object.__setattr__(self, "metrics", tuple(metrics))
        named = {method.label for method in self.explainers}
        if len(named) < len(self.explainers):
            raise XplainError("two explainers have the same name; give one of them a label")
        controls = [control for control in CONTROLS if control.label not in named]
        object.__setattr__(self, "explainers", (*self.explainers, *controls))
        labels = [metric.label for metric in metrics]
        if self.rank_by and self.rank_by not in labels:
            raise XplainError(f"cannot rank by {self.rank_by!r}; {nearest(self.rank_by, labels)}")
        object.__setattr__(self, "rank_by", self.rank_by or labels[0])

    @classmethod
    def load(cls, path: str | Path) -> Config:
        """Read a TOML file; see docs/metrics.md. Raises XplainError for what is wrong in it."""
        path = Path(path)
        try:
            table = tomllib.loads(path.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise XplainError(f"{path} cannot be read as TOML: {error}") from error
        try:
            return cls.read(table, path.parent)
        except XplainError as error:
            raise type(error)(f"{path}: {error}") from error

    @classmethod
    def read(cls, table: Mapping[str, Any], home: Path) -> Config:
        """Read what a TOML file holds; paths in it are taken from ``home``."""
        own = [f.name for f in fields(cls) if f.name != "settings"]
        _known(table, (*own, *SETTINGS), "the benchmark")
        given = {name: table[name] for name in own if name in table}
        for name in ("models", "data", "explainers"):
            if not isinstance(given.get(name), list):
                raise XplainError(f"a benchmark needs a list of {name}")
        for name in ("models", "synthesizers", "ratios"):
            if name in given:
                given[name] = tuple(given[name])
        given["data"] = tuple(Data.read(entry, home) for entry in given["data"])
        given["explainers"] = tuple(map(_method, given["explainers"]))
        given["metrics"] = tuple(map(_metric, given.get("metrics", ())))
        settings: Any = {name: table[name] for name in SETTINGS if name in table}
        return cls(**given, settings=settings)


def _known(table: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    for name in table:
        if name not in names:
            raise XplainError(f"{where} has no setting {name!r}; {nearest(name, names)}")


def _named(entry: object, what: str) -> tuple[str, dict[str, Any]]:
    """A name, or a table of a name and parameters."""
    if isinstance(entry, str):
        return entry, {}
    if isinstance(entry, Mapping) and isinstance(entry.get("name"), str):
        return entry["name"], {k: v for k, v in entry.items() if k != "name"}
    raise XplainError(f"{what} is a name, or a table with a name and parameters, not {entry!r}")


def _method(entry: object) -> Method:
    name, params = _named(entry, "an explainer")
    label = params.pop("label", name)
    registry().find("explainer", name)
    return Method(str(label), name, params)


def _metric(entry: object) -> Metric:
    name, params = _named(entry, "a metric")
    metric: Metric = registry().create("metric", name, params)
    return metric


def _files(patterns: Sequence[str], home: Path) -> list[Path]:
    found: list[Path] = []
    for pattern in patterns:
        matches = sorted(glob.glob(str(home / pattern), recursive=True))
        if not matches:
            raise XplainError(f"no file {pattern!r} in {home}")
        found += map(Path, matches)
    return found


def _planted(number: int, clip: PlantedClip) -> Item:
    audio = from_tensor(clip.waveform, clip.sample_rate, f"planted-{number}")
    return Item(audio, clip.label, clip.annotation)


def _manifest(path: Path, where: Mapping[str, str]) -> list[Item]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise XplainError(f"{path} cannot be read: {error}") from error
    columns = rows[0].keys() if rows else ()
    for column in ("path", *where):
        if rows and column not in columns:
            raise XplainError(f"{path} has no column {column!r}; {nearest(column, columns)}")
    return [
        Item(path.parent / row["path"], row.get("label") or None, _event(path, row))
        for row in rows
        if all(row[column] == str(value) for column, value in where.items())
    ]


def _event(path: Path, row: Mapping[str, str]) -> Event | None:
    times = [row.get(name) or None for name in ("start", "end", "low", "high")]
    try:
        start, end, low, high = (None if t is None else float(t) for t in times)
    except ValueError as error:
        raise XplainError(f"{path}: {row['path']}: {error}; times are seconds, bands Hz") from error
    return None if start is None or end is None else Event(start, end, low, high)
