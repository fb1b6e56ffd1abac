"""Files damaged by chance, for tests that hold a reader to an answer or a one-line error."""

from __future__ import annotations

import io
import random
import struct

import numpy as np
import soundfile

LENGTHS = (0, 1, 0x7FFF0000, 0x7FFFF000, 2**31 - 37, 2**31, 2**32 - 37, 2**32 - 1)
"""Lengths that programs write, where they know none."""

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
        data = rng.choice((_flipped, _cut, _number, _number, _moved, _joined))(data, rng)
    return data


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


def _joined(data: bytes, rng: random.Random) -> bytes:
    rest = rng.choice((data, bytes(700), rng.randbytes(333), b"TAG" + bytes(125)))
    return data + rest


def _place(data: bytes, rng: random.Random) -> int:
    """A place in the header, as often as anywhere."""
    return rng.randrange(min(len(data), rng.choice((128, len(data)))))
