"""What was measured so far, on disk: a line for each clip, so that nothing is done twice.

All methods of a clip are one line, since they were measured together. What the sanity checks
found of a method is a line too.

A line that was cut off, because the program was killed while it was written, is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from xplain.errors import ArtifactError

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]
from xplain_evaluation.measure import Measurement
from xplain_evaluation.sanity import Finding

Tried = tuple[str, str, str, str, str]
"""Model, data, synthesizer, method, and a hash of the recordings they were tried on."""

Key = tuple[str, str, str, str, int]
"""Model, data, synthesizer, method, and the clip's place in the data."""


@dataclass(frozen=True)
class Record:
    """One clip by one method: its values, or why there are none.

    content: a hash of the recording.
    """

    key: Key
    clip: str
    content: str
    values: tuple[Measurement, ...]
    verdict: str | None
    warnings: tuple[str, ...]
    error: str | None
    seconds: float


class Journal:
    """Records by key, kept in one file of JSON lines."""

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        """Open a journal, or go on with it where its header is the same.

        Raises ArtifactError where it was written for something else, saying what differs;
        where it is damaged; where another run is writing it; and where it cannot be written.
        """
        self._path = path
        self.records: dict[Key, Record] = {}
        self._findings: dict[Tried, tuple[Finding, ...]] = {}
        first = json.dumps(header, sort_keys=True)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
        except OSError as error:
            raise ArtifactError(f"{path} cannot be written: {error}") from error
        try:
            _lock(self._file, path)
            self._file.seek(0)
            text = self._file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read(path, whole, first)
            self._file.truncate(len(whole))
            if not whole:
                self._line(first)
        except BaseException:
            self.close()
            raise

    def _read(self, path: Path, whole: bytes, first: str) -> None:
        try:
            lines = whole.decode("utf-8").splitlines()
            if lines and lines[0] != first:
                _refuse(path, json.loads(lines[0]), json.loads(first))
            for line in map(json.loads, lines[1:]):
                if isinstance(line, dict):
                    model, data, synthesizer, method, content = line["tried"]
                    tried = (model, data, synthesizer, method, content)
                    self._findings[tried] = tuple(map(_finding, line["findings"]))
                    continue
                for record in map(_record, line):
                    self.records[record.key] = record
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            raise ArtifactError(
                f"{path} is damaged ({type(error).__name__}: {error}); remove it to start anew"
            ) from error

    def done(self, keys: Sequence[Key], content: str) -> bool:
        """Whether this recording was measured by all methods.

        Where one failed, or the recording was changed since, it is measured again.
        """
        known = [self.records.get(key) for key in keys]
        return all(r is not None and r.error is None and r.content == content for r in known)

    def add(self, records: Sequence[Record]) -> None:
        """Keep the records of a clip."""
        self.records.update({record.key: record for record in records})
        self._line(json.dumps([asdict(record) for record in records]))

    def findings(
        self, tried: Tried, examine: Callable[[], Sequence[Finding]]
    ) -> tuple[Finding, ...]:
        """Findings of the sanity checks; missing ones are computed."""
        if tried not in self._findings:
            self._findings[tried] = tuple(examine())
            found = [asdict(finding) for finding in self._findings[tried]]
            self._line(json.dumps({"tried": tried, "findings": found}))
        return self._findings[tried]

    def close(self) -> None:
        """Close the file."""
        with suppress(OSError):  # what could not be written was said
            self._file.close()

    def _line(self, text: str) -> None:
        try:
            self._file.write(text.encode("utf-8") + b"\n")
            self._file.flush()
        except OSError as error:  # a full disk: what is there is read as far as it is whole
            raise ArtifactError(
                f"{self._path} cannot be written: {error}; free some space there, and run the same "
                "benchmark again to go on"
            ) from error


def _record(data: Mapping[str, Any]) -> Record:
    model, dataset, synthesizer, method, place = data["key"]
    return Record(
        key=(model, dataset, synthesizer, method, place),
        clip=data["clip"],
        content=data["content"],
        values=tuple(Measurement(**value) for value in data["values"]),
        verdict=data["verdict"],
        warnings=tuple(data["warnings"]),
        error=data["error"],
        seconds=data["seconds"],
    )


def _finding(data: Mapping[str, Any]) -> Finding:
    return Finding(data["check"], data["passed"], tuple(data["figures"]), data["message"])


def _lock(file: BinaryIO, path: Path) -> None:
    """Lock the file against other processes while it is open."""
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise ArtifactError(
            f"{path.parent} is being written by another run; wait for it, or choose another folder"
        ) from error


def _refuse(path: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    names = sorted(set(before) | set(now))
    different = [name for name in names if before.get(name) != now.get(name)]
    values = "; ".join(
        f"{name} {before.get(name)!r}, now {now.get(name)!r}"
        for name in different
        if not isinstance(now.get(name), dict | list)
    )
    raise ArtifactError(
        f"{path.parent} holds another benchmark: {', '.join(different)} differ"
        f"{f' ({values})' if values else ''}; "
        "choose another folder, or remove that one to start anew"
    )
