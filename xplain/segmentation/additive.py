"""Why an additive segmenter decided as it did, from the same pass as its decisions.

Over a segment, part k added r_k = weights[c, k] · mean_t parts[k, t] to the mean logit of
label c; all r_k add up to that logit minus the bias. What speaks for the label are the r_k
above zero; each lies in the spectrum as its row of ``spectra`` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from xplain.bands import Band, Numbers, Spectrum, numbers
from xplain.errors import PluginError
from xplain.interfaces import AdditiveSegmenter
from xplain.segmentation.segment import Part
from xplain.segmentation.tracker import Stretch

TOP_PARTS = 8
"""How many parts are named, the largest first."""


class Sums:
    """Sums of parts over stretches of frames, of which only the borders are held.

    Each border that a stretch may have holds the sum of all frames before it. So an hour
    needs no more memory than a minute, where as much is undecided at once.
    """

    def __init__(self, count: int) -> None:
        """Sum ``count`` parts, in double precision."""
        self._total = np.zeros(count)
        self._frames = 0
        self._before: dict[int, Numbers] = {}

    def feed(self, parts: npt.NDArray[np.float32], borders: Iterable[int]) -> None:
        """Take the next parts (n, K), in which stretches may begin or end at borders."""
        first, self._frames = self._frames, self._frames + len(parts)
        self._before[first] = self._total
        if len(parts) == 0:
            return
        starts = sorted({first, *(border for border in borders if border < self._frames)})
        # All pieces at once: a label that flickers has hundreds of borders in a minute.
        pieces = np.add.reduceat(
            parts.T, [start - first for start in starts], axis=1, dtype=np.float64
        )
        totals = self._total[:, None] + pieces.cumsum(axis=1)
        self._before.update(zip([*starts[1:], self._frames], totals.T, strict=True))
        self._total = totals[:, -1].copy()

    def mean(self, stretch: Stretch) -> Numbers:
        """Mean of each part over a stretch between two borders: (K,)."""
        start, end = stretch
        before = self._before[start] if start else 0.0
        return (self._before[end] - before) / (end - start)

    def keep(self, borders: Iterable[int]) -> None:
        """Forget all borders but these and the last one."""
        wanted = {*borders, self._frames}
        self._before = {at: sums.copy() for at, sums in self._before.items() if at in wanted}


class Relevance:
    """What spoke for a label, by parts and by frequencies."""

    def __init__(self, segmenter: AdditiveSegmenter) -> None:
        """Explain by a segmenter's weights and spectra; PluginError where they do not fit."""
        self._weights = numbers(segmenter.weights)
        spectra, frequencies = numbers(segmenter.spectra), numbers(segmenter.frequencies)
        labels, parts = len(segmenter.labels), self._weights.shape[-1]
        if self._weights.shape != (labels, parts) or spectra.shape != (parts, len(frequencies)):
            raise PluginError(
                f"weights {self._weights.shape}, spectra {spectra.shape} and frequencies "
                f"{frequencies.shape} for {labels} labels: an additive segmenter has weights "
                "(labels, parts), spectra (parts, F) and frequencies (F,)"
            )
        if (spectra < 0).any():
            raise PluginError("an additive segmenter's spectra are not negative, and these are")
        self._spectrum = Spectrum(frequencies.tolist())
        self._places = self._spectrum.places(spectra)

    @property
    def record(self) -> dict[str, Any]:
        """How segments are explained and where in the spectrum each part lies, for provenance."""
        parts = [[asdict(band) for band in self._spectrum.named(part)] for part in self._places]
        return {"method": "component relevance: weight × mean activation", "parts": parts}

    def of(self, label: int, means: Numbers) -> tuple[tuple[Band, ...], tuple[Part, ...]]:
        """Bands and largest parts for a label, from the parts' means (K,) over a segment."""
        relevance = self._weights[label] * means
        bands = self._spectrum.named(np.maximum(relevance, 0) @ self._places)
        largest = np.argsort(-np.abs(relevance), kind="stable")[:TOP_PARTS].tolist()
        return bands, tuple(Part(k, float(relevance[k])) for k in largest if relevance[k])
