"""Workers as actors of Ray Core: each holds one model, and a task is a lease.

Not Ray Data: the unit that it commits is the block, and its helper actors cost a small machine
more than the work.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import Any

from xplain.errors import XplainError
from xplain_corpus.driver import Died, Event
from xplain_corpus.work import Done, Setup, Task, Worker

try:
    import ray
except ImportError as error:
    raise XplainError(
        "the engine ray needs Ray, which is not installed; run pip install 'xplain-corpus[ray]'"
    ) from error


class RayWorkers:
    """Actors by number; one that died is started anew with its next task."""

    def __init__(self, setup: Setup, count: int, address: str | None, gpus: float) -> None:
        """Connect to a cluster, or start one on this machine. count: of workers."""
        self.count = count
        self._setup = setup
        self._ours = not ray.is_initialized()
        if self._ours:
            # On one machine as many workers may be asked for as one likes.
            alone: dict[str, Any] = {"num_cpus": count, "include_dashboard": False}
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level=logging.ERROR,
                **({} if address else alone),
            )
        remote: Any = ray.remote(
            max_restarts=0, num_cpus=setup.threads if address else 1, num_gpus=gpus
        )
        self._actor: Any = remote(Actor)
        self._actors: dict[int, Any] = {}
        self._tasks: dict[Any, int] = {}
        self._began: dict[int, float] = {}

    def give(self, slot: int, task: Task) -> None:
        """Give an actor a task, and start it if need be."""
        if slot not in self._actors:
            self._actors[slot] = self._actor.remote(self._setup)
        self._tasks[self._actors[slot].do.remote(task)] = slot
        self._began[slot] = time.monotonic()

    def wait(self, seconds: float) -> Sequence[tuple[int, Event]]:
        """What actors have done, or that they died; nothing after so many seconds."""
        ready, _ = ray.wait(list(self._tasks), num_returns=1, timeout=seconds)
        found: list[tuple[int, Event]] = []
        for reference in ready:
            slot = self._tasks.pop(reference)
            try:
                done = ray.get(reference)
            except ray.exceptions.RayActorError as error:
                found.append((slot, self._died(slot, error)))
            except ray.exceptions.RayError as error:
                self.kill(slot)
                found.append((slot, self._died(slot, error)))
            else:
                assert isinstance(done, Done)
                found.append((slot, done))
        return found

    def kill(self, slot: int) -> None:
        """End an actor; that it died is heard of by wait()."""
        if slot in self._actors:
            ray.kill(self._actors[slot])

    def close(self) -> None:
        """End all actors, and the cluster where it was started here."""
        for slot in list(self._actors):
            self.kill(slot)
        if self._ours:
            ray.shutdown()

    def _died(self, slot: int, error: Exception) -> Died:
        del self._actors[slot]
        spent = time.monotonic() - self._began[slot]
        text = " ".join(str(error).split())
        late = spent >= self._setup.limit
        if late:
            text = f"it took longer than the limit of {self._setup.limit:g} s, or {text}"
        # Its constructor failed where it is unavailable from the start.
        started = "creation" not in text and "__init__" not in text
        return Died(text[:300], started, late and started)


class Actor:
    """A worker in a process of Ray's."""

    def __init__(self, setup: Setup) -> None:
        """Load the model."""
        self._worker = Worker(setup)

    def do(self, task: Task) -> Done:
        """Do a task; what ends Python ends the actor."""
        return self._worker.do(task)
