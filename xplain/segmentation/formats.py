"""Segments as other programs read them: RTTM, CSV, Audacity's label track, Praat's TextGrid.

Times are written to the microsecond, as segments have them, so that what is read back is the
same; RTTM's durations then add up exactly too.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from xplain.errors import ArtifactError
from xplain.segmentation.segment import Segment

NOT_AVAILABLE = {
    *("#N/A", "#N/A_N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN"),
    *("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"),
}
"""Words that pandas, and so pyannote's loader, takes for "not given"."""


def to_rttm(segments: Sequence[Segment], name: str) -> str:
    """Lines ``SPEAKER name 1 start duration <NA> <NA> label <NA> <NA>``.

    Without any segment a line SPKR-INFO says that the recording was segmented all the same:
    loaders fail on files without a line. Raises ArtifactError where two labels would be one.
    """
    labels = {segment.label: _word(segment.label) for segment in segments}
    if len(set(labels.values())) < len(labels):
        raise ArtifactError(
            f"RTTM cannot tell the labels {', '.join(map(repr, labels))} apart, since white space "
            "and quotes in them become '_'; write CSV or JSON instead"
        )
    if not segments:
        return f"SPKR-INFO {_word(name)} 1 <NA> <NA> <NA> unknown <NA> <NA> <NA>\n"
    return "".join(
        f"SPEAKER {_word(name)} 1 {s.start:.6f} {s.end - s.start:.6f} "
        f"<NA> <NA> {labels[s.label]} <NA> <NA>\n"
        for s in segments
    )


def to_csv(segments: Sequence[Segment]) -> str:
    """A header and a row for each segment; bands as ``low-high:share low-high:share …``."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["label", "start", "end", "score", "bands"])
    for s in segments:
        bands = " ".join(f"{b.low:g}-{b.high:g}:{b.share:.4f}" for b in s.bands or ())
        rows.writerow([s.label, f"{s.start:.6f}", f"{s.end:.6f}", s.score, bands])
    return text.getvalue()


def to_audacity(segments: Sequence[Segment]) -> str:
    """Lines ``start end label`` between tabs, and ``\\ low high`` for the first band."""
    lines = []
    for s in segments:
        lines.append(f"{s.start:.6f}\t{s.end:.6f}\t{' '.join(s.label.split())}\n")
        if s.bands:
            lines.append(f"\\\t{s.bands[0].low:.6f}\t{s.bands[0].high:.6f}\n")
    return "".join(lines)


def to_textgrid(segments: Sequence[Segment], labels: Sequence[str], duration: float) -> str:
    """One interval tier for each label: intervals of its name, and empty ones between them."""
    # A last frame may be cut short by less than a microsecond.
    end = max([duration, *(s.end for s in segments)])
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0"]
    lines += [f"xmax = {end:.6f}", "tiers? <exists>", f"size = {len(labels)}", "item []:"]
    for number, label in enumerate(labels, 1):
        intervals = _tiled([s for s in segments if s.label == label], end)
        lines += [f"    item [{number}]:", '        class = "IntervalTier"']
        lines += [f"        name = {_quoted(label)}", "        xmin = 0"]
        lines += [f"        xmax = {end:.6f}", f"        intervals: size = {len(intervals)}"]
        for place, (first, last, text) in enumerate(intervals, 1):
            lines += [f"        intervals [{place}]:", f"            xmin = {first:.6f}"]
            lines += [f"            xmax = {last:.6f}", f"            text = {_quoted(text)}"]
    return "\n".join(lines) + "\n"


def read_segments(path: str | Path, name: str | None = None) -> tuple[Segment, ...]:
    """Read segments back: .rttm, .csv, .txt (Audacity) or .TextGrid, by the file's name.

    name: the recording's, where an RTTM file holds several. Scores come back from CSV
    alone; bands are not read. Raises ArtifactError for what cannot be read.
    """
    path = Path(path)
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise ArtifactError(
            f"{path}: segments are read from {', '.join(READERS)}; "
            "what to_json wrote is read by Segmentation.load"
        )
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read: {error}") from error
    try:
        return read(text, name)
    except (LookupError, TypeError, ValueError, StopIteration) as error:
        raise ArtifactError(
            f"{path} is not the {path.suffix} file it is called ({error or 'it ends too early'}); "
            "write it again"
        ) from error


def _read_rttm(text: str, name: str | None) -> tuple[Segment, ...]:
    fields = [line.split() for line in text.splitlines() if line.split()]
    names = sorted({f[1] for f in fields})
    asked = name if name is None else _word(name)
    if asked is None and len(names) > 1:
        raise ValueError(f"it holds {len(names)} recordings; give name=, one of {', '.join(names)}")
    if asked is not None and asked not in names:
        raise ValueError(f"it holds nothing of {name!r} but of {', '.join(names) or 'nobody'}")
    spoken = [f for f in fields if f[0] == "SPEAKER" and asked in (None, f[1])]
    return tuple(Segment(f[7], float(f[3]), round(float(f[3]) + float(f[4]), 6)) for f in spoken)


def _read_csv(text: str, name: str | None) -> tuple[Segment, ...]:
    return tuple(
        Segment(
            row["label"],
            float(row["start"]),
            float(row["end"]),
            float(row["score"]) if row.get("score") else None,
        )
        for row in csv.DictReader(io.StringIO(text))
    )


def _read_audacity(text: str, name: str | None) -> tuple[Segment, ...]:
    rows = (line.split("\t") for line in text.splitlines() if line and line[0] != "\\")
    return tuple(Segment(label, float(start), float(end)) for start, end, label in rows)


def _read_textgrid(text: str, name: str | None) -> tuple[Segment, ...]:
    """Praat reads the strings and the free-standing numbers, and so does this: long and short."""
    tokens = iter(re.findall(r'"(?:[^"]|"")*"|(?<!\S)-?\d+(?:\.\d*)?(?:e-?\d+)?(?!\S)', text, re.I))
    if [next(tokens), next(tokens)] != ['"ooTextFile"', '"TextGrid"']:
        raise ValueError("no TextGrid in it")
    _xmin, _xmax, tiers = [next(tokens) for _field in range(3)]
    segments = []
    for _tier in range(int(tiers)):
        kind, _name, _xmin, _xmax, count = [next(tokens) for _field in range(5)]
        for _interval in range(int(count)):
            start, end = next(tokens), next(tokens) if kind == '"IntervalTier"' else ""
            label = next(tokens)[1:-1].replace('""', '"')
            if end and label:
                segments.append(Segment(label, float(start), float(end)))
    return tuple(sorted(segments, key=lambda s: s.start))


READERS: Mapping[str, Callable[[str, str | None], tuple[Segment, ...]]] = {
    ".rttm": _read_rttm,
    ".csv": _read_csv,
    ".txt": _read_audacity,
    ".textgrid": _read_textgrid,
}


def _word(text: str) -> str:
    """A name as one field of RTTM that comes back as text."""
    word = re.sub(r"[\s\x00-\x1f\"]+", "_", text)
    return f"_{word}_" if not word or word in NOT_AVAILABLE else word


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _tiled(segments: Sequence[Segment], end: float) -> list[tuple[float, float, str]]:
    """All of the time from 0 to end: where each segment is, and the empty intervals between."""
    intervals: list[tuple[float, float, str]] = []
    at = 0.0
    for s in segments:
        if s.start > at:
            intervals.append((at, s.start, ""))
        intervals.append((s.start, s.end, s.label))
        at = s.end
    return [*intervals, (at, end, "")] if at < end else intervals
