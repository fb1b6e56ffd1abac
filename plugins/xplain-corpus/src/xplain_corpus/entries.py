"""The recordings of a corpus: listed by a manifest or a folder, parted into leases."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import soundfile

from xplain.errors import XplainError
from xplain.manifest import rows

ENDINGS = frozenset(
    [f".{kind.lower()}" for kind in soundfile.available_formats()] + [".aif", ".oga", ".opus"]
) - {".raw"}
"""Endings of files that are taken for recordings, in a folder."""


@dataclass(frozen=True)
class Entry:
    """A recording of the corpus.

    id: what it is called in the run, unique. path: of the file, as it is opened. meta: what the
    manifest says of it, by column.
    """

    id: str
    path: str
    meta: Mapping[str, str]


def entries(source: Path) -> list[Entry]:
    """List the recordings of a CSV manifest, or of a folder and the folders in it, by their ids.

    The id is the manifest's column ``id``, else the path as it is listed. Raises XplainError for
    a manifest that cannot be read, an id that stands for two recordings, and a folder without any.
    """
    if source.is_dir():
        found = [
            Entry(_text(os.path.relpath(path, source)), os.path.abspath(path), {})
            for path in sorted(_recordings(source))
        ]
        if not found:
            raise XplainError(f"{source} holds no recordings; give a folder of audio files")
    else:
        found = [
            Entry(
                _text(row["id"] or row["path"]),
                os.path.abspath(row.file),
                {k: v for k, v in row.cells.items() if k not in ("id", "path")},
            )
            for row in rows(source, once=False)
        ]
    seen: dict[str, str] = {}
    for entry in found:
        other = seen.setdefault(entry.id, entry.path)
        if other is not entry.path:
            raise XplainError(
                f"{source}: {entry.id!r} stands for two recordings; give each its own id, in a "
                "column id"
            )
    return sorted(found, key=lambda entry: entry.id)


def leases(
    found: Sequence[Entry], done: Collection[str], size: int, number: int = 1, count: int = 1
) -> list[tuple[Entry, ...]]:
    """Cut recordings into leases of ``size``; of every ``count``-th from ``number`` what is left.

    number: 1 for the first. Leases are cut from all recordings, so that the parts of an array of
    jobs are disjoint, and do the leases that one job would do.
    """
    whole = [tuple(found[start : start + size]) for start in range(0, len(found), size)]
    own = whole[number - 1 :: count]
    left = (tuple(entry for entry in lease if entry.id not in done) for lease in own)
    return [lease for lease in left if lease]


def _recordings(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in ENDINGS:
                yield os.path.join(parent, name)


def _text(name: str) -> str:
    """A name as text; bytes that are none are shown as escapes."""
    return name.encode("utf-8", "backslashreplace").decode()
