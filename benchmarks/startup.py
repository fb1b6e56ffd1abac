"""What it costs to import xplain and to ask its help: medians of whole processes.

python benchmarks/startup.py [--runs 15]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import xplain": [sys.executable, "-c", "import xplain"],
    "xplain --help": [str(Path(sys.executable).with_name("xplain")), "--help"],
    "xplain plugins --json": [str(Path(sys.executable).with_name("xplain")), "plugins", "--json"],
}


def main() -> None:
    """Run the commands in turn, so that all see the same machine."""
    arguments = argparse.ArgumentParser(description="start-up times")
    arguments.add_argument("--runs", type=int, default=15)
    runs = arguments.parse_args().runs
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for run in range(runs + 1):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            if run:  # the first one warms the disk up
                times[name].append(time.perf_counter() - start)
    for name, each in times.items():
        print(
            f"{name:24} median {statistics.median(each):.3f} s  "
            f"(min {min(each):.3f}, max {max(each):.3f}, {runs} runs)"
        )


if __name__ == "__main__":
    main()
