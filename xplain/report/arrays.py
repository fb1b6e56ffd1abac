"""What pages and plots draw: attributions on even axes, the excerpts of long clips, sound."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

Array = npt.NDArray[np.float64]
Span = tuple[float, float]
Number = TypeVar("Number", np.int16, np.float64)

COLUMNS, ROWS = 800, 400
"""About the pixels of a picture; what is finer is pooled by its largest value."""
CURVE = 400
"""Points of the curve over time; finer frames are added up to as many."""
PERCENTILE, NOTABLE = 99.0, 0.01
"""Full colour is reached at this percentile of the magnitudes that are a notable part of the
largest: so that one outlier pales nothing, and a sparse attribution keeps its shades."""
LONGEST, EXCERPT = 60.0, 10.0
"""Seconds of a clip that a page holds; of longer ones, excerpts of so many seconds."""
LIGHT = 5_500_000
"""Bytes of sound in a page; as base64 a third more."""
BLOCK = 4096
"""Samples that FLAC encodes together, as libFLAC divides them."""
MP3_RATES = 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000


@dataclass(frozen=True)
class Drawn:
    """An attribution as it is drawn: values (rows, columns), row 0 at the bottom.

    end: seconds at the right. bottom, top: Hz or channels. limit: the magnitude of full
    colour; None where everything is zero. largest: the largest magnitude there is.
    """

    values: Array
    end: float
    bottom: float
    top: float
    limit: float | None
    largest: float


def drawn(values: Array, frequencies: Sequence[float] | None, duration: float) -> Drawn:
    """An attribution (D, N) on the axes of its clip: seconds, and Hz or channels.

    The frames are spread evenly over the clip, so frame t lies at (t + ½) / N of it.
    """
    bottom, step = -0.5, 1.0
    if frequencies is not None:
        values, bottom, step = _on_even_rows(values, frequencies)
    channels, frames = values.shape
    wide, high = -(-frames // COLUMNS), -(-channels // ROWS)
    pooled = _pool(_pool(values, 1, wide), 0, high)
    magnitudes = np.abs(pooled)
    largest = float(magnitudes.max(initial=0.0))
    notable = magnitudes[magnitudes >= NOTABLE * largest]
    limit = float(np.percentile(notable, PERCENTILE, method="higher"))
    rows, columns = pooled.shape
    return Drawn(
        values=pooled,
        end=columns * wide / frames * duration,
        bottom=bottom,
        top=bottom + rows * high * step,
        limit=limit if largest > 0 else None,
        largest=largest,
    )


def summed(values: Array) -> Array:
    """An attribution (D, N) over time: at most about CURVE sums."""
    over_channels = values.sum(axis=0)
    return np.add.reduceat(
        over_channels, np.arange(0, len(over_channels), -(-len(over_channels) // CURVE))
    )


def excerpts(values: Array, duration: float, asked: Span | None) -> list[Span]:
    """The seconds of a clip to show: all, or of a long one those of the largest attribution.

    values: (D, N). asked: a span that has to be seen, the target's.
    """
    if duration <= LONGEST:
        return [(0.0, duration)]
    strength = np.abs(values).sum(axis=0)
    starts = np.arange(0.0, duration, EXCERPT)
    frames = (np.append(starts, duration) / duration * len(strength)).round().astype(int)
    weights = np.array([strength[a:b].sum() for a, b in pairwise(frames)])
    if asked is not None:
        weights[(starts < asked[1]) & (starts + EXCERPT > asked[0])] = np.inf
    chosen = np.sort(np.argsort(-weights, kind="stable")[: int(LONGEST / EXCERPT)])
    spans: list[Span] = []
    for start in starts[chosen]:
        end = min(float(start) + EXCERPT, duration)
        if spans and spans[-1][1] == start:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((float(start), end))
    return spans


def cut(values: npt.NDArray[Number], spans: Sequence[Span], duration: float) -> npt.NDArray[Number]:
    """What of (…, N), spread evenly over ``duration`` seconds, lies in the spans."""
    if spans == [(0.0, duration)]:
        return values
    frames = values.shape[-1] / duration
    parts = [values[..., round(start * frames) : round(end * frames)] for start, end in spans]
    return np.concatenate(parts, axis=-1)


def light(sounds: Sequence[npt.NDArray[np.int16]], rate: int) -> tuple[list[bytes], bool]:
    """16-bit sounds as files that together are LIGHT, and whether they are exact.

    FLAC takes no time beside the encoders that model hearing. Where exact samples are too heavy,
    each block of them gets coarser steps, so many bits under its own level that all are light
    enough: the noise of that follows the loudness. MP3 where not one bit would be left.
    """
    files = [compressed(sound, rate, "FLAC") for sound in sounds]
    if sum(map(len, files)) <= LIGHT:
        return files, True
    levels, bits = [], []
    for sound, file in zip(sounds, files, strict=True):
        blocks = np.pad(sound.astype(np.float32), (0, -len(sound) % BLOCK)).reshape(-1, BLOCK)
        levels.append(np.log2(np.maximum(1.0, np.sqrt(np.square(blocks).mean(axis=1)))))
        bits.append(8 * len(file) / len(sound) + levels[-1] - levels[-1].mean())
    level, exact = np.concatenate(levels), np.concatenate(bits)
    for fine in range(15, -1, -1):  # bits that are left of the loudness of a block
        left = np.maximum(0.5, exact - np.maximum(0.0, level - fine))
        if left.sum() * BLOCK / 8 > LIGHT:
            continue
        steps = [2.0 ** np.floor(np.maximum(0.0, one - fine)) for one in levels]
        files = [
            compressed(_coarse(sound, step), rate, "FLAC")
            for sound, step in zip(sounds, steps, strict=True)
        ]
        if sum(map(len, files)) <= LIGHT:
            return files, False
    with ThreadPoolExecutor() as pool:  # the encoders run beside one another
        return list(pool.map(lambda sound: compressed(sound, rate, "MP3"), sounds)), False


def _coarse(sound: npt.NDArray[np.int16], steps: Array) -> npt.NDArray[np.int16]:
    """Samples rounded to multiples of the step of their block."""
    step = np.repeat(steps, BLOCK)[: len(sound)].astype(np.float32)
    rounded = np.minimum(np.round(sound / step) * step, 32768 - step)
    return rounded.astype(np.int16)


def compressed(samples: npt.NDArray[np.int16], rate: int, kind: str) -> bytes:
    """16-bit samples at rate Hz as FLAC (exact), MP3, or Ogg Vorbis (a browser goes anywhere)."""
    if kind == "MP3" and rate not in MP3_RATES:
        higher = next((other for other in MP3_RATES if other > rate), MP3_RATES[-1])
        samples, rate = soxr.resample(samples, rate, higher), higher
    subtype = {"FLAC": "PCM_16", "MP3": "MPEG_LAYER_III", "OGG": "VORBIS"}[kind]
    buffer = io.BytesIO()
    with soundfile.SoundFile(buffer, "w", rate, 1, subtype, format=kind) as file:
        for second in np.split(samples, range(rate, len(samples), rate)):
            file.write(second)  # libvorbis puts all of a call on the stack: minutes would crash
    return buffer.getvalue()


def _on_even_rows(values: Array, frequencies: Sequence[float]) -> tuple[Array, float, float]:
    """Rows at even steps of Hz, from rows at given ones: rows, lower edge, step.

    Where the given ones are not even (mel bands), each row takes the nearest of them.
    """
    hertz = np.asarray(frequencies, dtype=np.float64)
    order = np.argsort(hertz)
    hertz, values = hertz[order], values[order]
    if len(hertz) == 1:
        return values, 0.0, 2 * max(1.0, float(hertz[0]))
    step = float(hertz[-1] - hertz[0]) / (len(hertz) - 1)
    if not np.allclose(np.diff(hertz), step, rtol=1e-3):
        step = float(hertz[-1] - hertz[0]) / (ROWS - 1)
        even = hertz[0] + step * np.arange(ROWS)
        values = values[np.abs(hertz[None] - even[:, None]).argmin(axis=1)]
    return values, float(hertz[0]) - step / 2, step


def _pool(values: Array, axis: int, size: int) -> Array:
    """The value of largest magnitude of each ``size`` neighbours; the last may be fewer."""
    if size == 1:
        return values
    starts = np.arange(0, values.shape[axis], size)
    highest = np.maximum.reduceat(values, starts, axis=axis)
    lowest = np.minimum.reduceat(values, starts, axis=axis)
    pooled: Array = np.where(highest >= -lowest, highest, lowest)
    return pooled
