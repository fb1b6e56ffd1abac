"""JSON and TOML files, read as the types that they have to hold."""

from __future__ import annotations

import math
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from xplain.errors import ArtifactError, XplainError

LARGEST = 64 * 2**20
"""Bytes of a file of settings or records."""
DEEPEST = 64
"""Lists and tables within one another."""

T = TypeVar("T")


def decode_json(path: Path, kind: type[T], *, largest: int = LARGEST) -> T:
    """Read a JSON file as ``kind``: a dataclass, msgspec.Struct or any annotation.

    Raises ArtifactError in one line: which file, where in it, and what was expected there.
    """
    return _decoded(path, kind, largest, "JSON", msgspec.json.decode)


def decode_toml(path: Path, kind: type[T], *, largest: int = LARGEST) -> T:
    """Read a TOML file as ``kind``; as decode_json."""
    return _decoded(path, kind, largest, "TOML", msgspec.toml.decode)


def convert(source: Path | str, data: object, kind: type[T]) -> T:
    """Take what was read from JSON or TOML as ``kind``; ArtifactError names ``source``."""
    _check_values(source, data)
    try:
        return msgspec.convert(data, kind, str_keys=True)
    except (msgspec.ValidationError, RecursionError, OverflowError) as error:
        raise ArtifactError(f"{source}: {_sentence(error)}") from error
    except XplainError as error:  # of a class that checks itself
        raise ArtifactError(f"{source}: {error}") from error


def _decoded(
    path: Path, kind: type[T], largest: int, language: str, decode: Callable[[bytes], object]
) -> T:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait, a device may never end
            raise OSError("it is no regular file")
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except (OSError, ValueError) as error:  # a name that no file can have
        raise ArtifactError(f"{path} cannot be read: {error}") from error
    if len(content) > largest:
        raise ArtifactError(f"{path} is larger than {largest >> 20} MiB; it cannot be one of ours")
    try:
        data = decode(content.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, ValueError) as error:
        raise ArtifactError(f"{path} cannot be read as {language}: {error}") from error
    except RecursionError as error:
        raise ArtifactError(_too_deep(path)) from error
    return convert(path, data, kind)


def _check_values(source: Path | str, data: object) -> None:
    """Refuse numbers that are not finite, and too many levels; ArtifactError."""
    level = [data]
    for _ in range(DEEPEST):
        if any(isinstance(value, float) and not math.isfinite(value) for value in level):
            raise ArtifactError(f"{source}: numbers have to be finite, and one is not")
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return
    raise ArtifactError(_too_deep(source))


def _inside(value: object) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _too_deep(source: Path | str) -> str:
    return f"{source}: lists and tables lie in one another more than {DEEPEST} levels deep"


def _sentence(error: Exception) -> str:
    """msgspec's message, the place first: at $.target.index: expected `int`, got `str`."""
    text, _, place = " ".join(str(error).split()).partition(" - at ")
    text = text[:1].lower() + text[1:] if text.startswith(("Expected", "Object")) else text
    return f"at {place.strip('`')}: {text}" if place else text
