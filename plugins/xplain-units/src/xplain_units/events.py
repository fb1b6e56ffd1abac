"""Events: what sounds between an onset and an offset, found by the change of the spectrum."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import scipy.ndimage
import scipy.signal

from xplain import Clip, Grouping, Groups
from xplain_units.spans import Span, in_time

Numbers = npt.NDArray[np.float64]

WINDOW, HOP = 0.032, 0.01
"""Seconds of a spectrum, and from one to the next."""
SPAN = 0.06
"""Seconds before and after a moment whose spectra are compared."""
BANDS = 24
"""Bands of equal width on the mel scale in which the change is measured."""
FLOOR = 1e-3
"""Of the largest power, which is silence."""


class Events(Grouping):
    """One group from each border to the next, over all channels; borders are onsets and offsets.

    A border is a moment at which the spectrum changes: the mean over mel bands of the change of
    log power, onsets and offsets alike (Foote 2000, "Automatic audio segmentation using a
    measure of audio novelty", with half-wave rectification left out), has a peak that is
    ``threshold`` times its median above the median.
    """

    def __init__(self, threshold: float = 2.0, shortest: float = 0.1) -> None:
        """Find borders that are at least ``shortest`` seconds apart."""
        if threshold <= 0 or shortest <= 0:
            raise ValueError("threshold and shortest are over 0")
        self.threshold = threshold
        self.shortest = shortest

    def groups(self, clip: Clip) -> Groups:
        """Group the frames between borders."""
        change = novelty(
            clip.waveform.detach().cpu().double().numpy(), clip.synthesizer.sample_rate
        )
        middle = float(np.median(change))
        peaks, _ = scipy.signal.find_peaks(
            change,
            height=middle * (1 + self.threshold),
            prominence=middle * self.threshold / 2,
            distance=max(1, round(self.shortest / HOP)),
        )
        borders = [0.0, *(float(peak) * HOP for peak in peaks), clip.duration + HOP]
        return in_time(
            [_span(start, end, clip.duration) for start, end in itertools.pairwise(borders)],
            clip,
            "rest",
        )


def _span(start: float, end: float, duration: float) -> Span:
    return f"{start:.2f}–{min(end, duration):.2f} s", start, end


def novelty(samples: Numbers, rate: int) -> Numbers:
    """The change of the spectrum at every HOP seconds: (frames,), frame t at t · HOP."""
    size, hop = round(WINDOW * rate), round(HOP * rate)
    padded = np.pad(samples, size)
    starts = np.arange(0, len(samples) + hop, hop) + size - size // 2
    frames = padded[np.minimum(starts[:, None] + np.arange(size), len(padded) - 1)]
    power = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1)) ** 2
    hertz = np.fft.rfftfreq(size, 1 / rate)
    mel = 2595 * np.log10(1 + hertz / 700)
    band = np.minimum((mel / mel[-1] * BANDS).astype(int), BANDS - 1)
    bands = np.zeros((len(power), BANDS))
    np.add.at(bands.T, band, power.T)
    level = np.log(bands + FLOOR * bands.max() + 1e-12)
    width = max(1, round(SPAN / HOP))
    around = np.pad(level, ((width, width), (0, 0)), mode="edge")
    sums = np.cumsum(np.pad(around, ((1, 0), (0, 0))), axis=0)
    means = (sums[width:] - sums[:-width]) / width
    difference = np.abs(means[width:] - means[:-width])[: len(level)]
    # The few bands that change most: an event need not fill the spectrum.
    largest = np.sort(difference, axis=1)[:, -BANDS // 4 :]
    smooth: Numbers = scipy.ndimage.gaussian_filter1d(largest.mean(axis=1), 1.5)
    return smooth
