"""The gallery on the models and data of a benchmark: what check() says, as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xplain.clips import Failure
from xplain.job import Settings
from xplain.models import load_model
from xplain.storage import write_text
from xplain_evaluation.benchmark.config import Config
from xplain_evaluation.gallery.judging import Judgement, Line, confusion, judged

KINDS = ("faithful", "partly", "unfaithful", "inconclusive")


def tabulated(config: Config) -> tuple[list[dict[str, Any]], list[str]]:
    """Judge every model × data × synthesizer: rows of the table, and the clips that failed."""
    rows: list[dict[str, Any]] = []
    failures: list[str] = []
    for reference in config.models:
        model = load_model(reference)
        for data in config.data:
            for representation in config.representations:
                clips = [item.audio for item in data.items]
                found: list[Judgement] = []
                settings: Settings = {
                    **config.settings,
                    "seed": config.seed,
                    "synthesizer": representation.synthesizer,
                    "synthesizer_params": representation.params,
                }
                for one in judged(clips, model, **settings):
                    if isinstance(one, Failure):
                        failures.append(f"{one.name}: {one.error}")
                    else:
                        found.append(one)
                where = {"model": reference, "data": data.name, "synthesizer": representation.label}
                rows += [{**where, **_row(line)} for line in confusion(found)]
    return rows, failures


def written(rows: Sequence[dict[str, Any]], out: Path) -> Path:
    """Write gallery.csv into a folder; returns its path."""
    out.mkdir(parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["model"])
    writer.writeheader()
    writer.writerows(rows)
    write_text(out / "gallery.csv", text.getvalue())
    return out / "gallery.csv"


def shown(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The table in lines of text, one for each way."""
    lines = []
    for row in rows:
        said = ", ".join(
            f"{row[kind]} {kind}{_between(row[f'{kind}_low'], row[f'{kind}_high'])}"
            for kind in KINDS
            if row[kind]
        )
        truth = "right" if row["right"] else "wrong, mildly" if row["mild"] else "wrong"
        lines.append(f"  {row['way']} ({truth}): of {row['clips']}: {said}")
    return lines


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"


def _row(line: Line) -> dict[str, Any]:
    shares = {
        column: value
        for kind in KINDS
        for column, value in (
            (kind, line.counts.get(kind, 0)),
            (f"{kind}_low", line.share(kind).low),
            (f"{kind}_high", line.share(kind).high),
        )
    }
    return {
        "way": line.way,
        "right": line.right,
        "mild": line.mild,
        "clips": line.clips,
        "evaluations": line.evaluations,
        **shares,
    }
