"""What 100 installed plugins cost at discovery, beside one: medians of whole processes.

python benchmarks/discovery.py [--plugins 100] [--runs 15]

The plugins are made in a temporary folder, as pip leaves them: a module with a hook and a
.dist-info folder each. What importlib.metadata, the imports and pluggy cost by themselves is
measured in the same way, to say where the rest goes.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

MODULE = """
from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1


@hookimpl
def register_explainers(register: Register) -> None:
    register("method-{n}", "plugin_{n}_methods:Method", summary="Method {n}")
"""

README = "A plugin as others are, with a page of text in its metadata.\n" * 40

TIMED = """
import time
import xplain, xplain.registry, pluggy
from importlib.metadata import entry_points
{before}
start = time.perf_counter()
{code}
print(time.perf_counter() - start)
"""

PARTS = {
    "xplain.list_plugins()": ("", "xplain.list_plugins()"),
    "importlib.metadata: entry points alone": ("", "entry_points(group='xplain')"),
    "importlib.metadata: name and version of each": (
        "found = entry_points(group='xplain')",
        "for e in found: m = e.dist.metadata; m['Name'], m['Version']",
    ),
    "importing the modules alone": (
        "found = entry_points(group='xplain')",
        "for e in found: e.load()",
    ),
    "pluggy: a manager for each, its hooks called": (
        "from xplain import hookspecs\n"
        "modules = [e.load() for e in entry_points(group='xplain')]\n"
        "def take(name, target, *, summary=''): pass",
        """
        for module in modules:
            manager = pluggy.PluginManager("xplain")
            manager.add_hookspecs(hookspecs)
            manager.register(module)
            for hook in manager.hook.__dict__.values():
                hook(register=take)
        """,
    ),
}
"""What is timed: what is done before, and what is."""


def make_plugins(folder: Path, count: int) -> None:
    """Install so many plugins into a folder."""
    for n in range(count):
        (folder / f"plugin_{n}.py").write_text(MODULE.format(n=n), "utf-8")
        info = folder / f"xplain_plugin_{n}-1.0.dist-info"
        info.mkdir(parents=True)
        metadata = f"Metadata-Version: 2.4\nName: xplain-plugin-{n}\nVersion: 1.0\n\n{README}"
        (info / "METADATA").write_text(metadata, "utf-8")
        (info / "entry_points.txt").write_text(f"[xplain]\np{n} = plugin_{n}\n", "utf-8")


def seconds(site: Path, before: str, code: str) -> float:
    """Time a piece of code in a fresh interpreter that finds the plugins in a folder."""
    program = TIMED.format(before=before, code=textwrap.dedent(code))
    clean = {k: v for k, v in os.environ.items() if not k.startswith("XPLAIN_")}
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env={**clean, "PYTHONPATH": str(site)},
    )
    return float(done.stdout)


def main() -> None:
    """Measure in turn with one plugin and with many, so that both see the same machine."""
    arguments = argparse.ArgumentParser(description="what discovery costs")
    arguments.add_argument("--plugins", type=int, default=100)
    arguments.add_argument("--runs", type=int, default=15)
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sites = {count: Path(folder) / str(count) for count in (1, chosen.plugins)}
        for count, site in sites.items():
            site.mkdir()
            make_plugins(site, count)
        times: dict[tuple[str, int], list[float]] = {(p, c): [] for p in PARTS for c in sites}
        for run in range(chosen.runs + 1):
            for part, (before, code) in PARTS.items():
                for count, site in sites.items():
                    spent = seconds(site, before, code)
                    if run:  # the first one writes the bytecode and warms the disk up
                        times[part, count].append(1000 * spent)
    width = max(map(len, PARTS))
    print(f"milliseconds, median of {chosen.runs} runs (min-max)")
    print(f"{'':{width}}  {'1 plugin':>18}  {f'{chosen.plugins} plugins':>18}  {'more':>6}")
    for part in PARTS:
        middle = {count: statistics.median(times[part, count]) for count in sites}
        cells = [
            f"{middle[count]:.1f} ({min(times[part, count]):.1f}-{max(times[part, count]):.1f})"
            for count in sites
        ]
        more = middle[chosen.plugins] - middle[1]
        print(f"{part:{width}}  {cells[0]:>18}  {cells[1]:>18}  {more:6.1f}")


if __name__ == "__main__":
    main()
