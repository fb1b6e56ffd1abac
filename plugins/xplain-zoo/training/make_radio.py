"""Makes radio.flac with NumPy and espeak-ng (a Debian package): ``python make_radio.py [OUT]``.

Thirty seconds of a small broadcast: a tune, a presenter, a reporter in the rain, both at once,
rain alone, the presenter over the tune. Prints what begins and ends when.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

RATE = 16000  # Hz
SECONDS = 30
PEAK = 10 ** (-3 / 20)
PRESENTER = ("en-gb-x-rp", "+m3", "150", "42")
REPORTER = ("en-us", "+f2", "165", "62")
SAID = (  # who, when (s), what
    (PRESENTER, 5.0, "Good evening, and welcome. Tonight we go out to the coast, in the rain."),
    (REPORTER, 10.6, "Thank you. The storm came in this morning, and the harbour is closed."),
    (PRESENTER, 13.4, "And how are the people there?"),
    (REPORTER, 15.6, "They wait. Nobody goes out today."),
    (PRESENTER, 23.0, "That was our report. More after the news, good night."),
)
TUNE = ((0.0, 5.6), (21.6, 30.0))  # seconds
BED = (22.6, 26.9)
RAIN = (9.6, 21.0)
TUNE_LEVEL, BED_LEVEL, RAIN_LEVEL, SPEECH_LEVEL = 0.1, 0.035, 0.03, 0.1  # root mean squares

Samples = npt.NDArray[np.float64]


def main(out: Path) -> None:
    """Mix, set the level, write."""
    clip: Samples = np.zeros(SECONDS * RATE)
    for number, (start, end) in enumerate(TUNE):
        time = start + np.arange(round((end - start) * RATE)) / RATE
        # Under the presenter it is turned down, and up again after.
        speaks = (time > BED[0]) & (time < BED[1])
        gain = smooth(np.where(speaks, BED_LEVEL, TUNE_LEVEL), 0.5)
        put(clip, start, faded(tune(end - start, number) * gain, 0.02, 1.2))
        print(f"music {start:.2f} {end:.2f}")
    put(clip, RAIN[0], faded(rain(RAIN[1] - RAIN[0]) * RAIN_LEVEL, 0.8, 0.8))
    print(f"noise {RAIN[0]:.2f} {RAIN[1]:.2f}")
    for voice, start, text in SAID:
        words = speak(voice, text) * SPEECH_LEVEL
        put(clip, start, words)
        print(f"speech {start:.2f} {start + len(words) / RATE:.2f} {voice[0]}")
    soundfile.write(out, clip * (PEAK / np.abs(clip).max()), RATE, subtype="PCM_16")


def speak(voice: tuple[str, str, str, str], text: str) -> Samples:
    """A sentence at a root mean square of 1 where it is loud."""
    dialect, variant, speed, pitch = voice
    with tempfile.TemporaryDirectory() as folder:
        spoken = Path(folder) / "spoken.wav"
        options = ["-v", dialect + variant, "-s", speed, "-p", pitch, "-w", str(spoken)]
        subprocess.run(["espeak-ng", *options, text], check=True)
        audio, rate = soundfile.read(spoken)
    audio = soxr.resample(audio, rate, RATE)
    heard = np.flatnonzero(np.abs(audio) > 0.01 * np.abs(audio).max())
    return unit(audio[heard[0] : heard[-1] + 1])


def tune(seconds: float, start_bar: int) -> Samples:
    """Four chords, a bass, a melody and a drum, at 120 beats a minute."""
    chance = np.random.default_rng(4)
    beat = 0.5
    chords = ((57, 60, 64), (53, 57, 60), (48, 52, 55), (55, 59, 62))  # Am, F, C, G
    total = np.zeros(round((seconds + 4) * RATE))
    for number in range(round(seconds / beat) + 1):
        chord = chords[(number // 4 + 2 * start_bar) % 4]
        if number % 4 == 0:
            for note in chord:
                put(total, number * beat, 0.5 * pluck(note, 2.2))
        put(total, number * beat, 0.9 * pluck(chord[0] - 12, 0.9))
        for half in (0, 0.25):
            note = chord[int(chance.integers(3))] + 12 * int(chance.integers(1, 3))
            put(total, number * beat + half, 0.6 * pluck(note, 0.8))
        put(total, number * beat, drum(chance, low=number % 2 == 0))
    return unit(total[: round(seconds * RATE)])


def pluck(note: int, seconds: float) -> Samples:
    """A string: eight harmonics that fade, the high ones sooner. note: MIDI's number."""
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = 440 * 2 ** ((note - 69) / 12)
    harmonics = (
        np.sin(2 * np.pi * pitch * h * time) / h * np.exp(-time * (2 + 1.2 * h))
        for h in range(1, 9)
        if pitch * h < RATE / 2
    )
    return faded(np.sum(list(harmonics), axis=0), 0.004, 0.05)


def drum(chance: np.random.Generator, low: bool) -> Samples:
    """A kick that falls in pitch, or a snare of noise."""
    time = np.arange(round(0.25 * RATE)) / RATE
    if low:
        fall = 50 * time + 80 * (1 - np.exp(-20 * time)) / 20
        return np.asarray(1.2 * np.sin(2 * np.pi * fall) * np.exp(-14 * time))
    return 0.35 * chance.standard_normal(len(time)) * np.exp(-25 * time)


def rain(seconds: float) -> Samples:
    """Noise that falls by 3 dB an octave, with drops on it."""
    chance = np.random.default_rng(7)
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(chance.standard_normal(count))
    frequency = np.fft.rfftfreq(count, 1 / RATE)
    steady = unit(np.fft.irfft(spectrum / np.sqrt(np.maximum(frequency, 200)), count))
    drops = np.zeros(count)
    for place in chance.integers(0, count, round(120 * seconds)):
        length = int(chance.integers(20, 120))
        drop = chance.standard_normal(length) * np.exp(-np.arange(length) / 20)
        put(drops, place / RATE, drop * chance.exponential(1.5))
    return unit(steady + 0.5 * drops)


def put(clip: Samples, start: float, sound: Samples) -> None:
    """Add a sound from ``start`` seconds on, as far as there is room."""
    first = round(start * RATE)
    room = clip[first : first + len(sound)]
    room += sound[: len(room)]


def faded(sound: Samples, seconds_in: float, seconds_out: float) -> Samples:
    """Faded in and out."""
    time = np.arange(len(sound)) / RATE
    into, out = np.minimum(time / seconds_in, 1), np.minimum(time[::-1] / seconds_out, 1)
    return np.asarray(sound * into * out)


def smooth(values: Samples, seconds: float) -> Samples:
    """A running mean."""
    count = round(seconds * RATE)
    padded = np.pad(values, count // 2, mode="edge")
    sums = np.cumsum(np.concatenate([[0.0], padded]))
    return np.asarray((sums[count:] - sums[:-count])[: len(values)] / count)


def unit(sound: Samples) -> Samples:
    """At a root mean square of 1, of what is within 30 dB of the loudest 20 ms."""
    powers = (sound[: len(sound) // 320 * 320].reshape(-1, 320) ** 2).mean(axis=1)
    return np.asarray(sound / np.sqrt(powers[powers > powers.max() / 1000].mean()))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("radio.flac"))
