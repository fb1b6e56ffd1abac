"""explanation.json as types: what a record holds, and how its parts fit each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from msgspec import Meta, Struct
from torch import Tensor

from xplain.bands import Band
from xplain.errors import ArtifactError, XplainError
from xplain.explanation_folder import RECORD, Origin
from xplain.interfaces import EXTRA, Groups
from xplain.live import Outcome
from xplain.selection import Group, Selection, built_in
from xplain.targets import ResolvedTarget, Share
from xplain.tasks import Decision
from xplain.validated import convert
from xplain.verdict import Verdict

SCHEMA = 1
"""Version of the folder's layout; a reader refuses a newer one, and ignores keys it lacks."""

TENSORS = ("attribution", "latents", "baseline", "waveform")
FLOATS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)


class ModelRecord(Struct):
    """What the pages read of a model's record."""

    multilabel: bool


class Provenance(Origin):
    """What the pages read of a provenance, beside what identifies it."""

    route: str
    reconstruction: Decision | None = None


class Sound(Struct):
    """Audio that a method gave beside the map: its rate in Hz, and its length."""

    sample_rate: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    samples: Annotated[int, Meta(ge=1)]


class Record(Struct):
    """What explanation.json holds; for the fields see Explanation."""

    name: str
    sample_rate: Annotated[int, Meta(ge=1, le=2**31 - 1)]
    target: ResolvedTarget
    probabilities: dict[str, Share]
    score: float
    baseline_score: float
    selection: Selection
    results: tuple[Outcome, ...]
    completeness_error: Annotated[float, Meta(ge=0)] | None
    converged: bool | None
    verdict: Verdict | None
    warnings: tuple[str, ...]
    frequencies: tuple[Annotated[float, Meta(ge=0)], ...] | None
    provenance: Provenance
    bands: tuple[Band, ...] | None = None
    groups: tuple[Group, ...] | None = None
    extras: dict[
        Annotated[str, Meta(pattern=EXTRA)],
        str | tuple[dict[str, str | float | bool | None], ...] | Sound,
    ] = {}


def decoded(data: Mapping[str, Any]) -> Record:
    """Take what was read from explanation.json as a record; ArtifactError in one line."""
    schema = data.get("schema")
    if type(schema) is not int or not 1 <= schema <= SCHEMA:
        raise ArtifactError(
            f"written with schema {str(schema)[:40]}, and this xplain reads up to {SCHEMA}: "
            "upgrade xplain"
        )
    record = convert(RECORD, data, Record)
    convert(RECORD, data["provenance"]["model"], ModelRecord)
    for result, raw in zip(record.results, data["results"], strict=True):
        _check(raw.get("file") == result.filename, f"a file is not named {result.filename!r}")
    _check_target(record)
    _check_outcomes(record)
    for band in record.bands or ():
        _check(0 <= band.low < band.high and 0 <= band.share <= 1.001, "a band is out of range")
    names = [group.name for group in record.groups or ()]
    _check(len(set(names)) == len(names), "two groups have the same name")
    _check(all(0 <= g.start < g.end for g in record.groups or ()), "a group lasts no time")
    hertz = record.frequencies or ()
    _check(len(set(hertz)) == len(hertz), "two channels have the same frequency")
    return record


def checked_tensors(record: Record, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Pick an explanation's tensors; ArtifactError where shapes or types do not fit."""
    for name in TENSORS:
        _check(name in tensors, f"tensor {name!r} is missing")
        _check(tensors[name].dtype in FLOATS, f"tensor {name!r} is {tensors[name].dtype}")
        _check(tensors[name].numel() > 0, f"tensor {name!r} is empty")
    shapes = {name: tuple(tensors[name].shape) for name in TENSORS}
    own = shapes["attribution"]
    _check(len(own) == 2, f"the attribution is {own}, not (channels, frames)")
    _check(shapes["latents"] == own, f"latents {shapes['latents']} for an attribution {own}")
    _check(
        shapes["baseline"][-2:] == own and len(shapes["baseline"]) in (2, 3),
        f"a baseline {shapes['baseline']} for an attribution {own}",
    )
    _check(len(shapes["waveform"]) == 1, f"the waveform is {shapes['waveform']}, not (samples,)")
    if record.frequencies is not None:
        count = len(record.frequencies)
        _check(count == own[0], f"{count} frequencies for {own[0]} channels")
    numbers = tensors.get("numbers")
    if numbers is None:
        own_grouping = built_in(record.selection.grouping) is not None
        _check(own_grouping, f"no grouping {record.selection.grouping[:40]!r} and no numbers")
        _check(record.groups is None, "groups have names, and no elements")
        return {name: tensors[name] for name in TENSORS}
    _check(tuple(numbers.shape) == own, f"numbers of groups {tuple(numbers.shape)} for {own}")
    names = None if record.groups is None else tuple(group.name for group in record.groups)
    try:
        Groups(numbers, names)
    except XplainError as error:
        raise ArtifactError(f"{RECORD}: {error}") from error
    return {name: tensors[name] for name in (*TENSORS, "numbers")}


def _check_target(record: Record) -> None:
    target, labels = record.target, list(record.probabilities)
    for label, index in ((target.label, target.index), (target.versus, target.versus_index)):
        if not _classifies(record) or (label is None and index is None):
            continue
        place = labels.index(label) if label in labels else None
        _check(place is not None and place == index, f"label {label!r} is not number {index}")
    stated = target.probability is not None if _classifies(record) else target.value is not None
    _check(stated, "the target has no answer of the model")
    _check(_classifies(record) or not labels, "a task without labels has probabilities of them")
    _check((target.start is None) == (target.end is None), "the target's span has one end")
    for start, end in ((target.start, target.end), *target.spans):
        if start is not None and end is not None:
            _check(0 <= start < end, "the target's span is empty or begins before 0")
    for first, last in target.frames or ():
        _check(0 <= first < last, "the target's frames are no span")


def _classifies(record: Record) -> bool:
    return record.target.task in ("classification", "multilabel")


def _check_outcomes(record: Record) -> None:
    labels = record.probabilities.keys()
    keys = [(outcome.kind, outcome.filename) for outcome in record.results]
    _check(len(set(keys)) == len(keys), "two results are of the same ratio")
    readings: list[Decision | Outcome] = [*(o.reencoded for o in record.results), *record.results]
    if record.provenance.reconstruction is not None:
        readings.append(record.provenance.reconstruction)
    for reading in readings:
        if _classifies(record):
            _check(reading.label in labels, f"the model has no label {reading.label!r}")
            _check(reading.probability is not None, "a decision has no probability")
        else:
            _check(reading.value is not None, "a decision has no value")
    for outcome in record.results:
        _check(outcome.probabilities.keys() == labels, "a result has other labels")


def _check(fits: bool, wrong: str) -> None:
    if not fits:
        raise ArtifactError(f"{RECORD}: {wrong}")
