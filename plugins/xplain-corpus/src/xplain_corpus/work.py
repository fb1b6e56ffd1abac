"""A worker: holds one model, and does leases of clips with it."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from xplain import memory
from xplain.clips import Failure, guarded
from xplain.errors import ArtifactError, XplainError
from xplain.explaining import compare_each
from xplain.explanation import Explanation
from xplain.job import Job
from xplain.segmentation.segmenting import segment_by
from xplain_corpus import store
from xplain_corpus.entries import Entry
from xplain_corpus.header import Question
from xplain_corpus.place import Place
from xplain_corpus.rows import Rows, answered, failed, segmented

EXHAUSTED = ("MemoryError", "not enough memory", "out of memory", "annot allocate memory")
"""What an error says that is of a lack of memory."""


@dataclass(frozen=True)
class Setup:
    """What a worker needs to know.

    origin, key: of the run's header. limit: seconds that a clip may take. threads: of a worker.
    memory: bytes that a worker may take; None for any. modules: where modules are found. needed:
    names of those that the job needs.
    """

    place: Place
    question: Question
    origin: Mapping[str, Any]
    key: str
    limit: float
    threads: int
    memory: int | None
    modules: tuple[str, ...]
    needed: tuple[str, ...]


@dataclass(frozen=True)
class Task:
    """Clips to be done together. alone: a clip by itself, whose rows are given back."""

    entries: tuple[Entry, ...]
    alone: bool = False


@dataclass(frozen=True)
class Done:
    """What became of a task.

    errors: of the clips that failed, by id. rows: of a clip that was done alone; else they are
    in the store. unwritable: why they could not be written there.
    """

    errors: Mapping[str, str]
    rows: tuple[Rows, ...] = ()
    unwritable: str | None = None


class Worker:
    """Explains clips as a run's header says."""

    def __init__(self, setup: Setup, alive: Callable[[], bool] = lambda: True) -> None:
        """Load the model. alive: whether the driver is; where it is not, nothing is written."""
        torch.set_num_threads(setup.threads)
        warnings.simplefilter("ignore")
        _confine(setup.memory)
        self._setup, self._alive = setup, alive
        self._job = setup.question.prepare()

    def do(self, task: Task) -> Done:
        """Do a task; a lease's rows are written as a shard."""
        rows = tuple(self._rows(entry, task.alone) for entry in task.entries)
        errors = errors_of(rows)
        if task.alone:
            return Done(errors, rows)
        if not self._alive():
            raise SystemExit(1)
        try:
            setup = self._setup
            store.write(setup.place, setup.key, rows, setup.question.schemas)
        except ArtifactError as error:
            return Done(errors, unwritable=str(error))
        return Done(errors)

    def _rows(self, entry: Entry, alone: bool) -> Rows:
        setup = self._setup
        with _limited(setup.limit):
            result = self._answered(entry)
        if not isinstance(result, Failure):
            return result
        if any(sign in str(result.error) for sign in EXHAUSTED) and not alone:
            raise SystemExit(1)  # perhaps others took it: in a fresh process, by itself
        return failed(entry, str(result.error), setup.key, setup.question.schemas)

    def _answered(self, entry: Entry) -> Rows | Failure:
        if not isinstance(self._job, Job):
            (found,) = segment_by([entry.path], self._job)
            if isinstance(found, Failure):
                return found
            return segmented(entry, found, self._setup.key)
        # A batch depends on the longest clip that was measured, and numbers on the batch: each
        # clip is measured by itself, so that its row is the same whichever worker does it.
        memory.sizes.clear()
        job = replace(self._job, memory=replace(self._job.memory))
        (result,) = compare_each([entry.path], [job])
        if isinstance(result, Failure):
            return result
        made, _ = guarded(entry.path, partial(self._checked, entry, result))
        return made

    def _checked(self, entry: Entry, explanation: Explanation) -> Rows:
        setup = self._setup
        if setup.question.check:
            with contextlib.suppress(XplainError):  # stored all the same, with the reason
                explanation.check()
        return answered(entry, explanation, setup.question, setup.origin, setup.key)


def errors_of(rows: Sequence[Rows]) -> dict[str, str]:
    """The errors of the clips that failed, by id."""
    return {row.clip["id"]: row.clip["error"] for row in rows if row.clip["error"] is not None}


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """End this process where a block takes longer, even in a library that never returns."""
    with open(os.devnull, "w") as nowhere:
        faulthandler.dump_traceback_later(seconds, exit=True, file=nowhere)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()


def _confine(memory: int | None) -> None:
    """Have a worker fail before the machine does: a limit, and first in line to be ended."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if memory is not None and sys.platform == "linux":
        import resource

        # Libraries reserve more than a gigabyte that they never fill: what is there is not counted.
        held = re.search(r"VmData:\s*(\d+) kB", Path("/proc/self/status").read_text())
        most = memory + (int(held[1]) * 1024 if held else 0)
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
