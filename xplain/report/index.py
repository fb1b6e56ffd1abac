"""The page of a folder: a table of its explanations, each of which has a page of its own."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from xplain import explanation_folder
from xplain.errors import ArtifactError
from xplain.record import checked_tensors, decoded
from xplain.report import html
from xplain.report.arrays import drawn
from xplain.report.page import decisions, verdict
from xplain.storage import write_text

PAGE = "index.html"
SMALL = 12, 48
"""Rows and columns of a thumbnail."""


def found(folder: Path) -> list[Path]:
    """Folders of explanations inside a folder, by name; or the folder itself, if it is one."""
    if (folder / explanation_folder.RECORD).is_file():
        return [folder]
    return sorted(path.parent for path in folder.glob(f"[!.]*/{explanation_folder.RECORD}"))


def write_index(
    folders: Sequence[Path], path: Path, damaged: Mapping[Path, str] | None = None
) -> dict[Path, str]:
    """Write the table of saved explanations, with links to the pages in their folders.

    damaged: folders of which it is known what is wrong. Returns these and any others that
    cannot be read, with the reasons; they are rows too. ArtifactError where the page cannot be
    written.
    """
    damaged = dict(damaged or {})
    rows = []
    for folder in folders:
        row: dict[str, Any] = {"name": folder.name}
        try:
            row |= {} if folder in damaged else _row(folder)
        except ArtifactError as error:
            damaged[folder] = str(error)
        if folder in damaged:
            row["error"] = damaged[folder]
        if (folder / PAGE).is_file():
            place = Path(os.path.relpath(folder / PAGE, path.parent)).as_posix()
            row["link"] = quote(os.fsencode(place))
        rows.append(row)
    write_table(rows, path)
    return damaged


def write_table(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a page of rows as _row gives them; ArtifactError where that is not possible."""
    data = {"name": (name := path.absolute().parent.name), "rows": list(rows)}
    write_text(path, html.app("explanations", name, ("player.js", "table.js"), data))


def _row(folder: Path) -> dict[str, Any]:
    """What the table shows of an explanation, without its audio."""
    data = explanation_folder.read_record(folder)
    record = decoded(data)
    tensors = checked_tensors(record, explanation_folder.read_all(folder))
    origin, target, found = record.provenance, record.target, verdict(record.verdict)
    kept = sorted((o.ratio, o.reencoded.probability) for o in record.results if o.kind == "keep")
    kept = kept if record.probabilities else []
    independent = data["provenance"]["model"]["multilabel"]
    return {
        "prediction": ", ".join(decisions(record.probabilities, independent)) or target.said,
        "label": target.label,
        "probability": target.probability,
        "reading": target.said,
        "verdict": None if found is None else found["kind"],
        "badge": None if found is None else found["badge"],
        "kept": kept,
        "method": f"{origin.explainer.name} · {origin.synthesizer.name} · {origin.model.name}",
        "file": str(origin.audio.get("path") or ""),
        "map": thumbnail(record.frequencies, tensors["attribution"].double().numpy()),
    }


def thumbnail(frequencies: Sequence[float] | None, values: Any) -> dict[str, Any]:
    """An attribution as a few signed bytes: the largest of each cell."""
    picture = drawn(values, frequencies, 1.0)
    scaled = np.clip(picture.values / (picture.limit or 1.0), -1, 1) * 127
    for axis, most in enumerate(SMALL):
        edges = np.linspace(0, scaled.shape[axis], min(most, scaled.shape[axis]) + 1).astype(int)
        high = np.maximum.reduceat(scaled, edges[:-1], axis=axis)
        low = np.minimum.reduceat(scaled, edges[:-1], axis=axis)
        scaled = np.where(high >= -low, high, low)
    rows, columns = scaled.shape
    data = html.encoded(scaled.round().astype(np.int8).tobytes())
    return {"values": data, "rows": rows, "columns": columns}
