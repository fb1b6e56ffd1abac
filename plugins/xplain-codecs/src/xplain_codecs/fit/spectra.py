"""What the head ``bands`` is trained on: the spectra of the audio, and changed copies of them.

As a spectrum a word is easily said by another voice, faster, in another room: what that makes of
the latents the estimate has learned, and it does not have to be encoded anew.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW = 0.032
"""Seconds of a spectrum."""
LOWEST = 60.0
"""Hz, where the first band begins."""
TILT = 0.6
"""Emphasis of the bands: power times (centre / 1 kHz) ** TILT."""
FLOOR = 1e-8
"""Power, added before its logarithm is taken."""

CUT = 0.06
"""Share of the frames that may be missing at each end."""
TEMPO, UNEVEN = 1.35, 1.25
"""Greatest factors of the whole and of its quarters, and one by them the least."""
TRACT, VOWEL = 2.2, 0.7
"""Of 32 bands, by how many the upper ones are moved, and four regions on top."""
EQUALISER = 10.0
"""dB, up or down, at five places."""
NOISY, SNR, TILTED = 0.75, (12.0, 50.0), 8.0
"""Share of the copies with noise, how far it lies below the loudest frame and how tilted, in dB."""
GATED, DEPTH = 0.15, (15.0, 40.0)
"""Share that loses what lies so many dB below its peak."""
NARROW = 0.12
"""Share that loses its upper third, or less."""
LEVEL = (-60.0, -15.0)
"""dB, of the loudest frame."""
AROUND = 10
"""Frames of quiet at most, on half of all sides."""
MASKS, MASKED_BANDS, MASKED_TIME = 2, 5, 0.1
"""How many of each kind (Park et al. 2019, SpecAugment), bands of 32 and share of the frames."""


def mel_power(waveform: Tensor, rate: int, hop: int, bands: int, highest: float) -> Tensor:
    """Power in mel bands at every ``hop`` samples: (samples,) → (bands, 1 + samples // hop)."""
    size = round(WINDOW * rate)
    window = torch.hann_window(size)
    spectrum = torch.stft(
        waveform, size, hop, window=window, pad_mode="constant", return_complex=True
    )
    power = spectrum.abs().square() / window.sum().square()
    return mel_filters(torch.fft.rfftfreq(size, 1 / rate), bands, highest) @ power


def mel_filters(frequencies: Tensor, bands: int, highest: float) -> Tensor:
    """Triangles equally spaced in mel (O'Shaughnessy 1987), (bands, frequencies in Hz)."""
    low, high = (2595.0 * math.log10(1.0 + hertz / 700.0) for hertz in (LOWEST, highest))
    edges = torch.linspace(low, high, bands + 2)
    place = 2595.0 * torch.log10(1.0 + frequencies / 700.0)
    rising = (place - edges[:-2, None]) / (edges[1] - edges[0])
    falling = (edges[2:, None] - place) / (edges[1] - edges[0])
    centres = 700.0 * (10 ** (edges[1:-1, None] / 2595.0) - 1.0)
    return torch.minimum(rising, falling).clamp(min=0.0) * (centres / 1000) ** TILT


def varied(power: Tensor, parts: int) -> Tensor:
    """A power spectrum (bands, T) as of another voice in another room, a multiple of parts long.

    Draws from torch's chance.
    """
    before, after = (_uniform(0, CUT, 2) * power.shape[1]).int().tolist()
    power = power[:, before : power.shape[1] - after]
    bands, frames = power.shape
    rates = _curve(_factors(UNEVEN, 4) * _factors(TEMPO, 1), frames)
    length = max(parts, round(frames / float(rates.mean()) / parts) * parts)
    times = rates.cumsum(0)
    times = _curve((times - times[0]) / (times[-1] - times[0]).clamp(min=1e-6), length) * 2 - 1
    up = torch.linspace(0.4, 1, bands) * _uniform(-TRACT, TRACT, 1)
    moved = (up + _curve(_uniform(-VOWEL, VOWEL, 4), bands)) * bands / 32
    places = (torch.arange(bands) + moved) / (bands - 1) * 2 - 1
    grid = torch.stack([times.expand(bands, -1), places[:, None].expand(-1, length)], dim=-1)
    logs = (power + FLOOR).log()[None, None]
    read = F.grid_sample(logs, grid[None], padding_mode="border", align_corners=True)[0, 0].exp()
    read = read * _decibels(_curve(_uniform(-EQUALISER, EQUALISER, 5), bands))[:, None]
    peak = read.mean(0).max()
    if torch.rand(()) < NOISY:
        colour = _decibels(_curve(_uniform(-TILTED, TILTED, 3), bands) - _uniform(*SNR, 1))
        # The power of a band of noise: about an exponential distribution.
        read = read + peak * colour[:, None] * -torch.rand(read.shape).clamp(min=1e-6).log()
    if torch.rand(()) < GATED:
        read = read * (read > read.max() * _decibels(-_uniform(*DEPTH, 1)))
    if torch.rand(()) < NARROW:
        read[int(bands * _uniform(0.62, 1, 1)) :] *= 1e-3
    quiet = (torch.rand(2) < 0.5) * _uniform(0, AROUND, 2)
    around = [parts * int(n) for n in quiet.tolist()]
    return F.pad(read / (peak + FLOOR) * _decibels(_uniform(*LEVEL, 1)), around)


def masked(pictures: Tensor) -> Tensor:
    """Pictures (B, bands, T) with some bands and some moments hidden."""
    bands, frames = pictures.shape[1:]
    for _ in range(MASKS):
        pictures = _hidden(pictures, 1, MASKED_BANDS * bands / 32)
        pictures = _hidden(pictures, 2, MASKED_TIME * frames)
    return pictures


def _hidden(pictures: Tensor, dim: int, most: float) -> Tensor:
    count, size = len(pictures), pictures.shape[dim]
    wide = _uniform(0, most, count)
    start = torch.rand(count) * (size - wide)
    where = torch.arange(size)[None]
    shape = [count, 1, 1]
    shape[dim] = size
    lost = (where >= start[:, None]) & (where < (start + wide)[:, None])
    return pictures.masked_fill(lost.view(shape), 0.0)


def _uniform(low: float, high: float, count: int) -> Tensor:
    return low + (high - low) * torch.rand(count)


def _factors(most: float, count: int) -> Tensor:
    return torch.exp(_uniform(-1, 1, count) * math.log(most))


def _decibels(value: Tensor) -> Tensor:
    return 10 ** (value / 10)


def _curve(knots: Tensor, size: int) -> Tensor:
    """(knots,) → (size,), straight lines between equally spaced knots."""
    return F.interpolate(knots[None, None], size=size, mode="linear", align_corners=True)[0, 0]


def together(spectra: Sequence[Tensor], parts: int) -> tuple[Tensor, Tensor]:
    """Spectra (bands, T) of unequal length → (B, bands, T) and which frames are theirs (B, N)."""
    longest = max(s.shape[1] for s in spectra)
    batch = torch.stack([F.pad(s, (0, longest - s.shape[1])) for s in spectra])
    lengths = torch.tensor([s.shape[1] // parts for s in spectra])
    return batch, torch.arange(longest // parts) < lengths[:, None]
