"""What an hour costs: peak memory and time of ``xplain segment --explain``.

Each in a process of its own. Memory: the command on 60 minutes beside the same on 10. Time:
the command on 60 minutes beside the segmenter's forward pass alone over the same samples,
which lie in memory, window by window with no overlap. The command's time is all of it:
Python's start, loading, reading, hashing, decisions, explanations, files and the page. So it is
compared with a process that starts, loads the segmenter and makes the forward pass, and with
the forward pass as it is timed in there.
Processor seconds are given beside those of the clock, since they say the same on a machine
that has other work. The recording is made here: noise, tones and silence, each for some
seconds.

    python benchmarks/segment_long.py [--segmenter zoo:radio] [--minutes 60] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

RATE = 16000
SHORT = 10
"""Minutes of the recording that memory is compared with."""


def main() -> None:
    """Time the command and the forward pass in turn, so that both see the same machine."""
    arguments = argparse.ArgumentParser(description="memory and time of segmenting an hour")
    arguments.add_argument("--segmenter", default="zoo:radio")
    arguments.add_argument("--minutes", type=int, default=60)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--forward", help="internal: time the forward pass over this file")
    asked = arguments.parse_args()
    if asked.forward:
        print(*forward(asked.segmenter, Path(asked.forward)))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        short = record(folder / "short.wav", SHORT)
        long = record(folder / "long.wav", asked.minutes)
        command = [str(Path(sys.executable).with_name("xplain")), "segment", "--explain"]
        command += ["--segmenter", asked.segmenter, "--out", str(folder / "out"), "--format"]
        command += ["rttm", "--format", "json"]
        bare = [sys.executable, __file__, "--segmenter", asked.segmenter, "--forward", str(long)]
        memory, clock, processor, alone = [], [], [], []
        for number in range(asked.rounds):
            part = measured([*command, str(short)])
            whole = measured([*command, str(long)])
            passed = measured(bare)
            seconds, cpu = map(float, passed.printed.split())
            memory.append(whole.megabytes / part.megabytes)
            clock.append(whole.seconds / passed.seconds)
            processor.append(whole.cpu / passed.cpu)
            alone.append(whole.seconds / seconds)
            print(
                f"round {number + 1}: {SHORT} min {part.seconds:.1f} s {part.megabytes:.0f} MB; "
                f"{asked.minutes} min {whole.seconds:.1f} s (processor {whole.cpu:.1f} s) "
                f"{whole.megabytes:.0f} MB; forward pass in a process {passed.seconds:.1f} s "
                f"({passed.cpu:.1f} s), of which the pass {seconds:.1f} s ({cpu:.1f} s)",
                flush=True,
            )
        show(f"peak memory, {asked.minutes} min / {SHORT} min", memory)
        show("time, xplain segment --explain / a process with the forward pass", clock)
        show("the same in processor seconds", processor)
        show("time, xplain segment --explain / the forward pass in it", alone)


def show(what: str, ratios: list[float]) -> None:
    """Print a ratio over the rounds."""
    median = statistics.median(ratios)
    print(f"{what}: median {median:.3f} (min {min(ratios):.3f}, max {max(ratios):.3f})")


class Measured(NamedTuple):
    """What a command took and printed; megabytes: the most it held at once."""

    seconds: float
    cpu: float
    megabytes: float
    printed: str


def measured(command: list[str]) -> Measured:
    """Run a command to its end."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        printed = process.stdout.read().decode()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(f"{' '.join(command)} ended with status {process.returncode}")
    return Measured(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, printed)


def forward(reference: str, recording: Path) -> tuple[float, float]:
    """Seconds and processor seconds of the forward pass over a recording, window after window."""
    import torch

    from xplain.adapters import resolve
    from xplain.interfaces import AdditiveSegmenter

    segmenter, _ = resolve(reference, {})
    if isinstance(segmenter, torch.nn.Module):
        segmenter.eval()
    samples, rate = soundfile.read(recording, dtype="float32")
    assert rate == segmenter.sample_rate, f"made for {RATE} Hz, not {segmenter.sample_rate} Hz"
    pieces = torch.from_numpy(samples).split(round(segmenter.window * rate))
    listen = segmenter.parts if isinstance(segmenter, AdditiveSegmenter) else segmenter.logits
    with torch.no_grad():
        listen(pieces[0][None, :rate])  # the first call sets things up
        start, cpu = time.perf_counter(), time.process_time()
        for piece in pieces:
            listen(piece[None])
        return time.perf_counter() - start, time.process_time() - cpu


def record(path: Path, minutes: int) -> Path:
    """Write a recording of so many minutes: what sounds changes every few seconds."""
    rng = np.random.default_rng(0)
    left = minutes * 60 * RATE
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        while left > 0:
            count = min(left, int(rng.uniform(2, 8) * RATE))
            time_ = np.arange(count) / RATE
            tone = 0.1 * np.sin(2 * np.pi * rng.uniform(100, 3000) * time_)
            pulse = 0.1 * rng.standard_normal(count) * (np.sin(2 * np.pi * 4 * time_) > 0)
            kinds = (np.zeros(count), tone, pulse, tone + pulse, 0.02 * rng.standard_normal(count))
            file.write(kinds[rng.integers(len(kinds))])
            left -= count
    return path


if __name__ == "__main__":
    main()
