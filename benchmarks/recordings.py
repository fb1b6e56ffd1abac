"""Where the benchmarks' recordings and models are."""

from __future__ import annotations

import csv
import os
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Recording:
    """A row of the manifest."""

    path: Path
    label: str
    speaker: str


def shared() -> Path:
    """The folder of data and models; ends the program where there is none."""
    folder = Path(os.environ.get("XPLAIN_SHARED", Path(__file__).parents[1] / ".." / "shared"))
    if not (folder / "data" / "manifest.csv").is_file():
        sys.exit(f"needs the recordings of {folder / 'data'} (or XPLAIN_SHARED), which are absent")
    return folder.resolve()


def recordings(dataset: str, split: str) -> list[Recording]:
    """The clips of a split of a data set, by the manifest."""
    data = shared() / "data"
    with (data / "manifest.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if (r["dataset"], r["split"]) == (dataset, split)]
    return [Recording(data / row["path"], row["label"], row["speaker"]) for row in rows]


def digits(split: str) -> list[Path]:
    """The clips of a split of FSDD."""
    return [recording.path for recording in recordings("fsdd", split)]
