"""Changes to training clips that leave the word as it was: other voices, rooms, levels."""

from __future__ import annotations

import numpy as np
import soxr
import torch
from torch import Tensor
from torch.nn import functional as F


def change_speed(waveform: Tensor, factor: float) -> Tensor:
    """Plays faster, all frequencies ``factor`` times as high: (samples,) → (samples / factor,)."""
    if factor == 1.0:
        return waveform
    fast = soxr.resample(waveform.numpy(), factor, 1.0, "LQ")
    return torch.from_numpy(np.asarray(fast, np.float32))


def place(waveform: Tensor, length: int, start: int) -> Tensor:
    """(samples,) → (length,): zeros around a clip that begins at ``start``; the end is cut."""
    cut = waveform[: length - start]
    return F.pad(cut, (start, length - start - cut.shape[0]))


def set_level(waveform: Tensor, decibels: Tensor) -> Tensor:
    """(batch, samples) with the RMS of each row's loudest tenth at ``decibels`` (batch,) re 1."""
    square = waveform.square()
    loudest = square.topk(max(1, square.shape[-1] // 10), dim=-1).values.mean(-1, keepdim=True)
    return waveform * 10 ** (decibels[:, None] / 20) / (loudest.sqrt() + 1e-6)


def noise(shape: tuple[int, int], tilt: Tensor, generator: torch.Generator) -> Tensor:
    """(batch, samples) of RMS 1; power falls with frequency to the power of ``tilt`` (batch,)."""
    white = torch.randn(shape, generator=generator)
    spectrum = torch.fft.rfft(white)
    place_ = torch.linspace(0.02, 1.0, spectrum.shape[-1])
    coloured: Tensor = torch.fft.irfft(spectrum * place_ ** (-tilt[:, None] / 2), n=shape[1])
    return coloured / coloured.square().mean(-1, keepdim=True).sqrt()


def curve(values: Tensor, size: int) -> Tensor:
    """(batch, knots) → (batch, size), straight lines between equally spaced knots."""
    if values.shape[-1] == 1:
        return values.expand(-1, size)
    return F.interpolate(values[:, None], size=size, mode="linear", align_corners=True)[:, 0]


def warp_frequencies(frequencies: Tensor, factors: Tensor, knots: Tensor) -> Tensor:
    """Vocal-tract warping: (bins,) Hz → (batch, bins) Hz, piecewise linear.

    ``factors`` (batch, knots) says by how much each of the ``knots`` (knots,) in Hz
    is moved; below the first the first factor holds, and the upper end stays put:
    nothing moves beyond it.
    """
    end = frequencies[-1]
    x = torch.cat([torch.zeros(1), knots, end[None]])
    y = torch.cat(
        [torch.zeros(len(factors), 1), knots * factors, end.expand(len(factors), 1)], dim=1
    ).clamp(max=float(end))
    segment = (torch.searchsorted(x, frequencies) - 1).clamp(0, len(x) - 2)
    share = (frequencies - x[segment]) / (x[segment + 1] - x[segment])
    return y[:, segment] + share * (y[:, segment + 1] - y[:, segment])


def erase(
    waveform: Tensor, window: int, keep: Tensor, loud: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Keeps only some elements of the spectrogram: (batch, samples) → the same, and energy left.

    A share ``keep`` (batch,) of the elements of an STFT of ``window`` samples stays:
    the loudest where ``loud`` (batch,) is 1, the quietest where it is -1, any where
    it is 0. The second result (batch,) is the share of the energy that stayed.
    """
    taper = torch.hann_window(window)
    spectrum = torch.stft(
        waveform, window, window // 4, window=taper, pad_mode="constant", return_complex=True
    )
    energy = (spectrum.real.square() + spectrum.imag.square()).flatten(1)
    chance = torch.rand(energy.shape, generator=generator)
    order = (loud[:, None] * (energy + 1e-12).log() + chance).argsort(dim=1, descending=True)
    rank = torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1]).expand_as(order))
    stays = rank < keep[:, None] * order.shape[1]
    left = (energy * stays).sum(1) / (energy.sum(1) + 1e-12)
    masked = spectrum * stays.view(spectrum.shape)
    length = waveform.shape[-1]
    return torch.istft(masked, window, window // 4, window=taper, length=length), left


def stretch(power: Tensor, rates: Tensor) -> Tensor:
    """Uneven tempo: (batch, bins, frames) read at ``rates`` (batch, knots) frames per frame.

    The result is as long as its slowest row; rows that end before are followed by zeros.
    """
    frames = power.shape[-1]
    size = int(frames / float(rates.min())) + 1
    times = curve(rates, size).cumsum(-1)
    times = times - times[:, :1]
    left = times.floor().long()
    share = (times - left)[:, None]
    padded = F.pad(power, (0, 2))
    index = left.clamp(max=frames)[:, None].expand(-1, power.shape[1], -1)
    read = (1 - share) * padded.gather(2, index) + share * padded.gather(2, index + 1)
    # Beyond the end only zeros can be read; drop what is beyond the end in every row.
    return read[..., : int((times < frames).sum(-1).max())]


def equalise(power: Tensor, decibels: Tensor) -> Tensor:
    """(batch, bins, frames) with gains at equally spaced knots (batch, knots) in dB."""
    return power * 10 ** (curve(decibels, power.shape[1]) / 10)[..., None]


def gate(power: Tensor, decibels: Tensor) -> Tensor:
    """(batch, bins, frames) without what lies ``decibels`` (batch,) or more below the peak."""
    threshold = power.amax((1, 2)) * 10 ** (-decibels / 10)
    return power * (power >= threshold[:, None, None])


def mask(values: Tensor, dim: int, widths: Tensor, generator: torch.Generator) -> Tensor:
    """SpecAugment's masks: ``widths`` (batch,) adjacent places along ``dim`` become zero."""
    size = values.shape[dim]
    start = torch.rand(len(widths), generator=generator) * (size - widths)
    where = torch.arange(size)[None]
    hidden = (where >= start[:, None]) & (where < (start + widths)[:, None])
    shape = [len(widths), 1, 1]
    shape[dim] = size
    return values.masked_fill(hidden.view(shape), 0.0)
