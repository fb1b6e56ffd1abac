"""``xplain segment``: recordings in, files of segments out."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xplain.cli.memory import keep_freed_memory
from xplain.cli.parameters import parameters
from xplain.progress import say

if TYPE_CHECKING:
    from xplain.segmentation.result import Segmentation
    from xplain.segmentation.segment import Segment

LISTED = 12
"""Segments that people are shown of a recording; all of them are in the files."""

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


class Format(str, Enum):
    """What segments can be written as."""

    rttm = "rttm"
    json = "json"
    csv = "csv"
    audacity = "audacity"
    textgrid = "textgrid"


SUFFIXES: Mapping[Format, str] = {
    Format.rttm: ".rttm",
    Format.json: ".json",
    Format.csv: ".csv",
    Format.audacity: ".txt",
    Format.textgrid: ".TextGrid",
}


@app.command()
def segment(
    audio: Annotated[list[str], typer.Argument(help="Recordings of any length: WAV, FLAC, …")],
    segmenter: Annotated[
        str, typer.Option(help="A segmenter's name, SCHEME:NAME of a model, or FILE.py:FACTORY")
    ] = "zoo:radio",
    segmenter_param: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="A parameter of a named segmenter")
    ] = None,
    format_: Annotated[
        list[Format] | None,
        typer.Option("--format", help="Of the files; may be given again [default: rttm]"),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say which frequencies speak for each segment")
    ] = False,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, … [default: the segmenter's]")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the files")] = Path("out"),
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object per recording on standard output")
    ] = False,
) -> None:
    """Say which label holds when in recordings, and which frequencies speak for it."""
    keep_freed_memory()
    settings: dict[str, Any] = {
        "params": parameters("--segmenter-param", segmenter_param),
        "explain": explain,
        "device": device,
    }
    if run(audio, segmenter, settings, format_ or (Format.rttm,), out, as_json):
        raise typer.Exit(1)


def run(
    clips: Sequence[str],
    segmenter: str,
    settings: Mapping[str, Any],
    formats: Sequence[Format],
    out: Path,
    as_json: bool = False,
) -> int:
    """Segment each recording and write its files; the number that failed."""
    from xplain.clips import Failure
    from xplain.errors import ArtifactError, XplainError
    from xplain.progress import following
    from xplain.segmentation.segmenting import segment_each

    if out.exists() and not out.is_dir():
        raise ArtifactError(f"{out} is a file; give a folder with --out")
    failures: list[Failure] = []
    taken: set[str] = set()
    machines = sys.stdout
    with contextlib.redirect_stdout(sys.stderr), following() as hook:
        results = segment_each(clips, segmenter, hook=hook, **settings)
        for clip, result in zip(clips, results, strict=True):
            if isinstance(result, Failure):
                failures.append(result)
                continue
            try:
                files = _write(result, formats, out / _free(result.name, taken))
            except XplainError as error:
                failures.append(Failure(clip, error))
                continue
            if as_json:
                print(json.dumps(to_json(result, files)), file=machines, flush=True)
            say(*_lines(result, files))
        for failure in failures:
            say(f"error: {failure.error}")
        if failures:
            failed = ", ".join(f.name for f in failures)
            say(f"{len(failures)} of {len(clips)} recordings failed: {failed}")
    return len(failures)


def to_json(segmentation: Segmentation, files: Mapping[str, str]) -> dict[str, Any]:
    """What ``--json`` prints of a recording."""
    data = segmentation.to_dict()
    provenance = data["provenance"]
    shown = ("duration", "frame_step", "labels", "segments", "warnings")
    return {
        "audio": provenance["audio"],
        "segmenter": provenance["segmenter"]["name"],
        **{name: data[name] for name in shown},
        "explanation": provenance["explanation"],
        "files": files,
    }


def _write(segmentation: Segmentation, formats: Sequence[Format], stem: Path) -> dict[str, str]:
    """Write the files of a recording: their paths by format, and the page where explained."""
    writers = {
        Format.rttm: segmentation.to_rttm,
        Format.json: segmentation.to_json,
        Format.csv: segmentation.to_csv,
        Format.audacity: segmentation.to_audacity,
        Format.textgrid: segmentation.to_textgrid,
    }
    files = {
        kind.value: str(writers[kind](stem.with_name(stem.name + SUFFIXES[kind])))
        for kind in dict.fromkeys(formats)
    }
    if segmentation.provenance["explanation"] is None:
        return files
    from xplain.report.segments import write_page

    return {**files, "page": str(write_page(segmentation, stem.with_name(stem.name + ".html")))}


def _lines(segmentation: Segmentation, files: Mapping[str, str]) -> list[str]:
    """What people read of a recording."""
    lines = [f"{segmentation.name}: {segmentation.duration:.2f} s"]
    for label in segmentation.labels:
        own = [s.end - s.start for s in segmentation.segments if s.label == label]
        lines.append(f"  {label}: {len(own)} segments, {sum(own):.2f} s")
    lines += [f"  {_line(s)}" for s in segmentation.segments[:LISTED]]
    more = len(segmentation.segments) - LISTED
    lines += [f"  … {more} more"] if more > 0 else []
    return [*lines, *(f"  {kind}: {path}" for kind, path in files.items())]


def _line(segment: Segment) -> str:
    line = f"{segment.start:9.2f} – {segment.end:.2f} s  {segment.label} ({segment.score:.0%})"
    if segment.bands is None:
        return line
    return f"{line}  {', '.join(map(str, segment.bands)) or 'nothing speaks for it'}"


def _free(name: str, taken: set[str]) -> str:
    """A name for the files of a recording: its own, unless another one of the call has it."""
    stem = name.strip(".") or "clip"
    free, number = stem, 2
    while free in taken:
        free, number = f"{stem}-{number}", number + 1
    taken.add(free)
    return free
