"""Kills each command at random moments and starts it again: whole files, and the same bytes.

    python tests/kill.py --moments 20

Each command is run once undisturbed, then killed (SIGKILL) at a random share of that time and
started again, with the same call. After the kill nothing is half-written: what has its final name
can be read. After the second run no draft is left, and every file has the bytes of the
undisturbed run, apart from those in which times or paths are written down. With --signal 2 it is
interrupted instead, as by Ctrl-C: it says what is done and how to go on, and leaves no draft.

Then two processes are started at once with the same --out: each is done or refused in words, and
what lies there is the undisturbed run's. With --disks N each command meets N full disks instead:
small ones, where the system lets one be mounted, that hold a share of what it writes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

RATE = 16000
DIFFER = (".html", ".png", "timings.csv", "journal.jsonl")
"""Ends of the names of files that are drawn, with folders' names in them, or hold times."""
TIMES = re.compile(r"seconds|minutes|(train|eval)_(runtime|\w+_per_second)")
"""Names of values in JSON that say how long the work took."""
PAGE = 2 * 4096
"""Bytes of the smallest disk: some folders and a short file."""
BENCHMARK = """
models = ["planted:"]
explainers = ["input-x-gradient", {name = "occlusion", window = "32x32", stride = "32x32"}]
metrics = ["relevance-mass", "removal"]

[[data]]
name = "cues"
planted = 2
"""


def sound(kind: str, seconds: float, seed: int) -> np.ndarray:
    """Something like speech (bursts of a buzz), music (chords) or noise."""
    rng = np.random.default_rng(seed)
    at = np.arange(round(seconds * RATE)) / RATE
    if kind == "noise":
        return 0.1 * rng.standard_normal(len(at))
    pitches = rng.uniform(100, 200, 1) if kind == "speech" else rng.uniform(200, 800, 3)
    tone = sum(np.sin(2 * np.pi * p * h * at) / h for p in pitches for h in range(1, 9))
    bursts = np.sin(2 * np.pi * 3 * at) > 0 if kind == "speech" else 1.0
    return 0.1 * tone * bursts + 0.001 * rng.standard_normal(len(at))


def write_clips(folder: Path) -> Path:
    """A manifest of clips of three kinds, for every command."""
    rows = ["path,dataset,split,label,speaker"]
    for kind in ("speech", "music", "noise"):
        for number in range(8):
            name = f"{kind}{number}.wav"
            soundfile.write(folder / name, sound(kind, 3, number), RATE)
            split = ("train", "train", "train", "train", "dev", "dev", "test", "test")[number]
            rows.append(f"{name},{kind},{split},{kind},{number}")
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n")
    (folder / "kinds.json").write_text(
        '{"speech": {"speech": {}}, "music": {"music": {}}, "noise": {"noise": {}}}'
    )
    (folder / "benchmark.toml").write_text(BENCHMARK)
    return folder / "manifest.csv"


def calls(clips: Path) -> Mapping[str, list[str]]:
    """The call of each command, less ``--out``."""
    manifest = str(clips / "manifest.csv")
    wavs = [str(path) for path in sorted(clips.glob("*[01].wav"))]
    mapping = ["--mapping", str(clips / "kinds.json")]
    return {
        "explain": ["explain", *wavs, "--model", "zoo:digits"],
        "segment": ["segment", *wavs, "--format", "rttm", "--format", "json"],
        "fit": ["fit", manifest, "--synthesizer", "stft", "--epochs", "4", "--head", "conv"],
        "fit-explainer": [
            *("fit-explainer", manifest, "--model", "zoo:digits", "--seconds", "0.5"),
            *("--steps", "24", "--batch", "2", "--width", "4", "--every", "6"),
        ],
        "nmf dictionary": [
            *("nmf", "dictionary", manifest, *mapping),
            *("--components", "12", "--seconds", "6", "--iterations", "60"),
        ],
        "nmf scenes": ["nmf", "scenes", manifest, *mapping, "--count", "8", "--seconds", "4"],
        "nmf train": [
            *("nmf", "train", "--teacher", "zoo:radio-teacher", "--audio", manifest),
            *("--dictionary", str(clips / "dictionary"), "--steps", "12", "--every", "3"),
            *("--seconds", "2", "--batch", "2"),
        ],
        "benchmark": ["benchmark", str(clips / "benchmark.toml")],
    }


FORKED = multiprocessing.get_context("forkserver")
"""A process that has loaded what the commands load, and forks: the kills hit their work."""
LOADED = (
    *("torch", "transformers", "matplotlib.pyplot", "xplain.cli.main", "xplain.explaining"),
    *("xplain.segmentation.segmenting", "xplain_evaluation.benchmark.run", "xplain_codecs.fit.fit"),
    *("xplain_nmf.training.training", "xplain_interpreters.trained.training"),
)


class Command:
    """A command in a process of its own."""

    def __init__(self, call: Sequence[str], out: Path) -> None:
        """Start it, with ``out`` as its --out and the folder above as working directory."""
        self.errors = out.parent.with_name(f"{out.parent.name}-{next(NUMBERS)}.errors")
        os.environ["OMP_NUM_THREADS"] = "1"
        FORKED.set_forkserver_preload([*LOADED])
        arguments = ["xplain", *call, "--out", str(out)]
        self.process = FORKED.Process(target=_command, args=(arguments, out.parent, self.errors))
        self.process.start()

    def finish(self, seconds: float = 900) -> int | None:
        """Wait for its end; its status, None where it has not ended by then."""
        self.process.join(seconds)
        return self.process.exitcode

    def said(self) -> str:
        """What it wrote to standard error."""
        return self.errors.read_text("utf-8", "replace") if self.errors.exists() else ""


NUMBERS = itertools.count()


def _command(arguments: list[str], folder: Path, errors: Path) -> None:
    from xplain.cli.main import main

    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(os.open(errors, os.O_WRONLY | os.O_CREAT), 2)
    sys.argv = arguments
    main()


def finish(call: Sequence[str], out: Path) -> float:
    """Run a command to its end; seconds that it took."""
    begun = time.monotonic()
    command = Command(call, out)
    status = command.finish()
    assert status == 0, f"{call}: {status}: {command.said()[-2000:]}"
    return time.monotonic() - begun


def files(out: Path) -> dict[str, bytes]:
    found = (p for p in sorted(out.rglob("*")) if p.is_file()) if out.is_dir() else ()
    return {str(p.relative_to(out)): p.read_bytes() for p in found}


def same(name: str, one: bytes, other: bytes) -> bool:
    """Whether two files are equal, apart from how long the work took and from pictures."""
    if one == other or name.endswith(DIFFER):
        return True
    return name.endswith(".json") and timeless(json.loads(one)) == timeless(json.loads(other))


def timeless(value: Any) -> Any:
    """What JSON holds, without how long anything took."""
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if not TIMES.fullmatch(k)}
    return [timeless(v) for v in value] if isinstance(value, list) else value


def hidden(place: Path) -> list[str]:
    """Drafts: what has a name that begins with a dot, at any depth."""
    return sorted(str(p.relative_to(place)) for p in place.rglob(".*"))


def check_whole(name: str, out: Path) -> None:
    """Everything under its final name can be read."""
    import xplain

    for record in out.rglob("explanation.json"):
        if not any(part.startswith(".") for part in record.relative_to(out).parts):
            xplain.Explanation.load(record.parent)
    if name == "segment" and out.is_dir():
        for path in out.glob("*.json"):
            xplain.Segmentation.load(path)


def check_same(out: Path, undisturbed: Path) -> None:
    """A folder holds what the undisturbed run wrote, no draft lies in it or beside it."""
    got, wanted = files(out), files(undisturbed)
    assert got.keys() == wanted.keys(), sorted(got.keys() ^ wanted.keys())
    differ = [name for name in wanted if not same(name, got[name], wanted[name])]
    assert not differ, differ
    assert hidden(out.parent) == hidden(undisturbed.parent), hidden(out.parent)


def kill(
    name: str,
    call: Sequence[str],
    out: Path,
    seconds: float,
    undisturbed: Path,
    number: int = signal.SIGKILL,
) -> bool:
    """Kill a command after so many seconds, or interrupt it, and start it again.

    Returns whether it had not ended before.
    """
    out.parent.mkdir()
    command = Command(call, out)
    command.finish(seconds)
    if hit := command.process.is_alive():
        os.kill(int(command.process.pid or 0), number)
    status, said = command.finish(), command.said()
    if number == signal.SIGINT and status != 0:
        assert status == 130 and "Traceback" not in said, (status, said[-2000:])
        assert re.search(r"^interrupted: .* to go on|^interrupted; .* again to go on", said, re.M)
        assert not hidden(out.parent), hidden(out.parent)
    check_whole(name, out)
    finish(call, out)
    check_same(out, undisturbed)
    return hit


def full(name: str, call: Sequence[str], out: Path, size: int, undisturbed: Path) -> int:
    """Run a command on a disk of so many bytes, which grows until it is done; how often it failed.

    Each failure is said in one line, and leaves what can be read and nothing else.
    """
    disk = out.parent
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o"]
    subprocess.run([*mount, f"size={size}", "tmpfs", str(disk)], check=True)
    try:
        times = 0
        while True:
            command = Command(call, out)
            status, said = command.finish(), command.said()
            if status == 0:
                break
            errors = [line for line in said.splitlines() if line.startswith("error: ")]
            assert status == 1 and "Traceback" not in said, (status, said[-2000:])
            assert errors and all("free some space" in line for line in errors), said[-2000:]
            check_whole(name, out)
            assert not hidden(disk), hidden(disk)
            times, size = times + 1, size * 3 // 2
            subprocess.run([*mount, f"remount,size={size}", "tmpfs", str(disk)], check=True)
        check_same(out, undisturbed)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
    return times


def two_at_once(call: Sequence[str], out: Path, undisturbed: Path) -> None:
    """Start a command twice at once: both are done, or one is refused in words."""
    out.parent.mkdir()
    commands = [Command(call, out) for _ in range(2)]
    codes = [command.finish() for command in commands]
    told = [command.said() for command in commands]
    assert 0 in codes, (codes, told)
    for code, errors in zip(codes, told, strict=True):
        refused = "is being written by another" in errors and "Traceback" not in errors
        assert code == 0 or refused, (code, errors[-2000:])
    check_same(out, undisturbed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--only", help="one command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--signal", type=int, default=signal.SIGKILL, help="2: as by Ctrl-C")
    parser.add_argument("--disks", type=int, help="full disks, in place of moments")
    chosen = parser.parse_args()
    failed = 0
    with tempfile.TemporaryDirectory(prefix="kill-") as scratch:
        clips = Path(scratch) / "clips"
        clips.mkdir()
        write_clips(clips)
        if chosen.only in (None, "nmf train"):
            finish(calls(clips)["nmf dictionary"], clips / "dictionary")
        for name, call in calls(clips).items():
            if chosen.only not in (None, name):
                continue
            rng = random.Random(f"{chosen.seed} {name}")
            place = Path(scratch) / name.replace(" ", "-")
            undisturbed = place / "undisturbed" / "out"
            undisturbed.parent.mkdir(parents=True)
            finish(call, undisturbed)  # the first run of a process loads what others have loaded
            (place / "again").mkdir()
            seconds, hits = finish(call, place / "again" / "out"), 0
            written = sum(len(data) for data in files(undisturbed).values())
            moments = [*range(3 * chosen.moments), "two at once"]
            for moment in moments if chosen.disks is None else range(chosen.disks):
                out = place / str(moment) / "out"
                if hits == chosen.moments and moment != "two at once":
                    continue
                try:
                    if chosen.disks is not None:
                        size = round(rng.uniform(0.1, 0.9) * written)
                        times = full(name, call, out, max(size, PAGE), undisturbed)
                        print(f"{name}: full {times} times", flush=True)
                    elif moment == "two at once":
                        two_at_once(call, out, undisturbed)
                    else:
                        share = rng.uniform(0.1, 1.0)
                        begun = time.monotonic()
                        hit = kill(name, call, out, share * seconds, undisturbed, chosen.signal)
                        hits += hit
                        if not hit:  # the machine does less beside it now
                            seconds = min(seconds, (time.monotonic() - begun) / 2)
                except Exception as error:
                    failed += 1
                    print(f"FAILED {name}, {moment}: {type(error).__name__}: {error}", flush=True)
            tried = f"killed at {hits} moments" if chosen.disks is None else f"{chosen.disks} disks"
            print(f"{name}: {tried} within {seconds:.1f} s", flush=True)
    raise SystemExit(f"{failed} failed" if failed else 0)


if __name__ == "__main__":
    main()
