"""The loop that hands out leases, whatever the engine, and what it does when workers die."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from xplain.errors import ArtifactError, XplainError
from xplain_corpus import store
from xplain_corpus.entries import Entry
from xplain_corpus.rows import Rows, failed
from xplain_corpus.work import Done, Setup, Task, errors_of

DEATHS = 3
"""As often may a worker die of a clip that it does alone; once, where it takes too long."""
STARTS = 3
"""As often in a row may workers die before they have loaded the model."""
LOADING = 900.0
"""Seconds that a worker may take to load the model, before it is ended."""
PATIENCE = 1.0
"""Seconds between looks at the clock."""


@dataclass(frozen=True)
class Died:
    """A worker ended. started: whether it had loaded its model. late: for its time was over."""

    reason: str
    started: bool
    late: bool = False


Event = Done | Died


class Workers(Protocol):
    """What an engine gives: workers by number, each with one task at a time."""

    count: int

    def give(self, slot: int, task: Task) -> None:
        """Give a worker a task, and start it if need be."""

    def wait(self, seconds: float) -> Sequence[tuple[int, Event]]:
        """What became of tasks; nothing after so many seconds."""

    def kill(self, slot: int) -> None:
        """End a worker."""

    def close(self) -> None:
        """End all workers."""


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    done: clips, of ``total``, failed ones included. before: of these, done by earlier calls.
    errors: of the clips that failed since the last report, by id. seconds: since the start.
    """

    done: int
    total: int
    before: int
    errors: Mapping[str, str]
    seconds: float

    @property
    def rate(self) -> float:
        """Clips per second."""
        return (self.done - self.before) / max(self.seconds, 1e-9)

    @property
    def left(self) -> float | None:
        """Seconds that are left, at the rate so far; None where there is none yet."""
        return (self.total - self.done) / self.rate if self.rate > 0 else None


@dataclass
class _Lease:
    """A lease whose clips are done one by one, since a worker died of it."""

    entries: tuple[Entry, ...]
    rows: dict[str, Rows] = field(default_factory=dict)


def drive(
    workers: Workers, leases: Sequence[tuple[Entry, ...]], setup: Setup
) -> Generator[tuple[int, Mapping[str, str]], None, None]:
    """Have workers do leases; gives how many clips were committed, and the errors among them.

    Where a worker dies, its clips are done one by one; one of which it dies three times gets a
    row that says so. ArtifactError where the store cannot be written, XplainError where no worker
    can load the model. The workers are ended with the generator.
    """
    try:
        yield from _Driver(workers, leases, setup).run()
    finally:
        workers.close()


class _Driver:
    def __init__(self, workers: Workers, leases: Sequence[tuple[Entry, ...]], setup: Setup) -> None:
        self._workers, self._setup = workers, setup
        self._pending = deque(Task(lease) for lease in leases)
        self._given: dict[int, tuple[Task, float]] = {}
        self._split: dict[str, _Lease] = {}
        self._deaths: Counter[str] = Counter()
        self._failed_starts = 0

    def run(self) -> Iterator[tuple[int, Mapping[str, str]]]:
        while self._pending or self._given:
            for slot in range(self._workers.count):
                if slot not in self._given and self._pending:
                    task = self._pending.popleft()
                    self._given[slot] = task, time.monotonic()
                    self._workers.give(slot, task)
            for slot, event in self._workers.wait(PATIENCE):
                task, _ = self._given.pop(slot)
                if isinstance(event, Done):
                    self._failed_starts = 0
                    yield from self._finished(task, event)
                else:
                    yield from self._died(task, event)
            for slot, (task, since) in self._given.items():
                # Its own limit may not reach a process that is stopped.
                longest = LOADING + 2 * self._setup.limit * len(task.entries)
                if time.monotonic() - since > longest:
                    self._workers.kill(slot)

    def _finished(self, task: Task, done: Done) -> Iterator[tuple[int, Mapping[str, str]]]:
        if done.unwritable is not None:
            raise ArtifactError(done.unwritable)
        if not task.alone:
            yield len(task.entries), done.errors
            return
        ((entry,), (rows,)) = task.entries, done.rows
        yield from self._one_done(entry, rows)

    def _died(self, task: Task, death: Died) -> Iterator[tuple[int, Mapping[str, str]]]:
        if not death.started:
            self._failed_starts += 1
            if self._failed_starts >= STARTS:
                raise XplainError(
                    f"workers end before they have loaded the model: {death.reason}; "
                    "mend that, or give them more memory"
                )
            self._pending.appendleft(task)
            return
        self._failed_starts = 0
        if not task.alone:
            lease = _Lease(task.entries)
            self._split |= {entry.id: lease for entry in task.entries}
            self._pending.extendleft(Task((e,), alone=True) for e in reversed(task.entries))
            return
        (entry,) = task.entries
        self._deaths[entry.id] += 1
        if self._deaths[entry.id] < DEATHS and not death.late:
            self._pending.appendleft(task)
            return
        times = "once more" if death.late else f"{DEATHS} times"
        error = (
            f"{entry.path}: the worker died of this clip alone {times} ({death.reason}); "
            "leave the clip out, or mend what it ends"
        )
        setup = self._setup
        yield from self._one_done(entry, failed(entry, error, setup.key, setup.question.schemas))

    def _one_done(self, entry: Entry, rows: Rows) -> Iterator[tuple[int, Mapping[str, str]]]:
        """Keep a clip's rows until its lease is whole, then write that."""
        lease = self._split[entry.id]
        lease.rows[entry.id] = rows
        if len(lease.rows) < len(lease.entries):
            return
        whole = [lease.rows[e.id] for e in lease.entries]
        setup = self._setup
        store.write(setup.place, setup.key, whole, setup.question.schemas)
        for each in lease.entries:
            del self._split[each.id]
        yield len(whole), errors_of(whole)
