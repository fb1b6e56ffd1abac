"""run(): explains what is not explained yet of a corpus."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from xplain.errors import ArtifactError, XplainError
from xplain.job import Job
from xplain.parameters import Text
from xplain.selection import checked_ratio
from xplain.targets import SimilarTo
from xplain_corpus import drivers, store
from xplain_corpus.corpus import Corpus
from xplain_corpus.driver import Progress, Workers, drive
from xplain_corpus.entries import Entry, entries, leases
from xplain_corpus.header import RUN, Header, Precision, Question
from xplain_corpus.place import Place
from xplain_corpus.work import Setup

Engine = Literal["local", "ray"]
LARGEST_LEASE = 64
"""Clips of a lease, where the corpus has many times more."""
SHARE = 0.9
"""Share of the machine's memory that all workers together may take."""


def run(
    source: str | Path,
    model: str,
    out: str | Path,
    *,
    segments: bool = False,
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
    loads it. out: the run's folder, or its URL (s3://…, or another that pyarrow or fsspec
    knows). segments: whether to segment recordings instead; the model is a segmenter then.
    settings: of xplain.explain(), or of xplain.segment(), as JSON holds them. keep, remove:
    ratios at which the model is asked. check: whether to compute verdicts. attribution: the type
    that attributions are stored as. audio: whether to store the recordings too.

    workers: processes (default: one for each core), or actors of Ray. lease: clips that are
    written together (default: by the size of the corpus, at most 64). limit: seconds for one
    clip. threads: of a worker. memory: GB of a worker (default: its share of the machine; no
    limit off the CPU). shard: (i, n), do every n-th lease from the i-th alone, so that n calls do
    what one does. retry: do leases again in which a clip failed. address, gpus: Ray's cluster,
    and the GPUs of each actor. progress: is told of each lease.

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
    asked: dict[str, Any] = {
        name: _plain(value) if name.endswith("params") else value
        for name, value in (settings or {}).items()
    }
    similar_to: tuple[str, ...] = ()
    if isinstance(asked.get("target"), SimilarTo):
        similar_to = _files(asked.pop("target"))
    question = Question(
        model=model,
        segments=segments,
        settings=asked,
        similar_to=similar_to,
        keep=tuple(keep),
        remove=tuple(remove),
        check=check,
        attribution=attribution,
        audio=audio,
    )
    place = Place.of(out)
    listed = entries(Path(source))
    job = question.prepare()
    header = Header.of(question, job)
    on_cpu = job.device.type == "cpu"
    parts = (
        (job.explainer, job.replacement, job.baseline, job.route.synthesizer)
        if isinstance(job, Job)
        else (job.segmenter,)
    )
    needed = tuple(dict.fromkeys(type(each).__module__ for each in parts))
    del job, parts  # the workers have theirs
    _check_place(place)
    size = lease or min(LARGEST_LEASE, max(1, len(listed) // LARGEST_LEASE))
    with drivers.only(place, drivers.Part.of(source, listed, size, number, count)):
        if RUN in place.listed():
            header.check_same(Header.read(place), place)
        else:
            header.write(place)
        done: set[str] = set()
        again: list[tuple[Entry, ...]] = []
        known = {entry.id: entry for entry in listed}
        for rows in store.states(place):
            ids = [name for name, _ in rows]
            whole = retry and any(error is not None for _, error in rows)
            if whole and all(name in known for name in ids):
                again.append(tuple(known[name] for name in ids))  # into the same shard
            done.update(ids)
        own = {entry.id for each in leases(listed, (), size, number, count) for entry in each}
        again = [each for each in again if each[0].id in own]
        planned = again + leases(listed, done, size, number, count)
        before = len(own & done) - sum(map(len, again))
        many = workers or os.cpu_count() or 1
        setup = Setup(
            place=place,
            question=question,
            origin=header.origin,
            key=header.key,
            limit=limit,
            threads=threads,
            memory=_bytes(memory, many, on_cpu and engine == "local"),
            modules=tuple(sys.path),
            needed=needed,
        )
        tell = progress or (lambda _: None)
        began, finished, total = time.monotonic(), before, before + sum(map(len, planned))
        tell(Progress(finished, total, before, {}, 0.0))
        if planned:
            crew = _workers(engine, setup, min(many, len(planned)), address, gpus)
            with contextlib.closing(drive(crew, planned, setup)) as events:
                for clips, errors in events:
                    finished += clips
                    spent = time.monotonic() - began
                    tell(Progress(finished, total, before, errors, spent))
    return Corpus(place)


def _workers(engine: Engine, setup: Setup, count: int, address: str | None, gpus: float) -> Workers:
    if engine == "local":
        from xplain_corpus.local import LocalWorkers

        return LocalWorkers(setup, count)
    if engine == "ray":
        from xplain_corpus.on_ray import RayWorkers

        return RayWorkers(setup, count, address, gpus)
    raise XplainError(f"no engine {engine!r}; available: local, ray")


def _check_place(place: Place) -> None:
    """Refuse a folder that is somebody else's."""
    try:
        held = set(place.listed())
    except OSError as error:
        raise ArtifactError(f"{place} cannot be read: {error}; choose another folder") from error
    if held - {drivers.FOLDER} and RUN not in held:
        raise ArtifactError(
            f"{place} exists and holds {min(held)}, but no run; choose another folder"
        )


def _plain(params: Mapping[str, object]) -> dict[str, object]:
    """Parameters as JSON holds them, and what was typed as a text."""
    return {name: str(v) if isinstance(v, Text) else v for name, v in params.items()}


def _files(target: SimilarTo) -> tuple[str, ...]:
    """The recordings that clips are compared with, as files that a worker can open."""
    given = target.recordings
    found = given if isinstance(given, list) else [given]
    if target.threshold is not None or not all(isinstance(each, str | Path) for each in found):
        raise XplainError("the target of a corpus is similar to files, without a threshold")
    return tuple(os.path.abspath(str(each)) for each in found)


def _bytes(memory: float | None, workers: int, limited: bool) -> int | None:
    if memory is not None:
        return round(memory * 1e9)
    if not limited or not hasattr(os, "sysconf"):
        return None
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(SHARE * machine / workers)
