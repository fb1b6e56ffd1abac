"""Random frequency responses of rooms, microphones and telephone lines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from xplain_nmf.scenes.sources import RATE, Samples

TAIL = RATE // 2  # samples; rooms ring no longer
Response = npt.NDArray[np.complex128]
"""Of a filter at the frequencies of a transform of SIZE samples; filters multiply."""
SIZE = 2 * TAIL
FREQUENCIES = np.fft.rfftfreq(SIZE, 1 / RATE)


def room(chance: np.random.Generator) -> Response:
    """A soft reverberation: decaying noise behind the direct sound, 0.15 to 0.6 s for 60 dB."""
    seconds = chance.uniform(0.15, 0.6)
    time = np.arange(TAIL) / RATE
    response = chance.standard_normal(TAIL) * 10 ** (-3 * time / seconds)
    response[: round(0.002 * RATE)] = 0
    # Energy of the direct sound over that of the rest.
    direct = 10 ** (chance.uniform(0, 15) / 10)
    response /= np.sqrt((response**2).sum() * direct)
    response[0] = 1
    return np.fft.rfft(response, SIZE)


def telephone(chance: np.random.Generator) -> Response:
    """A band: of a telephone, or cut off at the top like a narrow line or codec."""
    if chance.random() < 0.5:
        low, high = chance.uniform(150, 400), chance.uniform(3000, 3800)
    else:
        low, high = 20.0, chance.uniform(3400, 7500)
    # Butterworth's magnitudes of the sixth order, without their phase.
    ratio = (
        (np.maximum(FREQUENCIES, 1e-3) / high) ** 12,
        (low / np.maximum(FREQUENCIES, 1e-3)) ** 12,
    )
    return _linear(1 / np.sqrt((1 + ratio[0]) * (1 + ratio[1])))


def colour(chance: np.random.Generator) -> Response:
    """A microphone's equaliser: up to 8 dB up or down at eight points, smooth between them."""
    points = np.log2(np.geomspace(50, RATE / 2, 8))
    gains = np.interp(np.log2(np.maximum(FREQUENCIES, 50)), points, chance.uniform(-8, 8, 8))
    return _linear(10 ** (gains / 20))


def filter_stems(stems: Samples, responses: Sequence[Sequence[Response | None]]) -> Samples:
    """Put each of (stems, samples) through its responses; what rings past the end is cut."""
    filtered = stems.copy()
    for stem, parts in zip(filtered, responses, strict=True):
        given = [part for part in parts if part is not None]
        if given and stem.any():
            stem[:] = _through(stem, np.prod(given, axis=0))
    return filtered


def _linear(magnitude: npt.NDArray[np.float64]) -> Response:
    """Of this magnitude, with linear phase inside 32 ms, so that it is a short filter."""
    taps = 512
    impulse = np.roll(np.fft.irfft(magnitude, SIZE), taps // 2)[:taps] * np.hanning(taps)
    # Advanced again by the delay of the middle: a stem stays where its labels are.
    delay = np.exp(2j * np.pi * FREQUENCIES / RATE * (taps // 2))
    return np.asarray(np.fft.rfft(impulse, SIZE) * delay)


def _through(stem: Samples, response: Response) -> Samples:
    """Filter by overlap and add, in blocks that leave room for the response on both sides."""
    block, lead = SIZE - TAIL - 2048, 1024
    count = -(-len(stem) // block)
    blocks = np.zeros((count, SIZE), np.float32)
    blocks[:, lead : lead + block] = np.pad(stem, (0, count * block - len(stem))).reshape(count, -1)
    rung = np.fft.irfft(np.fft.rfft(blocks) * response, SIZE)
    total = np.zeros(lead + count * block + SIZE)
    for number, part in enumerate(rung):
        total[number * block : number * block + SIZE] += part
    return total[lead : lead + len(stem)].astype(np.float32)
