"""run(): explains every clip by every method, measures it, and writes the tables."""

from __future__ import annotations

import hashlib
import platform
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import torch

import xplain
from xplain.benchmark import files
from xplain.benchmark.config import Config, Data, Item, Method
from xplain.benchmark.journal import Journal, Key, Record
from xplain.benchmark.table import Results, tabulate
from xplain.errors import XplainError, XplainWarning
from xplain.explanation import Explanation
from xplain.metrics import sanity
from xplain.metrics.measure import Measurement, measure
from xplain.models import Model, load_model
from xplain.pipeline import Failure, compare_each, explain
from xplain.progress import track
from xplain.report.benchmark import page
from xplain.settings import Job, Settings

SANE = 2
"""Clips of the data on which the sanity checks are run."""
JOURNAL = "journal.jsonl"
T = TypeVar("T")


def run(config: Config, out: str | Path) -> Results:
    """Measure what is not measured yet, and write results.csv, results.json and the page.

    out: the folder. Killed at any moment and started again, it goes on with the next clip
    and writes the same tables; timings.csv is the only file that differs. A clip
    that fails is named and counted, and tried again at the next start. Raises XplainError for
    what is wrong as a whole, ArtifactError where the folder holds another benchmark.
    """
    out = Path(out)
    models = {name: load_model(name) for name in config.models}
    journal = Journal(out / JOURNAL, _header(config, models))
    groups = [
        (model, data, synthesizer)
        for model in config.models
        for data in config.data
        for synthesizer in config.synthesizers
    ]
    total = sum(len(data.items) for _, data, _ in groups)
    with closing(journal), warnings.catch_warnings():
        warnings.simplefilter("ignore", XplainWarning)  # they are in the tables, by clip
        work = (
            records
            for model, data, synthesizer in groups
            for records in _group(config, journal, models[model], model, data, synthesizer)
        )
        for records in track(work, total, "measuring"):
            if records:
                journal.add(records)
        findings = _sanity(config, models) if config.sanity else []
    results = tabulate(config, journal.records, _provenance(config, models), findings)
    files.write(results, journal.records, page(results), out)
    return results


def _group(
    config: Config,
    journal: Journal,
    model: Model,
    reference: str,
    data: Data,
    synthesizer: str | None,
) -> Iterator[list[Record]]:
    """Every method on one set of clips, clip by clip; nothing for a clip that is done already."""
    jobs: dict[str | None, list[Job]] = {}
    copies = _copies(config, model)
    for place, item in enumerate(data.items):
        keys = [
            (reference, data.name, synthesizer or "", method.label, place)
            for method in config.explainers
        ]
        if journal.done(keys):
            yield []
            continue
        target = _target(config, item)
        if target not in jobs:
            jobs[target] = _jobs(config, model, synthesizer, target)
        results = list(_timed(compare_each([item.audio], jobs[target])))
        yield [
            _record(config, key, item, result, seconds, copies, _settings(config, synthesizer, m))
            for key, m, (result, seconds) in zip(keys, config.explainers, results, strict=True)
        ]


def _timed(work: Iterator[T]) -> Iterator[tuple[T, float]]:
    """What work gives, and the seconds each took."""
    started = time.perf_counter()
    for done in work:
        yield done, time.perf_counter() - started
        started = time.perf_counter()


def _record(
    config: Config,
    key: Key,
    item: Item,
    result: Explanation | Failure,
    seconds: float,
    copies: Sequence[Model],
    settings: Settings,
) -> Record:
    """Measure one explanation; seconds are what it took to make."""
    values: tuple[Measurement, ...] = ()
    verdict, error = None, None
    said = () if isinstance(result, Failure) else result.warnings
    if isinstance(result, Failure):
        error = str(result.error)
    else:
        try:
            settings["target"] = result.target.label
            randomised = [explain(item.audio, copy, **settings).attribution for copy in copies]
            values = tuple(
                measure(
                    result,
                    config.metrics,
                    config.ratios,
                    event=item.event,
                    randomised=torch.stack(randomised) if randomised else None,
                )
            )
            verdict = result.check().kind if config.check else None
        except XplainError as failed:
            error = str(failed)
    return Record(key, item.name, values, verdict, said, error, seconds)


def _jobs(config: Config, model: Model, synthesizer: str | None, target: str | None) -> list[Job]:
    """The job of each method; what cannot work for any clip is refused."""
    first, *others = config.explainers
    settings: Settings = {**_settings(config, synthesizer, first), "target": target}
    job = Job.prepare(model, settings)
    return [job, *(job.by(method.explainer, method.params) for method in others)]


def _target(config: Config, item: Item) -> str | None:
    """The label to explain; None for the model's own decision."""
    if config.target == "label" and item.label is None:
        raise XplainError(f"{item.name} has no label; target = 'label' needs one for every clip")
    return item.label if config.target == "label" else None


def _settings(config: Config, synthesizer: str | None, method: Method) -> Settings:
    settings: Settings = {
        **config.settings,
        "synthesizer": synthesizer,
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


def _sanity(config: Config, models: Mapping[str, Model]) -> list[dict[str, Any]]:
    """What the sanity checks find of each method."""
    found = []
    for name, model in models.items():
        for data in config.data:
            clips = [item.audio for item in data.items[:SANE]]
            for synthesizer in config.synthesizers:
                for method in config.explainers:
                    settings = _settings(config, synthesizer, method)
                    for finding in sanity.examine(clips, model, **settings):
                        found.append(
                            {
                                "model": name,
                                "data": data.name,
                                "synthesizer": synthesizer or "",
                                "explainer": method.label,
                                **vars(finding),
                            }
                        )
    return found


def _header(config: Config, models: Mapping[str, Model]) -> dict[str, Any]:
    """What has to be the same for a benchmark to go on where it was interrupted."""
    clips = hashlib.sha256()
    for data in config.data:
        for item in data.items:
            path = item.audio if isinstance(item.audio, Path) else item.audio.source["sha256"]
            clips.update(f"{data.name} {path} {item.label} {item.event}\n".encode())
    return {
        **_provenance(config, models),
        "clips": clips.hexdigest(),
        "ratios": list(config.ratios),
        "metrics": [metric.label for metric in config.metrics],
        "explainers": [
            [m.label, str(m.explainer) if isinstance(m.explainer, str) else "", dict(m.params)]
            for m in config.explainers
        ],
        "target": config.target,
        "settings": {name: str(value) for name, value in sorted(config.settings.items())},
        "check": config.check,
    }


def _provenance(config: Config, models: Mapping[str, Model]) -> dict[str, Any]:
    """Where the numbers come from."""
    return {
        "xplain": xplain.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "plugins": {p.distribution: p.version for p in xplain.list_plugins() if p.state == "ok"},
        "models": {name: model.fingerprint() for name, model in models.items()},
        "seed": config.seed,
        "draws": config.draws,
    }
