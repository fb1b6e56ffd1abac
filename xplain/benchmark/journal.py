"""What was measured so far, on disk: a line for each clip, so that nothing is done twice.

All methods of a clip are one line, since they were measured together.

A line that was cut off, because the program was killed while it was written, is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from xplain.errors import ArtifactError
from xplain.metrics.measure import Measurement

Key = tuple[str, str, str, str, int]
"""Model, data, synthesizer, method, and the clip's place in the data."""


@dataclass(frozen=True)
class Record:
    """One clip by one method: its values, or why there are none."""

    key: Key
    clip: str
    values: tuple[Measurement, ...]
    verdict: str | None
    warnings: tuple[str, ...]
    error: str | None
    seconds: float


class Journal:
    """Records by key, kept in one file of JSON lines."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        """Open a journal, or go on with it where its header is the same.

        Raises ArtifactError where it was written for something else, saying what differs.
        """
        self.records: dict[Key, Record] = {}
        first = json.dumps(header, sort_keys=True)
        text = path.read_bytes() if path.exists() else b""
        whole = text[: text.rfind(b"\n") + 1]
        lines = whole.decode("utf-8").splitlines()
        if lines and lines[0] != first:
            _refuse(path, json.loads(lines[0]), json.loads(first))
        for line in lines[1:]:
            for record in map(_record, json.loads(line)):
                self.records[record.key] = record
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("r+b" if text else "wb")
        self._file.seek(len(whole))
        self._file.truncate()
        if not lines:
            self._line(first)

    def done(self, keys: Sequence[Key]) -> bool:
        """Whether a clip was measured by all methods; where one failed, it is tried again."""
        return all(key in self.records and self.records[key].error is None for key in keys)

    def add(self, records: Sequence[Record]) -> None:
        """Keep the records of a clip."""
        self.records.update({record.key: record for record in records})
        self._line(json.dumps([asdict(record) for record in records]))

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _line(self, text: str) -> None:
        self._file.write(text.encode("utf-8") + b"\n")
        self._file.flush()


def _record(data: Mapping[str, Any]) -> Record:
    model, dataset, synthesizer, method, place = data["key"]
    return Record(
        key=(model, dataset, synthesizer, method, place),
        clip=data["clip"],
        values=tuple(Measurement(**value) for value in data["values"]),
        verdict=data["verdict"],
        warnings=tuple(data["warnings"]),
        error=data["error"],
        seconds=data["seconds"],
    )


def _refuse(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    names = sorted(set(before) | set(now))
    different = [name for name in names if before.get(name) != now.get(name)]
    raise ArtifactError(
        f"{path.parent} holds another benchmark: {', '.join(different)} differ; "
        "choose another folder, or remove that one to start anew"
    )
