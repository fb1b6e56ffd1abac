"""The figures of all proxies as a CSV and as tables for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xplain.storage import write_text

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Row:
    """One proxy on one data set. steps: of its training."""

    data: str
    preset: str
    dictionary: str
    components: int
    steps: int
    figures: Figures


TABLES = {
    "Decisions: frame F1 of the teacher and the proxy, and their agreement": (
        "F1 teacher",
        "F1 proxy",
        "fidelity",
    ),
    "Necessity: fall of F1 without the most relevant tenth of the components; of as many random "
    "ones": ("necessity", "necessity random"),
    "Taken out: the teacher's recall of the audio, without the explanation, and without as much "
    "energy by a wrong mask": (
        "recall audio",
        "recall explanation",
        "recall shifted",
        "recall shuffled",
        "recall other label",
        "recall random components",
        "specific",
    ),
    "Alone: SI-SDR of the explanation above the mixture's (dB, median), the teacher's recall, and "
    "its false alarms where the label is absent, on the audio and on the explanation": (
        "SI-SDR improvement",
        "recall alone",
        "false alarms audio",
        "false alarms alone",
    ),
}
"""Figures that are of one label, by the heading of their table."""
WHOLE = ("reconstruction R2", "relative error", "active share", "prototype cosine")


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Every figure of every proxy, a line each."""
    held = io.StringIO()
    table = csv.writer(held, lineterminator="\n")
    table.writerow(["data", "preset", "dictionary", "components", "steps", "figure", "value"])
    for row in rows:
        for name, value in row.figures.items():
            first = [row.data, row.preset, row.dictionary, row.components, row.steps]
            table.writerow([*first, name, f"{value:.4f}"])
    write_text(path, held.getvalue())


def markdown(rows: Sequence[Row], labels: Sequence[str], note: str) -> str:
    """Tables by data set: of whole proxies, and of labels."""
    parts = ["# Proxies of a segmenter, measured", "", note, ""]
    for data in dict.fromkeys(row.data for row in rows):
        own = [row for row in rows if row.data == data]
        parts += [f"## {data}", "", *_table(own, WHOLE, [""], "The dictionary and the activations")]
        for heading, names in TABLES.items():
            if any(f"{name} {label}" in own[0].figures for name in names for label in labels):
                parts += _table(own, names, labels, heading)
    return "\n".join(parts) + "\n"


def _table(
    rows: Sequence[Row], names: Sequence[str], labels: Sequence[str], heading: str
) -> list[str]:
    """A line for each proxy, a cell for each figure with the labels' values side by side."""
    shown = [c for c in labels if any(f"{n} {c}".strip() in rows[0].figures for n in names)]
    values = f" ({' / '.join(shown)})" if shown != [""] else ""
    lines = [
        f"**{heading}**{values}",
        "",
        f"| preset | W | K | {' | '.join(names)} |",
        f"|---|---|---|{'---|' * len(names)}",
    ]
    for row in rows:
        cells = [
            " / ".join(_number(row.figures.get(f"{name} {label}".strip())) for label in shown)
            for name in names
        ]
        lines.append(
            f"| {row.preset} | {row.dictionary} | {row.components} | {' | '.join(cells)} |"
        )
    return [*lines, ""]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
