"""Sounds to hide a cue in: made here, from a generator, so that no recording is needed.

None of them is meant to be taken for the real thing. Each has what makes its kind hard
for an explanation: speech comes and goes in syllables, music has tones that stand out as
a cue does, noise is everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.floating[Any]]
Background = Callable[[np.random.Generator, int, int], Samples]
"""(generator, number of samples, sample rate in Hz) → (samples,), of any level."""

VOWELS = np.array(
    [
        (270.0, 2290.0, 3010.0),  # beet
        (530.0, 1840.0, 2480.0),  # bet
        (660.0, 1720.0, 2410.0),  # bat
        (730.0, 1090.0, 2440.0),  # father
        (570.0, 840.0, 2410.0),  # bought
        (300.0, 870.0, 2240.0),  # boot
    ]
)
"""Hz of the first three formants, as men speak (Peterson, Barney 1952, table II)."""

BANDWIDTHS = np.array([60.0, 90.0, 150.0])
"""Hz from a formant's centre to where it has lost 6 dB."""

FORMANT_LEVELS = np.array([1.0, 0.6, 0.35])

HIGHEST_HARMONIC = 8000.0
"""Hz; voices have little above."""

CHORDS = ((0, 4, 7), (-5, -1, 2), (-3, 0, 4), (-7, -3, 0))
"""Semitones from the key's root: I, V, vi, IV."""


@dataclass(frozen=True)
class Syllable:
    """One syllable: when (seconds), how high (Hz), which vowel, whether a hiss begins it."""

    start: float
    length: float
    pitch: float
    vowel: int
    hiss: bool


def speech(rng: np.random.Generator, samples: int, sample_rate: int) -> Samples:
    """Speech-like: about four syllables a second, with pauses, a moving pitch and formants."""
    time = np.arange(samples) / sample_rate
    syllables = _syllables(rng, samples / sample_rate)
    centres = [s.start + s.length / 2 for s in syllables]
    pitch = np.interp(time, centres, [s.pitch for s in syllables])
    loudness = np.zeros(samples)
    hiss = np.zeros(samples)
    for s in syllables:
        # A person says a vowel about as loud whichever it is; the stress differs.
        loudness += rng.uniform(0.5, 1.0) * _arch(time, s.start, s.length)
        if s.hiss:
            hiss += _arch(time, s.start - 0.04, 0.08)
    formants = [np.interp(time, centres, [f[s.vowel] for s in syllables]) for f in VOWELS.T]
    voiced = loudness * _voice(pitch, formants, sample_rate)
    unvoiced = hiss * _shaped(rng, samples, sample_rate, _sibilance)
    return voiced / _rms(voiced) + 0.25 * unvoiced / _rms(unvoiced)


def music(rng: np.random.Generator, samples: int, sample_rate: int) -> Samples:
    """Music-like: chords of decaying harmonic notes, a melody and a beat."""
    beat = 60 / rng.uniform(90, 140)
    root = rng.integers(48, 60)  # MIDI: 48 is the C below middle C
    sound = np.zeros(samples)
    for number in range(int(np.ceil(samples / sample_rate / beat))):
        chord = root + np.array(CHORDS[number // 2 % len(CHORDS)])
        start = number * beat
        if number % 2 == 0:
            for key in (chord[0] - 12, *chord):
                sound += _note(key, start, 2 * beat, samples, sample_rate)
        melody = rng.choice(chord) + 12
        sound += 1.5 * _note(melody, start, beat, samples, sample_rate)
        sound += 0.3 * _beat(rng, start, samples, sample_rate)
    return sound


def noise(rng: np.random.Generator, samples: int, sample_rate: int) -> Samples:
    """Coloured noise: its power falls with frequency to a power between 0 (white) and 2."""
    tilt = rng.uniform(0.0, 2.0)
    # Below 50 Hz nobody hears it, and the power there would have no bound.
    return _shaped(rng, samples, sample_rate, lambda hertz: np.maximum(hertz, 50.0) ** (-tilt / 2))


BACKGROUNDS: Mapping[str, Background] = {"speech": speech, "music": music, "noise": noise}


def _syllables(rng: np.random.Generator, seconds: float) -> list[Syllable]:
    speaker = rng.uniform(90, 210)
    start, found = rng.uniform(0.0, 0.1), []
    while start < seconds:
        length = rng.uniform(0.13, 0.24)
        # The pitch falls over a phrase, and every syllable has its own accent.
        pitch = speaker * (1.1 - 0.08 * start) * rng.uniform(0.88, 1.14)
        vowel = int(rng.integers(len(VOWELS)))
        found.append(Syllable(start, length, max(pitch, 60.0), vowel, bool(rng.random() < 0.6)))
        pause = rng.uniform(0.2, 0.35) if rng.random() < 0.15 else rng.uniform(0.02, 0.07)
        start += length + pause
    return found


def _voice(pitch: Samples, formants: list[Samples], sample_rate: int) -> Samples:
    """Harmonics of pitch (samples,) Hz, each as loud as the resonances make it."""
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
    highest = min(HIGHEST_HARMONIC, 0.48 * sample_rate)
    sound = np.zeros(len(pitch))
    for harmonic in range(1, int(highest / pitch.min()) + 1):
        hertz = harmonic * pitch
        gain = sum(
            level / (1 + ((hertz - centre) / width) ** 2)
            for centre, width, level in zip(formants, BANDWIDTHS, FORMANT_LEVELS, strict=True)
        )
        # Let out gently what the moving pitch carries beyond the limit: a step would click.
        sound += gain * np.clip((highest - hertz) / 200, 0, 1) * np.sin(harmonic * phase)
    return sound


def _note(key: int, start: float, length: float, samples: int, sample_rate: int) -> Samples:
    """A plucked note of eight harmonics; key: MIDI number, 69 is 440 Hz."""
    time = np.arange(samples) / sample_rate - start
    pitch = 440.0 * 2 ** ((key - 69) / 12)
    envelope = np.clip(time / 0.01, 0, 1) * np.exp(-np.maximum(time, 0) / 0.5)
    envelope *= np.clip((length - time) / 0.05, 0, 1)
    sound = np.zeros(samples)
    for harmonic in range(1, 9):
        if harmonic * pitch < 0.48 * sample_rate:
            sound += harmonic**-1.2 * np.sin(2 * np.pi * harmonic * pitch * time)
    return envelope * sound


def _beat(rng: np.random.Generator, start: float, samples: int, sample_rate: int) -> Samples:
    time = np.arange(samples) / sample_rate - start
    return (time >= 0) * np.exp(-np.maximum(time, 0) / 0.03) * rng.standard_normal(samples)


def _sibilance(hertz: Samples) -> Samples:
    """Gain of a hiss like that of an s: broad, around 5 kHz."""
    return 1 / (1 + ((hertz - 5000) / 1500) ** 2)


def _shaped(
    rng: np.random.Generator, samples: int, sample_rate: int, gain: Callable[[Samples], Samples]
) -> Samples:
    """White noise with a gain for every frequency in Hz: (samples,)."""
    spectrum = np.fft.rfft(rng.standard_normal(samples))
    hertz = np.fft.rfftfreq(samples, 1 / sample_rate)
    return np.fft.irfft(spectrum * gain(hertz), n=samples)


def _arch(time: Samples, start: float, length: float) -> Samples:
    """Half a sine over a span of seconds, zero elsewhere."""
    arch: Samples = np.sin(np.pi * np.clip((time - start) / length, 0, 1))
    return arch


def _rms(sound: Samples) -> float:
    """Root of the mean square; 1 for silence, which needs no scaling."""
    return float(np.sqrt(np.mean(sound**2))) or 1.0
