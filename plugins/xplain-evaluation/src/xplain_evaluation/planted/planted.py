"""Audio with a planted cue: the reason for the model's decision is known beforehand.

A clip is a background with a cue in it, a short chirp at a known time and in a known
band. The model hears how much energy there is in each cue's band, and nothing else; the
backgrounds have none there. So the decision rests on the cue alone, and an attribution
that points elsewhere is wrong, whatever it looks like.

    for clip in planted_clips(12, seed=0):
        e = xplain.explain(clip.waveform, planted_model(), sample_rate=clip.sample_rate)
        frames = e.attribution.shape[1]
        time_localisation_auc(e.attribution, clip.event(frames))
        relevance_mass(e.attribution, clip.region(e.attribution.shape, e.frequencies))
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle

import numpy as np
import torch
from torch import Tensor, nn

from xplain.errors import XplainError, nearest
from xplain.models import Model, wrap
from xplain_evaluation.event import Event
from xplain_evaluation.planted.backgrounds import BACKGROUNDS, Samples

CUES: Mapping[str, tuple[float, float]] = {
    "cue-1k": (800.0, 1200.0),
    "cue-2k": (1800.0, 2200.0),
    "cue-3k": (2800.0, 3200.0),
}
"""Label → band in Hz: lowest and highest frequency. All lie below half of 8 kHz."""

NONE = "none"
"""The label of a clip in which no cue sounds."""

BACKGROUND_RMS = 0.05
"""Level of every background, so that peaks stay below full scale."""

GUARD = 100.0
"""Hz beside each band in which the background fades out. A brick wall would ring for as
long as the clip, and an STFT's channels at the band's edge would hear over it."""

EDGE = 0.06
"""Seconds in which a cue fades in, and out."""

EDGE_BETA = 16.0
"""Shape of that fade, a Kaiser window's integral: what leaks out of the band is rounding."""

THRESHOLD = 2e-4
"""In squared amplitude times seconds: the energy of a cue that the model just hears. A cue of
0.4 s as loud as its background has five times as much."""

STEEPNESS = 4.0
"""Steepness of the model: a cue of x times the threshold has odds of about x⁴ to one."""


@dataclass(frozen=True, eq=False)
class PlantedClip:
    """A clip, and where in it the reason for the model's decision lies.

    waveform: (samples,) float32 at sample_rate Hz. cue: (samples,), what of it is the cue;
    the rest is the background. background: its kind. label: what the model decides.
    start, end: seconds between which the cue sounds; it is zero elsewhere. low, high: Hz
    between which it lies.
    """

    waveform: Tensor
    cue: Tensor
    sample_rate: int
    background: str
    label: str
    start: float
    end: float
    low: float
    high: float

    @property
    def annotation(self) -> Event:
        """The annotated event of the cue."""
        return Event(self.start, self.end, self.low, self.high)

    def event(self, frames: int) -> Tensor:
        """Mark the frames, of N, in which the cue sounds: bool (N,); see Event.frames."""
        return self.annotation.frames(frames, len(self.waveform), self.sample_rate)

    def region(self, shape: Sequence[int], frequencies: Sequence[float] | None = None) -> Tensor:
        """Mark the cue's elements in a representation: bool (D, N); see Event.region."""
        return self.annotation.region(
            shape, len(self.waveform), self.sample_rate, frequencies=frequencies
        )


def planted(
    seed: int,
    *,
    background: str = "speech",
    label: str = "cue-2k",
    sample_rate: int = 16000,
    seconds: float = 2.0,
    level: float = 0.0,
) -> PlantedClip:
    """Plant a cue in a background; the same again for the same arguments.

    seed: of the cue's time and of the background; with another background the cue stays as
    it is. background: "speech", "music" or "noise". label: of the cue, see CUES.
    sample_rate: Hz, at least 8000. seconds: length, at least 1. level: of the cue while it
    sounds, in dB above the background's RMS. Raises XplainError for what cannot be made.
    """
    if background not in BACKGROUNDS:
        raise XplainError(f"no background {background!r}; {nearest(background, BACKGROUNDS)}")
    if label not in CUES:
        raise XplainError(f"no cue {label!r}; {nearest(label, CUES)}")
    _check_rate(sample_rate)
    if seconds < 1:
        raise XplainError(f"a cue needs a clip of at least 1 s around it, not {seconds:g} s")
    samples = round(seconds * sample_rate)
    low, high = CUES[label]
    rng = np.random.default_rng([seed, 0])
    length = round(rng.uniform(0.3, 0.5) * sample_rate)
    margin = round(0.1 * sample_rate)
    first = int(rng.integers(margin, samples - margin - length))
    amplitude = np.sqrt(2) * BACKGROUND_RMS * 10 ** (level / 20)
    cue = np.zeros(samples)
    cue[first : first + length] = amplitude * _chirp(rng, length, low, high, sample_rate)
    sound = BACKGROUNDS[background](np.random.default_rng([seed, 1]), samples, sample_rate)
    return PlantedClip(
        waveform=_tensor(_without_bands(sound, sample_rate) + cue),
        cue=_tensor(cue),
        sample_rate=sample_rate,
        background=background,
        label=label,
        start=first / sample_rate,
        end=(first + length) / sample_rate,
        low=low,
        high=high,
    )


def planted_clips(count: int, seed: int, *, sample_rate: int = 16000) -> list[PlantedClip]:
    """Plant cues in ``count`` clips, each of its own: every background with every cue in turn."""
    pairs = cycle((background, label) for label in CUES for background in BACKGROUNDS)
    seeds = np.random.SeedSequence(seed).generate_state(count)
    return [
        planted(int(own), background=background, label=label, sample_rate=sample_rate)
        for own, (background, label) in zip(seeds, pairs, strict=False)
    ]


class BandEnergy(nn.Module):
    """Hears the energy in each cue's band, and nothing else.

    Waveforms (batch, samples) → logits (batch, 1 + cues): that of a cue with energy E in
    its band is STEEPNESS · log(1 + E / THRESHOLD), that of NONE the same at the threshold.
    The logarithm keeps loud cues from saturating the probabilities; the 1 in it keeps
    silence, where a path of integrated gradients begins, at 0 with a slope that is finite.
    Energy is the integral over time, so that silence around a clip alters nothing.
    """

    def __init__(self, sample_rate: int) -> None:
        """Read waveforms at ``sample_rate`` Hz."""
        super().__init__()
        self.sample_rate = sample_rate

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits (batch, 1 + cues) of waveforms (batch, samples) of any length."""
        samples = waveform.shape[-1]
        power = torch.fft.rfft(waveform).abs().square()
        hertz = torch.fft.rfftfreq(samples, 1 / self.sample_rate, device=waveform.device)
        bands = [power[:, (hertz >= low) & (hertz <= high)].sum(-1) for low, high in CUES.values()]
        # Parseval: a real waveform has each of these frequencies twice, as ±f.
        energy = 2 * torch.stack(bands, dim=-1) / (samples * self.sample_rate)
        heard = torch.nn.functional.pad(energy / THRESHOLD, (1, 0), value=1.0)
        return STEEPNESS * torch.log1p(heard)


def planted_model(sample_rate: int = 16000) -> Model:
    """Make the model that decides by the cue alone: labels NONE and those of CUES."""
    _check_rate(sample_rate)
    return wrap(BandEnergy(sample_rate), sample_rate=sample_rate, labels=(NONE, *CUES))


def load(sample_rate: str) -> Model:
    """Make planted_model by reference, ``planted:`` or ``planted:8000``."""
    if sample_rate and not sample_rate.isdecimal():
        raise XplainError(f"planted:{sample_rate} is not planted: with a sample rate, planted:8000")
    return planted_model(int(sample_rate or 16000))


def _check_rate(sample_rate: int) -> None:
    if sample_rate < 8000:
        raise XplainError(
            f"cues reach up to 3200 Hz, so a sample rate of {sample_rate} Hz cannot hold them; "
            "give 8000 Hz or more"
        )


def _chirp(
    rng: np.random.Generator, length: int, low: float, high: float, sample_rate: int
) -> Samples:
    """Glide over the middle half of a band, up or down, with soft ends: (length,), peak 1."""
    quarter = (high - low) / 4
    ends = rng.permutation([low + quarter, high - quarter])
    phase = 2 * np.pi * np.cumsum(np.linspace(ends[0], ends[1], length)) / sample_rate
    fade = np.cumsum(np.kaiser(round(EDGE * sample_rate), EDGE_BETA))
    envelope = np.ones(length)
    envelope[: len(fade)] = fade / fade[-1]
    envelope *= envelope[::-1]
    return envelope * np.sin(phase + rng.uniform(0, 2 * np.pi))


def _without_bands(sound: Samples, sample_rate: int) -> Samples:
    """The background at its level, with nothing in any cue's band: (samples,) → the same."""
    # From silence to silence: a step at the ends would spread into the bands as soon as
    # the clip is lengthened or resampled.
    fade = np.sin(np.linspace(0, np.pi / 2, round(0.05 * sample_rate))) ** 2
    faded = sound.copy()
    faded[: len(fade)] *= fade
    faded[-len(fade) :] *= fade[::-1]
    hertz = np.fft.rfftfreq(len(sound), 1 / sample_rate)
    gain = np.ones(len(hertz))
    for low, high in CUES.values():
        distance = np.maximum(np.maximum(low - hertz, hertz - high), 0)
        gain *= np.sin(np.pi / 2 * np.clip(distance / GUARD, 0, 1)) ** 2
    free = np.fft.irfft(np.fft.rfft(faded) * gain, n=len(sound))
    rms = float(np.sqrt(np.mean(free**2)))
    return free * (BACKGROUND_RMS / rms)


def _tensor(sound: Samples) -> Tensor:
    return torch.from_numpy(sound.astype(np.float32))
