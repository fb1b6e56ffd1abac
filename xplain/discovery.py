"""Installed distributions and their entry points, each read by itself.

``importlib.metadata.entry_points`` fails as a whole where one distribution anywhere on the
path is damaged, and takes the first of two distributions of one name even if that is empty.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import Distribution, EntryPoint, distributions
from itertools import permutations
from pathlib import Path

GROUPS = ("xplain", "xplain.commands", "xplain.commands.plugins", "xplain.loggers")
"""The entry point groups that are ours."""


@dataclass(frozen=True)
class Found:
    """An entry point of ours, and the distribution that it comes with."""

    entry: EntryPoint
    distribution: str
    version: str


@dataclass(frozen=True)
class Fault:
    """What is wrong with the installation of a distribution."""

    name: str
    distribution: str
    version: str
    cause: str


@dataclass(frozen=True)
class _Copy:
    """One of the folders that describe a distribution, and its entry points that are ours."""

    folder: Path
    entries: tuple[EntryPoint, ...]

    @property
    def metadata(self) -> bytes | None:
        """The description of the distribution; None where there is none."""
        for name in ("METADATA", "PKG-INFO"):
            if (self.folder / name).is_file():  # a pipe would wait for ever
                with contextlib.suppress(OSError):
                    return (self.folder / name).read_bytes()
        return None

    @property
    def version(self) -> str:
        """As the folder's name has it, else as the description has it."""
        stated = re.search(rb"^Version:\s*(\S+)", self.metadata or b"", re.MULTILINE)
        named = self.folder.name.removesuffix(self.folder.suffix).split("-")[1:2]
        if named:
            return named[0]
        return stated[1].decode("utf-8", "replace") if stated else ""


def installed() -> tuple[tuple[Found, ...], tuple[Fault, ...]]:
    """Entry points of ours on the path, and what is wrong with the distributions there."""
    return _installed(tuple(sys.path))


def canonical(name: str) -> str:
    """Spell a distribution's name the one way of PEP 503: My_Plugin is my-plugin."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


@cache
def _installed(_: tuple[str, ...]) -> tuple[tuple[Found, ...], tuple[Fault, ...]]:
    faults: list[Fault] = []
    found: list[Found] = []
    described: dict[str, dict[Path, Distribution]] = {}
    for distribution in distributions():
        folder = Path(str(getattr(distribution, "_path", distribution.locate_file(""))))
        real = Path(os.path.realpath(folder))  # Path.resolve raises for links in a circle
        # By the folder's name, since METADATA may not be readable.
        name = canonical(folder.name.removesuffix(folder.suffix).partition("-")[0])
        described.setdefault(name, {}).setdefault(real, distribution)
    for name, folders in sorted(described.items()):
        copies = []
        for folder, distribution in folders.items():
            listed = folder / "entry_points.txt"
            try:
                if listed.exists() and not listed.is_file():
                    raise OSError("it is no regular file")
                entries = tuple(e for e in distribution.entry_points if e.group in GROUPS)
            except Exception as error:  # whatever a damaged file makes of its reader
                cause = f"{listed} cannot be read ({type(error).__name__})"
                faults.append(Fault(name, name, "", f"{cause}; reinstall or uninstall {name}"))
            else:
                copies.append(_Copy(folder, entries))
        if name.startswith("~"):
            faults += _leftovers(name, copies)
        elif any(copy.entries for copy in copies):
            # One with a description and entries; of several the first on the path, as Python.
            used, *others = sorted(copies, key=lambda c: (c.metadata is None, not c.entries))
            found += [Found(entry, name, used.version) for entry in used.entries]
            faults += _doubts(name, used, others)
    commands = [one for one in found if one.entry.group.startswith("xplain.commands")]
    for one, other in permutations(commands, 2):
        if (one.entry.group, one.entry.name) == (other.entry.group, other.entry.name):
            cause = f"{other.distribution} has a command of this name, too; uninstall one"
            faults.append(Fault(one.entry.name, one.distribution, one.version, cause))
    return tuple(found), tuple(faults)


def _leftovers(name: str, copies: Sequence[_Copy]) -> Iterator[Fault]:
    """What pip put aside to remove it and did not remove; nothing of it is loaded."""
    for copy in copies:
        if not copy.entries and "plain" not in name:
            continue  # of something else
        cause = f"pip left {copy.folder} behind when it uninstalled something; delete that folder"
        for called in [entry.name for entry in copy.entries] or [name]:
            yield Fault(called, name, "", cause)


def _doubts(name: str, used: _Copy, others: Sequence[_Copy]) -> Iterator[Fault]:
    """What has to be known of a distribution that is loaded all the same."""
    for other in others:
        if other.metadata is None:
            cause = f"{other.folder} has no METADATA and hides {used.folder}; delete the former"
        elif other.version == used.version and ".egg-info" in (
            other.folder.suffix,
            used.folder.suffix,  # where Python runs in the folder of the source
        ):
            continue  # what building from source leaves beside an editable installation
        else:
            cause = f"installed twice: {used.folder} is used, {other.folder} is not; uninstall one"
        yield Fault(name, name, other.version, cause)
    try:
        (used.metadata or b"").decode("utf-8")
    except UnicodeDecodeError:
        cause = f"{used.folder / 'METADATA'} is not UTF-8; reinstall it or report it to its authors"
        yield Fault(name, name, used.version, cause)
