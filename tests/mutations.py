"""Files damaged by chance, for tests that hold a reader to an answer or a one-line error."""

from __future__ import annotations

import copy
import io
import json
import random
import struct
from typing import Any

import numpy as np
import soundfile

LENGTHS = (0, 1, 0x7FFF0000, 0x7FFFF000, 2**31 - 37, 2**31, 2**32 - 37, 2**32 - 1)
"""Lengths that programs write, where they know none."""

PIECES = (b"\x00", b"\xff", b"\r\n", b'"', b"{", b"]", b"[" * 5000, b"\xe2\x80\xae", b"1e999")
PIECES += (b"-1", b" ", b"\t", b",", b";;", b"nan", b"\xff\xfe", b"0")
"""Bytes that text formats trip over."""

VALUES: tuple[Any, ...] = (None, True, -1, 0, 3, 0.5, 1.5, 2**40, 2**63, 2**70, 10**400, 1e308)
VALUES += (float("nan"), float("inf"), "", "a", "nan", "../..", "../../x", "/etc/passwd", "\u202e")
VALUES += ("\x00", "x" * 10_000, "evil.py:make", "nmf:.", "hf:nobody/nothing", [], {}, [[]], ["a"])
VALUES += ([1, "two", None], {"a": {"b": []}})
"""Values that a JSON file may hold in place of the right ones."""

CONTAINERS = {
    **{"wav": ("WAV", "PCM_16"), "u8": ("WAV", "PCM_U8"), "adpcm": ("WAV", "IMA_ADPCM")},
    **{"float": ("WAV", "FLOAT"), "rf64": ("RF64", "PCM_16"), "w64": ("W64", "PCM_16")},
    **{"aiff": ("AIFF", "PCM_16"), "au": ("AU", "PCM_16"), "caf": ("CAF", "PCM_16")},
    **{"flac": ("FLAC", "PCM_16"), "vorbis": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS")},
    **{"mp3": ("MP3", "MPEG_LAYER_III")},
}
"""Containers and encodings that libsndfile writes, by a short name."""

RATE = 16000


def sound(samples: int = 8000) -> np.ndarray:
    """A tone in noise (samples,): float32."""
    noise = np.random.default_rng(0).normal(0, 0.05, samples)
    return (0.3 * np.sin(np.arange(samples) * 0.05) + noise).astype(np.float32)


def encoded(kind: str, samples: np.ndarray | None = None, rate: int = RATE) -> bytes:
    """A whole file of one of CONTAINERS."""
    container, subtype = CONTAINERS[kind]
    file = io.BytesIO()
    soundfile.write(file, sound() if samples is None else samples, rate, subtype, format=container)
    return file.getvalue()


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Damage a file in one to three ways: the same for the same state of rng."""
    for _ in range(rng.randint(1, 3)):
        if not data:
            return data
        data = rng.choice((_flipped, _cut, _number, _number, _moved, _joined, _put))(data, rng)
    return data


def mutate_json(data: bytes, rng: random.Random) -> bytes:
    """Change, remove, rename, nest or copy some values of a JSON document; at times its bytes."""
    if rng.random() < 0.25:
        return mutate(data, rng)
    document = json.loads(data)
    try:
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            holders: list[Any] = [document]
            for holder in holders:
                inner = holder.values() if isinstance(holder, dict) else holder
                holders += [value for value in inner if isinstance(value, dict | list) and value]
            if holder := rng.choice(holders):
                copied = json.loads(json.dumps(rng.choice(holders)))
                _change(holder, copied, rng)
        return json.dumps(document).encode()
    except RecursionError:  # nested deeper than Python writes
        return b"[" * 100_000


def _change(holder: Any, other: Any, rng: random.Random) -> None:
    """Change one place of an object or array; other: what may be copied there."""
    key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
    match rng.randrange(7):
        case 0:
            del holder[key]
        case 1 if isinstance(holder, dict):
            holder[rng.choice(("new", "", "__class__", str(key).upper()))] = holder.pop(key)
        case 2:
            nested: Any = 1
            for _ in range(rng.choice((3, 100, 5000))):
                nested = [nested]
            holder[key] = nested
        case 3:
            holder[key] = other
        case _:
            holder[key] = copy.deepcopy(rng.choice(VALUES))  # a change in it stays in this file


def _flipped(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 64))):
        changed[_place(data, rng)] = rng.randrange(256)
    return bytes(changed)


def _cut(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.choice((rng.randrange(len(data)), len(data) - 1, 44, 12))]


def _number(data: bytes, rng: random.Random) -> bytes:
    """Another number of 2, 4 or 8 bytes in the header, often one of LENGTHS."""
    code = rng.choice("HIIQ")
    value = rng.choice((*LENGTHS, len(data), 2 * len(data), 2**38, 2**63 - 1, rng.getrandbits(64)))
    size = struct.calcsize(f"<{code}")
    field = struct.pack(rng.choice("<>") + code, value % 256**size)
    at = min(rng.randrange(0, 128, 2), max(0, len(data) - size))
    return data[:at] + field + data[at + size :]


def _moved(data: bytes, rng: random.Random) -> bytes:
    """Some bytes left out or said twice."""
    start = _place(data, rng)
    stop = start + rng.choice((1, 2, 17, 512))
    return data[:start] + data[start:stop] * rng.choice((0, 2)) + data[stop:]


def _put(data: bytes, rng: random.Random) -> bytes:
    """One of PIECES between the bytes, or in place of some."""
    piece, at = rng.choice(PIECES), _place(data, rng)
    return data[:at] + piece + data[at + rng.choice((0, len(piece))) :]


def _joined(data: bytes, rng: random.Random) -> bytes:
    rest = rng.choice((data, bytes(700), rng.randbytes(333), b"TAG" + bytes(125)))
    return data + rest


def _place(data: bytes, rng: random.Random) -> int:
    """A place in the header, as often as anywhere."""
    return rng.randrange(min(len(data), rng.choice((128, len(data)))))
