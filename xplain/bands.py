"""Which frequencies speak for a label: critical bands by their share of what does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xplain.segments import Band

Numbers = npt.NDArray[np.float64]

CRITICAL = (
    *(0.0, 100.0, 200.0, 300.0, 400.0, 510.0, 630.0, 770.0, 920.0, 1080.0, 1270.0, 1480.0),
    *(1720.0, 2000.0, 2320.0, 2700.0, 3150.0, 3700.0, 4400.0, 5300.0, 6400.0, 7700.0, 9500.0),
    *(12000.0, 15500.0),
)
"""Hz: borders of the critical bands of hearing (Zwicker 1961); the last goes on to the end."""

MOST = 0.5
"""As many bands are named as it takes to reach this share of all that speaks for a label."""


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
