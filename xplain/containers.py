"""Where a file's audio lies and how long it is, by the file itself and not by its header's word.

A header's length may be a placeholder (a recorder that wrote to a pipe), stale (one that was
stopped) or the length of the first of several files joined. libsndfile believes it. So the
header is compared with the bytes that follow it, and libsndfile is shown a corrected one.
Chunked containers are here, bit streams in bitstreams.py.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from mmap import mmap

from xplain.bitstreams import Part, after_id3, flac, mpeg, ogg, only_tags


@dataclass(frozen=True)
class _Kind:
    """How a container is made of chunks.

    header: of a chunk, its name and length. first: where the first chunk begins. samples: the
    name of the chunk that holds them. own: bytes of the header that the length counts.
    multiple: of bytes, to which chunks are filled up.
    """

    header: str
    first: int = 12
    samples: bytes = b"data"
    own: int = 0
    multiple: int = 2


KINDS = {
    b"RIFF": _Kind("<4sI"),
    b"RIFX": _Kind(">4sI"),
    b"RF64": _Kind("<4sI"),
    b"BW64": _Kind("<4sI"),
    b"riff": _Kind("<4s12xQ", first=40, own=24, multiple=8),  # Sony Wave64
    b"FORM": _Kind(">4sI", samples=b"SSND"),  # AIFF
    b"caff": _Kind(">4sq", first=8, multiple=1),
}
"""Containers by their first bytes."""

AU = {b".snd": ">I", b"dns.": "<I"}
"""Sun's files, which hold no chunks, and how they write a number."""

FOLLOWING = {b"LIST", b"id3 ", b"bext", b"fact", b"cue ", b"smpl", b"iXML", b"JUNK", b"PAD "}
"""Chunks that follow the samples, even where the file ends within them."""

NEAR = 2**16
"""Bytes by which a placeholder may lie beside the power of two that it stands for."""

FEW = 8
"""Bytes of a chunk of samples that hold none yet, as AIFF and CAF begin it."""


def parts_of(data: mmap) -> list[Part]:
    """Say where the audio of a file lies, what its header should say, and whether it is cut.

    data: the file. A file of a kind that is not known here is left to libsndfile as it is.
    """
    start = after_id3(data, 0)
    mark = data[start : start + 4]
    if mark == b"OggS":
        return ogg(data, start)
    if mark == b"fLaC":
        return flac(data, start)
    if mark in AU and len(data) >= start + 24:
        begin, length = struct.unpack(f"{AU[mark]}I", data[start + 4 : start + 12])
        return [_corrected(data, start, (start + 8, AU[mark]), start + begin, length)]
    parts = []
    while (mark := data[start : start + 4]) in KINDS:
        parts.append(_chunked(data, start, KINDS[mark]))
        start = parts[-1].place.stop
    if not parts:
        frames = mpeg(data, start)  # which a recorded stream begins amid one
        if start or data[:1] == b"\xff" or 2 * sum(len(p.place) for p in frames) > len(data):
            parts = frames
    return parts or [Part(range(len(data)), mpeg=True)]


def _chunked(data: mmap, start: int, kind: _Kind) -> Part:
    size, wide = struct.calcsize(kind.header), 0
    at = start + kind.first
    while at + size <= len(data):
        name, length = struct.unpack(kind.header, data[at : at + size])
        length, at = length - kind.own, at + size
        if name == kind.samples:
            field = at - size + (16 if kind.own else 4), kind.header[0] + kind.header[-1]
            if wide and length == 2**32 - 1:
                field = wide + 8, "<Q"
                (length,) = struct.unpack("<Q", data[wide + 8 : wide + 16])
            return _corrected(data, start, field, at, length, kind)
        if length < 0:
            break
        wide = at if name == b"ds64" and at + 24 <= len(data) else wide
        at += length + -length % kind.multiple
    return Part(range(start, len(data)))


def _corrected(
    data: mmap, start: int, field: tuple[int, str], at: int, length: int, kind: _Kind | None = None
) -> Part:
    """The file that begins at start, with its samples from at on, as long as they are.

    field: where their length is written, and how. length: the one that is written there.
    """
    mark, held = data[start : start + 4], max(0, len(data) - at)
    changes = {start: b"RF64"} if mark == b"BW64" else {}
    unknown = _placeholder(length)
    if not unknown:
        if length > held:
            return Part(range(start, len(data)), cut=True)
        for end in {at + length, at + length + -length % (kind.multiple if kind else 1)}:
            joined = data[end : end + 4] in KINDS
            if joined or _ends(data, end, kind, empty=not length):
                return Part(range(start, end if joined else len(data)), changes)
    place, code = field
    if mark == b"RIFF":  # what libsndfile takes for a file that was never closed, of any size
        changes |= {start + 4: struct.pack("<I", 8), place: bytes(4)}
    else:
        # A length of four bytes that is too small for the file is the largest there is.
        longest = 2**32 - 1 if code[-1] == "I" else 2**62
        changes[place] = struct.pack(code, min(held + (kind.own if kind else 0), longest))
    share = length / held if length > FEW and not unknown else 1.0
    return Part(range(start, len(data)), changes, share=share)


def _ends(data: mmap, at: int, kind: _Kind | None, empty: bool) -> bool:
    """Whether the samples end here: at the file's end, tags, padding or another chunk."""
    size = struct.calcsize(kind.header) if kind else FEW
    if len(data) - at < min(size, FEW):
        return True
    if only_tags(data, at, len(data)) and not (empty and not data[at]):
        return True
    if kind is None or len(data) - at < size:
        return False
    name, length = struct.unpack(kind.header, data[at : at + size])
    whole = 0 <= length - kind.own <= len(data) - at - size
    return name in FOLLOWING or (whole and all(0x20 <= byte < 0x7F for byte in name))


def _placeholder(length: int) -> bool:
    """Whether a length stands for "not known": one beside 2³¹ or 2³², or beyond any disk.

    SoX writes 0x7ffff000 and, in AIFF, about 0x7f000000; others 2³¹ − 37, 0x80000000,
    2³² − 37, 0xffffffff, 2⁶³ − 1 or −1.
    """
    return (
        0x7F000000 - NEAR <= length <= 2**31 + NEAR
        or abs(length - 2**32) <= NEAR
        or not 0 <= length < 2**60
    )
