"""Audio in and out: read, check, mix down, resample, write."""

from __future__ import annotations

import hashlib
import math
import struct
import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
import torch
from torch import Tensor

from xplain.errors import AudioError, XplainWarning
from xplain.samples import as_waveform, hertz, warn_of_scale

FULL_SCALE = 2**15
"""One past the largest 16-bit sample."""

BLOCK = 2**18
"""Samples per channel that are read at once."""

BLOCKS_AHEAD = 8
"""How many blocks are read before they are asked for."""

UNKNOWN = (-1, 0, 0x7FFFFFFF, 0xFFFFFFFF)
"""Lengths that stand for "to the end of the file"."""

_NO_SAMPLES = "{}: the recording holds no samples; nothing can be explained"
_SILENT = "{}: the recording is silent"
_TOO_SHORT = "{}: shorter than one sample at {} Hz; record more"


@dataclass(frozen=True)
class Audio:
    """One recording, mixed down.

    waveform: (samples,) float32. sample_rate: Hz. source: where it came from and
    what was done to it, as JSON holds it.
    """

    waveform: Tensor
    sample_rate: int
    name: str
    source: Mapping[str, object] = field(default_factory=dict)

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.waveform) / self.sample_rate

    @property
    def silent(self) -> bool:
        """Whether every sample is zero."""
        return not bool(self.waveform.any())


@dataclass(frozen=True)
class Stream:
    """One recording, mixed down, that is read while it is used.

    blocks: (n,) float32 at sample_rate Hz, one after another; iterating raises what read()
    raises and warns of what it warns of. source: as an Audio's. duration: seconds.
    """

    name: str
    sample_rate: int
    duration: float
    source: Mapping[str, object]
    blocks: Iterator[Tensor]


def read(path: str | Path, start: float = 0.0, end: float | None = None) -> Audio:
    """Read a recording, or what of it lies from start to end seconds, mixed down to one channel.

    Anything libsndfile reads (WAV of every depth, FLAC, Ogg, MP3, AIFF, …), at its own
    rate; channels become their mean. Warns of silence. Raises AudioError for a file that is
    missing, not audio, truncated, empty, or that holds NaN or infinite samples.
    """
    path = Path(path)
    with _opened(path) as file:
        first = min(round(start * file.samplerate), file.frames)
        last = file.frames if end is None else min(round(end * file.samplerate), file.frames)
        if first:
            file.seek(first)
        samples = file.read(max(0, last - first), dtype="float32", always_2d=True)
        if len(samples) < last - first:
            raise _truncated(path)
        audio = Audio(_mixed(samples), file.samplerate, path.stem, _source(path, file))
    return check(audio)


def stream(path: str | Path, rate: int) -> Stream:
    """Read a recording as read() does, at ``rate`` Hz, in blocks: of any length in little memory.

    What is wrong with the file is raised at once, what is wrong with its samples when they
    are reached.
    """
    path = Path(path)
    with _opened(path) as file:
        own, duration, source = file.samplerate, file.frames / file.samplerate, _source(path, file)
    blocks = _resampled(_checked(_read_blocks(path), own, path), own, rate, path)
    return Stream(path.stem, rate, duration, source, _ahead(blocks))


def as_stream(audio: Audio, rate: int) -> Stream:
    """Hand out a recording in memory as stream() does one in a file."""
    pieces = (audio.waveform[i : i + BLOCK] for i in range(0, len(audio.waveform), BLOCK))
    blocks = _resampled(pieces, audio.sample_rate, rate, audio.name)
    return Stream(audio.name, rate, audio.duration, audio.source, blocks)


def from_tensor(waveform: object, rate: object, name: str) -> Audio:
    """Take samples that are already in memory: (samples,) at ``rate`` Hz."""
    rate, tensor = hertz(rate, name), as_waveform(waveform, name).clone()
    digest = hashlib.sha256(tensor.numpy().tobytes()).hexdigest()
    source = {"path": None, "sha256": digest, "sample_rate": rate, "channels": 1}
    duration = len(tensor) / rate
    return check(Audio(tensor, rate, name, {**source, "subtype": "tensor", "duration": duration}))


def check(audio: Audio) -> Audio:
    """Return audio with a float32 waveform, where it can be explained; warn of what is unusual.

    Raises AudioError for what is no waveform, has no samples, or some that are not finite.
    """
    where = str(audio.source.get("path") or audio.name)
    rate, waveform = hertz(audio.sample_rate, where), as_waveform(audio.waveform, where)
    if waveform is not audio.waveform or rate is not audio.sample_rate:
        audio = replace(audio, waveform=waveform, sample_rate=rate)
    if len(waveform) == 0:
        raise AudioError(_NO_SAMPLES.format(where))
    _refuse_bad(waveform, where, rate)
    warn_of_scale(waveform, where)
    if audio.silent:
        warnings.warn(_SILENT.format(where), XplainWarning, stacklevel=3)
    return audio


def resample(audio: Audio, rate: int) -> Audio:
    """Bring a recording to another rate, by soxr at its very high quality."""
    if audio.sample_rate == rate:
        return audio
    converted = soxr.resample(audio.waveform.numpy(), audio.sample_rate, rate, quality="VHQ")
    if len(converted) == 0:
        raise AudioError(_TOO_SHORT.format(audio.name, rate))
    return Audio(torch.from_numpy(converted), rate, audio.name, audio.source)


def resample_tensor(waveform: Tensor, rate: int, new_rate: int) -> Tensor:
    """Resample (batch, samples) so that gradients pass, by the Fourier method.

    For the way through a model, where soxr would cut the gradient. Padded with
    zeros, so that the end does not wrap round to the start. Gives as many samples as
    soxr does: samples · new_rate / rate, rounded.
    """
    if rate == new_rate:
        return waveform
    common = math.gcd(rate, new_rate)
    up, down = new_rate // common, rate // common
    samples = waveform.shape[-1]
    period = -(-(samples + rate // 10) // down) * down
    spectrum = torch.fft.rfft(waveform, n=period)
    out = period // down * up
    shared = min(period, out)
    kept = spectrum[..., : shared // 2 + 1]
    if shared % 2 == 0 and period != out:
        # The highest frequency stands for two bins in one of the two and for one in the other.
        share = torch.ones(kept.shape[-1], dtype=kept.real.dtype, device=kept.device)
        share[-1] = 0.5 if out > period else 2.0
        kept = kept * share
    resampled: Tensor = torch.fft.irfft(kept, n=out) * (up / down)
    return resampled[..., : (2 * samples * up + down) // (2 * down)]


def to_pcm16(waveform: Tensor) -> tuple[npt.NDArray[np.int16], float]:
    """Round (samples,) to 16 bits, turned down where it would clip: samples, gain (≤ 1)."""
    samples = waveform.detach().cpu().double().numpy()
    peak = float(np.abs(samples).max(initial=0.0))
    gain = min(1.0, (FULL_SCALE - 1) / FULL_SCALE / peak) if peak > 0 else 1.0
    return np.round(samples * gain * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1).astype(
        np.int16
    ), gain


def from_pcm16(samples: npt.NDArray[np.int16]) -> Tensor:
    """The waveform (samples,) float32 that a 16-bit file holds."""
    return torch.from_numpy(samples.astype(np.float32) / FULL_SCALE)


def write(path: Path, waveform: Tensor, rate: int) -> float:
    """Write (samples,) as 16-bit WAV; returns the gain that kept it from clipping."""
    samples, gain = to_pcm16(waveform)
    with path.open("wb") as file:
        soundfile.write(file, samples, rate, subtype="PCM_16", format="WAV")
    return gain


@contextmanager
def _opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """A file to read samples from; AudioError where that is not possible."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise AudioError(f"{path}: the file {what}; give the path of a recording")
    if path.stat().st_size == 0:
        raise AudioError(f"{path}: the file is empty (0 bytes); record or export it again")
    try:
        # Opened here, since libsndfile cannot open every name that a file system can hold.
        with path.open("rb") as raw, soundfile.SoundFile(raw) as file:
            if _promised_bytes(path) > path.stat().st_size:
                raise _truncated(path)
            yield file
    except (soundfile.LibsndfileError, RuntimeError, OSError) as error:
        reason = getattr(error, "error_string", error)
        raise AudioError(
            f"{path}: not a recording that can be read ({reason}); convert it to WAV or FLAC"
        ) from error


def _source(path: Path, file: soundfile.SoundFile) -> dict[str, object]:
    return {
        "path": str(path),
        "sha256": _sha256(path),
        "sample_rate": file.samplerate,
        "channels": file.channels,
        "subtype": file.subtype,
        "duration": file.frames / file.samplerate,
    }


def _truncated(path: str | Path) -> AudioError:
    return AudioError(
        f"{path}: the file is truncated, its header promises more audio than it holds; "
        "copy or export it again"
    )


def _read_blocks(path: Path) -> Iterator[Tensor]:
    """A file's samples, mixed down, in blocks (n,)."""
    with _opened(path) as file:
        left = file.frames
        while left > 0:
            samples = file.read(min(BLOCK, left), dtype="float32", always_2d=True)
            if len(samples) == 0:
                raise _truncated(path)
            left -= len(samples)
            yield _mixed(samples)


def _checked(blocks: Iterator[Tensor], rate: int, where: Path) -> Iterator[Tensor]:
    """Blocks as check() wants them: some samples, all finite, not all zero."""
    count, silent = 0, True
    for block in blocks:
        _refuse_bad(block, where, rate, count)
        count += len(block)
        silent = silent and not bool(block.any())
        yield block
    if count == 0:
        raise AudioError(_NO_SAMPLES.format(where))
    if silent:
        warnings.warn(_SILENT.format(where), XplainWarning, stacklevel=2)


def _ahead(blocks: Iterator[Tensor]) -> Iterator[Tensor]:
    """Blocks that are read by another thread while the ones before are used."""
    with ThreadPoolExecutor(1) as reader:
        coming = deque(reader.submit(next, blocks, None) for _ in range(BLOCKS_AHEAD))
        while (block := coming.popleft().result()) is not None:
            coming.append(reader.submit(next, blocks, None))
            yield block


def _refuse_bad(waveform: Tensor, where: object, rate: int, before: int = 0) -> None:
    """Refuse samples (n,), with so many before them, that are NaN or infinite."""
    # A sum is quicker than a look at each, and one sample that is not finite spoils it.
    if math.isfinite(float(waveform.sum())):
        return
    bad = ~torch.isfinite(waveform)
    if bad.any():
        first = before + int(bad.int().argmax())
        raise AudioError(
            f"{where}: NaN or infinite samples ({int(bad.sum())} of them), the first at "
            f"{first / rate:.3f} s; repair or export the recording again"
        )


def _resampled(
    blocks: Iterator[Tensor], rate: int, new_rate: int, where: object
) -> Iterator[Tensor]:
    """Blocks at another rate, as resample() gives them."""
    if rate == new_rate:
        yield from blocks
        return
    resampler = soxr.ResampleStream(rate, new_rate, 1, dtype="float32", quality="VHQ")
    count = 0
    for block in blocks:
        converted = resampler.resample_chunk(block.numpy())
        count += len(converted)
        yield torch.from_numpy(converted)
    converted = resampler.resample_chunk(np.zeros(0, np.float32), last=True)
    if count + len(converted) == 0:
        raise AudioError(_TOO_SHORT.format(where, new_rate))
    yield torch.from_numpy(converted)


def _mixed(samples: npt.NDArray[np.float32]) -> Tensor:
    """Channels (n, channels) mixed down to (n,) by their mean."""
    return torch.from_numpy(np.ascontiguousarray(samples.mean(axis=1, dtype=np.float32)))


def _promised_bytes(path: Path) -> int:
    """How long a file has to be by its header; libsndfile reads what is left without a word.

    0 where the header does not say, as recorders that stream leave it.
    """
    with path.open("rb") as file:
        start = file.read(40)
        if start[:4] == b"RIFF" and start[8:12] == b"WAVE":
            return _end_of_data(file, 12, "<4sI")
        if start[:4] == b"caff":
            return _end_of_data(file, 8, ">4sq")
        if start[:4] == b"RF64" and start[12:16] == b"ds64":
            return 8 + int(struct.unpack("<Q", start[20:28])[0])
        if start[:4] == b"riff" and len(start) == 40:  # Sony Wave64
            return int(struct.unpack("<Q", start[16:24])[0])
        if start[:4] == b"FORM":
            return 8 + int(struct.unpack(">I", start[4:8])[0])
        if start[:4] == b".snd":
            offset, length = struct.unpack(">II", start[4:12])
            return 0 if length in UNKNOWN else int(offset + length)
    return 0


def _end_of_data(file: BinaryIO, first: int, header: str) -> int:
    """Where the chunk "data" ends, among chunks that begin with their name and length."""
    file.seek(first)
    while len(chunk := file.read(struct.calcsize(header))) == struct.calcsize(header):
        name, length = struct.unpack(header, chunk)
        if name == b"data":
            return 0 if length in UNKNOWN else file.tell() + int(length)
        file.seek(length + length % 2, 1)
    return 0


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
