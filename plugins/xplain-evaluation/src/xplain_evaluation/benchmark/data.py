"""The clips of a benchmark, and how what a TOML table holds is made sure of."""

from __future__ import annotations

import glob
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os.path import isfile  # False for names that are too long, where Path's raises
from pathlib import Path
from typing import Any

from xplain.audio import Audio, from_tensor
from xplain.errors import XplainError, nearest
from xplain.manifest import Row, rows
from xplain_evaluation.event import Event
from xplain_evaluation.planted.planted import PlantedClip, planted_clips

SOURCES = ("files", "manifest", "planted")


@dataclass(frozen=True)
class Item:
    """A clip: a file or samples, its annotated label (None: not known), the event marked in it."""

    audio: Path | Audio
    label: str | None = None
    event: Event | None = None

    @property
    def name(self) -> str:
        """As tables list it; bytes of a file's name that are no text are surrogate escapes."""
        return self.audio.name


@dataclass(frozen=True)
class Data:
    """A named set of clips."""

    name: str
    items: tuple[Item, ...]

    @classmethod
    def read(cls, table: object, home: Path) -> Data:
        """Read one [[data]] table; paths are taken from ``home``.

        planted: how many clips with a planted cue, see xplain_evaluation.planted.planted; or files:
        names or patterns; or manifest: a CSV with a column path, from its folder, and
        where there are such a label, start and end (seconds), low and high (Hz). where:
        columns and the values they must have. every: only every so-manieth clip. Raises
        XplainError for a setting that is wrong, and for a row of the manifest that is.
        """
        if not isinstance(table, Mapping):
            raise XplainError(f"data is given as [[data]] tables, not as {table!r}")
        known(table, ("name", *SOURCES, "where", "every"), "[[data]]")
        if "name" not in table or sum(source in table for source in SOURCES) != 1:
            raise XplainError("a [[data]] table needs a name, and one of files, manifest, planted")
        name = text("name of [[data]]", table["name"])
        place = f"the data {name!r}"
        if "where" in table and "manifest" not in table:
            raise XplainError(f"{place} has a where, which chooses rows of a manifest; remove it")
        if "planted" in table:
            count = whole(f"planted of {place}", table["planted"], 1)
            items = [_planted(n, clip) for n, clip in enumerate(planted_clips(count, 0))]
        elif "files" in table:
            patterns = listed("files", table["files"], place)
            named = [text(f"each of the files of {place}", pattern) for pattern in patterns]
            items = [Item(path) for path in _files(named, home)]
        else:
            path = home / text(f"manifest of {place}", table["manifest"])
            items = _manifest(path, _where(table.get("where", {}), place))
        items = items[:: whole(f"every of {place}", table.get("every", 1), 1)]
        if not items:
            raise XplainError(f"{place} has no clips; correct its files, or its where")
        return cls(name, tuple(items))


def known(table: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    """Refuse settings of a table that do not exist, saying which were probably meant."""
    for name in table:
        if name not in names:
            raise XplainError(f"{where} has no setting {name!r}; {nearest(name, names)}")


def whole(name: str, value: object, least: int) -> int:
    """A whole number as it is; XplainError for what is none, or is below ``least``."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise XplainError(f"{name} is a whole number of at least {least}, not {value!r}")
    return value


def text(name: str, value: object) -> str:
    """A text as it is; XplainError for what is none, or is empty."""
    if not isinstance(value, str) or not value:
        raise XplainError(
            f'{name} is a text in quotes that is not empty, "like this", not {value!r}'
        )
    return value


def listed(name: str, value: object, where: str) -> list[Any]:
    """A list as it is; XplainError for what is none, with what to write instead."""
    if isinstance(value, list):
        return value
    example = f'"{value}"' if isinstance(value, str) else "..."
    advice = "begin each table with [[data]]" if name == "data" else f"write {name} = [{example}]"
    raise XplainError(f"{where} needs a list of {name}, not {value!r}; {advice}")


def _planted(number: int, clip: PlantedClip) -> Item:
    audio = from_tensor(clip.waveform, clip.sample_rate, f"planted-{number}")
    return Item(audio, clip.label, clip.annotation)


def _files(patterns: Sequence[str], home: Path) -> list[Path]:
    """Recordings in the order of the patterns, each once, however many patterns it matches."""
    found: dict[Path, Path] = {}
    for pattern in patterns:
        # A name may hold what has a meaning in a pattern: take[1].wav.
        matches = [pattern]
        if not isfile(home / pattern):
            matches = sorted(glob.glob(pattern, root_dir=home, recursive=True))
        files = [path for path in (home / match for match in matches) if isfile(path)]
        if not files:
            raise XplainError(
                f"no file {pattern!r} in {home}; name recordings, or a pattern: 'clips/*.wav'"
            )
        for path in files:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _where(value: object, place: str) -> dict[str, str]:
    """Columns of a manifest and the text that they must hold."""
    if not isinstance(value, Mapping):
        raise XplainError(
            f"where of {place} is a table of columns and values, not {value!r}; "
            'write where = {split = "test"}'
        )
    for column, asked in value.items():
        if isinstance(asked, bool) or not isinstance(asked, str | int | float):
            raise XplainError(
                f"{column!r} in where of {place} is a text or a number, not {asked!r}; "
                "write it in quotes, as it stands in the manifest"
            )
    return {column: str(asked) for column, asked in value.items()}


def _manifest(path: Path, where: Mapping[str, str]) -> list[Item]:
    # A recording may hold several events, a row for each.
    return [_item(row) for row in rows(path, where=where, once=False)]


def _item(row: Row) -> Item:
    return Item(row.file, row["label"] or None, _event(row, f"{row.place}: {row['path']}"))


def _event(row: Row, place: str) -> Event | None:
    """The event of a row; None where it has none."""
    times, band = _span(row, ("start", "end"), place), _span(row, ("low", "high"), place)
    if times is None:
        if band is not None:
            raise XplainError(
                f"{place}: a band without times; say start and end, or no low and high"
            )
        return None
    if times[0] < 0:
        raise XplainError(
            f"{place}: start is {times[0]:g} s, before the clip; count from its start"
        )
    return Event(*times, *(band or (None, None)))


def _span(row: Row, names: tuple[str, str], place: str) -> tuple[float, float] | None:
    """Two numbers of a row, the first below the second; None where neither is given."""
    given = [name for name in names if row[name]]
    if not given:
        return None
    if len(given) < len(names):
        (absent,) = set(names).difference(given)
        raise XplainError(f"{place}: {given[0]} without {absent}; give both or neither")
    first, second = (_number(row, name, place) for name in names)
    if not first < second:
        raise XplainError(
            f"{place}: {names[0]} is {first:g} and {names[1]} {second:g}; "
            f"{names[0]} has to be below {names[1]}"
        )
    return first, second


def _number(row: Row, name: str, place: str) -> float:
    try:
        value = float(row[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise XplainError(
            f"{place}: {name} is {row[name]!r}, no finite number; times are seconds, bands Hz"
        )
    return value
