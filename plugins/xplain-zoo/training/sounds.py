"""Stretches of recorded speech, changed by chance, for a codec to learn from."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from training.clips_manifest import Clip


@dataclass(frozen=True)
class Changes:
    """How far stretches are changed; each is a share of them, or a range that is drawn from.

    level: dB (root of the mean square), beside the 1 that the codec gives to a clip. snr: dB.
    gap: with a part of digital silence. longest_pause: seconds of it between two recordings.
    """

    level: tuple[float, float] = (-12.0, 6.0)
    mixed: float = 0.15
    mix: tuple[float, float] = (0.0, 15.0)
    noisy: float = 0.3
    snr: tuple[float, float] = (10.0, 40.0)
    gap: float = 0.1
    longest_pause: float = 0.15


class Stretches:
    """Draws batches of equal length from recordings that are played one after another."""

    def __init__(
        self,
        recordings: Mapping[str, Sequence[Clip]],
        shares: Mapping[str, float],
        changes: Changes,
        sample_rate: int,
        seed: int,
    ) -> None:
        """recordings: of each data set. shares: how often each is drawn from, relative."""
        self.changes = changes
        self.random = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        pause = round(changes.longest_pause * sample_rate)
        self.tapes = {name: self._tape(clips, pause) for name, clips in recordings.items()}
        self.shares = [shares[name] for name in self.tapes]

    def batch(self, count: int, samples: int) -> Tensor:
        """Stretches (count, samples); the last of them is digital silence."""
        drawn = [self._changed(samples) for _ in range(count - 1)]
        return torch.stack([*drawn, torch.zeros(samples)])

    def _tape(self, clips: Sequence[Clip], pause: int) -> Tensor:
        """Recordings at one level in random order, with silence between: (samples,)."""
        parts = []
        for clip in self.random.sample(list(clips), len(clips)):
            parts += [_at(clip.waveform, 0.0), torch.zeros(self.random.randint(0, pause))]
        return torch.cat(parts)

    def _changed(self, samples: int) -> Tensor:
        c, draw = self.changes, self.random
        sound = self._stretch(samples)
        if draw.random() < c.mixed:
            sound = sound + _at(self._stretch(samples), -draw.uniform(*c.mix))
        if draw.random() < c.noisy:
            noise = self._noise(samples, fall=draw.uniform(0.0, 1.0))
            sound = _at(sound, 0.0) + _at(noise, -draw.uniform(*c.snr))
        if draw.random() < c.gap:
            start = draw.randrange(samples)
            sound = sound.clone()
            sound[start : start + draw.randrange(samples)] = 0.0
        return _at(sound, draw.uniform(*c.level)) * draw.choice((-1, 1))

    def _noise(self, samples: int, fall: float) -> Tensor:
        """Gaussian noise (samples,) whose power falls with frequency to the power of ``fall``."""
        spectrum = torch.fft.rfft(torch.randn(samples, generator=self.generator))
        place = torch.arange(1, len(spectrum) + 1)
        noise: Tensor = torch.fft.irfft(spectrum * place ** (-fall / 2), samples)
        return noise

    def _stretch(self, samples: int) -> Tensor:
        (name,) = self.random.choices(list(self.tapes), self.shares)
        tape = self.tapes[name]
        start = self.random.randrange(len(tape) - samples)
        return tape[start : start + samples]


def _at(sound: Tensor, decibels: float) -> Tensor:
    """A sound at a level in dB; one that is silent stays so."""
    return sound * (10 ** (decibels / 20) / sound.square().mean().sqrt().clamp(min=1e-6))
