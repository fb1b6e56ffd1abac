"""Where the audio of Ogg, FLAC and MP3 files lies: joined files split, false counts taken out."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from mmap import mmap

TAGS = (b"TAG", b"ID3", b"APETAGEX", b"3DI", b"LYRICSBEGIN")
"""What tags after the audio begin with."""

PADDING = 2**16
"""Bytes of zeros after the audio that are a disk's padding and no samples."""


@dataclass(frozen=True)
class Part:
    """Bytes of a file that decode by themselves, with a header that libsndfile may believe.

    place: the bytes. changes: bytes written over those at an offset of the file. before: bytes
    put in front. stated: samples per channel by the header, 0 where it is not known or believed
    already. share: of what there is, by the header. cut: whether the file ends before the part
    does. junk: bytes before it that are neither sound nor tags. mpeg: whether libmpg123 may
    decode it.
    """

    place: range
    changes: Mapping[int, bytes] = field(default_factory=dict)
    before: bytes = b""
    stated: int = 0
    share: float = 1.0
    cut: bool = False
    junk: int = 0
    mpeg: bool = False


def after_id3(data: mmap, at: int) -> int:
    """Where an ID3v2 tag that begins here ends; here where none does."""
    if data[at : at + 3] != b"ID3" or at + 10 > len(data):
        return at
    size = 0
    for byte in data[at + 6 : at + 10]:
        size = size << 7 | byte & 0x7F
    return min(at + 10 + size + (10 if data[at + 5] & 0x10 else 0), len(data))


def only_tags(data: mmap, start: int, end: int) -> bool:
    """Whether these bytes hold tags or a disk's padding."""
    padding = 0 < end - start <= PADDING and not any(data[start:end])
    return padding or data[start : min(start + 12, end)].startswith(TAGS)


def ogg(data: mmap, start: int) -> list[Part]:
    """Split an Ogg file (RFC 3533) into its links; it is cut where the last one has no end.

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
    return [Part(range(*link), cut=not ended) for link in zip(starts, ends, strict=True)]


FLAC = re.compile(rb"fLaC[\x00\x80]\0\0\x22")
"""A stream's mark and the header of its STREAMINFO."""

LONGEST_FRAME = 2**17
"""Bytes that the last frame of a FLAC stream has at most."""


def flac(data: mmap, start: int) -> list[Part]:
    """Split a file into FLAC streams (RFC 9639) that state no length, so that all is decoded.

    A stream that states none itself is cut where no whole frame ends it.
    """
    starts = sorted({start, *(match.start() for match in FLAC.finditer(data, start))})
    parts = []
    for at, stop in zip(starts, [*starts[1:], len(data)], strict=True):
        end = stop - 128 if data[stop - 128 : stop - 125] == b"TAG" else stop
        count = int.from_bytes(data[at + 21 : at + 26], "big")
        stated = count & 2**36 - 1
        unknown = (count - stated).to_bytes(5, "big")
        cut = not stated and not _ends_with_frame(data, at, end)
        parts.append(Part(range(at, end), {at + 21: unknown}, stated=stated, cut=cut))
    return parts


def _ends_with_frame(data: mmap, start: int, end: int) -> bool:
    """Whether the checksum of a frame that begins somewhere near the end fits."""
    at, lowest = end, max(start, end - LONGEST_FRAME)
    while (at := data.rfind(b"\xff", lowest, at)) >= 0:
        if data[at + 1 : at + 2] in (b"\xf8", b"\xf9") and not _crc16(data[at:end]):
            return True
    return False


def _crc16(data: bytes) -> int:
    """FLAC's checksum; 0 of data that is followed by its own."""
    value = 0
    for byte in data:
        value ^= byte << 8
        for _bit in range(8):
            value = (value << 1 ^ (0x8005 if value & 0x8000 else 0)) & 0xFFFF
    return value


XING = re.compile(
    rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]....(?:\0{7}|\0{15}|\0{30})(?:Xing|Info)(.{12})", re.S
)
"""A frame that holds no sound but how many follow: flags, frames, bytes."""

FRAME = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb][\x10-\xef]")
"""How a frame of layer III begins."""

KBITS = (
    (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
)
"""Bit rates of layer III in kbit/s: at the lower sample rates, and at those of MPEG 1."""

NEAREST = 1000
"""Bytes between frames over which libmpg123 finds the next one."""


def mpeg(data: mmap, start: int) -> list[Part]:
    """Split an MP3 file where a frame counts those after it (ISO 11172-3; Xing's header).

    Such a count is believed where so many frames follow. Else all is decoded, in parts where
    more bytes lie between frames than libmpg123 skips.
    """
    found = list(XING.finditer(data, start))
    starts = [match.start() for match in found]
    parts = _uncounted(data, start, starts[0] if starts else len(data))
    for match, at, end in zip(found, starts, [*starts, len(data)][1:], strict=True):
        flags, count, size = struct.unpack(">3I", match[1])
        runs = _runs(data, at, end)
        held = sum(frames for *_, frames in runs) - 1
        mean = size / count if flags & 3 == 3 and count else _frame(data, at)
        lacks = flags & 2 and at + size > end + mean and not (flags & 1 and held >= count)
        if lacks or (len(runs) == 1 and flags & 1 and held == count):
            parts.append(Part(range(at, end), cut=bool(lacks), mpeg=True))
        else:
            each = 1152 if data[at + 1] & 8 else 576
            changes = {match.start(1) - 4: bytes(4)}
            parts += _uncounted(data, at, end, changes, count * each * (flags & 1))
    return parts


def _frame(data: mmap | bytes, at: int) -> int:
    """Bytes of the frame of layer III that begins here; 0 where none does."""
    head = int.from_bytes(data[at : at + 4], "big")
    version, kbits, rate = head >> 19 & 3, head >> 12 & 15, head >> 10 & 3
    if head >> 21 != 0x7FF or head >> 17 & 3 != 1 or version == 1 or kbits in (0, 15) or rate == 3:
        return 0
    first = version == 3
    hertz = (44100, 48000, 32000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    size: int = (72 << first) * KBITS[first][kbits - 1] * 1000 // hertz
    return size + (head >> 9 & 1)


def _runs(data: mmap, at: int, end: int) -> list[tuple[int, int, int]]:
    """Where frames follow one another: begin, end, and how many.

    Over no more bytes between them than libmpg123 skips, they are taken as one run.
    """
    runs: list[tuple[int, int, int]] = []
    while match := FRAME.search(data, after_id3(data, at), end):
        begin = at = match.start()
        frames, following = 0, at + _frame(data, at)
        another = _frame(data, following) or only_tags(data, following, end)
        if following > end or not (another or following == end):
            at += 1
            continue
        while (size := _frame(data, at)) and at + size <= end:
            at, frames = at + size, frames + 1
        if runs and begin - runs[-1][1] <= NEAREST:
            begin, _, before = runs.pop()
            frames += before
        runs.append((begin, at, frames))
    return runs


def _uncounted(
    data: mmap, at: int, end: int, changes: Mapping[int, bytes] | None = None, stated: int = 0
) -> list[Part]:
    """Runs of frames, each behind one that promises more of them than any file has.

    libmpg123 would guess their number from the bit rate of the first and stop there.
    """
    parts: list[Part] = []
    runs = _runs(data, at, end)
    total = sum(frames for *_, frames in runs)
    for begin, stop, frames in runs:
        second, third, last = data[begin + 1 : begin + 4]
        # At 128 kbit/s, or 80 at the lower rates, and without a checksum, there is always room.
        head = bytes([0xFF, second | 1, 0x90 | third & 0x0C, last])
        side = 17 if (last >> 6 == 3) == (second & 8 > 0) else 32 if second & 8 else 9
        before = head + bytes(side) + b"Info" + struct.pack(">II", 1, 2**31 - 1)
        before = before.ljust(_frame(head, 0), b"\0")
        last_stop = parts[-1].place.stop if parts else begin
        junk = 0 if only_tags(data, last_stop, begin) else begin - last_stop
        of_these = round(stated * frames / total)
        parts.append(
            Part(range(begin, stop), changes or {}, before, of_these, junk=junk, mpeg=True)
        )
    return parts
