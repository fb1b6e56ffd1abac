"""The page of a run: a table of its clips, of which some have pages of their own to listen to."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import numpy as np

from xplain.report.index import PAGE, thumbnail, write_table
from xplain.report.page import decisions, verdict
from xplain.verdict import Verdict
from xplain_corpus.corpus import Corpus
from xplain_corpus.rows import Row


def drawn_evenly(corpus: Corpus, ids: Sequence[str], count: int, seed: int = 0) -> list[str]:
    """Choose clips evenly over targets and verdicts, by chance among those that are alike."""
    _, found = corpus.query("SELECT id, target, verdict FROM clips WHERE error IS NULL ORDER BY id")
    kinds = {name: (target, kind) for name, target, kind in found}
    turns: dict[Any, int] = defaultdict(int)
    order: list[tuple[int, int, str]] = []
    for place in np.random.default_rng(seed).permutation(len(ids)):
        kind = kinds.get(ids[place])
        order.append((turns[kind], len(order), ids[place]))
        turns[kind] += 1
    return sorted(name for _, _, name in sorted(order)[:count])


def write(
    corpus: Corpus, ids: Sequence[str], folder: Path, pages: dict[str, Path], errors: dict[str, str]
) -> Path:
    """Write the table of clips.

    pages: of those that have one, in the folder. errors: of those that failed. Returns the
    page's path; ArtifactError where it cannot be written.
    """
    rows: list[dict[str, Any]] = [{"name": name, "error": errors[name]} for name in errors]
    for name in ids:
        row = shown(corpus, corpus.row(name))
        if name in pages:
            row["link"] = quote(pages[name].relative_to(folder).as_posix())
        rows.append(row)
    write_table(rows, folder / PAGE)
    return folder / PAGE


def shown(corpus: Corpus, row: Row) -> dict[str, Any]:
    """What the table shows of a clip."""
    record, origin = json.loads(row["record"]), corpus.header.origin
    checked = verdict(msgspec.convert(record["verdict"], Verdict | None))
    probabilities = dict(row["probabilities"])
    answer = row["value"] if row["probability"] is None else row["probability"]
    kept = sorted((r["ratio"], r["probability"]) for r in row["results"] if r["kind"] == "keep")
    said = decisions(probabilities, origin["model"]["multilabel"])
    reading = f"{row['probability']:.1%}" if probabilities else f"{answer:.4g}"
    return {
        "name": row["id"],
        "prediction": ", ".join(said) or reading,
        "label": row["target"],
        "probability": row["probability"],
        "reading": reading,
        "verdict": None if checked is None else checked["kind"],
        "badge": None if checked is None else checked["badge"],
        "kept": kept if probabilities else [],
        "method": " · ".join(origin[k]["name"] for k in ("explainer", "synthesizer", "model")),
        "file": row["path"],
        "map": thumbnail(corpus.header.frequencies, corpus.attribution(row["id"]).double().numpy()),
    }
