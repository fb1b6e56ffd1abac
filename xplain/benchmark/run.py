"""run(): explains every clip by every method, measures it, and writes the tables."""

from __future__ import annotations

import hashlib
import platform
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

import xplain
from xplain.benchmark import files
from xplain.benchmark.config import Config, Data, Method
from xplain.benchmark.journal import Journal, Record
from xplain.benchmark.table import Results, tabulate
from xplain.errors import XplainError, XplainWarning
from xplain.explanation import Explanation
from xplain.metrics import sanity
from xplain.metrics.measure import Measurement, measure
from xplain.models import Model, load_model
from xplain.pipeline import Failure, explain, explain_each
from xplain.progress import track
from xplain.report.benchmark import page
from xplain.settings import Settings

SANE = 2
"""Clips of the data on which the sanity checks are run."""
JOURNAL = "journal.jsonl"


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
    units = [
        (model, data, synthesizer, method)
        for model in config.models
        for data in config.data
        for synthesizer in config.synthesizers
        for method in config.explainers
    ]
    total = sum(len(data.items) for _, data, _, _ in units)
    with closing(journal), warnings.catch_warnings():
        warnings.simplefilter("ignore", XplainWarning)  # they are in the tables, by clip
        work = (
            record
            for model, data, synthesizer, method in units
            for record in _unit(config, journal, models[model], model, data, synthesizer, method)
        )
        for record in track(work, total, "measuring"):
            if record is not None:
                journal.add(record)
        findings = _sanity(config, models) if config.sanity else []
    results = tabulate(config, journal.records, _provenance(config, models), findings)
    files.write(results, journal.records, page(results), out)
    return results


def _unit(
    config: Config,
    journal: Journal,
    model: Model,
    reference: str,
    data: Data,
    synthesizer: str | None,
    method: Method,
) -> Iterator[Record | None]:
    """One method on one set of clips; None for each clip that is done already."""
    keys = [
        (reference, data.name, synthesizer or "", method.label, place)
        for place in range(len(data.items))
    ]
    missing = [key for key in keys if not journal.done(key)]
    yield from [None] * (len(keys) - len(missing))
    if not missing:
        return
    settings = _settings(config, synthesizer, method)
    items = [data.items[key[-1]] for key in missing]
    copies = _copies(config, model)
    started = time.perf_counter()
    for key, item, result in zip(
        missing, items, _explained(config, items, model, settings), strict=True
    ):
        values: tuple[Measurement, ...] = ()
        verdict, error = None, None
        said = () if isinstance(result, Failure) else result.warnings
        if isinstance(result, Failure):
            error = str(result.error)
        else:
            try:
                again: Settings = {**settings, "target": result.target.label}
                randomised = [explain(item.audio, copy, **again).attribution for copy in copies]
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
        now = time.perf_counter()
        yield Record(key, item.name, values, verdict, said, error, now - started)
        started = time.perf_counter()


def _explained(
    config: Config, items: list[Any], model: Model, settings: Settings
) -> Iterator[Explanation | Failure]:
    if config.target == "prediction":
        yield from explain_each([item.audio for item in items], model, **settings)
        return
    for item in items:
        if item.label is None:
            raise XplainError(
                f"{item.name} has no label; target = 'label' needs one for every clip"
            )
        asked: Settings = {**settings, "target": item.label}
        yield from explain_each([item.audio], model, **asked)


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
