"""From decisions about clips to shares that agree, with intervals, and what follows from them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from fidelity.plan import AREA, DATA, METHODS, RATIOS, SPACES
from xplain.intervals import share
from xplain.storage import write_text
from xplain_evaluation.benchmark.journal import Record
from xplain_evaluation.intervals import Difference, difference

Group = tuple[str, str, str, str]
"""Classifier, data, space, method."""


@dataclass(frozen=True)
class Share:
    """Of the clips, how many are decided as the explained model decides the clip itself.

    kind: keep, remove, or unchanged: the control. where: reencoded (decoded and encoded again) or
    latents. who decides: model or judge. low, high: 95 %, Wilson's.
    """

    classifier: str
    data: str
    space: str
    method: str
    kind: str
    where: str
    who: str
    ratio: float | None
    mean: float | None
    low: float | None
    high: float | None
    clips: int


def groups(records: Iterable[Record]) -> dict[Group, list[Record]]:
    """The records of each classifier, data set, space and method, by clip."""
    found: dict[Group, list[Record]] = {}
    for record in sorted(records, key=lambda r: r.key[-1]):
        found.setdefault(record.key[:4], []).append(record)
    methods = [method.label for method in METHODS]

    def place(group: Group) -> tuple[int, str, int, int]:
        classifier, data, space, method = group
        return list(DATA).index(data), classifier, SPACES.index(space), methods.index(method)

    return {group: found[group] for group in sorted(found, key=place)}


def said(record: Record, name: str, ratio: float | None = None) -> float:
    """The label's number that was decided for."""
    return next(v.value for v in record.values if (v.name, v.ratio) == (name, ratio))  # type: ignore[return-value]


def agreeing(records: Sequence[Record], name: str, ratio: float | None = None) -> list[float]:
    """For each clip 1 where the decision is the model's own about the clip, else 0."""
    return [float(said(r, name, ratio) == said(r, "own model")) for r in records]


def shares(grouped: Mapping[Group, Sequence[Record]]) -> list[Share]:
    """Every curve, and its controls."""
    rows = []
    for group, records in grouped.items():
        asked = dict.fromkeys((v.name, v.ratio) for v in records[0].values if v.name.count(" "))
        for name, ratio in asked:
            kind, _, rest = name.partition(" ")
            where, _, who = rest.rpartition(" ")
            over = share(agreeing(records, name, ratio))
            rows.append(
                Share(*group, kind, where, who, ratio, over.mean, over.low, over.high, len(records))
            )
    return rows


def accuracy(records: Sequence[Record]) -> float:
    """Share of the clips that the explained model decides as they are annotated."""
    return float(np.mean([said(r, "label") == said(r, "own model") for r in records]))


def areas(records: Sequence[Record], name: str) -> list[float]:
    """For each clip the area under its keep curve between the ratios of AREA, as a mean."""
    ratios = [ratio for ratio in RATIOS if AREA[0] <= ratio <= AREA[1]]
    curves = np.array([agreeing(records, name, ratio) for ratio in ratios])
    area = np.trapezoid(curves, ratios, axis=0) / (AREA[1] - AREA[0])
    return [float(value) for value in area]


def latent_against_waveform(
    grouped: Mapping[Group, Sequence[Record]], seed: int
) -> dict[tuple[str, str, str], tuple[float, float, Difference]]:
    """By classifier, data and method: area in latents, in the waveform, their difference.

    Both are of the re-encoded audio, given to the same classifier; over
    the clips that were asked in both.
    """
    found = {}
    for (classifier, data, space, method), records in grouped.items():
        other = grouped.get((classifier, data, "waveform", method))
        if space != "latent" or other is None:
            continue
        places = {r.key[-1] for r in records} & {r.key[-1] for r in other}
        one, two = (
            areas([r for r in rows if r.key[-1] in places], "keep reencoded model")
            for rows in (records, other)
        )
        compared = difference(one, two, seed, whole=1.0)
        found[classifier, data, method] = (float(np.mean(one)), float(np.mean(two)), compared)
    return found


def confusion(records: Sequence[Record], name: str, ratio: float | None, labels: int) -> np.ndarray:
    """Clips by annotated label (rows) and by decision (columns): int (labels, labels)."""
    counts = np.zeros((labels, labels), dtype=int)
    for record in records:
        counts[int(said(record, "label")), int(said(record, name, ratio))] += 1
    return counts


def write_csv(rows: Sequence[Share], path: Path) -> None:
    """Write all shares, rounded to what the number of clips can tell apart."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([f.name for f in fields(Share)])
    for row in rows:
        values = asdict(row).values()
        writer.writerow([round(v, 4) if isinstance(v, float) else v for v in values])
    write_text(path, file.getvalue())
