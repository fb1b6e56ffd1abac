"""The clips that scenes are mixed from: which data set is speech, music or noise, and reading them.

What a data set is stands in a JSON file (scenes.json is the default, for the project's own
data): kind → data set → {"share": how often it is drawn beside the kind's others, default 1;
"without": labels whose clips are left out, since they hold another kind too}. Data sets that
are not named are not used.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xplain import audio
from xplain import manifest as manifests
from xplain.errors import ArtifactError, XplainError, nearest
from xplain.progress import track
from xplain.validated import decode_json

RATE = 16000  # Hz
KINDS = ("speech", "music", "noise")
DEFAULT = Path(__file__).with_name("default.json")
HELD_OUT = 8
"""One in so many groups of a training split is kept for dev, where a data set has no dev split."""

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class DataSet:
    """How a data set is used. share: how often it is drawn; without: labels left out."""

    kind: str
    name: str
    share: float = 1.0
    without: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A line of the manifest. group: the speaker or recording that clips share."""

    file: Path
    dataset: DataSet
    label: str
    split: str
    group: str


@dataclass(frozen=True)
class Source:
    """A clip to mix from. waveform: (samples,) float32 at 16 kHz."""

    waveform: Samples
    dataset: DataSet
    label: str
    group: str


def load_sources(manifest: Path, split: str, mapping: Path = DEFAULT) -> list[Source]:
    """Read every clip of a split whose data set the mapping names.

    manifest: CSV with columns path (from its folder), dataset, split, label and, where it has
    one, speaker. Split "dev" of a data set that has none is one in eight of its training
    groups (speakers, recordings), which are then no part of "train". Raises XplainError for a
    manifest or mapping that cannot be used, saying why.
    """
    rows = [row for row in read_rows(manifest, read_mapping(mapping)) if row.split == split]
    for kind in KINDS:
        if not any(row.dataset.kind == kind for row in rows):
            raise XplainError(
                f"{manifest}: no clip of the split {split!r} is {kind} by {mapping.name}; add "
                "clips, or say in a mapping of your own which data set holds them"
            )
    missing = [str(row.file) for row in rows if not row.file.is_file()]
    if missing:
        raise XplainError(
            f"{manifest}: {len(missing)} of {len(rows)} files do not exist, such as "
            f"{', '.join(missing[:3])}; paths are taken from the folder of the manifest"
        )
    return [_read(row) for row in track(rows, len(rows), "reading clips")]


@dataclass(frozen=True)
class _Taken:
    """What a mapping says of a data set; see DataSet."""

    share: float = 1.0
    without: tuple[str, ...] = ()


def read_mapping(path: Path) -> list[DataSet]:
    """Read which data set is of which kind; XplainError where the file does not say."""
    try:
        content = decode_json(path, dict[str, dict[str, _Taken]])
    except ArtifactError as error:
        raise XplainError(
            f"{path} cannot be read as a mapping ({error}); give JSON such as "
            '{"speech": {"my-speech": {}}, "music": {…}, "noise": {…}}'
        ) from error
    found = [
        DataSet(kind, name, how.share, how.without)
        for kind, names in content.items()
        for name, how in names.items()
    ]
    for dataset in found:
        if dataset.kind not in KINDS:
            raise XplainError(
                f"{path}: {dataset.kind!r} is no kind; {nearest(dataset.kind, KINDS)}"
            )
        if not dataset.share > 0:
            raise XplainError(f"{path}: the share of {dataset.name} is above 0, leave it out")
    names = [dataset.name for dataset in found]
    if doubled := {name for name in names if names.count(name) > 1}:
        raise XplainError(f"{path}: {min(doubled)} is of two kinds; a data set is of one")
    return found


def read_rows(manifest: Path, datasets: Sequence[DataSet]) -> list[Row]:
    """Read the rows of the data sets, in the order of the manifest."""
    # A recording may be listed under several labels, and under none in a data set without.
    lines = manifests.rows(manifest, ("dataset", "split"), has=("label",), once=False)
    labels: dict[str, set[str]] = defaultdict(set)
    for line in lines:
        labels[line["dataset"]].add(line["label"])
    for dataset in datasets:
        if dataset.name not in labels:
            raise XplainError(
                f"{manifest} has no data set {dataset.name!r}; {nearest(dataset.name, labels)}"
            )
        for label in dataset.without:
            if label not in labels[dataset.name]:
                raise XplainError(
                    f"{manifest}: {dataset.name} has no label {label!r} to leave out; "
                    f"{nearest(label, labels[dataset.name])}"
                )
    known = {dataset.name: dataset for dataset in datasets}
    rows = [_row(line, known) for line in lines if line["dataset"] in known]
    return _held_out([row for row in rows if row.label not in row.dataset.without])


def _row(line: manifests.Row, known: Mapping[str, DataSet]) -> Row:
    # A clip of nobody in particular shares nothing with another.
    group = f"{line['dataset']}/{line['speaker'] or line['path']}"
    dataset = known[line["dataset"]]
    return Row(line.file, dataset, line["label"], line["split"], group)


def _held_out(rows: Sequence[Row]) -> list[Row]:
    """Call some training groups "dev", in each data set that has none."""
    with_dev = {row.dataset.name for row in rows if row.split == "dev"}
    groups: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row.split == "train" and row.dataset.name not in with_dev:
            groups[row.dataset.name].add(row.group)
    taken: set[str] = set()
    for names in groups.values():
        # By hash: a clip that is added later does not move the others about.
        ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
        taken |= set(ordered[: len(ordered) // HELD_OUT + (2 < len(ordered) < HELD_OUT)])
    return [
        replace(row, split="dev") if row.split == "train" and row.group in taken else row
        for row in rows
    ]


def _read(row: Row) -> Source:
    clip = audio.resample(audio.read(row.file), RATE)
    return Source(clip.waveform.numpy(), row.dataset, row.label, row.group)
