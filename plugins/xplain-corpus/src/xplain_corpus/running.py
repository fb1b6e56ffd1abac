"""run(): explains what is not explained yet of a corpus."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from xplain.errors import ArtifactError, XplainError
from xplain.selection import checked_ratio
from xplain.storage import only_writer
from xplain_corpus import store
from xplain_corpus.corpus import Corpus
from xplain_corpus.driver import Progress, Workers, drive
from xplain_corpus.entries import entries, leases, part
from xplain_corpus.header import RUN, Header, Precision, Question
from xplain_corpus.work import Setup

Engine = Literal["local", "ray"]
DRIVERS = "drivers"
LARGEST_LEASE = 64
"""Clips of a lease, where the corpus has many times more."""
SHARE = 0.9
"""Share of the machine's memory that all workers together may take."""


def run(
    source: str | Path,
    model: str,
    out: str | Path,
    *,
    settings: Mapping[str, Any] | None = None,
    keep: Sequence[float] = (0.1,),
    remove: Sequence[float] = (0.1,),
    check: bool = True,
    attribution: Precision = "float16",
    audio: bool = False,
    engine: Engine = "local",
    workers: int | None = None,
    lease: int | None = None,
    limit: float = 600.0,
    threads: int = 1,
    memory: float | None = None,
    shard: tuple[int, int] = (1, 1),
    retry: bool = False,
    address: str | None = None,
    gpus: float = 0.0,
    progress: Callable[[Progress], None] | None = None,
) -> Corpus:
    """Explain each recording of a manifest or a folder exactly once, into a folder of Parquet.

    The same call again does what is left, whatever ended the one before.

    source: a CSV manifest with a column path, or a folder. model: a reference, since each worker
    loads it. out: the run's folder. settings: of xplain.explain(), as JSON holds them. keep,
    remove: ratios at which the model is asked. check: whether to compute verdicts. attribution:
    the type that attributions are stored as. audio: whether to store the recordings too.

    workers: processes (default: one for each core), or actors of Ray. lease: clips that are
    written together (default: by the size of the corpus, at most 64). limit: seconds for one
    clip. threads: of a worker. memory: GB of a worker (default: its share of the machine; no
    limit off the CPU). shard: (i, n), do part i of n alone. retry: do leases again in which a clip
    failed. address, gpus: Ray's cluster, and the GPUs of each actor. progress: is told of
    each lease.

    Clips that fail are rows with the error, and Corpus.failures. Raises XplainError where the run
    as a whole cannot go on: another question (ArtifactError), a folder that cannot be written.
    """
    for ratio in (*keep, *remove):
        checked_ratio(ratio)
    number, count = shard
    if not 1 <= number <= count:
        raise XplainError(f"a shard is i/n with 1 ≤ i ≤ n, not {number}/{count}")
    for name, value in (("workers", workers), ("lease", lease), ("threads", threads)):
        if value is not None and value < 1:
            raise XplainError(f"{name} is at least 1, not {value}")
    if not limit > 0:
        raise XplainError(f"limit is in seconds, above 0, not {limit}")
    question = Question(
        model=model,
        settings=dict(settings or {}),
        keep=tuple(keep),
        remove=tuple(remove),
        check=check,
        attribution=attribution,
        audio=audio,
    )
    folder = Path(out)
    listed = entries(Path(source))
    own = part(listed, number, count)
    job = question.prepare()
    header = Header.of(question, job)
    on_cpu = job.device.type == "cpu"
    parts = (job.explainer, job.replacement, job.baseline, job.route.synthesizer)
    needed = tuple(dict.fromkeys(type(each).__module__ for each in parts))
    del job, parts  # the workers have theirs
    _check_place(folder)
    with _only_driver(folder, number, count):
        if (folder / RUN).exists():
            header.check_same(Header.read(folder), folder)
        else:
            header.write(folder)
        wanted = {entry.id for entry in own}
        done = {
            name
            for name, error in store.states(folder)
            if name in wanted and not (retry and error is not None)
        }
        if retry:
            done -= _beside_failures(folder)
        size = lease or min(LARGEST_LEASE, max(1, len(listed) // LARGEST_LEASE))
        many = workers or os.cpu_count() or 1
        setup = Setup(
            folder=folder.resolve(),
            question=question,
            origin=header.origin,
            key=header.key,
            limit=limit,
            threads=threads,
            memory=_bytes(memory, many, on_cpu and engine == "local"),
            modules=tuple(sys.path),
            needed=needed,
        )
        planned = leases(own, done, size)
        tell = progress or (lambda _: None)
        began, finished = time.monotonic(), len(done)
        tell(Progress(finished, len(own), len(done), {}, 0.0))
        if planned:
            crew = _workers(engine, setup, min(many, len(planned)), address, gpus)
            with contextlib.closing(drive(crew, planned, setup)) as events:
                for clips, errors in events:
                    finished += clips
                    spent = time.monotonic() - began
                    tell(Progress(finished, len(own), len(done), errors, spent))
    return Corpus(folder)


def _workers(engine: Engine, setup: Setup, count: int, address: str | None, gpus: float) -> Workers:
    if engine == "local":
        from xplain_corpus.local import LocalWorkers

        return LocalWorkers(setup, count)
    if engine == "ray":
        from xplain_corpus.on_ray import RayWorkers

        return RayWorkers(setup, count, address, gpus)
    raise XplainError(f"no engine {engine!r}; available: local, ray")


def _check_place(folder: Path) -> None:
    """Refuse a folder that is somebody else's."""
    try:
        held = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    except FileNotFoundError:
        return
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be read: {error}; choose another folder") from error
    if held - {DRIVERS} and RUN not in held:
        raise ArtifactError(
            f"{folder} exists and holds {min(held)}, but no run; choose another folder"
        )


@contextlib.contextmanager
def _only_driver(folder: Path, number: int, count: int) -> Iterator[None]:
    """Keep others from driving the same clips: the same part, or parts that are cut otherwise."""
    place = folder / DRIVERS / f"{number}-of-{count}"
    with only_writer(place):
        for other in (folder / DRIVERS).iterdir():
            if other != place and other.name.rpartition("-of-")[2] != str(count):
                with only_writer(other):
                    pass
        yield


def _beside_failures(folder: Path) -> set[str]:
    """Clips of shards in which one failed: a lease is done whole, or not at all."""
    import pyarrow.parquet as pq

    found: set[str] = set()
    for path in store.shards(folder):
        read = pq.read_table(path, columns=["id", "error"])
        if read["error"].null_count < len(read):
            found.update(read["id"].to_pylist())
    return found


def _bytes(memory: float | None, workers: int, limited: bool) -> int | None:
    if memory is not None:
        return round(memory * 1e9)
    if not limited or not hasattr(os, "sysconf"):
        return None
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(SHARE * machine / workers)
