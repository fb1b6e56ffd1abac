"""Which frequencies speak for a label: critical bands by their share of what does.

A part, or an element of a representation, that speaks for the label by some amount does so
where it lies in the spectrum. What speaks against it is left out, before anything is added up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from xplain.errors import PluginError
from xplain.interfaces import Synthesizer

Numbers = npt.NDArray[np.float64]

CRITICAL = (
    *(0.0, 100.0, 200.0, 300.0, 400.0, 510.0, 630.0, 770.0, 920.0, 1080.0, 1270.0, 1480.0),
    *(1720.0, 2000.0, 2320.0, 2700.0, 3150.0, 3700.0, 4400.0, 5300.0, 6400.0, 7700.0, 9500.0),
    *(12000.0, 15500.0),
)
"""Hz: borders of the critical bands of hearing (Zwicker 1961); the last goes on to the end."""

MOST = 0.5
"""As many bands are named as it takes to reach this share of all that speaks for a label."""


@dataclass(frozen=True)
class Band:
    """A range of frequencies: low to high in Hz.

    share: of all that speaks for the label, how much lies here (0 to 1).
    """

    low: float
    high: float
    share: float

    def __str__(self) -> str:
        """As people read it."""
        return f"{self.low:,.0f}–{self.high:,.0f} Hz {self.share:.0%}"


class Spectrum:
    """The critical bands of a spectrum of F frequencies."""

    def __init__(self, frequencies: Sequence[float]) -> None:
        """Sort frequencies (F,), in Hz, into bands."""
        top = max(frequencies)
        self._borders = [border for border in CRITICAL if border < top] + [float(top)]
        self._band = np.searchsorted(self._borders[1:-1], frequencies, side="right")

    def totals(self, evidence: Numbers) -> Numbers:
        """Sum evidence (…, F) within each band: (…, bands)."""
        totals = np.zeros((*evidence.shape[:-1], len(self._borders) - 1))
        np.add.at(totals.T, self._band, evidence.T)
        return totals

    def places(self, spectra: Numbers) -> Numbers:
        """How much of each spectrum (…, F) lies in each band: (…, bands), together 1.

        Together 0 where a spectrum is zero: what has none lies nowhere.
        """
        totals = self.totals(spectra)
        shares: Numbers = totals / np.maximum(
            totals.sum(axis=-1, keepdims=True), np.finfo(float).tiny
        )
        return shares

    def named(self, totals: Numbers) -> tuple[Band, ...]:
        """The fewest bands that hold MOST of their totals (bands,), neighbours joined.

        By their shares, the largest first; none where there is nothing.
        """
        total = float(totals.sum())
        if not total > 0:
            return ()
        order = np.argsort(-totals, kind="stable")
        count = int(np.searchsorted(np.cumsum(totals[order]) / total, MOST - 1e-9)) + 1
        chosen = sorted(order[:count].tolist())
        bands: list[Band] = []
        for number in chosen:
            low, high = self._borders[number], self._borders[number + 1]
            share = float(totals[number]) / total
            if bands and bands[-1].high == low:
                joined = bands.pop()
                bands.append(Band(joined.low, high, joined.share + share))
            else:
                bands.append(Band(low, high, share))
        return tuple(sorted(bands, key=lambda band: -band.share))


def bands_of(attribution: Tensor, synthesizer: Synthesizer) -> tuple[Band, ...] | None:
    """Where in the spectrum lies what an attribution (D, N) gives a label, all of it above zero.

    None where it is not known where the synthesizer's channels lie. Raises PluginError where what
    it says of them cannot be.
    """
    name = type(synthesizer).__name__
    evidence = numbers(attribution).clip(min=0).sum(axis=1)
    if synthesizer.frequencies is not None:
        if len(synthesizer.frequencies) != len(evidence):
            raise PluginError(
                f"{name} names {len(synthesizer.frequencies)} frequencies for {len(evidence)} "
                "channels; it has to name one for each, or none"
            )
        spectrum = _spectrum(name, synthesizer.frequencies)
        return spectrum.named(spectrum.totals(evidence))
    if synthesizer.spectra is None:
        return None
    spectra, frequencies = numbers(synthesizer.spectra[0]), synthesizer.spectra[1]
    good = np.isfinite(spectra).all() and (spectra >= 0).all()
    if spectra.shape != (len(evidence), len(frequencies)) or not good:
        raise PluginError(
            f"{name} gives spectra {spectra.shape} over {len(frequencies)} frequencies for "
            f"{len(evidence)} channels: they are (channels, frequencies), finite and not negative"
        )
    spectrum = _spectrum(name, frequencies)
    return spectrum.named(evidence @ spectrum.places(spectra))


def _spectrum(name: str, frequencies: Sequence[float]) -> Spectrum:
    hertz = [float(frequency) for frequency in frequencies]
    if not all(0 <= frequency < math.inf for frequency in hertz) or not any(hertz):
        raise PluginError(f"{name} names frequencies that are none: they are 0 Hz and more")
    return Spectrum(hertz)


def numbers(tensor: Tensor) -> Numbers:
    """A tensor, wherever it is, in double precision."""
    found: Numbers = tensor.detach().cpu().double().numpy()
    return found
