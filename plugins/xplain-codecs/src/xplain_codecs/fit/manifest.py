"""The list of recordings to learn from: read, checked, and parted in train, dev and test."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from xplain.errors import XplainError
from xplain.manifest import Row, check_files, rows

PARTS = ("train", "dev", "test")
SHARES = {"test": 0.2, "dev": 0.1}
"""Of the training clips, what is taken for a part that the manifest does not have."""


@dataclass(frozen=True)
class Entry:
    """One row. name: the path as the manifest has it. group: by what clips are kept together."""

    name: str
    file: Path
    label: str
    part: str
    group: str = ""


def read_manifest(
    path: Path, where: Mapping[str, str], split_by: str | None, seed: int
) -> list[Entry]:
    """Read a CSV with columns path (from its folder), label, and split where it has one.

    where: columns and the values they must have. split_by: a column, such as speaker, of
    which no value is in two of the parts that are made here. A part (test, dev) that the
    manifest does not have is made of training clips: by split_by, else by label.

    Raises XplainError for a manifest that cannot be learned from, saying why.
    """
    listed = rows(path, ["label", *([split_by] if split_by else [])], where)
    entries = [_entry(row, split_by) for row in listed]
    check_files(listed, path)
    for part in ("test", "dev"):
        if not any(e.part == part for e in entries):
            take = _by_group if split_by else _by_label
            entries = _taken(path, entries, part, take, seed)
    check_labels(entries, path)
    return entries


def check_labels(entries: Sequence[Entry], path: Path) -> None:
    """Refuse what nothing can be learned from; XplainError."""
    labels = {e.label for e in entries}
    if len(labels) < 2:
        raise XplainError(
            f"{path}: all clips have the label {next(iter(labels), '')!r}; "
            "a classifier needs at least two"
        )
    for part in PARTS:
        if not any(e.part == part for e in entries):
            raise XplainError(f"{path}: no clip is left for {part}; add some")
    empty = sorted(labels - {e.label for e in entries if e.part == "train"})
    if empty:
        raise XplainError(
            f"{path}: no training clip has the label {', '.join(map(repr, empty))}; add some, or "
            "leave the label out"
        )


def _entry(row: Row, split_by: str | None) -> Entry:
    part = row["split"] if "split" in row.cells else "train"
    if part not in PARTS:
        raise XplainError(
            f"{row.place}: split is one of {', '.join(PARTS)}, not {part!r}; correct it"
        )
    return Entry(row["path"], row.file, row["label"], part, row[split_by] if split_by else "")


Take = Callable[[Path, Sequence[Entry], str, random.Random], set[str]]
"""From a manifest's training clips, the names of those that become a part."""


def _taken(path: Path, entries: list[Entry], part: str, take: Take, seed: int) -> list[Entry]:
    train = [e for e in entries if e.part == "train"]
    if not train:
        raise XplainError(f"{path}: no clip is there to train on (split train); add some")
    names = take(path, train, part, random.Random(f"{seed} {part}"))
    return [replace(e, part=part) if e.name in names else e for e in entries]


def _by_label(path: Path, train: Sequence[Entry], part: str, chance: random.Random) -> set[str]:
    """The same share of each label."""
    names: dict[str, list[str]] = defaultdict(list)
    for entry in train:
        names[entry.label].append(entry.name)
    taken = {
        name
        for _, of_label in sorted(names.items())
        for name in chance.sample(of_label, round(SHARES[part] * len(of_label)))
    }
    if not taken:
        raise XplainError(
            f"{path}: too few clips to take some for {part}; add clips, or a column split"
        )
    return taken


def _by_group(path: Path, train: Sequence[Entry], part: str, chance: random.Random) -> set[str]:
    """Whole groups, until they hold the share; at least one stays to train on."""
    groups = sorted({e.group for e in train})
    if len(groups) < 2:
        raise XplainError(
            f"{path}: the training clips are all of {groups[0]!r}, so that none of another can be "
            f"taken for {part}; add some, or leave --split-by out"
        )
    chance.shuffle(groups)
    taken: set[str] = set()
    for group in groups[:-1]:
        taken |= {e.name for e in train if e.group == group}
        if len(taken) >= SHARES[part] * len(train):
            break
    return taken
