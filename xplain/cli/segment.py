"""``xplain segment``: recordings in, files of segments out."""

from __future__ import annotations

import ctypes
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xplain.cli.batch import AsJson, Batch, Quiet, check_out, free, machines, recordings
from xplain.cli.parameters import Pairs, parameter_of, parameters
from xplain.progress import say

if TYPE_CHECKING:
    from xplain.segmentation.result import Segmentation
    from xplain.segmentation.segment import Segment

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of mallopt(3)."""
LARGEST = 1 << 30
"""Bytes of a block that is used again; much larger than any of a window of some minutes."""
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


SUFFIXES: Mapping[Format | None, str] = {
    Format.rttm: ".rttm",
    Format.json: ".json",
    Format.csv: ".csv",
    Format.audacity: ".txt",
    Format.textgrid: ".TextGrid",
    None: ".html",
}
"""Endings of the files; None: of the page."""


@app.command()
def segment(
    audio: Annotated[
        list[str],
        typer.Argument(help="Recordings of any length (WAV, …), folders, CSV files of paths"),
    ],
    segmenter: Annotated[
        str, typer.Option(help="A segmenter's name, SCHEME:NAME of a model, or FILE.py:FACTORY")
    ] = "zoo:radio",
    segmenter_param: Annotated[Pairs, parameter_of("a named segmenter")] = None,
    format_: Annotated[
        list[Format] | None,
        typer.Option("--format", help="A file to write; may be repeated  [default: rttm]"),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="List the frequencies of each segment  [default: no]"),
    ] = False,
    explainer: Annotated[
        str | None,
        typer.Option(help="The method for segments  [default: what fits the segmenter]"),
    ] = None,
    param: Annotated[Pairs, parameter_of("the method")] = None,
    baseline: Annotated[
        str | None, typer.Option(help="What the method compares with  [default: auto]")
    ] = None,
    replacement: Annotated[
        str | None, typer.Option(help="What replaces removed elements  [default: auto]")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, …  [default: the segmenter's device]")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the files")] = Path("out"),
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Replace other files of the same name  [default: NAME-2, NAME-3, …]"
        ),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Find which labels are active when in recordings, and at which frequencies.

    \b
    Examples:
      xplain segment radio.wav
      xplain segment radio.wav --explain --format rttm --format textgrid
      xplain segment archive/ --segmenter my_file.py:make --explain --explainer occlusion
    """
    keep_freed_memory()
    method = {"explainer": explainer, "params": parameters("--param", param)}
    method |= {"baseline": baseline, "replacement": replacement}
    settings: dict[str, Any] = {
        "params": parameters("--segmenter-param", segmenter_param),
        "explain": explain,
        "explaining": {name: value for name, value in method.items() if value},
        "device": device,
    }
    formats = format_ or (Format.rttm,)
    run(recordings(audio), segmenter, settings, formats, out, overwrite=overwrite, as_json=as_json)


def run(
    clips: Sequence[str],
    segmenter: str,
    settings: Mapping[str, Any],
    formats: Sequence[Format],
    out: Path,
    *,
    overwrite: bool = False,
    as_json: bool = False,
) -> None:
    """Segment each recording and write its files."""
    from xplain.progress import following
    from xplain.segmentation.segmenting import segment_each

    check_out(out)
    taken: set[str] = set()
    batch = Batch(clips, "recordings")
    with machines() as output:

        def finish(result: Segmentation) -> None:
            def usable(stem: str) -> bool:
                return overwrite or _is_same(replace(result, name=stem), out)

            named = replace(result, name=free(result.name, taken, usable))
            files = {kind.value: str(_write(named, kind, out)) for kind in dict.fromkeys(formats)}
            files["page"] = str(_write(named, None, out))
            if as_json:
                output.tell(to_json(named, files))
            say(*_lines(named, files))

        with following() as hook:
            results = segment_each(clips, segmenter, hook=hook, **settings)
            batch.run(results, finish)
        batch.finish()


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


def _write(segmentation: Segmentation, kind: Format | None, out: Path) -> Path:
    """Write a recording's file of a format, or its page (None); returns its path."""
    path = out / f"{segmentation.name}{SUFFIXES[kind]}"
    if kind is None:
        from xplain.report.segments import write_page

        return write_page(segmentation, path, segmentation.provenance["audio"].get("path"))
    written: Path = getattr(segmentation, f"to_{kind.value}")(path)
    return written


def _is_same(segmentation: Segmentation, out: Path) -> bool:
    """Whether the files that are there already are those that would be written."""
    from xplain.report.html import is_page

    there = {k: out / f"{segmentation.name}{ending}" for k, ending in SUFFIXES.items()}
    there = {kind: path for kind, path in there.items() if os.path.lexists(path)}
    page = there.pop(None, None)
    if page is not None and (not there or not is_page(page, "recording")):
        return False
    with tempfile.TemporaryDirectory() as draft:
        return all(
            path.is_file()
            and path.read_bytes() == _write(segmentation, kind, Path(draft)).read_bytes()
            for kind, path in there.items()
        )


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
    return f"{line}  {', '.join(map(str, segment.bands)) or 'no positive evidence'}"


def keep_freed_memory() -> None:
    """Have glibc use large freed blocks again; nothing where that is not the C library.

    By default it gives every block of over 32 MB back to the system, and a network that goes
    over long windows asks for the same ones again and again: each time the system has to fill
    them with zeros, page by page, which took a quarter of the time of a pass. Old versions
    refuse to change that.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(M_MMAP_THRESHOLD, LARGEST)
    mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)
