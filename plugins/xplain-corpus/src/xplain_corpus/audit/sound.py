"""Where sound is in a clip: frames, silence at both ends, speech-like bursts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Samples = npt.NDArray[np.float64]

FRAME = 0.01
"""Seconds of a frame."""
SILENT = 35.0
"""dB under the loudest frames, from which a frame is silent."""
LOUDEST = 95
"""Percentile of the frames' levels that is called the loudest, so that no click is."""
FLOOR = -100.0
"""dB of full scale, below which nothing is told apart."""


def decibels(power: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """10 log10, from FLOOR up."""
    found: npt.NDArray[np.float64] = 10 * np.log10(np.maximum(power, 10 ** (FLOOR / 10)))
    return found


def level(samples: Samples) -> float:
    """Root mean square in dB of full scale."""
    return float(decibels(np.mean(np.square(samples))))


def frames(samples: Samples, rate: int) -> npt.NDArray[np.float64]:
    """Level of each frame in dB."""
    size = max(1, round(FRAME * rate))
    whole = len(samples) // size * size
    if not whole:
        return decibels([np.mean(np.square(samples))])
    return decibels(np.square(samples[:whole]).reshape(-1, size).mean(axis=1))


@dataclass(frozen=True)
class Ends:
    """Seconds of silence at both ends, and whether each frame between is silent."""

    leading: float
    trailing: float
    active: npt.NDArray[np.bool_]


def ends(samples: Samples, rate: int) -> Ends:
    """Find the silence at both ends: what is SILENT below the loudest frames."""
    levels = frames(samples, rate)
    active = levels > max(np.percentile(levels, LOUDEST) - SILENT, FLOOR)
    # A single frame is a click, and no beginning.
    joined = active & (np.r_[active[1:], False] | np.r_[False, active[:-1]])
    chosen = joined if joined.any() else active
    where = np.flatnonzero(chosen)
    if not len(where):
        return Ends(0.0, 0.0, active)
    return Ends(where[0] * FRAME, (len(levels) - 1 - where[-1]) * FRAME, active)
