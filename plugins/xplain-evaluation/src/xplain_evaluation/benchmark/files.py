"""The files of a benchmark: tables for machines, a page for people."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from xplain.errors import ArtifactError
from xplain.storage import write_text
from xplain_evaluation.benchmark.journal import Key, Record
from xplain_evaluation.benchmark.table import Group, Results

GROUP = ("model", "data", "synthesizer")
RESULTS = (
    *GROUP,
    *("explainer", "metric", "ratio", "better", "clips", "undefined", "failed"),
    *("mean", "low", "high"),
)
CLIPS = (*GROUP, "explainer", "place", "clip", "control", "metric", "ratio", "value", "reason")
AGAINST = (
    *(*GROUP, "explainer", "metric", "control", "hardest", "mean", "low", "high"),
    *("clips", "difference", "difference_low", "difference_high", "p", "p_holm"),
)
FILES = ("results.csv", "controls.csv", "clips.csv", "results.json", "timings.csv", "index.html")
TIMINGS = (*GROUP, "explainer", "place", "clip", "seconds")


def check_free(out: Path) -> None:
    """Refuse a folder with foreign files under a benchmark's names."""
    for name in FILES:
        if (out / name).exists():
            raise ArtifactError(
                f"{out / name} exists and no benchmark that is recorded there wrote it; choose "
                "another folder with --out"
            )


def write(results: Results, records: Mapping[Key, Record], page: str, out: Path) -> None:
    """Write the tables, results.json and index.html, each whole.

    All but the timings are the same for the same measurements, to the byte. Raises
    ArtifactError where they cannot be written.
    """
    ordered = [records[key] for key in sorted(records)]
    contents = {
        "results.csv": _csv(RESULTS, _rows(results)),
        "controls.csv": _csv(AGAINST, _against(results)),
        "clips.csv": _csv(CLIPS, _clips(ordered)),
        "results.json": json.dumps(to_dict(results), indent=1, allow_nan=False) + "\n",
        "timings.csv": _csv(TIMINGS, ([*r.key, r.clip, round(r.seconds, 6)] for r in ordered)),
        "index.html": page,
    }
    for name, text in contents.items():
        write_text(out / name, text)


def to_dict(results: Results) -> dict[str, Any]:
    """Results as results.json holds them."""
    return {
        "provenance": dict(results.provenance),
        "rank_by": results.rank_by,
        "order": [{**_named(group), "explainers": names} for group, names in results.order.items()],
        "rows": [dict(zip(RESULTS, row, strict=True)) for row in _rows(results)],
        "comparisons": [
            {
                **_named(c.group),
                "metric": c.metric,
                "one": c.one,
                "other": c.other,
                **asdict(c.difference),
                "p_holm": c.p,
            }
            for c in results.comparisons
        ],
        "controls": [dict(zip(AGAINST, row, strict=True)) for row in _against(results)],
        "undefined": dict(results.reasons),
        "failures": [
            {**_named(group), "explainer": explainer, "clip": clip, "reason": reason}
            for group, explainer, clip, reason in results.failures
        ],
        "warnings": [
            {**_named(group), "explainer": explainer, "clip": clip, "warning": warning}
            for group, explainer, clip, warning in results.warnings
        ],
        "verdicts": [
            {**_named(group), "explainer": explainer, **counted}
            for (group, explainer), counted in results.verdicts.items()
        ],
        "sanity": list(results.findings),
    }


def _named(group: Group) -> dict[str, str]:
    return dict(zip(GROUP, group, strict=True))


def _rows(results: Results) -> Iterator[list[object]]:
    for r in results.rows:
        counted = [r.clips, r.undefined, r.failed]
        place = [*r.group, r.explainer, r.metric, r.ratio, r.better]
        yield [*place, *counted, r.mean, r.low, r.high]


def _against(results: Results) -> Iterator[list[object]]:
    for a in results.against:
        place = [*a.group, a.explainer, a.metric, a.control, a.hardest, a.mean, a.low, a.high]
        d = a.difference
        yield [*place, d.clips, d.mean, d.low, d.high, d.p, a.p]


def _clips(ordered: Sequence[Record]) -> Iterator[list[object]]:
    for record in ordered:
        for v in record.values:
            yield [*record.key, record.clip, v.control, v.name, v.ratio, v.value, v.reason]
        if record.error is not None:
            yield [*record.key, record.clip, None, None, None, None, record.error]


def _csv(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return file.getvalue()
