"""Where a file's audio lies and how long it is, by the file itself and not by its header's word.

A header's length may be a placeholder (a recorder that wrote to a pipe), stale (one that was
stopped) or the length of the first of several files joined. libsndfile believes it. So the
header is compared with the bytes that follow it, and libsndfile is given a corrected copy of
the header in front of them. Chunked containers are here, bit streams in bitstreams.py.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from mmap import mmap
from typing import TypeAlias

from xplain import bitstreams
from xplain.bitstreams import Layout, Piece, patched

RIFF_CHUNKS = {
    *(b"LIST", b"id3 ", b"ID3 ", b"bext", b"fact", b"cue ", b"smpl", b"PEAK", b"iXML", b"axml"),
    *(b"JUNK", b"junk", b"PAD ", b"FLLR", b"afsp", b"DISP", b"inst", b"acid", b"levl", b"chna"),
}
"""Chunks that follow the samples of a RIFF file, even where the file ends within them."""

TAGS = (b"TAG", b"ID3", b"APETAGEX", b"3DI")
"""What tags at the end of a file begin with."""

NEAR = 2**16
"""Bytes by which a placeholder may lie beside the power of two that it stands for."""

PADDING = 2**16
"""Bytes of zeros after the audio that are a disk's padding and no samples."""

AU_BYTES = {1: 1, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 7: 8, 27: 1}
"""Bytes of a sample by the encoding's number (Sun's au.h)."""

AIFC_PLAIN = {
    *(b"NONE", b"sowt", b"twos", b"raw ", b"in24", b"in32", b"fl32", b"FL32", b"fl64", b"FL64"),
}
"""AIFF-C encodings whose frames have a fixed size."""


@dataclass(frozen=True)
class _Data:
    """The chunk of samples: where they begin, its length by the header, bytes of a frame."""

    at: int
    length: int
    align: int
    placeholder: bool = False


_Chunk: TypeAlias = Callable[[mmap, int], bool]


def layout(data: mmap) -> Layout:
    """Say where the audio of a file lies and whether the file is cut.

    data: the file. A file of a kind that is not known here is left to libsndfile as it is.
    """
    start = bitstreams.after_id3(data, 0)
    mark = data[start : start + 4]
    if mark in (b"RIFF", b"RIFX", b"RF64", b"BW64") and data[start + 8 : start + 12] == b"WAVE":
        return _waves(data, start)
    if mark == b"riff":
        return _wave64(data, start)
    if mark == b"FORM" and data[start + 8 : start + 12] in (b"AIFF", b"AIFC"):
        return _aiff(data, start)
    if mark in (b".snd", b"dns."):
        return _au(data, start)
    if mark == b"caff":
        return _caf(data, start)
    if mark == b"OggS":
        return bitstreams.ogg(data, start)
    if mark == b"fLaC":
        return bitstreams.flac(data, start)
    # libsndfile takes more for MP3 than is recognised here.
    return bitstreams.mpeg(data, start) or Layout([[range(len(data))]], mpeg=True)


def _waves(data: mmap, start: int) -> Layout:
    """WAV and RF64, also several files joined."""
    parts: list[Sequence[Piece]] = []
    stated: float | None = None
    while True:
        found = _wave(data, start)
        parts += found.parts
        stated = stated or found.stated
        end = found.end
        if found.truncated or not end or data[end : end + 4] not in (b"RIFF", b"RF64"):
            return Layout(parts, found.truncated, stated)
        start = end


def _wave(data: mmap, start: int) -> Layout:
    size, order = len(data), ">" if data[start : start + 4] == b"RIFX" else "<"
    wide = data[start : start + 4] in (b"RF64", b"BW64")
    sizes = align = speed = 0
    at = start + 12
    while at + 8 <= size:
        name, length = struct.unpack(f"{order}4sI", data[at : at + 8])
        at += 8
        if name == b"ds64" and at + 24 <= size:
            sizes = at
        elif name == b"fmt " and at + 16 <= size:
            speed, align = struct.unpack(f"{order}IH", data[at + 8 : at + 14])
        elif name == b"data":
            break
        at += length + length % 2
    else:
        return Layout([[range(start, size)]])
    if wide and sizes and length == 0xFFFFFFFF:
        (length,) = struct.unpack("<Q", data[sizes + 8 : sizes + 16])
    true = _true_length(data, _Data(at, length, align), _riff_chunk(order))
    if true is None:
        return Layout([[range(start, size)]], truncated=True)
    changes = {start: b"RF64"} if data[start : start + 4] == b"BW64" else {}
    end = at + true + true % 2
    if true == length:
        stop = end if _joined(data, end) else size
        return Layout([patched(range(start, stop), changes)], end=end)
    if wide and sizes:
        counts = struct.pack("<QQQ", size - start - 8, true, true // max(align, 1))
        changes |= {sizes: counts, at - 4: b"\xff\xff\xff\xff"}
    elif size - start < 2**32:
        changes[start + 4] = struct.pack(f"{order}I", size - start - 8)
        changes[at - 4] = struct.pack(f"{order}I", true)
    else:  # how libsndfile recognises a file that was never closed
        changes |= {start + 4: struct.pack(f"{order}I", 8), at - 4: bytes(4)}
    stated = length / speed if _says(length, true) and speed else None
    return Layout([patched(range(start, size), changes)], stated=stated)


def _joined(data: mmap, at: int) -> bool:
    """Whether another file of this kind begins here."""
    return data[at : at + 4] in (b"RIFF", b"RF64") and data[at + 8 : at + 12] == b"WAVE"


def _wave64(data: mmap, start: int) -> Layout:
    """Sony Wave64: names of 16 bytes, lengths of 8 that count the header of 24 too."""
    size, at, align, speed = len(data), start + 40, 0, 0
    while at + 24 <= size:
        name, (length,) = data[at : at + 4], struct.unpack("<Q", data[at + 16 : at + 24])
        if name == b"data":
            break
        if name == b"fmt " and at + 40 <= size:
            speed, align = struct.unpack("<IH", data[at + 32 : at + 38])
        at += max(24, length + -length % 8)
    else:
        return Layout([[range(start, size)]])
    at, length = at + 24, max(0, length - 24)
    true = _true_length(data, _Data(at, length, align), _wave64_chunk)
    if true is None:
        return Layout([[range(start, size)]], truncated=True)
    if true == length:
        return Layout([[range(start, size)]])
    changes = {start + 16: struct.pack("<Q", size - start), at - 8: struct.pack("<Q", true + 24)}
    stated = length / speed if _says(length, true) and speed else None
    return Layout([patched(range(start, size), changes)], stated=stated)


def _aiff(data: mmap, start: int) -> Layout:
    size, at, common, rate = len(data), start + 12, 0, 0.0
    plain, align, frames = data[start + 8 : start + 12] == b"AIFF", 0, 0
    while at + 8 <= size:
        name, length = struct.unpack(">4sI", data[at : at + 8])
        at += 8
        if name == b"COMM" and at + 18 <= size:
            channels, frames, bits, exponent, mantissa = struct.unpack(">HIHHQ", data[at : at + 18])
            plain = plain or data[at + 18 : at + 22] in AIFC_PLAIN
            common, align = at, channels * -(-bits // 8)
            rate = mantissa * 2.0 ** ((exponent & 0x7FFF) - 16383 - 63) if exponent < 16447 else 0
        elif name == b"SSND" and at + 8 <= size:
            break
        at += length + length % 2
    else:
        return Layout([[range(start, size)]])
    (skipped,) = struct.unpack(">I", data[at : at + 4])
    begin, own = at + 8 + skipped, max(0, length - 8 - skipped)
    if not (common and plain and align):
        cut = not _placeholder(length) and at + length > size
        return Layout([[range(start, size)]], truncated=cut)
    # Lengths in bytes wrap round where a program counted on frames that no file could keep.
    unknown = frames >= 0x7F000000 or _placeholder(length)
    true = _true_length(data, _Data(begin, own, align, unknown), _riff_chunk(">"))
    if true is None:
        return Layout([[range(start, size)]], truncated=True)
    if not unknown and true == own and frames * align > own + align:
        return Layout([[range(start, size)]], truncated=True)
    count = true // align
    if true == own and count == frames:
        return Layout([[range(start, size)]])
    changes = {
        start + 4: struct.pack(">I", min(size - start - 8, 2**32 - 1)),
        common + 2: struct.pack(">I", count),
        at - 4: struct.pack(">I", min(true + 8 + skipped, 2**32 - 1)),
    }
    said = frames / rate if rate and frames and not unknown and frames != count else None
    return Layout([patched(range(start, size), changes)], stated=said)


def _au(data: mmap, start: int) -> Layout:
    size, order = len(data), ">" if data[start : start + 4] == b".snd" else "<"
    if size < start + 24:
        return Layout([[range(start, size)]])
    offset, length, coding, rate, channels = struct.unpack(
        f"{order}5I", data[start + 4 : start + 24]
    )
    align = AU_BYTES.get(coding, 0) * channels
    true = _true_length(data, _Data(start + offset, length, align), lambda _data, _at: False)
    if true is None or true == length:
        return Layout([[range(start, size)]], truncated=true is None)
    changes = {start + 8: struct.pack(f"{order}I", min(true, 2**32 - 1))}
    stated = length / (rate * align) if _says(length, true) and rate * align else None
    return Layout([patched(range(start, size), changes)], stated=stated)


def _caf(data: mmap, start: int) -> Layout:
    size, at, align, speed = len(data), start + 8, 0, 0.0
    while at + 12 <= size:
        name, length = struct.unpack(">4sq", data[at : at + 12])
        at += 12
        if name == b"desc" and at + 24 <= size:
            rate, per_packet, frames = struct.unpack(">d8xII", data[at : at + 24])
            align, speed = per_packet, rate * per_packet / frames if frames else 0.0
        elif name == b"data":
            break
        if length < 0:
            return Layout([[range(start, size)]])
        at += length
    else:
        return Layout([[range(start, size)]])
    # The samples follow a count of edits, 4 bytes.
    own = max(0, length - 4)
    unknown = length < 0 or _placeholder(length)
    true = _true_length(data, _Data(at + 4, own, align, unknown), _caf_chunk)
    if true is None or (true == own and not unknown):
        return Layout([[range(start, size)]], truncated=true is None)
    changes = {at - 8: struct.pack(">q", true + 4)}
    stated = own / speed if _says(own, true) and speed and not unknown else None
    return Layout([patched(range(start, size), changes)], stated=stated)


def _true_length(data: mmap, chunk: _Data, is_chunk: _Chunk) -> int | None:
    """Bytes of samples that are there; None where the header credibly promises more.

    is_chunk: whether another chunk begins at a place.
    """
    held = max(0, len(data) - chunk.at)
    whole = held - held % chunk.align if chunk.align else held
    if chunk.placeholder or _placeholder(chunk.length):
        return whole
    if chunk.length > held:
        return None
    for end in {chunk.at + chunk.length, chunk.at + chunk.length + chunk.length % 2}:
        rest = len(data) - end
        if rest < 8 or data[end : end + 8].startswith(TAGS) or is_chunk(data, end):
            return chunk.length
    if chunk.length and rest <= PADDING and not any(data[end:]):
        return chunk.length
    return whole


def _placeholder(length: int) -> bool:
    """Whether a length stands for "not known": one beside 2³¹ or 2³², or beyond any disk.

    SoX writes 0x7ffff000, others 2³¹ − 37, 0x80000000, 2³² − 37, 0xffffffff or 2⁶³ − 1.
    """
    return abs(length - 2**31) <= NEAR or 0 <= 2**32 + NEAR - length <= 2 * NEAR or length >= 2**60


def _says(length: int, true: int) -> bool:
    """Whether the header's length is a statement, and another than the file's."""
    return length > 0 and length != true and not _placeholder(length)


def _riff_chunk(order: str) -> _Chunk:
    def is_chunk(data: mmap, at: int) -> bool:
        name, length = struct.unpack(f"{order}4sI", data[at : at + 8])
        return name in RIFF_CHUNKS or (_printable(name) and at + 8 + length <= len(data))

    return is_chunk


def _wave64_chunk(data: mmap, at: int) -> bool:
    at += -at % 8
    if at + 24 > len(data):
        return True
    (length,) = struct.unpack("<Q", data[at + 16 : at + 24])
    return _printable(data[at : at + 4]) and 24 <= length <= len(data) - at


def _caf_chunk(data: mmap, at: int) -> bool:
    if at + 12 > len(data):
        return False
    name, length = struct.unpack(">4sq", data[at : at + 12])
    return _printable(name) and 0 <= length <= len(data) - at - 12


def _printable(name: bytes) -> bool:
    return all(0x20 <= byte < 0x7F for byte in name)
