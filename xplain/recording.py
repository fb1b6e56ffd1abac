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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from xplain.bitstreams import Part
from xplain.containers import parts_of
from xplain.errors import AudioError, XplainWarning

BLOCK = 2**18
"""Samples, of all channels together, that are read at once."""

LONGEST = 2**48
"""Samples; libsndfile gives a length beyond that where it knows none."""

GAPS = 4 * 1152
"""Samples that an MP3 encoder adds at most, which a header may or may not count."""

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
        self._reading = threading.Lock()
        self.size = os.fstat(self._raw.fileno()).st_size
        if self.size == 0:
            raise AudioError(f"{path}: the file is empty (0 bytes); record or export it again")
        with self._reasons():
            with mmap.mmap(self._raw.fileno(), 0, access=mmap.ACCESS_READ) as data:
                parts = parts_of(data)
            if any(part.cut for part in parts):
                raise self._truncated()
            with self._decoder(parts[0]) as first:
                self.rate, self.channels = first.samplerate, first.channels
                self.subtype = first.subtype
            if not SLOWEST <= self.rate <= FASTEST:
                raise AudioError(
                    f"{path}: a sample rate of {self.rate} Hz is not one of sound; "
                    "mend the header or export it again"
                )
            self._measure(parts)

    def blocks(self, first: int = 0, last: int | None = None) -> Iterator[npt.NDArray[np.float32]]:
        """Samples first to last in blocks (n, channels). Raises AudioError if decoding fails."""
        last = self.frames if last is None else min(last, self.frames)
        begin = 0
        for part, frames in self._parts:
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

    def _truncated(self) -> AudioError:
        """What is said of a file that ends too early."""
        return AudioError(
            f"{self.path}: the file is truncated or damaged, its audio ends too early; "
            "copy or export it again"
        )

    def _decoded(self, part: Part, start: int, stop: int) -> Iterator[npt.NDArray[np.float32]]:
        with self._reasons(), self._decoder(part) as file:
            # libmpg123 guesses places where the bit rate varies, so decode up to them.
            skipped = start if part.mpeg else 0
            if start and not skipped:
                file.seek(start)
            left = stop - start + skipped
            most = max(1, BLOCK // file.channels)
            while left > 0:
                try:
                    block = self._next(file, part, min(most, left))
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

    def _next(self, file: _Decoder, part: Part, most: int) -> npt.NDArray[np.float32]:
        with self._quiet(part):
            read: npt.NDArray[np.float32] = file.read(most, dtype="float32", always_2d=True)
        return read

    def _measure(self, parts: list[Part]) -> None:
        """Find how many samples each part holds; warn where that is not what a header states."""
        self._parts: list[tuple[Part, int]] = []
        self.frames = stated = 0
        unread = 0.0
        for part in parts:
            says, frames, rate = self._length(part)
            # A part at another rate would be heard at the wrong pitch.
            if rate != self.rate or unread:
                unread += frames / rate
                continue
            self._parts.append((part, frames))
            self.frames += frames
            stated += says
        held = self.frames / self.rate
        if junk := sum(part.junk for part in parts):
            self._warn(f"{junk} bytes between its frames are no sound, and are left out")
        if stated != self.frames:
            self._warn(
                f"the header states {stated / self.rate:.3f} s of audio, but the file holds "
                f"{held:.3f} s; all of it is read"
            )
        if unread:
            self._warn(
                f"only {held:.3f} of {held + unread:.3f} s are read, since the rest has another "
                "sample rate; split the file"
            )

    def _length(self, part: Part) -> tuple[int, int, int]:
        """Samples per channel that a part states, and that it holds, and Hz."""
        says, gaps = part.stated, GAPS if part.mpeg else 0
        with self._decoder(part) as file:
            frames, rate = file.frames, file.samplerate
            if part.before or frames >= LONGEST:
                frames = says
                if not says or part.mpeg or not self._ends_at(file, says):
                    file.seek(0)
                    frames, most = 0, max(1, BLOCK // file.channels)
                    try:
                        while read := len(self._next(file, part, most)):
                            frames += read
                    except soundfile.SoundFileError:
                        raise self._truncated() from None
        if frames < says and not part.mpeg:  # an MP3 is cut where its bytes say so
            raise self._truncated()
        if not says or abs(frames - says) <= gaps:
            says = round(frames * part.share)
        return says, frames, rate

    def _ends_at(self, file: _Decoder, frames: int) -> bool:
        """Whether a stream of unknown length holds so many samples and no more."""
        try:
            file.seek(frames - 1)
            file.read(1)
        except soundfile.SoundFileError:
            raise self._truncated() from None
        try:
            file.seek(frames)
        except soundfile.SoundFileError:
            return True
        return False

    @contextmanager
    def _decoder(self, part: Part) -> Iterator[_Decoder]:
        with self._quiet(part):
            file = _Decoder(_View(self._raw, self._reading, part))
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
    def _quiet(self, part: Part) -> Iterator[None]:
        """Keep what libmpg123 prints from the user; everything else is printed afterwards.

        libsndfile does not hand on the library's own switch for this, so descriptor 2 of the
        whole process is diverted for the length of one call; one at a time.
        """
        if not part.mpeg:
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

    def _warn(self, said: str) -> None:
        warnings.warn(f"{self.path}: {said}", XplainWarning, stacklevel=4)


class _Decoder(soundfile.SoundFile):  # type: ignore[misc]  # it has no types
    """libsndfile, read from front to back: soundfile would seek after every block.

    A seek fails where the length is not known, and libmpg123 rounds differently after one.
    """

    def seekable(self) -> bool:
        """Say no, so that read() neither asks for the position nor sets it."""
        return False


class _View:
    """A part of a file, with its changes, as a file of its own. It never raises."""

    def __init__(self, raw: BinaryIO, reading: threading.Lock, part: Part) -> None:
        self._raw, self._reading, self._part, self._at = raw, reading, part, 0
        self._begin = part.place.start - len(part.before)
        self._size = len(part.before) + len(part.place)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, (0, self._at, self._size)[whence] + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, count: int) -> bytes:
        part, count = self._part, min(count, self._size - self._at)
        if count <= 0:
            return b""
        data = bytearray(part.before[self._at : self._at + count])
        start = self._begin + self._at + len(data)
        with suppress(OSError), self._reading:
            self._raw.seek(start)
            data += self._raw.read(count - len(data))
        start = self._begin + self._at
        for place, value in part.changes.items():
            for offset, byte in enumerate(value, place - start):
                if 0 <= offset < len(data):
                    data[offset] = byte
        self._at += len(data)
        return bytes(data)


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
