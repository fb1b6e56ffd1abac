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
SPAN = 0.1
"""Seconds before and after a moment whose power is compared."""
BANDS = 24
"""Bands of equal width on the mel scale in which the change is measured."""
LARGEST = 3
"""Bands that change most: an event need not fill the spectrum."""
FLOOR = 1e-4
"""Of the largest power, which is silence."""
STEADY = 0.3
"""Change of the logarithm of power that is added to what is usual in a band."""


class Events(Grouping):
    """One group from each border to the next, over all channels; borders are onsets and offsets.

    A border is a moment at which the spectrum changes more than usual, whether something begins
    or ends (novelty in the sense of Foote 2000): a peak that is ``threshold`` of the median over
    the median. It is found in a few bands, each by what is usual there, so that what begins in
    a part of the spectrum is heard over steady noise in the rest.
    """

    def __init__(self, threshold: float = 0.6, shortest: float = 0.1) -> None:
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
            height=max(1.0, middle * (1 + self.threshold)),
            prominence=middle * self.threshold / 2,
            distance=max(1, round(self.shortest / HOP)),
        )
        # At its ends a clip begins and ends, whatever sounds there.
        times = [
            t for t in peaks * HOP if self.shortest / 2 < t < clip.duration - self.shortest / 2
        ]
        borders = [0.0, *times, clip.duration + HOP]
        return in_time(
            [_span(start, end, clip.duration) for start, end in itertools.pairwise(borders)],
            clip,
            "rest",
        )


def _span(start: float, end: float, duration: float) -> Span:
    return f"{start:.2f}–{min(end, duration):.2f} s", start, end


def novelty(samples: Numbers, rate: int) -> Numbers:
    """How unusual the change of the spectrum is at t · HOP seconds: (frames,)."""
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
    bands = scipy.ndimage.uniform_filter1d(bands, 3, axis=1, mode="nearest")
    width = max(1, round(SPAN / HOP))
    around = np.pad(bands, ((width, width), (0, 0)), mode="edge")
    sums = np.cumsum(np.pad(around, ((1, 0), (0, 0))), axis=0)
    level = np.log((sums[width:] - sums[:-width]) / width + FLOOR * bands.max() + 1e-12)
    change = np.abs(level[width:] - level[:-width])[: len(bands)]
    unusual = change / (np.median(change, axis=0) + STEADY)
    most = np.sort(unusual, axis=1)[:, -LARGEST:].mean(axis=1)
    smooth: Numbers = scipy.ndimage.gaussian_filter1d(most, 1.5)
    return smooth
