"""The figures of all proxies as a CSV and as tables for people."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from proxies.controls import KINDS
from xplain.intervals import Interval
from xplain.storage import write_text


@dataclass(frozen=True)
class Row:
    """One proxy on one data set. recordings: how many."""

    data: str
    proxy: str
    recordings: int
    labels: tuple[str, ...]
    figures: Mapping[str, Interval]


DECISIONS = ("F1 teacher", "F1 proxy", "F1 gap", "agreement", "necessity beyond random")
REMOVED = ("recall audio", "recall explanation", *(f"recall {kind}" for kind in KINDS))
EXPLANATIONS = (*REMOVED, "lost beyond hardest", "recall alone", "false audio", "false alone",
                "SI-SDR")  # fmt: skip
SURE = ("F1 gap", "necessity beyond random", "lost beyond hardest", "false alone", "SI-SDR", "R2")
"""Figures shown with their interval; the CSV has all."""


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """Every figure of every proxy, a line each."""
    held = io.StringIO()
    table = csv.writer(held, lineterminator="\n")
    table.writerow(["data", "proxy", "recordings", "figure", "value", "low", "high"])
    for row in rows:
        for name, found in row.figures.items():
            ends = ("" if e is None else f"{e:.4f}" for e in (found.mean, found.low, found.high))
            table.writerow([row.data, row.proxy, row.recordings, name, *ends])
    write_text(path, held.getvalue())


def markdown(rows: Sequence[Row], note: str) -> str:
    """Tables by data set: of spectra, of decisions, of explanations."""
    parts = ["# Proxies of segmenters, measured", "", note, ""]
    for data in dict.fromkeys(row.data for row in rows):
        own = [row for row in rows if row.data == data]
        parts += [
            f"## {data}",
            "",
            *_whole(own),
            *_table(own, DECISIONS),
            *_table(own, EXPLANATIONS),
        ]
    return "\n".join(parts)


def _whole(rows: Sequence[Row]) -> list[str]:
    lines = ["| proxy | recordings | R² | active | prototype cosine |", "|---|---|---|---|---|"]
    for row in rows:
        cells = (_cell(row.figures, name) for name in ("R2", "active", "prototype cosine"))
        lines.append(f"| {row.proxy} | {row.recordings} | {' | '.join(cells)} |")
    return [*lines, ""]


def _table(rows: Sequence[Row], names: Sequence[str]) -> list[str]:
    """A line for each proxy and label that has any of the figures."""
    lines = [f"| proxy | label | {' | '.join(names)} |", f"|---|---|{'---|' * len(names)}"]
    for row in rows:
        for label in row.labels:
            if any(f"{name} {label}" in row.figures for name in names):
                cells = (_cell(row.figures, name, label) for name in names)
                lines.append(f"| {row.proxy} | {label} | {' | '.join(cells)} |")
    return [*lines, ""] if len(lines) > 2 else []


def _cell(figures: Mapping[str, Interval], name: str, label: str = "") -> str:
    found = figures.get(f"{name} {label}".strip())
    if found is None or found.mean is None:
        return "–"
    places = 1 if name == "SI-SDR" else 2
    text = f"{found.mean:.{places}f}"
    if name not in SURE or found.low is None or found.high is None:
        return text
    return f"{text} [{found.low:.{places}f}, {found.high:.{places}f}]"
