"""The gallery on the models and data of a benchmark: what check() says, as a table."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xplain.clips import Failure
from xplain.models import load_model
from xplain.progress import track
from xplain.storage import atomic
from xplain_evaluation.benchmark.config import Config
from xplain_evaluation.gallery.judging import Judgement, Line, confusion, judged
from xplain_evaluation.gallery.ways import WAYS

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
                work = judged(
                    clips,
                    model,
                    **{
                        **config.settings,
                        "seed": config.seed,
                        "synthesizer": representation.synthesizer,
                        "synthesizer_params": representation.params,
                    },
                )
                for one in track(work, len(clips) * len(WAYS), "judging"):
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
    path = out / "gallery.csv"
    with atomic(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["model"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def shown(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The table in lines of text, one for each way."""
    lines = []
    for row in rows:
        said = ", ".join(
            f"{row[kind]} {kind} [{row[f'{kind}_low']:.2f}, {row[f'{kind}_high']:.2f}]"
            for kind in KINDS
            if row[kind]
        )
        truth = "right" if row["right"] else "wrong, mildly" if row["mild"] else "wrong"
        lines.append(f"  {row['way']} ({truth}): of {row['clips']}: {said}")
    return lines


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
