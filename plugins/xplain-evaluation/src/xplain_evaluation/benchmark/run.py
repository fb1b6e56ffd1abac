"""run(): explains every clip by every method, measures it, and writes the tables."""

from __future__ import annotations

import hashlib
import platform
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch

import xplain
from xplain.audio import Audio
from xplain.borrowing import borrowed
from xplain.clips import Failure
from xplain.errors import XplainError, XplainWarning
from xplain.explaining import compare_each, explain
from xplain.explanation import Explanation
from xplain.job import Job, Settings
from xplain.models import Model, load_model
from xplain.progress import track
from xplain.registry import registry
from xplain_evaluation import sanity
from xplain_evaluation.benchmark import files
from xplain_evaluation.benchmark.config import CONTROLS, Config, Data, Item, Method, Representation
from xplain_evaluation.benchmark.journal import Journal, Key, Record
from xplain_evaluation.benchmark.page import page
from xplain_evaluation.benchmark.table import Results, tabulate
from xplain_evaluation.measure import measure

SANE = 2
"""Clips of the data on which the sanity checks are run."""
JOURNAL = "journal.jsonl"
T = TypeVar("T")


def run(config: Config, out: str | Path) -> Results:
    """Measure what is not measured yet, and write results.csv, results.json and the page.

    out: the folder. Killed at any moment and started again, it goes on with the next clip
    and writes the same tables; only timings.csv and the journal differ. A clip
    that fails is named and counted, and tried again at the next start. Raises XplainError for
    what is wrong as a whole, ArtifactError where the folder holds another benchmark.
    """
    out = Path(out)
    if not (out / JOURNAL).exists():
        files.check_free(out)
    models = {name: load_model(name) for name in config.models}
    judge = None if config.judge is None else load_model(config.judge)
    groups = [
        _prepare(config, name, models[name], data, representation, judge)
        for name in config.models
        for data in config.data
        for representation in config.representations
    ]
    journal = Journal(out / JOURNAL, _header(config, models, judge))
    total = sum(len(group.data.items) for group in groups)
    with closing(journal), warnings.catch_warnings():
        warnings.simplefilter("ignore", XplainWarning)  # they are in the tables, by clip
        work = (records for group in groups for records in _measured(config, group, journal))
        for records in track(work, total, "measuring"):
            if records:
                journal.add(records)
        findings = _sanity(config, models, journal) if config.sanity else []
    results = tabulate(config, journal.records, _provenance(config, models), findings)
    files.write(results, journal.records, page(results), out)
    return results


@dataclass(frozen=True)
class _Group:
    """What methods are compared within, and what it takes to explain its clips.

    jobs: for each label to explain (None: the model's own decision), one of each method.
    copies: of the model, randomised, where a metric needs their attributions. judge: another
    model that is asked too.
    """

    model: str
    data: Data
    representation: Representation
    jobs: Mapping[str | None, Sequence[Job]]
    copies: Sequence[Model]
    judge: Model | None


def _prepare(
    config: Config,
    name: str,
    model: Model,
    data: Data,
    representation: Representation,
    judge: Model | None,
) -> _Group:
    """Check a group's labels, methods and randomised copies before its first clip."""
    targets = dict.fromkeys(_target(config, item) for item in data.items)
    jobs = {target: _jobs(config, model, representation, target) for target in targets}
    return _Group(name, data, representation, jobs, _copies(config, model), judge)


def _measured(config: Config, group: _Group, journal: Journal) -> Iterator[list[Record]]:
    """Run every method on one set of clips, skipping clips in the journal."""
    for place, item in enumerate(group.data.items):
        keys = [
            (group.model, group.data.name, group.representation.label, method.label, place)
            for method in config.explainers
        ]
        content = _content(item.audio)
        if journal.done(keys, content):
            yield []
            continue
        jobs = group.jobs[_target(config, item)]
        results = _timed(compare_each([item.audio], jobs))
        with borrowed(jobs[0].route, jobs[0].device):  # once, and not for each question
            records = [
                _record(config, key, item, content, result, seconds, group, method)
                for key, method, (result, seconds) in zip(
                    keys, config.explainers, results, strict=True
                )
            ]
        yield records


def _timed(work: Iterator[T]) -> Iterator[tuple[T, float]]:
    """Yield the items of ``work`` with the seconds that each took."""
    started = time.perf_counter()
    for done in work:
        yield done, time.perf_counter() - started
        started = time.perf_counter()


def _record(
    config: Config,
    key: Key,
    item: Item,
    content: str,
    result: Explanation | Failure,
    seconds: float,
    group: _Group,
    method: Method,
) -> Record:
    """Measure one explanation; seconds are what it took to make."""
    record = partial(Record, key, item.name, content, seconds=seconds)
    if isinstance(result, Failure):
        return record((), None, (), str(result.error))
    settings = _settings(config, group.representation, method)
    settings["target"] = result.target.question
    try:
        randomised = [explain(item.audio, copy, **settings).attribution for copy in group.copies]
        values = measure(
            result,
            config.metrics,
            config.ratios,
            event=item.event,
            randomised=torch.stack(randomised) if randomised else None,
            controls=() if method in CONTROLS else config.controls,
            judge=group.judge,
        )
        verdict = result.check().kind if config.check else None
    except XplainError as error:
        return record((), None, result.warnings, str(error))
    return record(tuple(values), verdict, result.warnings, None)


def _jobs(
    config: Config, model: Model, representation: Representation, target: str | None
) -> list[Job]:
    """Prepare each method's job; refuse what cannot work for any clip."""
    first, *others = config.explainers
    settings: Settings = {**_settings(config, representation, first), "target": target}
    job = Job.prepare(model, settings)
    return [job, *(job.by(method.explainer, method.params) for method in others)]


def _target(config: Config, item: Item) -> str | None:
    """The label to explain; None for the model's own decision."""
    if config.target == "label" and item.label is None:
        raise XplainError(f"{item.name} has no label; target = 'label' needs one for every clip")
    return item.label if config.target == "label" else None


def _settings(config: Config, representation: Representation, method: Method) -> Settings:
    settings: Settings = {
        **config.settings,
        "synthesizer": representation.synthesizer,
        "synthesizer_params": dict(representation.params),
        "explainer": method.explainer,
        "params": dict(method.params),
        "seed": config.seed,
    }
    return settings


def _copies(config: Config, model: Model) -> list[Model]:
    """Randomised copies of the model, where a metric needs their attributions."""
    if any("randomised" in metric.needs for metric in config.metrics):
        return sanity.cascade(model, seed=config.seed)
    return []


def _sanity(config: Config, models: Mapping[str, Model], journal: Journal) -> list[dict[str, Any]]:
    """Run the sanity checks of each method that are not in the journal yet."""
    return [
        {
            "model": name,
            "data": data.name,
            "synthesizer": representation.label,
            "explainer": method.label,
            **vars(finding),
        }
        for name, model in models.items()
        for data in config.data
        for representation in config.representations
        for method in config.explainers
        for finding in journal.findings(
            (name, data.name, representation.label, method.label, _contents(data.items[:SANE])),
            partial(
                sanity.examine,
                [item.audio for item in data.items[:SANE]],
                model,
                **_settings(config, representation, method),
            ),
        )
    ]


def _header(config: Config, models: Mapping[str, Model], judge: Model | None) -> dict[str, Any]:
    """What must be unchanged for an interrupted benchmark to resume."""
    clips = hashlib.sha256()
    for data in config.data:
        for item in data.items:
            path = item.audio if isinstance(item.audio, Path) else _content(item.audio)
            line = f"{data.name}\n{path}\n{item.label}\n{item.event}\n"
            clips.update(line.encode("utf-8", "surrogateescape"))
    return {
        **_provenance(config, models),
        "labels": {name: [*model.labels, model.multilabel] for name, model in models.items()},
        "files": {name: _file(name) for name in models},
        "clips": clips.hexdigest(),
        "ratios": list(config.ratios),
        "metrics": [metric.label for metric in config.metrics],
        "explainers": [
            [method.label, _described(method), dict(method.params)] for method in config.explainers
        ],
        "synthesizers": [
            [one.label, one.synthesizer, dict(one.params)] for one in config.representations
        ],
        "target": config.target,
        "settings": {name: str(value) for name, value in sorted(config.settings.items())},
        "check": config.check,
        "controls": list(config.controls),
        "judge": judge and {config.judge: judge.fingerprint()},
    }


def _content(audio: Path | Audio) -> str:
    """Hash a recording, so that one that was changed is measured again; "" for an absent one."""
    try:
        if isinstance(audio, Audio):
            return hashlib.sha256(audio.waveform.numpy().tobytes()).hexdigest()
        return hashlib.sha256(audio.read_bytes()).hexdigest()
    except OSError:
        return ""


def _contents(items: Sequence[Item]) -> str:
    """Hash several recordings."""
    return hashlib.sha256("".join(_content(item.audio) for item in items).encode()).hexdigest()


def _file(reference: str) -> str | None:
    """Hash the file of a FILE.py:FACTORY reference, since its code is not in its weights."""
    path = Path(reference.rpartition(":")[0])
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.suffix == ".py" else None


def _described(method: Method) -> Any:
    """A method's name, or the record of an instance."""
    if isinstance(method.explainer, str):
        return method.explainer
    return registry().describe("explainer", method.explainer)


def _provenance(config: Config, models: Mapping[str, Model]) -> dict[str, Any]:
    """Versions and settings that the results depend on."""
    return {
        "xplain": xplain.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "plugins": {p.distribution: p.version for p in xplain.list_plugins() if p.state == "ok"},
        "models": {name: model.fingerprint() for name, model in models.items()},
        "reads": {
            name: registry().describe("synthesizer", model.reads)
            for name, model in models.items()
            if model.reads is not None
        },
        "seed": config.seed,
        "draws": config.draws,
    }
