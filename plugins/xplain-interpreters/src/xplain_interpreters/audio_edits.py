"""Edits of a recording that leave what is said: pitch, rate, noise, level."""

from __future__ import annotations

import torch
from torch import Tensor

from xplain.audio import resample_tensor

WINDOW = 0.032
"""Seconds of the phase vocoder's window, about two periods of a low voice."""


def at_level(waveform: Tensor, rate: int, decibels: float) -> Tensor:
    """Turn (samples,) up by so many decibels, or down."""
    return waveform * 10 ** (decibels / 20)


def in_noise(waveform: Tensor, rate: int, decibels: float) -> Tensor:
    """Add white noise to (samples,) that is so many decibels under it, from torch's generator."""
    noise = torch.randn(waveform.shape, dtype=waveform.dtype).to(waveform.device)
    power = waveform.square().mean() / noise.square().mean().clamp_min(1e-12)
    return waveform + noise * (power * 10 ** (-decibels / 10)).sqrt()


def at_rate(waveform: Tensor, rate: int, factor: float) -> Tensor:
    """Say (samples,) ``factor`` times as fast at the same pitch; cut or filled to its length."""
    spoken = stretched(waveform, rate, factor)[: len(waveform)]
    return torch.nn.functional.pad(spoken, (0, len(waveform) - len(spoken)))


def at_pitch(waveform: Tensor, rate: int, semitones: float) -> Tensor:
    """Say (samples,) higher by so many semitones, or lower, in the same time."""
    factor = 2 ** (semitones / 12)
    longer = stretched(waveform, rate, 1 / factor)
    spoken = resample_tensor(longer[None], round(rate * factor), rate)[0][: len(waveform)]
    return torch.nn.functional.pad(spoken, (0, len(waveform) - len(spoken)))


def stretched(waveform: Tensor, rate: int, factor: float) -> Tensor:
    """Play (samples,) ``factor`` times as fast at the same pitch: (samples / factor,).

    A phase vocoder (Flanagan, Golden 1966; Laroche, Dolson 1999): frames of the STFT are read at
    another pace, each with the phase that its neighbours' frequencies lead to.
    """
    size = 1 << max(5, round(rate * WINDOW) - 1).bit_length()
    hop = size // 4
    window = torch.hann_window(size, device=waveform.device)
    spectrum = torch.stft(
        waveform, size, hop, window=window, return_complex=True, pad_mode="constant"
    )
    length = max(1, round(len(waveform) / factor))
    places = torch.arange(length // hop + 1, device=waveform.device) * factor
    padded = torch.nn.functional.pad(spectrum, (0, int(places[-1]) + 2 - spectrum.shape[1] + 1))
    low = places.long()
    before, after = padded[:, low], padded[:, low + 1]
    expected = 2 * torch.pi * hop / size * torch.arange(size // 2 + 1, device=waveform.device)
    turn = after.angle() - before.angle() - expected[:, None]
    turn = turn - 2 * torch.pi * (turn / (2 * torch.pi)).round() + expected[:, None]
    phase = torch.cat([spectrum[:, :1].angle(), turn[:, :-1]], dim=1).cumsum(dim=1)
    loud = torch.lerp(before.abs(), after.abs(), (places - low)[None])
    return torch.istft(torch.polar(loud, phase), size, hop, window=window, length=length)
