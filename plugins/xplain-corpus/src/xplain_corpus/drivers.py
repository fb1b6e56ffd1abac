"""Who drives a run: one process for each part of it, and what each has been given to do."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from xplain.errors import ArtifactError
from xplain.storage import only_writer
from xplain_corpus.entries import Entry
from xplain_corpus.place import Place

FOLDER = "drivers"
PART, BEAT = "part.json", "beat.json"
EVERY = 20.0
"""Seconds between two signs of life of a driver, where a place has no locks."""
MISSED = 4
"""So many are missed by a driver that is taken for dead."""
ATTEMPTS, BETWEEN = 4, 0.1
"""How often, with how many seconds between, others are looked at that may just be starting."""


class Part(msgspec.Struct, frozen=True):
    """A part of a run: which leases, of which source.

    number, count: 1 of 1 for the whole. lease: clips of one. clips: of the whole source. listing:
    a hash of their ids; parts of one run have the same. began: seconds of the clock.
    """

    source: str
    lease: int
    number: int
    count: int
    clips: int
    listing: str
    began: float

    @classmethod
    def of(
        cls, source: str | Path, listed: Sequence[Entry], lease: int, number: int, count: int
    ) -> Part:
        """The part that a call does of a source that is listed."""
        digest = hashlib.sha256("\0".join(entry.id for entry in listed).encode()).hexdigest()
        source = str(Path(source).absolute())
        return cls(source, lease, number, count, len(listed), digest, time.time())

    @property
    def name(self) -> str:
        """What its folder is called."""
        return f"{self.number}-of-{self.count}"


def parts(place: Place) -> list[tuple[Part, bool]]:
    """The parts of which a run has had a driver as it is cut now, and whether each has one."""
    read = [_read(place, name) for name in sorted(place.listed(FOLDER))]
    found = [part for part in read if part is not None]
    latest = max(found, key=lambda part: part.began, default=None)
    return [
        (part, _is_driven(place, part.name))
        for part in sorted(found, key=lambda part: part.number)
        if latest is not None and (part.count, part.listing) == (latest.count, latest.listing)
    ]


@contextlib.contextmanager
def only(place: Place, part: Part) -> Iterator[None]:
    """Keep others from driving the same clips while a block runs.

    Refused, with ArtifactError: a second driver of a part, parts that are cut otherwise, and
    parts of another listing, since leases are cut from it.
    """
    with _held(place, part.name):
        before = _read(place, part.name)
        _note(place, part)
        for attempt in range(ATTEMPTS):
            problem = _problem(place, part)
            if problem is None:
                break
            if attempt + 1 < ATTEMPTS:
                time.sleep(BETWEEN)  # the other may have begun just now, and its note be an old one
                continue
            if before is not None:
                _note(place, before)
            else:
                with contextlib.suppress(OSError):
                    place.remove(f"{FOLDER}/{part.name}/{PART}")
            raise ArtifactError(problem)
        yield


def _problem(place: Place, part: Part) -> str | None:
    """What is in the way of a part: others that are being done and cut otherwise."""
    for name in sorted(place.listed(FOLDER)):
        if name == part.name or not _is_driven(place, name):
            continue
        if name.rpartition("-of-")[2] != str(part.count):
            return (
                f"{place} is being written by another process, as part {name}; wait for it, or "
                "cut the run in the same way"
            )
        other = _read(place, name)
        if other is not None and (other.listing, other.lease) != (part.listing, part.lease):
            return (
                f"{place}: part {name}, which is being done, lists {other.clips} clips in leases "
                f"of {other.lease}, and this one {part.clips} in leases of {part.lease}; give all "
                "parts the same manifest and --lease"
            )
    return None


def _note(place: Place, part: Part) -> None:
    place.write(f"{FOLDER}/{part.name}/{PART}", msgspec.json.encode(part))


def _read(place: Place, name: str) -> Part | None:
    with contextlib.suppress(OSError, msgspec.DecodeError):
        return msgspec.json.decode(place.read(f"{FOLDER}/{name}/{PART}"), type=Part)
    return None


def _is_driven(place: Place, name: str) -> bool:
    if place.local is None:
        return _beating(place, name) is not None
    try:
        with only_writer(place.local / FOLDER / name):
            return False
    except ArtifactError:
        return True


@contextlib.contextmanager
def _held(place: Place, name: str) -> Iterator[None]:
    if place.local is not None:
        with contextlib.ExitStack() as stack:
            for attempt in range(ATTEMPTS):
                try:
                    stack.enter_context(only_writer(place.local / FOLDER / name))
                    break
                except ArtifactError:  # another part may only be looking whether it is held
                    if attempt + 1 == ATTEMPTS:
                        raise
                    time.sleep(BETWEEN)
            yield
        return
    if _beating(place, name) is not None:
        raise ArtifactError(
            f"{place} is being written by another process, or one was ended less than "
            f"{MISSED * EVERY:g} s ago; wait for it, or choose another place"
        )
    own, ended = secrets.token_hex(8), threading.Event()

    def beat() -> None:
        place.write(f"{FOLDER}/{name}/{BEAT}", msgspec.json.encode([own, time.time()]))

    def go_on() -> None:
        while not ended.wait(EVERY):
            with contextlib.suppress(ArtifactError):  # the next one may come through
                beat()

    beat()
    if _beating(place, name) != own:
        raise ArtifactError(f"{place} is being written by another process, which began just now")
    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        with contextlib.suppress(OSError):
            place.remove(f"{FOLDER}/{name}/{BEAT}")


def _beating(place: Place, name: str) -> str | None:
    """Which driver has given a sign of life of late, where a place has no locks."""
    with contextlib.suppress(OSError, msgspec.DecodeError):
        held = place.read(f"{FOLDER}/{name}/{BEAT}")
        own, at = msgspec.json.decode(held, type=tuple[str, float])
        return own if time.time() - at < MISSED * EVERY else None
    return None
