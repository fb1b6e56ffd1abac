"""A table that long measurements fill row by row, so that they go on where they were stopped."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path


def read(file: Path) -> list[dict[str, str]]:
    """The rows there are; none where there is no file."""
    if not file.is_file():
        return []
    with file.open(newline="") as rows:
        return list(csv.DictReader(rows))


def add(file: Path, columns: Sequence[str], *rows: Mapping[str, object]) -> None:
    """Write rows at the end, under a heading if they are the first."""
    new = not file.is_file()
    with file.open("a", newline="") as opened:
        writer = csv.DictWriter(opened, columns)
        if new:
            writer.writeheader()
        writer.writerows(rows)
