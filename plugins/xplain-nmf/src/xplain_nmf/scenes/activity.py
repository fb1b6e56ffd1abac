"""When something is heard: frame-wise activity of clean stems, by their energy.

Frames are 20 ms: frame t is samples 320 t to 320 t + 320 at 16 kHz; the last one may be cut
short, and the missing samples count as silence. A clip is active where its frame's power is
not further below the clip's level than a range, and in gaps shorter than a pause:

| | range | pause filled |
|---|---|---|
| speech | 30 dB | 0.2 s |
| music, noise | 40 dB | 0.6 s (beats, ticks and barks are one sound) |

The level is Σp²/Σp over frame powers p, so that silence around a word does not lower it. In a
mixture, what is more than 30 dB below everything else together (powers averaged over half a
second) is not heard, and counts as not active.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt

FRAME = 320  # samples at 16 kHz, 20 ms
RANGES = {"speech": 30.0, "music": 40.0, "noise": 40.0}  # dB below the clip's level
PAUSES = {"speech": 10, "music": 30, "noise": 30}  # frames; shorter ones are filled
QUIET = 1e-10  # power, -100 dB re full scale: nothing is active below
MASKED = 30.0  # dB below all else
SMOOTHING = 25  # frames, half a second

Samples = npt.NDArray[np.float32]
Frames = npt.NDArray[np.bool_]


def frames(samples: int) -> int:
    """How many frames so many samples have."""
    return -(-samples // FRAME)


def power(waveform: Samples) -> npt.NDArray[np.float64]:
    """Mean square of each frame: (..., samples) → (..., frames)."""
    short = -waveform.shape[-1] % FRAME
    padded = np.pad(waveform, [(0, 0)] * (waveform.ndim - 1) + [(0, short)])
    cut = padded.reshape(*padded.shape[:-1], -1, FRAME)
    squares: npt.NDArray[np.float64] = np.einsum("...s,...s->...", cut, cut) / FRAME
    return squares.astype(np.float64)


def level(powers: npt.NDArray[np.float64]) -> float:
    """The power of the loud part, from frame powers (frames,); 0 of silence."""
    total = powers.sum()
    return float((powers**2).sum() / total) if total > 0 else 0.0


def activity(waveform: Samples, kind: str) -> Frames:
    """Where a clean clip (samples,) at 16 kHz of a kind (speech, music, noise) is heard."""
    powers = power(waveform)
    lowest = max(level(powers) * 10 ** (-RANGES[kind] / 10), QUIET)
    return fill_pauses(powers > lowest, PAUSES[kind])


def fill_pauses(active: Frames, longest: int) -> Frames:
    """Activate gaps of fewer than ``longest`` frames between two active ones."""
    filled = active.copy()
    edges = np.flatnonzero(active)
    for before, after in pairwise(edges):
        if after - before <= longest:
            filled[before:after] = True
    return filled


def audible(stems: Samples) -> Frames:
    """Where each of (stems, samples) is not covered by the others together: (stems, frames)."""
    powers = power(stems)
    kernel = np.ones(SMOOTHING) / SMOOTHING
    # Cut to the frames: "same" gives as many as the kernel has where that is longer.
    middle = slice(SMOOTHING // 2, SMOOTHING // 2 + powers.shape[-1])
    smooth = np.stack([np.convolve(row, kernel)[middle] for row in powers])
    others = smooth.sum(axis=0) - smooth
    heard: Frames = smooth > others * 10 ** (-MASKED / 10)
    return heard


def label_frames(active: Frames, heard: Frames) -> npt.NDArray[np.uint8]:
    """Speech, music, noise, overlap of each frame: (frames, 4), 0 or 1.

    active, heard: (4, frames), of the first speaker, the second, music and noise. Overlap is
    where both speakers are heard.
    """
    first, second, music, noise = active & heard
    return np.stack([first | second, music, noise, first & second], axis=1).astype(np.uint8)
