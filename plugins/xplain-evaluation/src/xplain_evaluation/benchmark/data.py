"""The clips of a benchmark: files, rows of a manifest, or clips with a planted cue."""

from __future__ import annotations

import glob
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os.path import isfile  # False for names that are too long, where Path's raises
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from xplain.audio import Audio, from_tensor
from xplain.errors import XplainError, nearest
from xplain.manifest import Row, rows
from xplain.validated import convert
from xplain_evaluation.event import Event
from xplain_evaluation.planted.planted import PlantedClip, planted_clips

SOURCES = ("files", "manifest", "planted")

Text = Annotated[str, msgspec.Meta(min_length=1)]
Natural = Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class DataTable(msgspec.Struct, frozen=True):
    """Schema of a [[data]] table; see Data.read."""

    name: Text
    planted: Natural | UnsetType = UNSET
    files: list[Text] | UnsetType = UNSET
    manifest: Text | UnsetType = UNSET
    where: dict[str, str | int | float] | UnsetType = UNSET
    every: Natural = 1
    heard: list[Text] | UnsetType = UNSET


@dataclass(frozen=True)
class Item:
    """A clip: a file or samples, its annotated label (None: not known), the event marked in it.

    speaker: who speaks, where the manifest says so.
    """

    audio: Path | Audio
    label: str | None = None
    event: Event | None = None
    speaker: str | None = None

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
        name = table.get("name") if isinstance(table, Mapping) else None
        place = f"the data {name!r}" if isinstance(name, str) and name else "[[data]]"
        known(table, DataTable.__struct_fields__, place)
        given = convert(place, table, DataTable)
        if sum(getattr(given, source) is not UNSET for source in SOURCES) != 1:
            raise XplainError(f"{place} needs one of {', '.join(SOURCES)}")
        if given.where is not UNSET and given.manifest is UNSET:
            raise XplainError(f"{place} has a where, which chooses rows of a manifest; remove it")
        if given.planted is not UNSET:
            items = [_planted(n, clip) for n, clip in enumerate(planted_clips(given.planted, 0))]
        elif given.files is not UNSET:
            items = [Item(path) for path in _files(given.files, home)]
        else:
            where = {
                column: str(value)
                for column, value in ({} if given.where is UNSET else given.where).items()
            }
            found = rows(home / str(given.manifest), where=where, once=False)
            items = [_item(row) for row in found]
        items = items[:: given.every]
        if not items:
            raise XplainError(f"{place} has no clips; correct its files")
        return cls(given.name, tuple(items))


def sets(table: object, home: Path) -> Iterator[Data]:
    """Read one [[data]] table; two sets where ``heard`` names the speakers the model learnt from.

    The clips of these, and those of speakers that are new to it: side by side, since a model may
    know a voice. Raises XplainError where a clip has no speaker, or a set no clip.
    """
    whole = Data.read(table, home)
    heard = table.get("heard") if isinstance(table, Mapping) else None
    if heard is None:
        yield whole
        return
    if any(item.speaker is None for item in whole.items):
        raise XplainError(f"the data {whole.name!r} has a heard, and its manifest no speakers")
    for what, wanted in (("heard speakers", True), ("new speakers", False)):
        items = tuple(item for item in whole.items if (item.speaker in heard) == wanted)
        if not items:
            raise XplainError(f"the data {whole.name!r} has no clips of {what}; correct its heard")
        yield Data(f"{whole.name}, {what}", items)


def known(table: object, names: Iterable[str], where: str) -> None:
    """Refuse settings of a table that do not exist, saying which were probably meant."""
    for name in table if isinstance(table, Mapping) else ():
        if name not in names:
            raise XplainError(f"{where} has no setting {name!r}; {nearest(str(name), names)}")


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


def _item(row: Row) -> Item:
    event = _event(row, f"{row.place}: {row['path']}")
    return Item(row.file, row["label"] or None, event, row["speaker"] or None)


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
