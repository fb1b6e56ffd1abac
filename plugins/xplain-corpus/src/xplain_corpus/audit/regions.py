"""Where positive evidence lies, beside the shares of energy and of time of the same regions."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xplain_corpus.audit.sound import FRAME, Samples, ends

Numbers = npt.NDArray[np.float64]

EDGE = 0.02
"""Seconds at each end that are called the clip's edges."""
BANDS = (0.0, 100.0, 300.0, 1000.0, 2000.0, 3400.0, 8000.0, np.inf)
"""Borders in Hz."""
CUT = 0.999
"""Share of the energy below which a codec is taken to have cut."""


@dataclass(frozen=True)
class Share:
    """Of one region of one clip: shares of positive evidence, energy, and time × frequency."""

    region: str
    evidence: float
    energy: float
    area: float


def shares(
    attribution: Numbers, frequencies: Numbers | None, samples: Samples, rate: int
) -> list[Share]:
    """Shares of each region of a clip.

    attribution: (D, N). frequencies: Hz (D,) of its channels; None where they are none, so that
    only regions in time are told apart.
    """
    power = spectrogram(samples, rate)
    hertz = np.linspace(0, rate / 2, power.shape[0])
    positive = attribution.clip(min=0)
    total, energy = max(positive.sum(), 1e-30), max(power.sum(), 1e-30)
    seconds = len(samples) / rate
    found = []
    for name, (times, low, high) in _regions(samples, rate, power, hertz).items():
        at = times[_frames(positive.shape[1], len(times))]
        own = times[_frames(power.shape[1], len(times))]
        inside = (hertz >= low) & (hertz < high)
        if frequencies is None and (low > 0 or high < np.inf):
            continue
        rows = (
            np.ones(len(positive), bool)
            if frequencies is None
            else ((frequencies >= low) & (frequencies < high))
        )
        found.append(
            Share(
                name,
                float(positive[np.ix_(rows, at)].sum() / total),
                float(power[np.ix_(inside, own)].sum() / energy),
                float(times.mean() * inside.mean()) if seconds else 0.0,
            )
        )
    return found


def spectrogram(samples: Samples, rate: int) -> Numbers:
    """Power (F, frames), with a step of FRAME."""
    size, step = 512, max(1, round(FRAME * rate))
    padded = np.pad(samples, (size // 2, size // 2 + size))
    parts = np.lib.stride_tricks.sliding_window_view(padded, size)[: len(samples) : step]
    found: Numbers = np.square(np.abs(np.fft.rfft(parts * np.hanning(size)))).T
    return found


def _regions(
    samples: Samples, rate: int, power: Numbers, hertz: Numbers
) -> dict[str, tuple[npt.NDArray[np.bool_], float, float]]:
    """Each region: which frames, and from which frequency to which."""
    found = ends(samples, rate)
    count = len(found.active)
    at = (np.arange(count) + 0.5) * FRAME
    whole = np.ones(count, bool)
    last = count * FRAME
    leading, trailing = at < found.leading, at > last - found.trailing
    middle = ~leading & ~trailing
    cumulated = np.cumsum(power.sum(axis=1)) / max(power.sum(), 1e-30)
    cut = float(hertz[min(int(np.searchsorted(cumulated, CUT)) + 1, len(hertz) - 1)])
    regions = {
        "leading silence": (leading, 0.0, np.inf),
        "trailing silence": (trailing, 0.0, np.inf),
        "sound": (middle & found.active, 0.0, np.inf),
        "pauses": (middle & ~found.active, 0.0, np.inf),
        "clip edges": ((at < EDGE) | (at > last - EDGE), 0.0, np.inf),
        f"above {CUT:.1%} of the energy": (whole, cut, np.inf),
    }
    for low, high in itertools.pairwise(BANDS):
        if low < rate / 2:
            regions[f"{low:g}–{min(high, rate / 2):g} Hz"] = (whole, low, high)
    levels = found.active
    if levels.any() and not levels.all():
        loud = np.zeros(count, bool)
        order = np.argsort(-power.sum(axis=0))[: max(1, power.shape[1] // 10)]
        loud[np.minimum(order, count - 1)] = True
        regions["loudest tenth of the frames"] = (loud, 0.0, np.inf)
    return regions


def _frames(wanted: int, there: int) -> npt.NDArray[np.int64]:
    """Which of ``there`` frames lies at each of ``wanted`` that span the same time."""
    return np.minimum(((np.arange(wanted) + 0.5) * there / wanted).astype(np.int64), there - 1)
