"""Harmonics: the multiples of a fundamental frequency that glides, and what is between them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from xplain import Clip, Grouping, Groups, PluginError
from xplain_units.spans import by_first

Numbers = npt.NDArray[np.float64]

PERIODIC = 0.5
"""Normalised autocorrelation from which a moment has a pitch."""
NEAR = 0.25
"""Distance from a multiple, in fundamentals, up to which an element belongs to it."""


class Harmonics(Grouping):
    """One group for each harmonic, ``noise`` between them, and ``unvoiced`` where no pitch is.

    The pitch of a frame is the lag at which the autocorrelation of its window, divided by the
    window's own (Boersma 1993), is largest. Harmonics above the last are ``higher``.
    """

    def __init__(self, lowest: float = 70.0, highest: float = 500.0, count: int = 10) -> None:
        """Look for pitches from ``lowest`` to ``highest`` Hz; tell ``count`` harmonics apart."""
        if not 0 < lowest < highest or count < 1:
            raise ValueError("pitches lie between two frequencies over 0; count is at least 1")
        self.lowest = lowest
        self.highest = highest
        self.count = count

    def groups(self, clip: Clip) -> Groups:
        """Group the elements by their harmonic."""
        if clip.frequencies is None:
            raise PluginError(
                "harmonics are frequencies, and the channels of this representation are none; "
                "choose the synthesizer stft"
            )
        samples = clip.waveform.detach().cpu().double().numpy()
        rate, times = clip.synthesizer.sample_rate, clip.frame_times.numpy()
        pitch = np.array([self._pitch(samples, rate, float(time)) for time in times])
        order = np.asarray(clip.frequencies)[:, None] / np.where(pitch > 0, pitch, np.inf)
        number = np.round(order)
        near = (np.abs(order - number) <= NEAR) & (number >= 1)
        numbers = np.where(near, np.minimum(number, self.count + 1), 0)
        numbers = np.where(pitch > 0, numbers, self.count + 2).astype(np.int64)
        names = ["noise", *(f"harmonic {n}" for n in range(1, self.count + 1)), "higher"]
        return by_first(torch.from_numpy(numbers), [*names, "unvoiced"])

    def _pitch(self, samples: Numbers, rate: int, time: float) -> float:
        """Hz around a moment; 0 where there is no pitch."""
        size = round(3 * rate / self.lowest)
        first = round(time * rate) - size // 2
        frame = np.zeros(size)
        inside = samples[max(0, first) : max(0, first + size)]
        frame[max(0, -first) : max(0, -first) + len(inside)] = inside
        window = np.hanning(size)
        frame = (frame - frame.mean()) * window
        if not frame.any():
            return 0.0
        own, windows = _autocorrelation(frame), _autocorrelation(window)
        shortest, longest = int(rate / self.highest), min(int(rate / self.lowest), size // 2)
        lags = np.arange(shortest, longest + 1)
        likeness = own[lags] / own[0] / (windows[lags] / windows[0])
        # A shorter lag of nearly the same likeness: its multiples are as alike.
        good = np.flatnonzero(likeness >= max(PERIODIC, 0.9 * float(likeness.max())))
        if not len(good):
            return 0.0
        end = good[0]
        while end + 1 < len(likeness) and likeness[end + 1] > likeness[end]:
            end += 1
        return rate / float(lags[end])


def _autocorrelation(frame: Numbers) -> Numbers:
    spectrum = np.fft.rfft(frame, 2 * len(frame))
    found: Numbers = np.fft.irfft(np.abs(spectrum) ** 2)[: len(frame)]
    return found
