"""Workers as processes of this machine, forked from a nursery that has imported everything once.

A nursery, and not a fresh interpreter for each worker: importing torch takes longer than many a
lease, and its pages are then shared. It is forked from the driver where that has one thread, as a
command has, and is an interpreter of its own else: a forked process lacks the other threads, and
what they held stays locked.
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
from typing import Any

import torch

from xplain_corpus.driver import Died, Event
from xplain_corpus.work import Done, Setup, Task, Worker

START = "import sys; from xplain_corpus.local import nurse; nurse(int(sys.argv[1]), sys.argv[2:])"
READY = "ready"
PRELOADED = ("pandas", "pyarrow.pandas_compat")
"""What pyarrow imports with the first table, where it is installed."""


@dataclass
class _Running:
    """A worker's process. since: when it began its task; None while it loads the model."""

    pid: int
    connection: Connection
    since: float | None = None


class LocalWorkers:
    """Processes that each hold one model; one that ended is started anew with its next task."""

    def __init__(self, setup: Setup, count: int) -> None:
        """Start the nursery. count: of workers."""
        self.count = count
        self._setup = setup
        self._running: dict[int, _Running] = {}
        self._nursery, theirs = multiprocessing.Pipe()
        needed = (*setup.needed, *PRELOADED)
        with theirs:
            self._pid = _forked(theirs, needed) if _may_fork() else _started(theirs, needed, setup)

    def give(self, slot: int, task: Task) -> None:
        """Give worker ``slot`` a task, and start it if need be."""
        if slot not in self._running:
            ours, theirs = multiprocessing.Pipe()
            with theirs:
                self._nursery.send("fork")
                send_handle(self._nursery, theirs.fileno(), self._pid)
                pid = self._nursery.recv()
            self._running[slot] = _Running(pid, ours)
            self._send(slot, self._setup)
        elif self._running[slot].since is not None:
            self._running[slot].since = time.monotonic()
        self._send(slot, task)

    def wait(self, seconds: float) -> list[tuple[int, Event]]:
        """What workers have done, or that they died; nothing after so many seconds."""
        slots = {id(running.connection): slot for slot, running in self._running.items()}
        waiting = [running.connection for running in self._running.values()]
        found: list[tuple[int, Event]] = []
        for connection in multiprocessing.connection.wait(waiting, seconds):
            slot = slots[id(connection)]
            try:
                message = self._running[slot].connection.recv()
            except (EOFError, OSError):
                found.append((slot, self._ended(slot)))
                continue
            if message == READY:
                self._running[slot].since = time.monotonic()
            elif isinstance(message, Done):
                found.append((slot, message))
            else:
                found.append((slot, self._ended(slot, str(message))))
        return found

    def kill(self, slot: int) -> None:
        """End a worker; that it died is heard of by wait()."""
        if slot in self._running:
            os.kill(self._running[slot].pid, signal.SIGKILL)

    def close(self) -> None:
        """End all workers at once."""
        for slot in self._running:
            with contextlib.suppress(ProcessLookupError):
                self.kill(slot)
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        for running in self._running.values():
            running.connection.close()
        self._nursery.close()

    def _send(self, slot: int, message: object) -> None:
        with contextlib.suppress(OSError):  # it died; wait() will say so
            self._running[slot].connection.send(message)

    def _ended(self, slot: int, reason: str | None = None) -> Died:
        running = self._running.pop(slot)
        running.connection.close()
        self._nursery.send(running.pid)
        status = self._nursery.recv()
        spent = 0.0 if running.since is None else time.monotonic() - running.since
        late = status in (1, -signal.SIGKILL) and spent >= self._setup.limit
        if reason is None and late:
            reason = f"it took longer than the limit of {self._setup.limit:g} s"
        elif reason is None and status < 0:
            reason = f"it was killed by {signal.Signals(-status).name}"
        elif reason is None:
            reason = f"it ended with status {status}"
        return Died(reason, running.since is not None, late)


def _may_fork() -> bool:
    """Whether this process has one thread, native ones counted, and no GPU in use."""
    try:
        alone = len(os.listdir("/proc/self/task")) == 1
    except OSError:  # not known on this system
        return False
    return alone and not bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def _forked(theirs: Connection, needed: Sequence[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()  # else a child may write it once more
    pid = os.fork()
    if pid == 0:
        os.setsid()  # Ctrl-C is for the driver alone
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 0)
        os.dup2(sys.stderr.fileno() if _is_file(sys.stderr) else nowhere, 1)
        try:
            nurse(theirs.fileno(), needed)
        finally:
            os._exit(0)
    return pid


def _started(theirs: Connection, needed: Sequence[str], setup: Setup) -> int:
    process = subprocess.Popen(
        [sys.executable, "-c", START, str(theirs.fileno()), *needed],
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno() if _is_file(sys.stderr) else subprocess.DEVNULL,
        env=_environment(setup),
        start_new_session=True,
    )
    process.returncode = 0  # it is waited for by its number
    return process.pid


def nurse(handle: int, needed: Sequence[str]) -> None:
    """Fork workers, and tell how they ended, as is asked through a pipe until it is closed.

    needed: modules that each worker will import.
    """
    _die_with_parent()
    for module in needed:
        with contextlib.suppress(Exception):  # a worker will say what is wrong with it
            importlib.import_module(module)
    with Connection(handle) as asked, contextlib.suppress(EOFError, OSError):
        while True:
            request = asked.recv()
            if request != "fork":
                _, status = os.waitpid(request, 0)
                asked.send(os.waitstatus_to_exitcode(status))
                continue
            theirs = recv_handle(asked)
            parent = os.getpid()
            pid = os.fork()
            if pid == 0:
                asked.close()
                work(theirs, parent)
                os._exit(0)
            os.close(theirs)
            asked.send(pid)


def work(handle: int, parent: int) -> None:
    """Do tasks that come through a pipe until it is closed."""
    _die_with_parent()
    with Connection(handle) as connection, contextlib.suppress(EOFError, OSError):
        setup: Setup = connection.recv()
        try:
            worker = Worker(setup, alive=lambda: os.getppid() == parent)
        except Exception as error:
            connection.send(f"{type(error).__name__}: {error}")
            return
        connection.send(READY)
        while True:
            task = connection.recv()
            try:
                done = worker.do(task)
            except SystemExit as end:
                os._exit(end.code if isinstance(end.code, int) else 1)
            connection.send(done)


def _die_with_parent() -> None:
    """Have Linux end this process with the one that started it."""
    if sys.platform == "linux":
        import ctypes

        set_death_signal = 1
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)


def _environment(setup: Setup) -> Mapping[str, str]:
    """Modules are found as here, and no library has threads when workers are forked."""
    kinds = ("OMP", "MKL", "OPENBLAS")
    threads = {f"{kind}_NUM_THREADS": str(setup.threads) for kind in kinds}
    return {**os.environ, **threads, "PYTHONPATH": os.pathsep.join(setup.modules)}


def _is_file(stream: Any) -> bool:
    try:
        return int(stream.fileno()) >= 0
    except (OSError, ValueError, AttributeError):
        return False
