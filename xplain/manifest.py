"""Manifests: CSV files that list recordings, one in each row."""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from xplain.errors import XplainError, nearest

DELIMITERS = (",", ";", "\t")
"""Spreadsheets write what their language uses."""


@dataclass(frozen=True)
class Row:
    """A row: its text by column, and where it stands.

    file: the recording, found from the manifest's folder. place: "manifest.csv, line 3".
    """

    cells: Mapping[str, str]
    file: Path
    place: str

    def __getitem__(self, column: str) -> str:
        """The text in a column; "" where it is empty or there is no such column."""
        return self.cells.get(column, "")


def rows(
    path: Path,
    required: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    split: str | None = None,
    *,
    has: Sequence[str] = (),
    once: bool = True,
) -> list[Row]:
    """Read the rows of a CSV manifest that are asked for.

    path: a file with a header, in UTF-8 or, with a byte order mark, UTF-16; columns are parted by
    commas, semicolons or tabs. It has a column path, from the manifest's folder. required: other
    columns that it has to have, and that no chosen row leaves empty. has: others, that may be
    empty. where: columns and the text
    that they must hold. split: short for the column split. once: whether a recording may be
    listed only once.

    Raises XplainError, with the line where there is one, for a manifest that cannot be read or
    lists nothing of what is asked for.
    """
    asked = {**(where or {}), **({} if split is None else {"split": split})}
    lines = _read(path, ["path", *required, *has, *asked])
    chosen = [
        (number, cells)
        for number, cells in lines
        if all(cells[column] == value for column, value in asked.items())
    ]
    if not chosen:
        raise XplainError(_nothing(path, asked, [cells for _, cells in lines]))
    found = []
    listed: dict[str, int] = {}
    for number, cells in chosen:
        place = f"{path}, line {number}"
        for column in ("path", *required):
            if not cells[column]:
                raise XplainError(f"{place}: the column {column} is empty; fill it in")
        if "\0" in cells["path"]:
            raise XplainError(f"{place}: the path holds a zero byte; save the manifest as text")
        first = listed.setdefault(os.path.normpath(cells["path"]), number)
        if once and first != number:
            raise XplainError(
                f"{place}: {cells['path']} is listed in line {first} already; list it once"
            )
        found.append(Row(cells, path.parent / cells["path"], place))
    return found


def check_files(found: Sequence[Row], path: Path) -> None:
    """Refuse a manifest that lists recordings which do not exist; XplainError."""
    missing = [row["path"] for row in found if not row.file.is_file()]
    if missing:
        raise XplainError(
            f"{path}: {len(missing)} of {len(found)} files do not exist, such as "
            f"{', '.join(missing[:3])}; paths are taken from the folder of the manifest"
        )


def _read(path: Path, needed: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Each row, by column, with its line."""
    try:
        content = path.read_bytes()
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16" if wide else "utf-8-sig")
        header, *_ = text.splitlines() or [""]
        delimiter = max(DELIMITERS, key=header.count)
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        columns = [name.strip() for name in next(reader, [])]
        for column in needed:
            if column not in columns:
                raise XplainError(f"{path} has no column {column!r}; {nearest(column, columns)}")
        if doubled := [name for name in needed if columns.count(name) > 1]:
            raise XplainError(f"{path} has the column {doubled[0]!r} more than once")
        lines = []
        for fields in reader:
            if not fields:
                continue
            if len(fields) != len(columns):
                raise XplainError(
                    f"{path}, line {reader.line_num}: the row has {len(fields)} fields, and there "
                    f"are {len(columns)} columns; complete it, and put fields that hold a "
                    f"{delimiter!r} in quotes"
                )
            lines.append((reader.line_num, dict(zip(columns, fields, strict=True))))
    except (OSError, ValueError, csv.Error) as error:
        raise XplainError(
            f"{path} cannot be read as a manifest ({error}); save it as CSV in UTF-8"
        ) from error
    return lines


def _nothing(path: Path, asked: Mapping[str, str], lines: Sequence[Mapping[str, str]]) -> str:
    """Say why no row was chosen, and what could have been asked for."""
    if not lines:
        return f"{path} lists no recording; add a row for each"
    for column, value in asked.items():
        values = {cells[column] for cells in lines}
        if value not in values:
            return f"{path} has no {column} {value!r}; {nearest(value, values)}"
    text = " and ".join(f"{column}={value}" for column, value in asked.items())
    return f"{path} lists no recording with {text}; correct what is asked for"
