"""The augmentation that the digit classifier is trained with: which change, how much, how often."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from training import augment
from xplain_zoo.digits import Spectrum


@dataclass(frozen=True)
class Ranges:
    """How far each change goes. Factors f are drawn log-uniformly from 1/f..f."""

    pitch: float = 1.3  # by playing faster or slower; the formants are put back
    tract: float = 1.12  # formants: one factor for the whole vocal tract
    vowel: float = 1.06  # formants: each region by itself on top
    tempo: float = 1.35  # of the whole word; unevenness: of its parts on top
    unevenness: float = 1.25
    cut: float = 0.08  # share of the word that may be missing at each end
    level: tuple[float, float] = (-55.0, -5.0)  # dB re 1
    snr: tuple[float, float] = (5.0, 50.0)  # dB
    clean: float = 0.2  # how often no noise is added
    around: float = 0.8  # seconds of quiet around the word at most
    tight: float = 0.5  # how often there is none
    equaliser: float = 8.0  # dB
    band_limit: float = 0.15  # how often the upper frequencies are missing
    gate: float = 0.3  # how often only what is loud stays
    gate_depth: tuple[float, float] = (15.0, 40.0)  # dB
    erase: float = 0.4  # how often part of the spectrogram is erased
    masks: int = 2
    mask_bands: float = 5.0
    mask_time: float = 0.2  # share of the frames


class Voices:
    """Draws changed copies of clips; everything random comes from one generator."""

    def __init__(self, ranges: Ranges, spectrum: Spectrum, seed: int) -> None:
        """Draw by one generator with a seed of its own."""
        self.ranges = ranges
        self.spectrum = spectrum
        self.generator = torch.Generator().manual_seed(seed)

    def batch(self, clips: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Clips (samples,) of any lengths → (batch, bands, frames), and what is left of the word.

        The second, (batch,) in 0..1, is 0 where so much was erased that no digit
        should be heard, and 1 for a whole clip.
        """
        speeds = self.factors(self.ranges.pitch, len(clips))
        erased = self.uniform(0, 1, len(clips)) < self.ranges.erase
        waveform, left = self.erase(self.recording(clips, speeds), erased)
        levels = 10 ** (self.uniform(*self.ranges.level, len(clips)) / 20)
        power = self.spectrum.power(waveform * levels[:, None])
        # Stretching blurs neighbouring frames, and with them what erasing left.
        rates = torch.where(erased[:, None], 1.0, self.rates(len(clips)) / speeds[:, None])
        return self.bands(augment.stretch(power, rates), speeds), left

    def recording(self, clips: list[Tensor], speeds: Tensor) -> Tensor:
        """Speed (batch,), position and noise: clips → (batch, samples)."""
        r, count = self.ranges, len(clips)
        cuts = self.uniform(0, r.cut, 2 * count).view(count, 2).tolist()
        tight = [
            x[int(a * len(x)) : len(x) - int(b * len(x))]
            for x, (a, b) in zip(clips, cuts, strict=True)
        ]
        fast = [augment.change_speed(x, f) for x, f in zip(tight, speeds.tolist(), strict=True)]
        extra = 0.0 if self.uniform(0, 1, 1) < r.tight else float(self.uniform(0, r.around, 1))
        length = max(len(x) for x in fast) + int(extra * self.spectrum.config.sample_rate)
        starts = self.uniform(0, 1, count).tolist()
        placed = [
            augment.place(x, length, int(s * (length - len(x))))
            for x, s in zip(fast, starts, strict=True)
        ]
        waveform = augment.set_level(torch.stack(placed), torch.zeros(count))
        tilt = self.uniform(0.0, 2.0, count)
        background = augment.noise((count, length), tilt, self.generator)
        loudness = 10 ** (-self.uniform(*r.snr, count) / 20)
        loudness = loudness * (self.uniform(0, 1, count) >= r.clean)
        return waveform + loudness[:, None] * background

    def erase(self, waveform: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        """Erases part of the ``chosen`` (batch,) clips' spectrograms: a gap is nothing new then.

        Explanations are checked on such clips. The word is what its energy carries:
        where little of that is left, the network learns to hear no digit.
        """
        rows = chosen.nonzero().flatten()
        left = torch.ones(len(waveform))
        if len(rows) == 0:
            return waveform, left
        keep = torch.exp(self.uniform(-3.0, 0.0, len(rows)))
        order = self.uniform(0, 1, len(rows))
        loud = (order < 0.3).float() - (order > 0.8).float()
        # The quietest tenth says nothing; what is asked of it is what the loudest tenth took.
        keep = torch.where(loud < 0, 1 - keep / 2, keep)
        window = [128, 256, 512][int(self.uniform(0, 3, 1))]
        waveform = waveform.clone()
        waveform[rows], energy = augment.erase(waveform[rows], window, keep, loud, self.generator)
        left[rows] = ((energy - 0.25) / 0.35).clamp(0.0, 1.0)
        return waveform, left

    def bands(self, power: Tensor, speeds: Tensor) -> Tensor:
        """Equaliser, gate, vocal tract and masks: (batch, bins, frames) → bands."""
        r, count = self.ranges, len(power)
        decibels = self.uniform(-r.equaliser, r.equaliser, count * 6).view(count, 6)
        power = augment.equalise(power, decibels)
        power = power * self.passband(count)[..., None]
        gated = augment.gate(power, self.uniform(*r.gate_depth, count))
        power = torch.where((self.uniform(0, 1, count) < r.gate)[:, None, None], gated, power)
        knots = torch.tensor([500.0, 1000.0, 1600.0, 2300.0, 3200.0])
        factors = self.factors(r.vowel, count * len(knots)).view(count, -1)
        factors = factors * (self.factors(r.tract, count) / speeds)[:, None]
        warped = augment.warp_frequencies(self.spectrum.frequencies, factors, knots)
        bands = self.spectrum.compress(power, self.spectrum.mel_filters(warped))
        for _ in range(r.masks):
            widths = self.uniform(0, r.mask_bands, count)
            bands = augment.mask(bands, 1, widths, self.generator)
            widths = self.uniform(0, r.mask_time * bands.shape[2] / r.masks, count)
            bands = augment.mask(bands, 2, widths, self.generator)
        return bands

    def rates(self, count: int) -> Tensor:
        """Tempo of four parts of each word: (batch, 4), 1 as spoken, more is faster."""
        uneven = self.factors(self.ranges.unevenness, count * 4).view(count, 4)
        return uneven * self.factors(self.ranges.tempo, count)[:, None]

    def passband(self, count: int) -> Tensor:
        """(batch, bins) of ones, for some clips zero below or above an edge."""
        chosen = self.uniform(0, 1, count) < self.ranges.band_limit
        upper = torch.where(chosen, self.uniform(2600, 4000, count), 1e9)
        lower = torch.where(chosen, self.uniform(0, 350, count), -1.0)
        f = self.spectrum.frequencies
        return ((f >= lower[:, None]) & (f <= upper[:, None])).float()

    def uniform(self, low: float, high: float, count: int) -> Tensor:
        """(count,) numbers between low and high."""
        return low + (high - low) * torch.rand(count, generator=self.generator)

    def factors(self, most: float, count: int) -> Tensor:
        """(count,) factors between 1 / most and most, as likely below 1 as above."""
        return torch.exp(self.uniform(-1.0, 1.0, count) * torch.log(torch.tensor(most)))
