"""Audio in and out: read, check, mix down, resample, write."""

from __future__ import annotations

import hashlib
import io
import math
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr
import torch
from torch import Tensor

from xplain.errors import AudioError, XplainWarning
from xplain.recording import BLOCK, Recording
from xplain.samples import as_waveform, hertz, warn_of_scale

FULL_SCALE = 2**15
"""One past the largest 16-bit sample."""

BLOCKS_AHEAD = 8
"""How many blocks are read before they are asked for."""

QUIET = 1e-4
"""Half the range of the samples below which a recording is nearly silent: -80 dBFS."""

CANCELLED = 0.1
"""Share of a channel's mean energy, over the number of channels, below which they cancel."""

_NO_SAMPLES = "{}: the recording holds no samples; nothing can be explained"
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
    raises and warns of what it warns of. source: as an Audio's. duration: seconds. part: gives
    what lies from start to end seconds, at the recording's own rate; a pipe is not read again.
    """

    name: str
    sample_rate: int
    duration: float
    source: Mapping[str, object]
    blocks: Iterator[Tensor]
    part: Callable[[float, float], Audio]


def read(path: str | Path) -> Audio:
    """Read a recording, mixed down to one channel.

    Anything libsndfile reads (WAV of every depth, FLAC, Ogg, MP3, AIFF, …), at its own rate;
    channels become their mean. "-" is standard input; pipes are read to their end. All that
    the file holds is read, whatever its header states; where the two differ, a warning says so.
    Warns of silence and of channels that cancel. Raises AudioError for a file that is missing,
    not audio, truncated, empty, or that holds NaN or infinite samples.
    """
    recording = Recording(path)
    return _joined(recording, _source(recording, recording.sha256()), 0, recording.frames)


def read_part(path: str | Path, start: float, end: float) -> Audio:
    """Read what lies from start to end seconds, as read() does, without a checksum of the file."""
    return _part(Recording(path), start, end)


def stream(path: str | Path, rate: int) -> Stream:
    """Read a recording as read() does, at ``rate`` Hz, in blocks: of any length in little memory.

    What is wrong with the file is raised at once, what is wrong with its samples when they
    are reached.
    """
    recording = Recording(path)
    source = _source(recording, recording.sha256())
    blocks = _resampled(_checked(recording, 0, recording.frames), recording.rate, rate, path)
    duration = recording.frames / recording.rate
    return Stream(recording.name, rate, duration, source, _ahead(blocks), partial(_part, recording))


def as_stream(audio: Audio, rate: int) -> Stream:
    """Hand out a recording in memory as stream() does one in a file."""

    def part(start: float, end: float) -> Audio:
        first, last = (round(time * audio.sample_rate) for time in (start, end))
        return replace(audio, waveform=audio.waveform[first:last])

    pieces = (audio.waveform[i : i + BLOCK] for i in range(0, len(audio.waveform), BLOCK))
    blocks = _resampled(pieces, audio.sample_rate, rate, audio.name)
    return Stream(audio.name, rate, audio.duration, audio.source, blocks, part)


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
    low, high = waveform.aminmax()
    if said := _too_quiet(float(low), float(high), str(audio.source.get("subtype"))):
        warnings.warn(f"{where}: {said}", XplainWarning, stacklevel=3)
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
    rounded = np.round(samples * gain * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1)
    return rounded.astype(np.int16), gain


def from_pcm16(samples: npt.NDArray[np.int16]) -> Tensor:
    """The waveform (samples,) float32 that a 16-bit file holds."""
    return torch.from_numpy(samples.astype(np.float32) / FULL_SCALE)


def write(path: Path, waveform: Tensor, rate: int) -> float:
    """Write (samples,) as 16-bit WAV; returns the gain that kept it from clipping."""
    samples, gain = to_pcm16(waveform)
    held = io.BytesIO()  # libsndfile says nothing of a file that takes no more
    soundfile.write(held, samples, rate, subtype="PCM_16", format="WAV")
    path.write_bytes(held.getbuffer())
    return gain


def _source(recording: Recording, sha256: str | None) -> dict[str, object]:
    return {
        "path": str(recording.path),
        "sha256": sha256,
        "sample_rate": recording.rate,
        "channels": recording.channels,
        "subtype": recording.subtype,
        "duration": recording.frames / recording.rate,
    }


def _part(recording: Recording, start: float, end: float) -> Audio:
    first, last = (min(round(t * recording.rate), recording.frames) for t in (start, end))
    return _joined(recording, _source(recording, None), first, last)


def _joined(recording: Recording, source: Mapping[str, object], first: int, last: int) -> Audio:
    blocks = list(_checked(recording, first, last))
    return Audio(torch.cat(blocks), recording.rate, recording.name, source)


def _checked(recording: Recording, first: int, last: int) -> Iterator[Tensor]:
    """Samples in blocks (n,), mixed down, all finite; warns where hardly anything is heard."""
    count, energy, energies = 0, 0.0, 0.0
    low, high = math.inf, -math.inf
    for block in recording.blocks(first, last):
        mixed = _mixed(block)
        _refuse_bad(mixed, recording.path, recording.rate, first + count)
        count += len(mixed)
        low, high = min(low, float(mixed.min())), max(high, float(mixed.max()))
        if recording.channels > 1:
            energy += float(np.vdot(mixed.numpy(), mixed.numpy()))
            energies += float(np.vdot(block, block)) / recording.channels
        yield mixed
    if count == 0:
        raise AudioError(_NO_SAMPLES.format(recording.path))
    warn_of_scale(torch.tensor([low, high]), str(recording.path))
    said = _too_quiet(low, high, recording.subtype)
    if energy < CANCELLED / recording.channels * energies:
        loss = "all" if energy == 0 else f"{10 * math.log10(energies / energy):.0f} dB"
        said = (
            f"the channels cancel when they are mixed down ({loss} of their energy is lost); "
            "invert one of them, or give one channel as a file"
        )
    if said:
        warnings.warn(f"{recording.path}: {said}", XplainWarning, stacklevel=2)


def _too_quiet(low: float, high: float, subtype: str) -> str | None:
    """What has to be said of samples between these two, if they are hardly anything."""
    step = 2**-7 if subtype.endswith(("_8", "_U8")) else 0
    if low == high == 0:
        return "the recording is silent"
    swing = (high - low) / 2
    if swing >= max(QUIET, 1.51 * step):
        return None
    level = f"peak {20 * math.log10(swing):.0f} dBFS" if swing else "every sample is the same"
    offset = ", but for a constant offset" if abs(high + low) / 2 > max(QUIET, swing) else ""
    return f"the recording is nearly silent{offset} ({level}); check how it was recorded"


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
