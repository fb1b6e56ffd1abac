"""Kills the workers and the driver of a corpus at random moments: every clip once, the same bytes.

    python plugins/xplain-corpus/tests/kill_corpus.py [--moments 20] [--good 120]

A run is made undisturbed. Then, for each moment, a run into another folder has its driver killed
(SIGKILL) at a random share of that time, or one of its workers, or the disk is full; and the same
command is given until it ends by itself. Every good clip is there once, wicked ones are named,
the command's status is 1, and each shard has the bytes of the undisturbed run.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
from wicked import KINDS, write_clips

MODEL = f"{Path(__file__).with_name('wicked.py')}:make"


def main() -> None:
    options = argparse.ArgumentParser(description="corpora that are killed")
    options.add_argument("--moments", type=int, default=20)
    options.add_argument("--good", type=int, default=120)
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    rng = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_clips(folder / "clips", asked.good, KINDS)
        started = time.monotonic()
        assert finish(folder, "undisturbed") == 1
        seconds = time.monotonic() - started
        expected = shards(folder / "undisturbed")
        check(folder / "undisturbed", asked.good)
        print(f"undisturbed: {seconds:.0f} s, {len(expected)} files", flush=True)
        for number in range(asked.moments):
            for what, kill in (("driver", kill_driver), ("worker", kill_worker)):
                place = f"{what}-{number}"
                share = rng.random()
                disturbed(folder, place, share * seconds, kill)
                assert finish(folder, place) == 1
                check(folder / place, asked.good)
                assert shards(folder / place) == expected, place
                print(f"{what} killed at {share:.0%}: every clip once, same bytes", flush=True)
        full = call(folder, "full", limited=True)
        assert full.returncode == 1 and "cannot be written" in full.stderr, full.stderr
        assert finish(folder, "full") == 1
        assert shards(folder / "full") == expected
        print("a file too large for its place: said, and the same bytes after", flush=True)


def arguments(folder: Path, place: str) -> list[str]:
    """The command, which is always the same."""
    given = [sys.executable, "-c", "from xplain.cli.main import main; main()", "corpus", "run"]
    given += [str(folder / "clips"), "--model", MODEL, "--out", str(folder / place)]
    given += ["--explainer", "input-x-gradient", "--no-check", "--lease", "8", "--workers", "2"]
    return [*given, "--limit", "20", "--memory", "1"]


def call(folder: Path, place: str, *, limited: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the command to its end. limited: where files may not grow beyond some kilobytes."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, resource.RLIM_INFINITY))

    return subprocess.run(
        arguments(folder, place),
        capture_output=True,
        text=True,
        preexec_fn=limit if limited else None,
    )


def finish(folder: Path, place: str) -> int:
    """Run the command to its end; its status."""
    done = call(folder, place)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode


def disturbed(folder: Path, place: str, seconds: float, kill: Callable[[int], None]) -> None:
    """Start the command, and kill something after so many seconds."""
    driver = subprocess.Popen(
        arguments(folder, place), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        driver.wait(seconds)
    except subprocess.TimeoutExpired:
        kill(driver.pid)
    driver.wait()


def kill_driver(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def kill_worker(pid: int) -> None:
    """Kill one of the workers, or the nursery where there is none yet."""
    nurseries = children(pid)
    workers = [w for nursery in nurseries for w in children(nursery)]
    for each in (workers or nurseries)[:1]:
        os.kill(each, signal.SIGKILL)


def children(pid: int) -> list[int]:
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def shards(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.parquet")}


def check(folder: Path, good: int) -> None:
    """Every clip has one row; those without an error are the good ones."""
    read = pq.read_table(folder / "clips", columns=["id", "error"]).to_pylist()
    assert len({row["id"] for row in read}) == len(read) == good + len(KINDS)
    failed = sorted(row["id"] for row in read if row["error"] is not None)
    assert failed == sorted(f"wicked-{kind}.wav" for kind in KINDS), failed
    assert not list(folder.rglob("*.draft"))


if __name__ == "__main__":
    main()
