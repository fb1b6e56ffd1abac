"""The spectrum that is factorised: a short-time Fourier transform, levelled and compressed.

16 kHz, windows of 1,024 samples every 320: frame t is centred on sample 320 t + 160, as label
frame t is, which covers samples 320 t to 320 t + 320. A waveform of n samples has
T = ceil(n / 320) frames and F = 513 frequencies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

SAMPLE_RATE = 16000
WINDOW = 1024
HOP = 320
BINS = WINDOW // 2 + 1
FRAME_STEP = HOP / SAMPLE_RATE
"""Seconds from one frame to the next."""
FREQUENCIES = tuple(k * SAMPLE_RATE / WINDOW for k in range(BINS))
"""Hz of each of the F bins."""

BEFORE = (WINDOW - HOP) // 2
"""Samples by which the first window begins before the waveform does."""


def frame_count(samples: int) -> int:
    """Frames of a waveform of so many samples."""
    return -(-samples // HOP)


def stft(waveform: Tensor) -> Tensor:
    """Waveforms (B, samples) → complex spectra (B, F, T), Hann window, not normalised."""
    samples = waveform.shape[-1]
    after = (frame_count(samples) - 1) * HOP + WINDOW - BEFORE - samples
    return torch.stft(
        functional.pad(waveform, (BEFORE, after)),
        WINDOW,
        HOP,
        window=_hann(waveform),
        center=False,
        return_complex=True,
    )


def istft(spectrum: Tensor, samples: int) -> Tensor:
    """Complex spectra (B, F, T) → the waveforms (B, samples) whose spectra are nearest.

    Spectra that :func:`stft` made of waveforms of that length give them back. torch.istft
    cannot do it: it asks that the first and the last window begin and end in the audio.
    """
    window = _hann(spectrum.real)
    pieces = torch.fft.irfft(spectrum, n=WINDOW, dim=1) * window[:, None]
    covered = (window.square()[:, None]).expand(-1, pieces.shape[-1])[None]
    waveform = _overlap_add(pieces) / _overlap_add(covered).clamp_min(1e-8)
    return waveform[:, BEFORE : BEFORE + samples]


@dataclass(frozen=True)
class Spectrum:
    """Compressed spectra X = log(1 + scale · g(t)² · |S|²), g(t) the levelling gain.

    log(1 + |S|²) of the paper (arXiv 2401.08268) depends on the level: at −41 dBFS it is
    almost zero. Here the power of the audio around each frame is brought to 1 first, so that
    a recording turned up or down has the same X. ``Spectrum.paper()`` leaves this out.

    scale: what the power is multiplied by, before the logarithm; the larger, the more the
    quiet parts count. level_seconds: over how long around a frame the power is averaged;
    None: the level is left as it is. level_floor: dBFS of the power below which nothing is
    turned up any further, so that silence stays silence.
    """

    scale: float = 3.0
    level_seconds: float | None = 4.0
    level_floor: float = -80.0

    def __post_init__(self) -> None:
        """Refuse settings that mean nothing."""
        if not (math.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"scale multiplies power, so it is above 0, not {self.scale:g}")
        if self.level_seconds is not None and not 0 < self.level_seconds < math.inf:
            raise ValueError(f"level_seconds is above 0 or None, not {self.level_seconds:g}")

    @classmethod
    def paper(cls) -> Spectrum:
        """The paper's: log(1 + |S|²) of the audio as it is."""
        return cls(scale=1.0, level_seconds=None)

    @property
    def reach(self) -> int:
        """Frames to each side of a frame that can change it; none further away can."""
        return max(self._half, -(-(WINDOW - HOP) // (2 * HOP)))

    def __call__(self, waveform: Tensor) -> Tensor:
        """Waveforms (B, samples) → X (B, F, T), zero or more."""
        return self.compress(stft(waveform), waveform)

    def compress(self, spectrum: Tensor, waveform: Tensor) -> Tensor:
        """Complex spectra (B, F, T) of waveforms (B, samples) → X (B, F, T)."""
        power = torch.view_as_real(spectrum).square().sum(-1)
        if self.level_seconds is not None:
            power = power / self.level(waveform)[:, None]
        return (self.scale * power).log1p()

    def level(self, waveform: Tensor) -> Tensor:
        """Mean power around each frame of (B, samples): (B, T), not below the floor."""
        samples = waveform.shape[-1]
        short = frame_count(samples) * HOP - samples
        energy = functional.pad(waveform, (0, short)).square()
        energy = energy.reshape(len(energy), -1, HOP).sum(-1)
        length = torch.full_like(energy[:1], HOP)
        length[:, -1] -= short
        # Pooled one by one and not by differences of a running sum, which lose precision over
        # an hour and would make a window of a recording differ from the recording.
        pooled = [
            functional.avg_pool1d(sums, 2 * self._half + 1, stride=1, padding=self._half)
            for sums in (energy, length)
        ]
        return (pooled[0] / pooled[1]).clamp_min(10 ** (self.level_floor / 10))

    @property
    def _half(self) -> int:
        """Frames to each side over which the power is averaged."""
        if self.level_seconds is None:
            return 0
        return max(0, round((self.level_seconds / FRAME_STEP - 1) / 2))


def _hann(like: Tensor) -> Tensor:
    return torch.hann_window(WINDOW, dtype=like.dtype, device=like.device)


def _overlap_add(pieces: Tensor) -> Tensor:
    """Add windows (B, WINDOW, T), each HOP after the one before: (B, samples)."""
    length = (pieces.shape[-1] - 1) * HOP + WINDOW
    return functional.fold(pieces, (1, length), (1, WINDOW), stride=(1, HOP))[:, 0, 0]
