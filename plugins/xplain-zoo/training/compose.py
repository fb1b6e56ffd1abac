"""Makes music to train on with fluidsynth: ``python -m training.compose OUT --count 240``.

The recordings hold fourteen pieces, and whoever knows only these calls other music noise. A
composer by chance (chords, a melody, a bass, drums) and the instruments of a General MIDI sound
font give as many as are wanted. Needs the program fluidsynth, mido, and FluidR3_GM.sf2 (Frank Wen,
MIT licence; Debian's fluid-soundfont-gm).
"""

from __future__ import annotations

import argparse
import csv
import random
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import soundfile

if TYPE_CHECKING:
    import mido

RATE = 16000  # Hz
FONT = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
PEAK = 0.7
BEAT = 480  # ticks
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 2, 4, 7, 9))
MELODIC = tuple(range(120))
"""General MIDI programs; from 120 on they are breath, sea, birds and the like."""
BASSES, PADS = tuple(range(32, 40)), (*range(16, 24), *range(40, 56), *range(88, 96))
KICK, SNARES, HATS, OTHERS = 36, (38, 40, 39, 37), (42, 46, 51, 44), (45, 47, 50, 49, 54, 56, 63)

Note = tuple[int, int, int, int, int]
"""Channel, pitch, start and end in ticks, velocity."""


def compose(chance: random.Random, seconds: float) -> mido.MidiFile:
    """One piece: who plays, how fast, in which key and with what is drawn."""
    tempo = chance.uniform(55, 180)
    beats = int(seconds * tempo / 60) + 1
    scale, root = chance.choice(SCALES), chance.randrange(12)
    degrees = [chance.randrange(len(scale)) for _ in range(chance.choice((2, 4, 4, 8)))]
    long = chance.choice((2, 4, 4))  # beats of a chord
    chords = [degrees[(beat // long) % len(degrees)] for beat in range(beats + long)]

    def pitch(degree: int, octave: int) -> int:
        turns, step = divmod(degree, len(scale))
        return min(108, max(24, 12 * (octave + turns) + root + scale[step]))

    programs: dict[int, int] = {}
    notes: list[Note] = []
    parts = _parts(chance)
    if "melody" in parts:
        for channel in range(chance.choice((1, 1, 2))):
            programs[channel] = chance.choice(MELODIC)
            notes += _melody(chance, channel, chords, beats, pitch)
    if "chords" in parts:
        programs[3] = chance.choice((*MELODIC, *PADS))
        notes += _chords(chance, chords, beats, long, pitch)
    if "bass" in parts:
        programs[4] = chance.choice(BASSES)
        notes += _bass(chance, chords, beats, pitch)
    if "drums" in parts:
        programs[9] = chance.choice((0, 0, 8, 16, 24, 25, 32, 40))
        notes += _drums(chance, beats)
    return _file(chance, notes, programs, tempo)


def _parts(chance: random.Random) -> set[str]:
    """A soloist, an accompaniment, drums alone, or some of all."""
    kind = chance.random()
    if kind < 0.2:
        return {"melody"}
    if kind < 0.3:
        return {"chords"}
    if kind < 0.36:
        return {"drums"}
    chosen = {p for p in ("melody", "chords", "bass", "drums") if chance.random() < 0.7}
    return chosen or {"melody", "chords", "bass", "drums"}


def _melody(chance, channel, chords, beats, pitch) -> list[Note]:  # type: ignore[no-untyped-def]
    octave, busy = chance.choice((4, 5, 5, 6)), chance.choice((0.25, 0.5, 0.5, 1, 2))
    held, pause = chance.uniform(0.4, 1.1), chance.uniform(0, 0.2)
    degree, place, notes = chance.randrange(7), 0.0, []
    while place < beats:
        length = busy * chance.choice((0.5, 1, 1, 1, 2))
        degree = max(-5, min(9, degree + chance.choice((-3, -2, -1, -1, 0, 1, 1, 2, 3))))
        if chance.random() < 0.3:
            degree = chords[int(place)] + chance.choice((0, 2, 4))
        if chance.random() >= pause:
            start, end = int(place * BEAT), int((place + length * held) * BEAT)
            notes.append((channel, pitch(degree, octave), start, end, chance.randint(50, 115)))
        place += length
    return notes


def _chords(chance, chords, beats, long, pitch) -> list[Note]:  # type: ignore[no-untyped-def]
    octave, size = chance.choice((3, 4, 4, 5)), chance.choice((2, 3, 3, 4))
    broken, loud = chance.choice((0, 0, 0.25, 0.5, 1)), chance.randint(40, 100)
    notes = []
    for beat in range(0, beats, long):
        voices = [pitch(chords[beat] + 2 * n, octave) for n in range(size)]
        if not broken:
            first, last = beat * BEAT, int((beat + long * 0.98) * BEAT)
            notes += [(3, voice, first, last, loud) for voice in voices]
            continue
        for step in range(int(long / broken)):
            first = int((beat + step * broken) * BEAT)
            last = first + int(broken * BEAT * chance.uniform(0.6, 1.5))
            notes.append((3, voices[step % size], first, last, loud))
    return notes


def _bass(chance, chords, beats, pitch) -> list[Note]:  # type: ignore[no-untyped-def]
    step, loud = chance.choice((0.5, 1, 1, 2)), chance.randint(60, 110)
    notes = []
    for number in range(int(beats / step)):
        degree = chords[int(number * step)] + chance.choice((0, 0, 0, 4, 7))
        first = int(number * step * BEAT)
        notes.append((4, pitch(degree, 2), first, first + int(step * BEAT * 0.9), loud))
    return notes


def _drums(chance: random.Random, beats: int) -> list[Note]:
    snare, hat = chance.choice(SNARES), chance.choice(HATS)
    fine = chance.choice((0.25, 0.5, 0.5, 1 / 3))
    steps = round(4 / fine)
    kicks = [n == 0 or chance.random() < 0.25 for n in range(steps)]
    snares = [n * fine % 2 == 1 or chance.random() < 0.06 for n in range(steps)]
    hats = [chance.random() < 0.75 for _ in range(steps)]
    notes = []
    for number in range(int(beats / fine)):
        first, place = int(number * fine * BEAT), number % steps
        hits = [(KICK, kicks[place]), (snare, snares[place]), (hat, hats[place])]
        hits.append((chance.choice(OTHERS), chance.random() < 0.04))
        notes += [
            (9, drum, first, first + 60, chance.randint(60, 120)) for drum, there in hits if there
        ]
    return notes


def _file(
    chance: random.Random, notes: list[Note], programs: dict[int, int], tempo: float
) -> mido.MidiFile:
    import mido  # late, so that --help needs none

    file = mido.MidiFile(type=0, ticks_per_beat=BEAT)
    track = mido.MidiTrack()
    file.tracks.append(track)
    track.append(mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(tempo)))
    for channel, program in programs.items():
        track.append(mido.Message("program_change", channel=channel, program=program))
        volume, wet = chance.randint(60, 120), chance.randint(0, 90)
        track.append(mido.Message("control_change", channel=channel, control=7, value=volume))
        track.append(mido.Message("control_change", channel=channel, control=91, value=wet))
    events = [
        (time, mido.Message(kind, channel=channel, note=pitch, velocity=loud))
        for channel, pitch, start, end, loud in notes
        for time, kind in ((start, "note_on"), (max(end, start + 1), "note_off"))
    ]
    now = 0
    for time, message in sorted(events, key=lambda event: (event[0], event[1].type)):
        track.append(message.copy(time=time - now))
        now = time
    return file


def render(piece: mido.MidiFile, seconds: float, font: Path) -> np.ndarray:
    """(samples,) float32 at 16 kHz, mixed down."""
    with tempfile.TemporaryDirectory() as folder:
        score, sound = Path(folder) / "piece.mid", Path(folder) / "piece.wav"
        piece.save(score)
        order = ["fluidsynth", "-ni", "-q", "-r", str(RATE), "-g", "0.4", "-F", sound, font, score]
        subprocess.run([str(part) for part in order], check=True, capture_output=True)
        samples, _ = soundfile.read(sound, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)[: round(seconds * RATE)]
    loud: np.ndarray = mono * (PEAK / max(1e-3, np.abs(mono).max()))
    return loud


def main() -> None:
    """Write pieces as FLAC, and their manifest."""
    parser = argparse.ArgumentParser(prog="python -m training.compose")
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=240)
    parser.add_argument("--seconds", type=float, default=16.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--font", type=Path, default=FONT, help="a General MIDI sound font")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "manifest.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["path", "dataset", "split", "label", "speaker"])
        for number in range(options.count):
            name = f"piece-{number:04d}"
            piece = compose(random.Random(f"{options.seed}/{number}"), options.seconds)
            sound = render(piece, options.seconds, options.font)
            soundfile.write(options.out / f"{name}.flac", sound, RATE)
            table.writerow([f"{name}.flac", "composed", "train", "music", name])


if __name__ == "__main__":
    main()
