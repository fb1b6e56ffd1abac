"""What commands over many clips share: output for machines, failures, names on disk."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TextIO, TypeVar

import typer

from xplain.errors import ArtifactError
from xplain.progress import hush, say

T = TypeVar("T")
AsJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON object per recording on standard output")
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", callback=hush, help="Say nothing but errors and warnings  [default: no]"
    ),
]
STDOUT, STDERR = 1, 2
ENDINGS = frozenset(
    ".wav .flac .ogg .oga .opus .mp3 .aif .aiff .aifc .au .caf .w64 .rf64".split()  # noqa: SIM905
)
"""Of files in a folder that are taken for recordings."""
LONGEST = 200
"""Bytes of a name on disk, so that an ending fits where a system allows 255."""
LISTED = 20
"""Clips that are named in a message."""


def recordings(given: Sequence[str]) -> list[str]:
    """What was given, with folders replaced by the recordings in them, and manifests by theirs.

    A manifest is a CSV file with a column path. XplainError where one holds no recording.
    """
    found: list[str] = []
    for clip in given:
        path = Path(clip)
        if path.is_dir():
            inside = sorted(str(each) for each in path.rglob("*") if _is_recording(each, path))
            if not inside:
                raise ArtifactError(f"{clip} holds no recording; give the folder that does")
            found += inside
        elif path.suffix.lower() == ".csv":
            from xplain.manifest import check_files, rows

            listed = rows(path)
            check_files(listed, path)
            found += [str(row.file) for row in listed]
        else:
            found.append(clip)
    return found


def _is_recording(path: Path, folder: Path) -> bool:
    """Whether a file inside a folder is taken for a recording: by its ending, and not hidden."""
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return path.suffix.lower() in ENDINGS and not hidden and path.is_file()


@dataclass
class Machines:
    """Standard output, kept for what machines read. broken: what was written there is lost."""

    stream: TextIO
    broken: bool = False

    def tell(self, data: object, indent: int | None = None) -> None:
        """Write JSON and a line end; where that fails, it is said once and the work goes on."""
        if self.broken:
            return
        try:
            print(json.dumps(data, indent=indent), file=self.stream, flush=True)
        except (OSError, ValueError) as error:
            self.broken = True
            give_up(self.stream, error)


def give_up(stream: TextIO, error: Exception) -> None:
    """Say that standard output cannot be written, and drop what is still held back for it."""
    reason = getattr(error, "strerror", None) or str(error)
    advice = "; free some space there" if getattr(error, "errno", 0) == errno.ENOSPC else ""
    say(f"error: standard output cannot be written: {reason}{advice}")
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


@contextmanager
def machines() -> Iterator[Machines]:
    """Keep standard output for machines; what plugins, models and C libraries print goes to stderr.

    Leaves with status 1 where standard output could not be written.
    """
    stdout = sys.stdout
    with contextlib.ExitStack() as stack:
        try:
            ours = stdout.fileno() == STDOUT
        except (OSError, ValueError, AttributeError):  # not a file: a notebook, a test
            ours = False
        if ours:
            stdout.flush()
            kept = os.dup(STDOUT)
            os.dup2(STDERR, STDOUT)
            stream = stack.enter_context(open(kept, "w", encoding=stdout.encoding))
            stack.callback(os.dup2, kept, STDOUT)
            stack.callback(_flush_c)
            told = Machines(stream)
        else:
            told = Machines(stdout)
        with contextlib.redirect_stdout(sys.stderr):
            yield told
    if told.broken:
        raise typer.Exit(1)


def _flush_c() -> None:
    """Have C libraries write what they hold back, while that still goes to standard error."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).fflush(None)


@dataclass
class Batch:
    """What became of the clips of one call."""

    clips: Sequence[str]
    what: str
    done: int = 0
    failures: list[Any] = field(default_factory=list)
    interrupted: bool = False

    def run(self, results: Iterable[Any], work: Callable[[Any], None]) -> None:
        """Do the work on each result; what fails is said, and the next one tried.

        An interruption (Ctrl-C) ends it, so that what is done can still be shown.
        """
        from xplain.clips import Failure, guarded

        try:
            for clip, result in zip(self.clips, results, strict=True):
                if not isinstance(result, Failure):
                    result, _ = guarded(clip, partial(work, result))
                if isinstance(result, Failure):
                    self.failures.append(result)
                else:
                    self.done += 1
        except KeyboardInterrupt:
            self.interrupted = True

    def finish(self) -> None:
        """Say what failed and what was not done; leave with status 1 or 130 where some was."""
        total = len(self.clips)
        for failure in self.failures:
            say(f"error: {failure.error}")
        if self.failures:
            failed = _listed([failure.name for failure in self.failures])
            say(f"{len(self.failures)} of {total} {self.what} failed: {failed}")
        if self.interrupted:
            rest = self.clips[self.done + len(self.failures) :]
            say(
                f"interrupted: {self.done} of {total} {self.what} are done and saved; to go on, "
                f"give the same command the rest: {_listed(rest)}"
            )
            raise typer.Exit(130)
        if self.failures:
            raise typer.Exit(1)


def check_out(out: Path) -> None:
    """Refuse an --out that is no folder, before the work."""
    if out.exists() and not out.is_dir():
        raise ArtifactError(f"{out} is a file; give a folder with --out")


def free(name: str, taken: set[str], usable: Callable[[str], bool]) -> str:
    """A name on disk: the clip's own, else NAME-2 and so on; it is added to ``taken``.

    taken: names that this call has given, as no file system confuses them. usable: whether
    what is there already may be replaced, or nothing is.
    """
    stem = name.strip(".") or "clip"
    if len(os.fsencode(stem)) > LONGEST:
        stem = os.fsencode(stem)[:LONGEST].decode("utf-8", "ignore")
    candidate, number = stem, 2
    while _key(candidate) in taken or not usable(candidate):
        candidate, number = f"{stem}-{number}", number + 1
    taken.add(_key(candidate))
    return candidate


def _key(name: str) -> str:
    """A name as file systems see it that do not tell cases or compositions apart."""
    return unicodedata.normalize("NFC", name).casefold()


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
