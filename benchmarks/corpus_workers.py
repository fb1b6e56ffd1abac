"""What a second worker brings a corpus: clips a second, and processor time a clip, side by side.

    python benchmarks/corpus_workers.py [--clips 80] [--rounds 5] [--engine ray] [--out FILE]

Runs with one worker and with two take turns, each with one thread, over the same recordings by
integrated gradients of 24 steps without verdicts. Looked at is the middle of a run, from the first
tenth of its leases to the last: the start of processes and models is a run's own, and paid once.
Processor time is of the workers alone and of everything (driver, nursery, Ray's own processes).
Medians over the rounds, and the load of the machine beside each.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from corpus_scale import processor_seconds, write

from xplain_corpus import Progress, run

WORKERS = (1, 2)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description="one worker and two")
    options.add_argument("--clips", type=int, default=80)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=1.0)
    options.add_argument("--engine", choices=("local", "ray"), default="local")
    options.add_argument("--out", type=Path)
    asked = options.parse_args()
    found: dict[int, list[dict[str, float]]] = {count: [] for count in WORKERS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "clips", asked.clips, asked.seconds)
        for number in range(asked.rounds):
            for count in WORKERS if number % 2 == 0 else WORKERS[::-1]:
                one = measured(folder, f"{count}-{number}", count, asked.engine)
                print(json.dumps({"workers": count, **one}), flush=True)
                found[count].append(one)
    middle = {
        count: {name: statistics.median(one[name] for one in each) for name in each[0]}
        for count, each in found.items()
    }
    ratios = {name: middle[2][name] / middle[1][name] for name in middle[1] if name != "load"}
    held = {"engine": asked.engine, "medians": middle, "two_over_one": ratios}
    text = json.dumps(held, indent=1)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n")


def measured(folder: Path, place: str, workers: int, engine: str) -> dict[str, float]:
    """Run the corpus once, and look at its middle."""
    seen: list[tuple[int, float, float, float]] = []

    def told(progress: Progress) -> None:
        own, everything = spent()
        seen.append((progress.done, time.perf_counter(), own, everything))

    run(
        folder / "clips",
        "zoo:digits",
        folder / place,
        settings={"params": {"steps": 24}},
        check=False,
        workers=workers,
        lease=2,
        engine="ray" if engine == "ray" else "local",
        progress=told,
    )
    first, last = seen[max(1, len(seen) // 10)], seen[-max(1, len(seen) // 10)]
    clips, seconds, own, everything = (b - a for a, b in zip(first, last, strict=True))
    return {
        "clips_a_second": clips / seconds,
        "worker_seconds_a_clip": own / clips,
        "all_seconds_a_clip": everything / clips,
        "load": os.getloadavg()[0],
    }


def spent() -> tuple[float, float]:
    """Processor seconds of the workers, and of this process with all that it started."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(stat.parent.name))
    ours, found = [os.getpid()], []
    while ours:
        pid = ours.pop()
        found.append(pid)
        ours += parents.get(pid, [])
    workers = [pid for pid in found if is_worker(pid)]
    return sum(map(processor_seconds, workers)), sum(map(processor_seconds, found))


def is_worker(pid: int) -> bool:
    """Whether a process holds a model: an actor of Ray's, or a child of the nursery."""
    try:
        if "ray::Actor" in Path(f"/proc/{pid}/cmdline").read_text():
            return True
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
        return int(parent) != os.getpid() and "nurse(" in Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return False


if __name__ == "__main__":
    main()
