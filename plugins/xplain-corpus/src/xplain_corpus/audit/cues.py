"""Cues that a recording may carry and a label should not rest on: measured, planted, removed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from xplain_corpus.audit.sound import FRAME, Samples, decibels, ends, level

HARMONICS = (1, 2, 3)
BESIDE = 9.0
"""Hz from a line of mains hum to where its surroundings are measured."""
EDGE_FROM = 400.0
"""Hz above which a band limit is looked for."""
CLICK = 0.002
"""Seconds of a click, and of what replaces it."""
AROUND = 0.03
"""Seconds around a click that it stands out from."""


class Cue(ABC):
    """Something that recordings have more or less of.

    rare: whether only having it can be a cue, and not lacking it. least: as much of it clips have
    that have it; less is in many a recording, and a word's own. fit() learns from the corpus
    what it is like in clips that have it; before that, nothing can be planted or removed.
    """

    name: str
    unit: ClassVar[str]
    rare: ClassVar[bool] = True
    least: ClassVar[float] = -np.inf

    @abstractmethod
    def amount(self, samples: Samples, rate: int) -> float:
        """How much of it is in a clip."""

    @abstractmethod
    def fit(self, having: Sequence[Samples], lacking: Sequence[Samples], rate: int) -> None:
        """Learn what it is like in clips that have it, beside those that do not."""

    @abstractmethod
    def planted(self, samples: Samples, rate: int) -> Samples:
        """A clip with as much of it as clips have that have it."""

    @abstractmethod
    def removed(self, samples: Samples, rate: int) -> Samples:
        """A clip with as little of it as clips have that lack it."""


class Hum(Cue):
    """A tone of the mains and its harmonics: its level over what is beside it, in dB."""

    unit = "dB over its surroundings"
    least = 10.0

    def __init__(self, hertz: int) -> None:
        """Take the frequency of the mains."""
        self.name = f"mains hum at {hertz} Hz"
        self._hertz = hertz
        self._amplitudes: list[float] = []

    def amount(self, samples: Samples, rate: int) -> float:
        """Power of the lines over that beside them."""
        lines = [h * self._hertz for h in HARMONICS if h * self._hertz < rate / 2 - BESIDE]
        own = sum(abs(_line(samples, rate, f)) ** 2 for f in lines)
        away = max(BESIDE, 2 * rate / len(samples))
        beside = sum(
            abs(_line(samples, rate, f + side)) ** 2 / 2 for f in lines for side in (-away, away)
        )
        return float(decibels(own + 1e-9) - decibels(beside + 1e-9))

    def fit(self, having: Sequence[Samples], lacking: Sequence[Samples], rate: int) -> None:
        """Learn how strong each harmonic is; those of voices are in all clips."""
        self._amplitudes = []
        for h in HARMONICS:
            there, else_ = (
                float(np.median([abs(_line(x, rate, h * self._hertz)) for x in group] or [0]))
                for group in (having, lacking)
            )
            self._amplitudes.append(there if there > 2 * else_ else 0.0)

    def planted(self, samples: Samples, rate: int) -> Samples:
        """Add the tone."""
        at = np.arange(len(samples)) / rate
        hum = sum(
            amplitude * np.sin(2 * np.pi * h * self._hertz * at)
            for h, amplitude in zip(HARMONICS, self._amplitudes, strict=True)
        )
        return np.asarray(samples + hum)

    def removed(self, samples: Samples, rate: int) -> Samples:
        """Subtract the tone that fits best."""
        left = samples.copy()
        at = np.arange(len(samples)) / rate
        for h, amplitude in zip(HARMONICS, self._amplitudes, strict=True):
            if amplitude:
                turn = np.exp(2j * np.pi * h * self._hertz * at)
                left -= np.real(_line(left, rate, h * self._hertz) * turn)
        return left


class Silence(Cue):
    """How long it is silent at the beginning or at the end, in seconds."""

    unit = "s"
    rare = False

    def __init__(self, leading: bool) -> None:
        """Say at which end."""
        self.name = f"{'leading' if leading else 'trailing'} silence"
        self._leading = leading
        self._long = self._short = 0.0
        self._fixed = False

    def amount(self, samples: Samples, rate: int) -> float:
        """Seconds."""
        found = ends(samples, rate)
        return found.leading if self._leading else found.trailing

    def fit(self, having: Sequence[Samples], lacking: Sequence[Samples], rate: int) -> None:
        """Learn both lengths; and whether all clips are of one length, which is then kept."""
        lengths = [len(x) / rate for x in (*having, *lacking)]
        self._fixed = max(lengths) - min(lengths) < 2 * FRAME
        self._long, self._short = (
            float(np.median([self.amount(x, rate) for x in group] or [0]))
            for group in (having, lacking)
        )

    def planted(self, samples: Samples, rate: int) -> Samples:
        """Make the silence as long as where it is a cue."""
        return self._set(samples, rate, self._long)

    def removed(self, samples: Samples, rate: int) -> Samples:
        """Make the silence as long as elsewhere."""
        return self._set(samples, rate, self._short)

    def _set(self, samples: Samples, rate: int, seconds: float) -> Samples:
        ordered = samples if self._leading else samples[::-1]
        more = round((seconds - self.amount(samples, rate)) * rate)
        quiet = ordered[: max(0, round(ends(samples, rate).leading * rate))]
        if not self._leading:
            quiet = ordered[: max(0, round(ends(samples, rate).trailing * rate))]
        changed = (
            np.concatenate([_noise(more, quiet), ordered]) if more > 0 else ordered[-more:].copy()
        )
        if self._fixed:
            missing = len(ordered) - len(changed)
            changed = changed[: len(ordered)]
            if missing > 0:
                tail = changed[-max(1, round(FRAME * rate)) :]
                changed = np.concatenate([changed, _noise(missing, tail)])
        return changed if self._leading else changed[::-1].copy()


class BandLimit(Cue):
    """A steep edge above which there is nothing, as codecs and telephones leave it, in dB."""

    name = "band limit"
    unit = "dB of the edge"
    least = 20.0

    def __init__(self) -> None:
        """Nothing is known of the corpus yet."""
        self._hertz = 0.0
        self._above: npt.NDArray[np.float64] | None = None

    def amount(self, samples: Samples, rate: int) -> float:
        """How far the spectrum falls at its steepest edge, below which it does not rise again."""
        return self._edge(samples, rate)[0]

    def fit(self, having: Sequence[Samples], lacking: Sequence[Samples], rate: int) -> None:
        """Learn where the edge is, and what other clips have above it."""
        self._hertz = float(np.median([self._edge(x, rate)[1] for x in having]))
        spectra = [_spectrum(x) for x in lacking]
        self._above = np.mean(spectra, axis=0) if spectra else None

    def planted(self, samples: Samples, rate: int) -> Samples:
        """Leave nothing above the edge."""
        spectrum = np.fft.rfft(samples)
        hertz = np.fft.rfftfreq(len(samples), 1 / rate)
        return np.fft.irfft(np.where(hertz < self._hertz, spectrum, 0), len(samples))

    def removed(self, samples: Samples, rate: int) -> Samples:
        """Fill what is above the edge with noise of the spectrum of other clips."""
        if self._above is None:
            return samples
        hertz = np.fft.rfftfreq(len(samples), 1 / rate)
        power = np.interp(hertz, np.linspace(0, rate / 2, len(self._above)), self._above)
        noise = np.fft.rfft(np.random.default_rng(0).standard_normal(len(samples)))
        envelope = np.abs(samples)
        size = max(1, round(2 * FRAME * rate))
        envelope = np.convolve(envelope, np.ones(size) / size, "same")
        shaped = np.fft.irfft(
            np.where(hertz >= self._hertz, noise * np.sqrt(power), 0), len(samples)
        )
        return np.asarray(samples + shaped * envelope / max(float(envelope.mean()), 1e-9))

    def _edge(self, samples: Samples, rate: int) -> tuple[float, float]:
        power = decibels(_spectrum(samples) + 1e-10)
        hertz = np.linspace(0, rate / 2, len(power))
        smooth = np.convolve(np.pad(power, 2, mode="edge"), np.ones(5) / 5, "valid")
        after = np.maximum.accumulate(smooth[::-1])[::-1]
        total = np.cumsum(np.r_[0.0, power])
        places = np.arange(int(np.searchsorted(hertz, EDGE_FROM)), len(power) * 9 // 10)
        if not len(places):
            return 0.0, rate / 2
        first = (places * 0.8).astype(int)
        below = (total[places] - total[first]) / np.maximum(places - first, 1)
        falls = below - after[(places * 1.1).astype(int)]
        steepest = int(np.argmax(falls))
        return float(falls[steepest]), float(hertz[places[steepest]])


class Click(Cue):
    """A moment of milliseconds that stands out, in dB over what is around it."""

    name = "click"
    unit = "dB over its surroundings"
    least = 25.0

    def __init__(self) -> None:
        """Nothing is known of the corpus yet."""
        self._shape = np.zeros(0)
        self._from_start, self._at = True, 0.0

    def amount(self, samples: Samples, rate: int) -> float:
        """The highest moment over its surroundings, of what changes from sample to sample."""
        return self._highest(samples, rate)[0]

    def fit(self, having: Sequence[Samples], lacking: Sequence[Samples], rate: int) -> None:
        """Learn what the click is like, and whether it lies from the beginning or the end."""
        size = max(2, round(CLICK * rate))
        places = [self._highest(x, rate)[1] for x in having]
        starts = np.array(places) / rate
        backwards = np.array([len(x) / rate for x in having]) - starts
        self._from_start = bool(np.std(starts) <= np.std(backwards))
        self._at = float(np.median(starts if self._from_start else backwards))
        loud = sorted(
            (x[max(0, p - size) : p + size] for x, p in zip(having, places, strict=True)),
            key=lambda part: float(np.abs(part).max(initial=0)),
        )
        self._shape = loud[len(loud) // 2] if loud else np.zeros(0)

    def planted(self, samples: Samples, rate: int) -> Samples:
        """Put the click where it is in clips that have it."""
        place = round((self._at if self._from_start else len(samples) / rate - self._at) * rate)
        place = min(max(0, place - len(self._shape) // 2), max(0, len(samples) - len(self._shape)))
        changed = samples.copy()
        part = changed[place : place + len(self._shape)]
        part[:] = self._shape[: len(part)]
        return changed

    def removed(self, samples: Samples, rate: int) -> Samples:
        """Replace the moment by a straight line."""
        size = max(2, round(CLICK * rate))
        place = self._highest(samples, rate)[1]
        first, last = max(0, place - size), min(len(samples), place + size)
        changed = samples.copy()
        before = changed[first - 1] if first else 0.0
        after = changed[last] if last < len(samples) else 0.0
        changed[first:last] = np.linspace(before, after, last - first)
        return changed

    def _highest(self, samples: Samples, rate: int) -> tuple[float, int]:
        if len(samples) < 4:
            return 0.0, 0
        sharp = np.square(np.diff(samples, 2, prepend=samples[:1], append=samples[-1:]))
        size = max(1, round(AROUND * rate))
        total = np.cumsum(np.r_[0.0, sharp])
        first = np.maximum(np.arange(len(sharp)) - size, 0)
        last = np.minimum(np.arange(len(sharp)) + size, len(sharp))
        near = max(2, round(CLICK * rate))
        a, b = (
            np.maximum(np.arange(len(sharp)) - near, 0),
            np.minimum(np.arange(len(sharp)) + near, len(sharp)),
        )
        outside = total[last] - total[first] - (total[b] - total[a])
        around = outside / np.maximum(last - first - (b - a), 1)
        over = decibels(sharp + 1e-9) - decibels(around + 1e-9)
        place = int(np.argmax(over))
        return float(over[place]), place


class Level(Cue):
    """How loud a clip is, in dB of full scale."""

    name = "level"
    unit = "dB of full scale"
    rare = False

    def __init__(self) -> None:
        """Nothing is known of the corpus yet."""
        self._having = self._lacking = 0.0

    def amount(self, samples: Samples, rate: int) -> float:
        """Root mean square."""
        return level(samples)

    def fit(self, having: Sequence[Samples], lacking: Sequence[Samples], rate: int) -> None:
        """Learn both levels."""
        self._having, self._lacking = (
            float(np.median([level(x) for x in group] or [0])) for group in (having, lacking)
        )

    def planted(self, samples: Samples, rate: int) -> Samples:
        """Bring a clip to the level where it is a cue."""
        return np.asarray(samples * 10 ** ((self._having - level(samples)) / 20))

    def removed(self, samples: Samples, rate: int) -> Samples:
        """Bring a clip to the level elsewhere."""
        return np.asarray(samples * 10 ** ((self._lacking - level(samples)) / 20))


def all_cues() -> tuple[Cue, ...]:
    """Every cue that an audit looks for."""
    return Hum(50), Hum(60), Silence(True), Silence(False), BandLimit(), Click(), Level()


def _line(samples: Samples, rate: int, hertz: float) -> complex:
    """Complex amplitude of a frequency in a clip."""
    window = np.hanning(len(samples) + 2)[1:-1]
    turn = np.exp(-2j * np.pi * hertz * np.arange(len(samples)) / rate)
    return complex(2 * np.sum(samples * window * turn) / np.sum(window))


def _spectrum(samples: Samples, size: int = 512) -> npt.NDArray[np.float64]:
    """Mean power of each frequency over time: (size / 2 + 1,)."""
    padded = np.pad(samples, (0, max(0, size - len(samples))))
    parts = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 2]
    found: npt.NDArray[np.float64] = (
        np.square(np.abs(np.fft.rfft(parts * np.hanning(size)))).mean(axis=0) / size
    )
    return found


def _noise(samples: int, like: Samples) -> Samples:
    """Noise as loud as a stretch of the clip; silence where there is none."""
    power = float(np.std(like)) if len(like) else 0.0
    return power * np.random.default_rng(0).standard_normal(samples)
