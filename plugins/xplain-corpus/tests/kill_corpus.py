"""Kills the workers and the driver of a corpus at random moments: every clip once, the same bytes.

    python plugins/xplain-corpus/tests/kill_corpus.py [--moments 20] [--good 60]

A run is made undisturbed. Then, for each moment, a run into another folder has its driver killed
(SIGKILL) at a random share of that time, or one of its workers; then a disk of a megabyte is full,
files may not grow, and a folder cannot be written. The same command is given until it ends by
itself. Every good clip is there once, wicked ones are named, the command's status is 1, and each
shard has the bytes of the undisturbed run. The command is run in processes that are forked from
this one, so that the moments fall into the run and not into imports. The disk is a tmpfs, where
the system lets one be mounted.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import captum.attr  # noqa: F401
import pyarrow.parquet as pq
from wicked import KINDS, write_clips

import xplain_captum.gradients  # noqa: F401
import xplain_corpus.running  # noqa: F401
from xplain.cli.main import main as main_of_xplain

LIMIT = "10"
SIZE, FREE = 2_000_000, 1_900_000
"""Bytes of the small disk, and of what fills it at first."""
MODEL = f"{Path(__file__).with_name('wicked.py')}:make"


def main() -> None:
    options = argparse.ArgumentParser(description="corpora that are killed")
    options.add_argument("--moments", type=int, default=20)
    options.add_argument("--good", type=int, default=60)
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
        full = call(folder, "limited", limited=True)
        assert full[0] == 1 and "cannot be written" in full[1], full
        assert finish(folder, "limited") == 1
        assert shards(folder / "limited") == expected
        print("a file too large for its place: said, and the same bytes after", flush=True)
        with disk(folder / "disk") as mounted:
            if not mounted:
                print("no disk could be mounted: full and read-only disks are left out", flush=True)
                return
            filler = folder / "disk" / "filler"
            filler.write_bytes(bytes(FREE))
            full = call(folder, "disk/run")
            assert full[0] == 1 and "free some space" in full[1], full
            there = len(shards(folder / "disk" / "run"))
            filler.unlink()
            assert finish(folder, "disk/run") == 1
            check(folder / "disk/run", asked.good)
            assert shards(folder / "disk/run") == expected
            print(f"a full disk: said after {there} files, and the same bytes after", flush=True)
            subprocess.run(["mount", "-o", "remount,ro", str(folder / "disk")], check=True)
            for place in ("disk/run", "disk/other"):
                refused = call(folder, place)
                assert refused[0] in (1, 2) and "cannot be written" in refused[1], refused
                assert "Traceback" not in refused[1]
            assert shards(folder / "disk/run") == expected
            print("a read-only disk: said, and nothing is lost", flush=True)


@contextlib.contextmanager
def disk(place: Path) -> Iterator[bool]:
    """Mount a small disk; False where the system does not let one be."""
    place.mkdir()
    call = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(call, capture_output=True).returncode == 0
    except OSError:
        mounted = False
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True)


def start(folder: Path, place: str, said: int, *, limited: bool = False) -> int:
    """Run the command in a forked process, which has imported everything; its number.

    said: a file for what it says. limited: whether files may not grow beyond some kilobytes.
    """
    pid = os.fork()
    if pid:
        return pid
    if limited:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, resource.RLIM_INFINITY))
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.argv = ["xplain", "corpus", "run", str(folder / "clips"), "--model", MODEL]
    sys.argv += ["--out", str(folder / place), "--explainer", "input-x-gradient", "--no-check"]
    sys.argv += ["--lease", "8", "--workers", "2", "--limit", LIMIT, "--worker-memory", "1"]
    try:
        main_of_xplain()
    except SystemExit as ended:
        os._exit(ended.code if isinstance(ended.code, int) else 1)
    except BaseException:
        traceback.print_exc()
    os._exit(99)


def call(folder: Path, place: str, *, limited: bool = False) -> tuple[int, str]:
    """Run the command to its end: its status, and what it said."""
    with tempfile.TemporaryFile() as said:
        pid = start(folder, place, said.fileno(), limited=limited)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        said.seek(0)
        return status, said.read().decode("utf-8", "replace")


def finish(folder: Path, place: str) -> int:
    """Run the command to its end; its status."""
    status, said = call(folder, place)
    assert "Traceback" not in said, said
    return status


def disturbed(folder: Path, place: str, seconds: float, kill: Callable[[int], None]) -> None:
    """Start the command, and kill something after so many seconds."""
    with open(os.devnull, "w") as nowhere:
        pid = start(folder, place, nowhere.fileno())
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(0.005)
    kill(pid)
    os.waitpid(pid, 0)


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
    failed = {row["id"]: row["error"] for row in read if row["error"] is not None}
    assert sorted(failed) == sorted(f"wicked-{kind}.wav" for kind in KINDS), failed
    assert not list(folder.rglob("*.draft"))


if __name__ == "__main__":
    main()
