"""Segments as other programs read them: RTTM, CSV, Audacity's label track, Praat's TextGrid.

Own parsers: no library reads all of these; pyannote.database shifts the fields of an RTTM line
whose name has spaces and takes negative times, praatio and tgt fail on comments and name no line.

Times are written to the microsecond, as segments have them, so that what is read back is the
same; RTTM's durations then add up exactly too.
"""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

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


def read(path: Path, name: str | None) -> tuple[Segment, ...]:
    """Read segments from text: .rttm, .csv, .txt (Audacity) or .TextGrid, by the file's name.

    name: the recording's, where an RTTM file holds several. Raises ArtifactError, with the
    number of the line, for anything that is not read right.
    """
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise ArtifactError(f"{path}: segments are read from {', '.join(READERS)} and .json")
    try:
        return reader(_decoded(path.read_bytes()), name)
    except (OSError, ValueError, csv.Error) as error:
        raise ArtifactError(f"{path} cannot be read as {path.suffix}: {error}") from error


def _decoded(data: bytes) -> str:
    """Text in UTF-8, or in UTF-16 where it begins with a byte order mark, as Praat writes it."""
    marked = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line} is neither UTF-8 nor marked UTF-16; save it so") from None
    if "\0" in text:
        raise ValueError(f"line {text.count(chr(10), 0, text.index(chr(0))) + 1} is not text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _segment(number: int, label: str, start: str, end: str, length: bool = False) -> Segment | None:
    """A segment from the fields of a line; None where it lasts no time. end: or its length."""
    first, last = _seconds(number, start), _seconds(number, end)
    last = round(first + last, 6) if length else last
    if last < first:
        raise ValueError(f"line {number}: it ends at {last:g} s, before it begins at {first:g} s")
    return Segment(label, first, last) if last > first else None


def _seconds(number: int, text: str) -> float:
    """A time as programs write it: digits, a point, an exponent; finite and not negative."""
    if not NUMBER.fullmatch(text.strip()):
        raise ValueError(f"line {number}: {text[:40]!r} is not a time in seconds")
    seconds = float(text)
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"line {number}: a time is finite and not negative, not {text.strip()}")
    return seconds + 0.0


def _read_rttm(text: str, name: str | None) -> tuple[Segment, ...]:
    """Lines as NIST 2009 defines them: type, file, channel, start, duration, …, label."""
    segments: list[tuple[str, Segment | None]] = []
    names: set[str] = set()
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.split()
        if not fields or line.lstrip().startswith(";;"):
            continue
        kind = fields[0].upper()
        if kind not in RTTM_TYPES:
            raise ValueError(f"line {number}: {fields[0][:40]!r} is not a type of RTTM")
        if len(fields) not in (9, 10):
            raise ValueError(
                f"line {number} has {len(fields)} fields, not 9 or 10; a name with spaces is "
                "written with '_'"
            )
        names.add(fields[1])
        if kind == "SPEAKER":
            label = fields[7]
            if label == "<NA>":
                raise ValueError(f"line {number}: the label is missing")
            segments.append((fields[1], _segment(number, label, fields[3], fields[4], length=True)))
    asked = name if name is None or name in names else _word(name)
    if asked is None and len(names) > 1:
        known = ", ".join(sorted(names))
        raise ValueError(f"it holds {len(names)} recordings; give name=, one of {known}")
    if asked is not None and asked not in names:
        known = ", ".join(sorted(names)) or "nobody"
        raise ValueError(f"it holds nothing of {name!r} but of {known}")
    return tuple(s for of, s in segments if s is not None and asked in (None, of))


def _read_csv(text: str, name: str | None) -> tuple[Segment, ...]:
    """Columns label, start, end and perhaps score in any order; between commas, ; or tabs."""
    header = text.split("\n", 1)[0]
    separator = max(",;\t", key=header.count)
    rows = csv.reader(io.StringIO(text), delimiter=separator, strict=True, skipinitialspace=True)
    columns = [column.strip().lower() for column in next(rows, [])]
    places = {column: columns.index(column) for column in CSV_COLUMNS if column in columns}
    missing = [column for column in CSV_COLUMNS[:3] if column not in places]
    if missing or len(set(columns)) < len(columns):
        fault = f"no column {', '.join(missing)}" if missing else "two columns of one name"
        raise ValueError(f"line 1: {fault}; it has {', '.join(map(repr, columns)) or 'nothing'}")
    segments = []
    for row in _rows(rows):
        number = rows.line_num
        if not any(field.strip() for field in row):
            continue
        if len(row) != len(columns):
            raise ValueError(f"line {number} has {len(row)} fields, the first {len(columns)}")
        label, start, end = (row[places[column]] for column in CSV_COLUMNS[:3])
        if separator == ";":  # where a comma stands before the decimals
            start, end = start.replace(",", "."), end.replace(",", ".")
        if not label.strip():
            raise ValueError(f"line {number}: the label is missing")
        segment = _segment(number, label, start, end)
        score = row[places["score"]].strip() if "score" in places else ""
        if segment is not None:
            if score:
                segment = replace(segment, score=_score(number, score, separator))
            segments.append(segment)
    return tuple(segments)


def _rows(rows: Any) -> Iterator[list[str]]:
    try:
        yield from rows
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num}: {error}") from None


def _score(number: int, text: str, separator: str) -> float:
    text = text.replace(",", ".") if separator == ";" else text
    if not NUMBER.fullmatch(text) or not 0 <= float(text) <= 1:
        raise ValueError(f"line {number}: a score is a probability from 0 to 1, not {text[:40]!r}")
    return float(text)


def _read_audacity(text: str, name: str | None) -> tuple[Segment, ...]:
    r"""Lines start, end, label between tabs; ``\ low high`` after one gives its frequencies."""
    segments: list[Segment] = []
    after_label = False
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        fields = line.split("\t")
        if fields[0].strip() == "\\":
            if len(fields) != 3 or not after_label:
                raise ValueError(f"line {number}: frequencies are two, after a label's line")
            for field in fields[1:]:
                if not NUMBER.fullmatch(field.strip()):
                    raise ValueError(f"line {number}: {field[:40]!r} is not a frequency in Hz")
            after_label = False
            continue
        if len(fields) not in (2, 3):
            raise ValueError(f"line {number} has {len(fields)} fields between tabs, not 3")
        label = fields[2].strip() if len(fields) == 3 else ""
        segment = _segment(number, label, fields[0].replace(",", "."), fields[1].replace(",", "."))
        after_label = True
        if segment is not None:
            if not label:
                raise ValueError(f"line {number}: the label is missing")
            segments.append(segment)
    return tuple(segments)


class _Tokens:
    """What Praat reads of a text file: strings, free-standing numbers and <flags>, with lines.

    "!" begins a comment that lasts to the end of the line; everything else is for people.
    """

    def __init__(self, text: str) -> None:
        self._found = PRAAT_TOKEN.finditer(text)
        self._text = text
        self.line, self._counted = 1, 0

    def next(self, kind: str) -> str:
        """The next string, number or flag, without quotes; ValueError if it is another kind."""
        for match in self._found:
            token = match[0]
            self.line += self._text.count("\n", self._counted, match.start())
            self._counted = match.start()
            got = "string" if token[0] == '"' else "flag" if token[0] == "<" else "number"
            if match.lastgroup != "value":
                if token[0] == '"':
                    raise ValueError(f"line {self.line}: a text has no closing quote")
                continue
            if got != kind:
                raise ValueError(f"line {self.line}: {token[:40]!r}, where a {kind} belongs")
            return token[1:-1].replace('""', '"') if got != "number" else token
        raise ValueError(f"line {self._text.count(chr(10)) + 1}: the file ends too early")

    def count(self) -> int:
        """The next number, as how many things follow."""
        token = self.next("number")
        if not token.isdigit() or int(token) > len(self._text):
            raise ValueError(f"line {self.line}: {token!r} is not a count of what follows")
        return int(token)

    def seconds(self) -> str:
        token = self.next("number")
        _seconds(self.line, token)
        return token


def _read_textgrid(text: str, name: str | None) -> tuple[Segment, ...]:
    """Text files of Praat, long and short: the intervals of all tiers that have a text."""
    if text.startswith("ooBinaryFile"):
        raise ValueError("line 1: a binary TextGrid; save it as a text file in Praat")
    tokens = _Tokens(text)
    for expected in ("ooTextFile", "TextGrid"):
        if (got := tokens.next("string")) != expected:
            raise ValueError(f"line {tokens.line}: {got[:40]!r}, where {expected!r} belongs")
    tokens.seconds(), tokens.seconds()
    if tokens.next("flag") != "exists":
        return ()
    segments = []
    for _tier in range(tokens.count()):
        kind = tokens.next("string")
        if kind not in ("IntervalTier", "TextTier"):
            raise ValueError(f"line {tokens.line}: {kind[:40]!r} is not a kind of tier")
        tokens.next("string"), tokens.seconds(), tokens.seconds()
        for _item in range(tokens.count()):
            start = tokens.seconds()
            end = tokens.seconds() if kind == "IntervalTier" else start
            line = tokens.line
            label = tokens.next("string")
            segment = _segment(line, label, start, end)
            if segment is not None and label.strip():
                segments.append(segment)
    return tuple(sorted(segments, key=lambda s: s.start))


NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(nan|inf|infinity)", re.I | re.A)
PRAAT_TOKEN = re.compile(
    r'(?P<comment>(?<!\S)![^\n]*)|(?P<value>"(?:[^"]|"")*"|<\w+>(?!\S)|'
    r"(?<!\S)[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?%?(?!\S))|(?P<open>\")|(?P<word>\S)[^\s\"]*",
    re.I | re.A,
)
RTTM_TYPES = {
    *("SEGMENT", "NOSCORE", "NO_RT_METADATA", "LEXEME", "NON-LEX", "NON-SPEECH", "FILLER"),
    *("EDIT", "IP", "SU", "CB", "A/P", "SPEAKER", "SPKR-INFO"),
}
CSV_COLUMNS = ("label", "start", "end", "score")
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
