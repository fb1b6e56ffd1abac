"""What a corpus costs: bytes and processor time a clip, memory over time, and queries.

    python benchmarks/corpus_scale.py [--clips 10000] [--seconds 1] [--out results.json]

The recordings are one spoken word of the zoo with noise of its own for each clip, so that all
hashes differ. The model is zoo:digits by a method of one evaluation, without verdicts: what is
measured is what stands around the model. Memory is the resident set of the driver (this process)
and the unshared part of its workers', read each second.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import soundfile

from xplain_corpus import Corpus, Progress, run

WORD = Path(__file__).parents[1] / "plugins/xplain-zoo/src/xplain_zoo/clips/seven.wav"
QUERIES = (
    "SELECT target, count(*), avg(probability) FROM clips GROUP BY target",
    "SELECT id FROM clips ORDER BY probability LIMIT 20",
    "SELECT avg(list_max(map_values(probabilities))) FROM clips",
)


def main() -> None:
    """Write the recordings, run, and report."""
    options = argparse.ArgumentParser(description="what a corpus costs")
    options.add_argument("--clips", type=int, default=10_000)
    options.add_argument("--seconds", type=float, default=1.0)
    options.add_argument("--workers", type=int, default=1)
    options.add_argument("--out", type=Path)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "clips", asked.clips, asked.seconds)
        found = measure(folder, asked.workers) | {"seconds_of_audio_a_clip": asked.seconds}
    text = json.dumps(found, indent=1)
    print(text)
    if asked.out:
        asked.out.write_text(text + "\n")


def write(folder: Path, clips: int, seconds: float) -> None:
    """Write recordings of a word, each with its own noise."""
    folder.mkdir()
    word, rate = soundfile.read(WORD)
    length = round(seconds * rate)
    word = np.resize(word, length)
    for number in range(clips):
        noise = np.random.default_rng(number).standard_normal(length)
        soundfile.write(folder / f"{number:06}.wav", 0.9 * word + 0.003 * noise, rate)


def measure(folder: Path, workers: int) -> dict[str, object]:
    """Run a corpus and ask it."""
    memory: dict[str, list[float]] = {"driver": [], "worker": [], "seconds": [0.0]}
    ended = threading.Event()
    watch = threading.Thread(target=watched, args=(memory, ended))
    watch.start()
    reports: list[Progress] = []
    before = sum(os.times()[:2])
    corpus = run(
        folder / "clips",
        "zoo:digits",
        folder / "run",
        settings={"explainer": "input-x-gradient"},
        check=False,
        attribution="int8",
        workers=workers,
        progress=reports.append,
    )
    ended.set()
    watch.join()
    spent = sum(os.times()[:2]) - before + max(memory.pop("seconds"))
    status = corpus.status()
    assert status.clips == reports[-1].total and not status.failed, status
    return {
        "clips": status.clips,
        "shards": status.shards,
        "kilobytes_a_clip": status.bytes / status.clips / 1000,
        "processor_seconds_a_clip": spent / status.clips,
        "clips_a_second": reports[-1].rate,
        "load": os.getloadavg()[0],
        "queries_seconds": [asked(corpus, sql) for sql in QUERIES],
        "resume_seconds": resumed(folder, workers),
        "megabytes": {kind: tenths(values) for kind, values in memory.items()},
    }


def asked(corpus: Corpus, sql: str) -> float:
    """Seconds of a query, median of 5."""
    times = []
    for _ in range(5):
        start = time.perf_counter()
        corpus.query(sql)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def resumed(folder: Path, workers: int) -> float:
    """Seconds of the same call, once all is done."""
    start = time.perf_counter()
    run(
        folder / "clips",
        "zoo:digits",
        folder / "run",
        settings={"explainer": "input-x-gradient"},
        check=False,
        attribution="int8",
        workers=workers,
    )
    return time.perf_counter() - start


def watched(memory: dict[str, list[float]], ended: threading.Event) -> None:
    """Read memory each second."""
    while not ended.wait(1):
        memory["driver"].append(field("self", "status", "VmRSS"))
        workers = [w for nursery in children(os.getpid()) for w in children(nursery)]
        memory["seconds"].append(sum(map(processor_seconds, workers)))
        held = [field(worker, "smaps_rollup", "Private_Dirty") for worker in workers]
        if held:
            memory["worker"].append(max(held))


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(each) for each in task.read_text().split()]
    return found


def processor_seconds(pid: int) -> float:
    """What a process has used so far."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def field(pid: int | str, file: str, name: str) -> float:
    """A field of a process in MB."""
    with contextlib.suppress(OSError):  # it ended
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
        for line in lines:
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1000
    return 0.0


def tenths(values: list[float]) -> list[float]:
    """The largest in each tenth of the time."""
    return [round(float(part.max()), 1) for part in np.array_split(values, 10) if len(part)]


if __name__ == "__main__":
    main()
