"""The gallery on the models and data of a benchmark: what check() says, as tables and a page."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from xplain.clips import Failure
from xplain.errors import ArtifactError
from xplain.job import Settings
from xplain.models import load_model
from xplain.report import html
from xplain.storage import write_text
from xplain_evaluation.benchmark.config import Config
from xplain_evaluation.gallery.judging import STEPS, Judgement, Line, confusion, judged, summary

KINDS = ("faithful", "partly", "unfaithful", "inconclusive")
PAGE = "gallery.html"
WANTED: Mapping[str, tuple[str, float, bool]] = {
    "right": ("faithful", 0.8, True),
    "wrong": ("faithful", 0.05, False),
    "mildly wrong": ("faithful", 0.15, False),
}
"""Of which kind there should be how much, at least (True) or at most, where a model decided."""


@dataclass(frozen=True)
class Section:
    """What was found of one model, data and synthesizer: all together, and by way."""

    title: str
    clips: int
    sums: tuple[Line, ...]
    lines: tuple[Line, ...]
    rows: tuple[Mapping[str, Any], ...]


def tabulated(config: Config) -> tuple[list[Section], list[str]]:
    """Judge every model × data × synthesizer: sections, and the clips that failed."""
    sections: list[Section] = []
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
                lines = tuple(confusion(found))
                sections.append(
                    Section(
                        " on ".join([reference, data.name])
                        + (f", {representation.label}" if representation.label else ""),
                        len({one.clip for one in found}),
                        tuple(summary(found)),
                        lines,
                        tuple({**where, **_row(line)} for line in lines),
                    )
                )
    return sections, failures


def place(out: Path) -> Path:
    """Where the page goes; ArtifactError where something else is there."""
    page = out / PAGE
    if page.exists() and not html.is_page(page, "gallery"):
        raise ArtifactError(f"{page} exists and is none of these pages; choose another --out")
    return page


def written(sections: Sequence[Section], failures: Sequence[str], out: Path) -> Path:
    """Write gallery.csv and gallery.html into a folder; returns the path of the page."""
    page = place(out)
    out.mkdir(parents=True, exist_ok=True)
    rows = [row for section in sections for row in section.rows]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["model"])
    writer.writeheader()
    writer.writerows(rows)
    write_text(out / "gallery.csv", text.getvalue())
    style = files("xplain_evaluation.benchmark") / "page.css"
    write_text(
        page,
        html.render(
            "xplain_evaluation.gallery",
            "gallery.html",
            {"percent": _percent},
            style=style.read_text("utf-8"),
            kind="gallery",
            title="Can the verdict be believed?",
            sections=sections,
            failures=failures,
            kinds=KINDS,
            wanted=WANTED,
            steps=STEPS,
        ),
    )
    return page


def shown(section: Section) -> list[str]:
    """The sums in lines of text, then each way that was not said what it should be."""
    lines = [f"{section.title}: {section.clips} clips"]
    for line in section.sums:
        cost = "" if line.cost is None else f", {line.cost:.2f} of the time of {STEPS} steps"
        spent = f"{line.evaluations} evaluations{cost}"
        lines.append(f"  {line.way}: of {line.clips}: {_said(line)} ({spent})")
    odd = [line for line in section.lines if _odd(line)]
    lines += [f"  {'right' if one.right else 'wrong'}, {one.way}: {_said(one)}" for one in odd]
    return lines


def to_json(sections: Sequence[Section]) -> dict[str, Any]:
    """What ``--json`` prints."""
    rows = [row for section in sections for row in section.rows]
    sums = [{"of": section.title, **_row(line)} for section in sections for line in section.sums]
    found: dict[str, Any] = json.loads(json.dumps({"gallery": rows, "together": sums}))
    return found


def _odd(line: Line) -> bool:
    """Whether a right one was struck, or a wrong one let through."""
    kind = "unfaithful" if line.right else "faithful"
    return line.decided and bool(line.counts.get(kind))


def _said(line: Line) -> str:
    return ", ".join(
        f"{line.counts[kind]} {kind}{_between(line.share(kind).low, line.share(kind).high)}"
        for kind in KINDS
        if line.counts.get(kind)
    )


def _between(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" [{low:.2f}, {high:.2f}]"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.0f}"


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
    own = ("way", "right", "mild", "decided", "clips", "evaluations", "cost")
    return {**{name: getattr(line, name) for name in own}, **shares}
