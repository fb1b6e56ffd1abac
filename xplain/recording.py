"""A recording opened to be read in blocks: from a file, a pipe or standard input."""

from __future__ import annotations

import hashlib
import mmap
import os
import re
import stat
import sys
import tempfile
import threading
import warnings
import weakref
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from xplain.bitstreams import Piece
from xplain.containers import layout
from xplain.errors import AudioError, XplainWarning

BLOCK = 2**18
"""Samples, of all channels together, that are read at once."""

LONGEST = 2**48
"""Samples; libsndfile gives a length beyond that where it knows none."""

SPOOLED = 2**32
"""Bytes that are taken from a pipe at most."""

SLOWEST, FASTEST = 100, 10_000_000
"""Sampling rates in Hz between which a recording is one of sound."""

STANDARD_INPUT = ("-", "/dev/stdin", "/dev/fd/0", "/proc/self/fd/0")

_CHATTER = re.compile(
    rb"^(\[[^\]\n]*libmpg123[^\]\n]*\]"
    rb"|Note: (Illegal Audio-MPEG|Trying to resync|Hit end of|Skipped)"
    rb"|Warning: (Xing|Real sample count|Encountered more data)).*\n?",
    re.M,
)
_STDERR = threading.Lock()


class Recording:
    """A recording that is open for reading.

    path: as it was given. name: for people. rate: Hz. channels, subtype: as in the file.
    frames: samples per channel that it holds, which its header may not know. Raises AudioError
    for what is missing, not audio, truncated or empty; warns where the header states another
    length than the file has.
    """

    def __init__(self, path: str | Path) -> None:
        """Open the file and find out how long it is."""
        self.path = Path(path)
        self._raw, self.name = _opened(self.path)
        weakref.finalize(self, self._raw.close)
        self.size = os.fstat(self._raw.fileno()).st_size
        if self.size == 0:
            raise AudioError(f"{path}: the file is empty (0 bytes); record or export it again")
        with self._reasons():
            with mmap.mmap(self._raw.fileno(), 0, access=mmap.ACCESS_READ) as data:
                self._layout = layout(data)
            if self._layout.truncated:
                raise self.truncated()
            parts = self._layout.parts
            with self._decoder(parts[0]) as first:
                self.rate, self.channels = first.samplerate, first.channels
                self.subtype = first.subtype
            if not SLOWEST <= self.rate <= FASTEST:
                raise AudioError(
                    f"{path}: a sample rate of {self.rate} Hz is not one of sound; "
                    "mend the header or export it again"
                )
            lengths = [self._length(part) for part in parts]
        # A part at another rate would be heard at the wrong pitch.
        usable = next((n for n, (_, rate) in enumerate(lengths) if rate != self.rate), len(parts))
        self._frames = [frames for frames, _ in lengths[:usable]]
        self.frames = sum(self._frames)
        self._warn([frames / rate for frames, rate in lengths[usable:]])

    def blocks(self, first: int = 0, last: int | None = None) -> Iterator[npt.NDArray[np.float32]]:
        """Samples first to last in blocks (n, channels). Raises AudioError if decoding fails."""
        last = self.frames if last is None else min(last, self.frames)
        begin = 0
        for part, frames in zip(self._layout.parts, self._frames, strict=False):
            start, stop = max(first - begin, 0), min(last - begin, frames)
            if start < stop:
                yield from self._decoded(part, start, stop)
            begin += frames

    def sha256(self) -> str:
        """The checksum of all bytes of the file."""
        digest = hashlib.sha256()
        self._raw.seek(0)
        while block := self._raw.read(1 << 20):
            digest.update(block)
        return digest.hexdigest()

    def truncated(self) -> AudioError:
        """What is said of a file that ends too early."""
        return AudioError(
            f"{self.path}: the file is truncated, it ends before its audio does; "
            "copy or export it again"
        )

    def _decoded(
        self, part: Sequence[Piece], start: int, stop: int
    ) -> Iterator[npt.NDArray[np.float32]]:
        with self._reasons(), self._decoder(part) as file:
            # libmpg123 guesses places where the bit rate varies, so decode up to them.
            skipped = start if self._layout.mpeg or file.frames >= LONGEST else 0
            if start and not skipped:
                file.seek(start)
            left = stop - start + skipped
            most = max(1, BLOCK // file.channels)
            while left > 0:
                try:
                    with self._quiet():
                        block = file.read(min(most, left), dtype="float32", always_2d=True)
                except soundfile.SoundFileError:
                    block = np.empty((0, file.channels), np.float32)
                if len(block) == 0:
                    at = (stop - left) / self.rate
                    raise AudioError(
                        f"{self.path}: the file is truncated or damaged, its audio cannot be "
                        f"decoded from {at:.3f} s on; copy or export it again"
                    )
                left -= len(block)
                dropped = min(skipped, len(block))
                skipped -= dropped
                if dropped < len(block):
                    yield block[dropped:]

    def _length(self, part: Sequence[Piece]) -> tuple[int, int]:
        """Samples per channel and Hz of a part; decoded and counted where nothing says it."""
        with self._decoder(part) as file:
            if file.frames < LONGEST:
                return file.frames, file.samplerate
            frames, most = 0, max(1, BLOCK // file.channels)
            while read := len(file.read(most, dtype="float32", always_2d=True)):
                frames += read
            return frames, file.samplerate

    @contextmanager
    def _decoder(self, part: Sequence[Piece]) -> Iterator[_Decoder]:
        with self._quiet():
            file = _Decoder(_View(self._raw, part))
        with file:
            yield file

    @contextmanager
    def _reasons(self) -> Iterator[None]:
        """Turn what the decoder and the system say into an AudioError."""
        try:
            yield
        except (soundfile.SoundFileError, OSError, ValueError) as error:
            reason = getattr(error, "error_string", str(error)).strip().rstrip(".")
            raise AudioError(
                f"{self.path}: not a recording that can be read ({reason}); "
                "convert it to WAV or FLAC"
            ) from error

    @contextmanager
    def _quiet(self) -> Iterator[None]:
        """Keep what libmpg123 prints from the user; everything else is printed afterwards.

        libsndfile does not hand on the library's own switch for this, so descriptor 2 of the
        whole process is diverted for the length of one call; one at a time.
        """
        if not self._layout.mpeg:
            yield
            return
        with _STDERR, tempfile.TemporaryFile() as held:
            try:
                kept = os.dup(2)
            except OSError:  # there is no standard error
                yield
                return
            os.dup2(held.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(kept, 2)
                os.close(kept)
                held.seek(0)
                if others := _CHATTER.sub(b"", held.read()):
                    with suppress(OSError):
                        os.write(2, others)

    def _warn(self, unread: Sequence[float]) -> None:
        held = self.frames / self.rate
        stated = self._layout.stated
        if stated is not None:
            warnings.warn(
                f"{self.path}: the header states {stated:.3f} s of audio, but the file holds "
                f"{held:.3f} s; all of it is read",
                XplainWarning,
                stacklevel=2,
            )
        if unread:
            warnings.warn(
                f"{self.path}: only {held:.3f} of {held + sum(unread):.3f} s are read, since the "
                "rest has another sample rate; split the file",
                XplainWarning,
                stacklevel=2,
            )


class _Decoder(soundfile.SoundFile):  # type: ignore[misc]  # it has no types
    """libsndfile, read from front to back: soundfile would seek after every block.

    A seek fails where the length is not known, and libmpg123 rounds differently after one.
    """

    def seekable(self) -> bool:
        """Say no, so that read() neither asks for the position nor sets it."""
        return False


class _View:
    """Pieces of a file and bytes between them, as one file. It never raises."""

    def __init__(self, raw: BinaryIO, pieces: Sequence[Piece]) -> None:
        self._raw, self._pieces, self._at = raw, pieces, 0
        self._starts = [0, *accumulate(map(len, pieces))]

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = (0, self._at, self._starts[-1])[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:
        wanted, done = memoryview(buffer), 0
        while done < len(wanted) and self._at < self._starts[-1]:
            number = bisect_right(self._starts, self._at) - 1
            piece, inside = self._pieces[number], self._at - self._starts[number]
            count = min(len(piece) - inside, len(wanted) - done)
            if isinstance(piece, range):
                try:
                    self._raw.seek(piece.start + inside)
                    count = self._raw.readinto(wanted[done : done + count])  # type: ignore[attr-defined]
                except OSError:
                    count = 0
                if not count:
                    break
            else:
                wanted[done : done + count] = piece[inside : inside + count]
            done += count
            self._at += count
        return done

    def read(self, count: int) -> bytes:
        buffer = bytearray(count)
        return bytes(buffer[: self.readinto(memoryview(buffer))])


def _opened(path: Path) -> tuple[BinaryIO, str]:
    """A seekable file and its name; what comes out of a pipe is copied to a temporary file."""
    if str(path) in STANDARD_INPUT:
        name, mode = "stdin", _mode(Path("/dev/stdin"))
    else:
        name, mode = path.stem, _mode(path)
    try:
        if str(path) == "-":
            if sys.stdin is not None and sys.stdin.isatty():
                raise AudioError("-: standard input is a terminal; pipe a recording into it")
            with os.fdopen(os.dup(0), "rb") as pipe:
                return _spooled(pipe, path), name
        if mode is None or stat.S_ISDIR(mode):
            what = "does not exist" if mode is None else "is a folder"
            raise AudioError(f"{path}: the file {what}; give the path of a recording")
        if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
            if re.fullmatch(r"/(dev|proc/[^/]+)/fd/\d+", str(path)) and name != "stdin":
                name = "pipe"
            with path.open("rb") as pipe:
                return _spooled(pipe, path), name
        if not stat.S_ISREG(mode):
            raise AudioError(f"{path}: a device is not a recording; give a file or a pipe")
        # Opened here, since libsndfile cannot open every name that a file system can hold.
        return path.open("rb"), name
    except OSError as error:
        reason = error.strerror or error
        raise AudioError(f"{path}: cannot be opened ({reason}); check its permissions") from error


def _mode(path: Path) -> int | None:
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return None


def _spooled(pipe: BinaryIO, path: Path) -> BinaryIO:
    """A temporary file with all that comes out of a pipe, at most SPOOLED bytes."""
    held = tempfile.TemporaryFile()  # noqa: SIM115
    copied = 0
    while block := pipe.read(1 << 20):
        copied += len(block)
        if copied > SPOOLED:
            held.close()
            raise AudioError(f"{path}: more than {SPOOLED >> 30} GiB from a pipe; write a file")
        held.write(block)
    held.flush()
    return held
