"""What it costs to start: processor time of whole processes, beside ``import torch``.

python benchmarks/startup.py [--runs 9] [--out benchmarks/results]

The commands run in turn, on one thread, so that all see the same machine. Commands of the zoo are
given a file that is no recording: they import, load the model, refuse the file and end.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from xplain.storage import write_text

PYTHON = [sys.executable, "-c"]
XPLAIN = str(Path(sys.executable).with_name("xplain"))
FLOOR = "import torch"


def commands(clip: str, out: str) -> dict[str, list[str]]:
    """What is started, by name."""
    load = "import xplain; xplain.load_model({!r})"
    zoo = ("zoo:digits", "zoo:radio", "zoo:radio-teacher")
    return {
        FLOOR: [*PYTHON, FLOOR],
        "python -c pass": [*PYTHON, "pass"],
        "import xplain": [*PYTHON, "import xplain"],
        "xplain --help": [XPLAIN, "--help"],
        "xplain plugins --json": [XPLAIN, "plugins", "--json"],
        **{f"load {name}": [*PYTHON, load.format(name)] for name in zoo},
        "xplain explain --model zoo:digits": [
            *(XPLAIN, "explain", clip, "--model", "zoo:digits", "--out", out)
        ],
        "xplain explain --model zoo:radio": [
            *(XPLAIN, "explain", clip, "--model", "zoo:radio", "--out", out)
        ],
        "xplain segment --segmenter zoo:radio --explain": [
            *(XPLAIN, "segment", clip, "--segmenter", "zoo:radio", "--explain", "--out", out)
        ],
    }


def seconds(command: list[str]) -> float:
    """Processor time of one process and of what it starts."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):  # 1: the file was refused, as it should be
        raise SystemExit(f"{command} ended with the exit status {process.returncode}")
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Run everything in turn, once to warm the disk up."""
    arguments = argparse.ArgumentParser(description="start-up times")
    arguments.add_argument("--runs", type=int, default=9)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder, "no.wav")
        clip.write_text("no recording")
        asked = commands(str(clip), str(Path(folder, "out")))
        times: dict[str, list[float]] = {name: [] for name in asked}
        for run in range(options.runs + 1):
            for name, command in asked.items():
                spent = seconds(command)
                if run:
                    times[name].append(spent)
    floor = statistics.median(times[FLOOR])
    rows = ["| command | processor time, s | × `import torch` |", "|---|---|---|"]
    for name, each in times.items():
        middle = statistics.median(each)
        rows.append(
            f"| `{name}` | {middle:.2f} ({min(each):.2f}-{max(each):.2f}) | {middle / floor:.2f} |"
        )
    table = "\n".join(rows) + "\n"
    print(table, end="")
    if options.out is not None:
        command = f"`python benchmarks/startup.py --runs {options.runs}`, medians, one thread.\n"
        write_text(options.out / "startup.md", f"{command}\n{table}")


if __name__ == "__main__":
    main()
