"""What the driver of a corpus can do: leases a second with 1,000 workers, and a resume.

    python benchmarks/corpus_driver.py [--clips 1000000] [--workers 1000] [--stored 100000]

The workers answer at once, so that what is measured is the loop itself. For the resume, shards of
rows without tensors are written, and their ids read and subtracted as the next start does it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence

from xplain_corpus import store
from xplain_corpus.driver import Event, drive
from xplain_corpus.entries import Entry, leases
from xplain_corpus.header import Question
from xplain_corpus.place import Place
from xplain_corpus.rows import failed
from xplain_corpus.tables import EXPLAINED
from xplain_corpus.work import Done, Setup, Task

LEASE = 64


class Instant:
    """Workers that are done as soon as they are asked."""

    def __init__(self, count: int) -> None:
        """Take their number."""
        self.count = count
        self._given: list[int] = []

    def give(self, slot: int, task: Task) -> None:
        """Take note."""
        self._given.append(slot)

    def wait(self, seconds: float) -> Sequence[tuple[int, Event]]:
        """Answer for the one that was asked first, as a busy cluster does."""
        return [(self._given.pop(0), Done({}))]

    def kill(self, slot: int) -> None:
        """Nothing is there."""

    def close(self) -> None:
        """Nothing is there."""


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description="throughput of the driver")
    options.add_argument("--clips", type=int, default=1_000_000)
    options.add_argument("--workers", type=int, default=1000)
    options.add_argument("--stored", type=int, default=100_000)
    asked = options.parse_args()
    listed = [Entry(f"{n:09}.wav", f"/data/{n:09}.wav", {}) for n in range(asked.clips)]
    with tempfile.TemporaryDirectory() as name:
        place = Place.of(name)
        setup = Setup(place, Question(model=""), {}, "0" * 64, 60.0, 1, None, (), ())
        start = time.process_time()
        planned = leases(listed, set(), LEASE)
        planning = time.process_time() - start
        start = time.process_time()
        done = sum(clips for clips, _ in drive(Instant(asked.workers), planned, setup))
        driving = time.process_time() - start
        assert done == asked.clips
        start = time.process_time()
        for lease in planned[: asked.stored // LEASE]:
            rows = [failed(entry, "none", setup.key, EXPLAINED) for entry in lease]
            store.write(place, setup.key, rows, EXPLAINED)
        writing = time.process_time() - start
        start = time.process_time()
        ids = {name for shard in store.states(place) for name, _ in shard}
        left = leases(listed, ids, LEASE)
        resuming = time.process_time() - start
        assert left == planned[asked.stored // LEASE :]
    found = {
        "clips": asked.clips,
        "workers": asked.workers,
        "planning_seconds": planning,
        "leases_a_second": len(planned) / driving,
        "writing_seconds_a_shard": writing / (asked.stored // LEASE),
        "resume_seconds_for": {len(ids): resuming},
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
