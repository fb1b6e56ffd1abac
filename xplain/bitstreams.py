"""Where the audio of FLAC, Ogg and MP3 files lies: frames and pages counted, joined files split."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from mmap import mmap
from typing import TypeAlias

Piece: TypeAlias = bytes | range
"""Bytes to read: these, or those of the file at these places."""


@dataclass(frozen=True)
class Layout:
    """Where the audio of a file lies.

    parts: what decodes by itself, one after another, each as pieces. truncated: whether the
    file holds less than it credibly promises. stated: seconds by the header, where it
    contradicts the file. mpeg: whether libmpg123 may decode it. end: where a part ends.
    """

    parts: Sequence[Sequence[Piece]]
    truncated: bool = False
    stated: float | None = None
    mpeg: bool = False
    end: int = 0


def patched(place: range, changes: Mapping[int, bytes]) -> list[Piece]:
    """The bytes of a file at these places, some of them replaced: by offset in the file."""
    pieces: list[Piece] = []
    at = place.start
    for offset, value in sorted(changes.items()):
        pieces += [range(at, offset), value]
        at = offset + len(value)
    return [*pieces, range(at, place.stop)]


def after_id3(data: mmap, at: int) -> int:
    """Where an ID3v2 tag that begins here ends; here where none does."""
    if data[at : at + 3] != b"ID3" or at + 10 > len(data):
        return at
    size = 0
    for byte in data[at + 6 : at + 10]:
        size = size << 7 | byte & 0x7F
    return min(at + 10 + size + (10 if data[at + 5] & 0x10 else 0), len(data))


# Ogg (RFC 3533)


def ogg(data: mmap, start: int) -> Layout:
    """Split an Ogg file into the links of its chain. It is cut where the last one has no end.

    A link begins with pages marked "beginning of stream", one per stream that it multiplexes.
    """
    starts, at, ended, opening = [start], start, False, True
    while (at := data.find(b"OggS", at)) >= 0:
        if at + 27 > len(data):
            ended = False
            break
        flags, count = data[at + 5], data[at + 26]
        length = 27 + count + sum(data[at + 27 : at + 27 + count])
        if flags & 2 and not opening:
            starts.append(at)
            ended = False
        opening = bool(flags & 2)
        ended = (ended or bool(flags & 4)) and at + length <= len(data)
        at += length
    ends = [*starts[1:], len(data)]
    parts = [[range(*link)] for link in zip(starts, ends, strict=True)]
    return Layout(parts, truncated=not ended)


# FLAC (RFC 9639)

MARK = b"fLaC"
FLAC_BLOCKS = {1: 192, **{n: 144 << n for n in range(2, 6)}, **{n: 1 << n for n in range(8, 16)}}
"""Samples of a frame by the code in its header."""

LONGEST_FRAME = 2**20
"""Bytes before the end of a file in which its last frame begins, whatever it holds."""


def flac(data: mmap, start: int) -> Layout:
    """Give each FLAC stream of a file the length that its last frame shows.

    A stream whose length is not known is cut where the checksum of its last frame is wrong.
    """
    starts = [at for at in _marks(data, start)]
    parts: list[list[Piece]] = []
    stated, truncated = None, False
    for at, end in zip(starts, [*starts[1:], len(data)], strict=True):
        info = at + 8
        blocks = struct.unpack(">HH", data[info : info + 4])
        rate = int.from_bytes(data[info + 10 : info + 13], "big") >> 4
        counts = int.from_bytes(data[info + 13 : info + 18], "big")
        total = counts & (2**36 - 1)
        if data[end - 128 : end - 125] == b"TAG":
            end -= 128
        last = _last_frame(data, at, end, blocks[1])
        changes = {}
        if last is not None and total and last[0] < total:
            truncated = True
        elif last is not None and last[0] > total:
            truncated = truncated or not (total or last[1])
            changes = {info + 13: (counts - total + last[0]).to_bytes(5, "big")}
            stated = total / rate if total and rate else stated
        parts.append(patched(range(at, end), changes))
    return Layout(parts, truncated, stated)


def _marks(data: mmap, start: int) -> Iterator[int]:
    """Where FLAC streams begin: the mark and the header of STREAMINFO."""
    at = start
    while at >= 0:
        if at == start or (not data[at + 4] & 0x7F and data[at + 5 : at + 8] == b"\x00\x00\x22"):
            yield at
        at = data.find(MARK, at + 4)
        if at + 42 > len(data):
            return


def _last_frame(data: mmap, start: int, end: int, block: int) -> tuple[int, bool] | None:
    """Samples up to the end of the last frame, and whether the frame is whole; None if no frame."""
    found = None
    at, lowest = end, max(start + 42, end - LONGEST_FRAME)
    while (at := data.rfind(b"\xff", lowest, at)) >= 0:
        samples = _frame_end(data[at : at + 17], block)
        if samples is None:
            continue
        if _crc(data[at : end - 2], 16, 0x8005) == int.from_bytes(data[end - 2 : end], "big"):
            return samples, True
        if found is not None:
            break
        # Bytes within a frame may look like a header; the one before decides.
        found = samples, False
    return found


def _frame_end(header: bytes, block: int) -> int | None:
    """Samples of the stream up to the end of a frame, by its header; None if it is no header."""
    if len(header) < 6 or header[1] not in (0xF8, 0xF9) or header[3] & 1 or header[3] >> 4 > 10:
        return None
    size, rate = header[2] >> 4, header[2] & 15
    ones = 8 - (header[4] ^ 0xFF).bit_length()
    if size == 0 or rate == 15 or ones in (1, 8):
        return None
    at = 4 + max(1, ones)
    number = header[4] & (0x7F >> ones)
    for byte in header[5:at]:
        number = number << 6 | byte & 0x3F
    length = FLAC_BLOCKS.get(size)
    if length is None:
        length = int.from_bytes(header[at : at + size - 5], "big") + 1
        at += size - 5
    at += {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if at >= len(header) or _crc(header[:at], 8, 0x07) != header[at]:
        return None
    return (number if header[1] & 1 else number * block) + length


def _crc(data: bytes, bits: int, polynomial: int) -> int:
    """A cyclic redundancy check of 8 or 16 bits that begins with 0."""
    table, mask, value = _crc_table(bits, polynomial), (1 << bits) - 1, 0
    for byte in data:
        value = (value << 8 ^ table[value >> (bits - 8) ^ byte]) & mask
    return value


@cache
def _crc_table(bits: int, polynomial: int) -> list[int]:
    table = []
    for byte in range(256):
        value = byte << (bits - 8)
        for _bit in range(8):
            value = (value << 1 ^ (polynomial if value >> (bits - 1) else 0)) & (1 << bits) - 1
        table.append(value)
    return table


# MPEG audio (ISO 11172-3, 13818-3)

RATES = (44100, 48000, 32000)
BITRATES = {
    (1, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (2, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""kbit/s by (version, layer) and the index in a frame's header."""


@dataclass(frozen=True)
class _Frame:
    """An MPEG audio frame's header: bytes, samples, Hz; side: bytes before a Xing header."""

    length: int
    samples: int
    rate: int
    side: int
    kind: tuple[int, int, int]


def mpeg(data: mmap, start: int) -> Layout | None:
    """Count the frames of an MP3 file and write their number in front; None if it is none.

    Without a Xing or VBRI header libmpg123 guesses the length from the first frame's bit rate.
    Joined files are split where such a header comes again. Bytes that are no frames (tags) are
    left out.
    """
    runs, at = [], start
    frames: list[tuple[int, int]] = []
    kind, head = None, None
    while (at := _next_frame(data, at, kind)) >= 0:
        frame = _frame(data[at : at + 4])
        assert frame is not None
        tag = _counter(data[at : at + frame.length], frame)
        if at + frame.length > len(data):
            break
        if tag is not None or head is None:
            head, frames = (at, frame, tag), []
            runs.append((head, frames))
        if tag is None:
            frames.append((at, at + frame.length))
        kind = frame.kind
        at += frame.length
    if not any(frames for _head, frames in runs):
        return None
    parts, stated, truncated = [], None, False
    for number, ((at, frame, tag), frames) in enumerate(runs):
        if not frames:
            continue
        pieces: list[Piece] = [_merged for _merged in _merge(frames)]
        place, count = tag or (0, 0)
        if frame.kind[1] != 3:
            parts.append(pieces)
            continue
        if tag is None or not place:
            parts.append([_counted(data[at : at + 4], frame, len(frames)), *pieces])
            continue
        truncated = truncated or (number == len(runs) - 1 and count > len(frames) + 1)
        if len(frames) > count + 1:
            stated = count * frame.samples / frame.rate
        header = data[at : at + frame.length]
        header = header[:place] + struct.pack(">I", len(frames)) + header[place + 4 :]
        parts.append([header, *pieces])
    return Layout(parts, truncated, stated, mpeg=True)


def _merge(frames: Sequence[tuple[int, int]]) -> Iterator[range]:
    """Frames that touch, as one range each."""
    start, stop = frames[0]
    for first, last in frames[1:]:
        if first != stop:
            yield range(start, stop)
            start = first
        stop = last
    yield range(start, stop)


def _next_frame(data: mmap, at: int, kind: tuple[int, int, int] | None) -> int:
    """Where the next frame begins, -1 where none does: one of the same kind, here or later.

    Elsewhere than here, and first of all, it has to be followed by another or by the end.
    """
    here = _frame(data[at : at + 4])
    if here is not None and here.kind == kind:
        return at
    at = after_id3(data, at)
    while (at := data.find(b"\xff", at)) >= 0:
        frame = _frame(data[at : at + 4])
        if frame is not None:
            after = _frame(data[at + frame.length : at + frame.length + 4])
            ends = at + frame.length in (len(data), len(data) - 128) and kind == frame.kind
            if ends or (after is not None and after.kind == frame.kind):
                return at
        if kind is None and at > MOST_JUNK:
            return -1
        at += 1
    return -1


MOST_JUNK = 2**16
"""Bytes at the start of a file among which the first frame is looked for."""


def _frame(header: bytes) -> _Frame | None:
    if len(header) < 4 or header[0] != 0xFF or header[1] < 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, 4 - (header[1] >> 1 & 3)
    index, rate = header[2] >> 4, header[2] >> 2 & 3
    if version == 1 or layer == 4 or index in (0, 15) or rate == 3:
        return None
    lower = version != 3
    speed = BITRATES[2 if lower else 1, layer][index] * 1000
    hertz = RATES[rate] >> (0, 1, 2)[(3, 2, 0).index(version)]
    padding = header[2] >> 1 & 1
    if layer == 1:
        return _Frame((12 * speed // hertz + padding) * 4, 384, hertz, 0, (version, 1, hertz))
    samples = 576 if lower and layer == 3 else 1152
    mono = header[3] >> 6 == 3
    side = 4 + ((9 if mono else 17) if lower else (17 if mono else 32))
    length = samples // 8 * speed // hertz + padding
    return _Frame(length, samples, hertz, side, (version, layer, hertz))


def _counter(frame: bytes, header: _Frame) -> tuple[int, int] | None:
    """Where in a frame the number of frames stands, 0 if nowhere, and it; None in others."""
    name = frame[header.side : header.side + 4]
    if name in (b"Xing", b"Info"):
        place = header.side + 8
        return (place, _number(frame, place)) if _number(frame, place - 4) & 1 else (0, 0)
    if frame[36:40] == b"VBRI":
        return 50, _number(frame, 50)
    return None


def _number(frame: bytes, place: int) -> int:
    return int.from_bytes(frame[place : place + 4], "big")


def _counted(header: bytes, frame: _Frame, count: int) -> bytes:
    """A frame like another that holds nothing but an Info header with the number of frames.

    libmpg123 then leaves out the 529 samples by which it decodes late, as with every such header.
    """
    # At this bit rate there is room for it at every sampling rate; without a checksum.
    header = bytes([0xFF, header[1] | 1, 0x90 | header[2] & 0x0C, header[3]])
    made = _frame(header)
    assert made is not None
    body = header.ljust(frame.side, b"\0") + b"Info" + struct.pack(">II", 1, count)
    return body.ljust(made.length, b"\0")
