"""A second mixer, to measure with only: a broadcast told item by item, by rules of its own.

    python -m proxies.broadcast MANIFEST --split test --out FOLDER [--rooms FILE]   (benchmarks/)

Items of 3 to 12 s follow one another: talk (people one after another or falling into each other's
words, over a bed of music, over a place's noise, or dry), a song, a sound, a pause. Levels are by
the loudest half of each clip, labels by where clips lie and how loud they are there, and nothing
is shared with ``xplain nmf scenes`` but the reading of clips and the layout of the folder.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from safetensors.numpy import load_file, save_file

from xplain_nmf.scenes.sources import Source, load_sources

RATE, FRAME = 16000, 320
MAPPING = Path(__file__).with_name("broadcast.json")
STEMS = ("speech_1", "speech_2", "music", "noise")
Samples = npt.NDArray[np.float64]

ITEMS = ("dry talk", "talk over music", "talk in a place", "talk over both", "song", "sound",
         "song in a place", "pause")  # fmt: skip
SHARES = (0.2, 0.19, 0.18, 0.06, 0.14, 0.12, 0.05, 0.06)


@dataclass
class Tape:
    """What is recorded: stems (4, samples), and where each sounds (4, frames)."""

    stems: Samples
    active: npt.NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        """Nothing sounds yet."""
        self.active = np.zeros((len(STEMS), self.stems.shape[1] // FRAME), bool)

    def put(self, stem: int, start: int, clip: Samples, gain: float, pause: int) -> int:
        """Add a clip at a frame, in so many dB; gives the frame at which it ends."""
        clip = clip[: (self.active.shape[1] - start) * FRAME]
        clip = clip[: len(clip) // FRAME * FRAME]
        if not len(clip):
            return start
        scaled = clip * 10 ** (gain / 20)
        self.stems[stem, start * FRAME : start * FRAME + len(clip)] += scaled
        end = start + len(clip) // FRAME
        self.active[stem, start:end] |= sounds(clip, pause)
        return end


def sounds(clip: Samples, pause: int) -> npt.NDArray[np.bool_]:
    """Frames within 35 dB of the loud ones (95th percentile), pauses of so many closed."""
    loud = np.square(clip.reshape(-1, FRAME)).mean(1)
    there = loud > max(1e-12, np.percentile(loud, 95) * 10**-3.5)
    for before, after in pairwise(np.flatnonzero(there)):
        if after - before <= pause:
            there[before:after] = True
    return there


def levelled(source: Source) -> Samples:
    """At power 1 of the louder half of its tenths of a second."""
    clip = source.waveform.astype(np.float64)
    tenths = np.square(clip[: max(1600, len(clip) // 1600 * 1600)])
    tenths = np.resize(tenths, max(1600, len(tenths))).reshape(-1, 1600).mean(1)
    loud = np.sort(tenths)[len(tenths) // 2 :].mean()
    return clip / np.sqrt(loud) if loud > 0 else clip


class Broadcast:
    """Tells scenes; number i depends on the clips, the seed and i."""

    def __init__(self, sources: list[Source], seed: int, rooms: Samples | None) -> None:
        """Sort the clips by kind and by who or what is heard."""
        self.seed, self.rooms = seed, rooms
        self.shelves: dict[str, dict[str, list[Source]]] = defaultdict(lambda: defaultdict(list))
        for source in sources:
            if source.waveform.any():
                self.shelves[source.dataset.kind][source.group].append(source)

    def scene(self, number: int, seconds: float) -> Tape:
        """Items until the time is over."""
        chance = np.random.default_rng([self.seed, number, 7])
        tape = Tape(np.zeros((len(STEMS), round(seconds * RATE))))
        place, frames = 0, tape.active.shape[1]
        while place < frames:
            item = ITEMS[chance.choice(len(ITEMS), p=SHARES)]
            end = min(frames, place + int(chance.uniform(3, 12) * 50))
            self._item(chance, tape, item, place, end)
            place = end - int(chance.uniform(0, 0.6) * 50) if end < frames else frames
        loudest = np.abs(tape.stems.sum(0)).max()
        tape.stems *= 10 ** (chance.uniform(-26, -3) / 20) / max(loudest, 1e-9)
        return tape

    def _item(
        self, chance: np.random.Generator, tape: Tape, item: str, start: int, end: int
    ) -> None:
        if item == "pause":
            return
        gain = chance.uniform(-4, 4)
        if "talk" in item:
            self._talk(chance, tape, start, end, gain)
        under = -chance.uniform(3, 17) if "talk" in item else 0.0
        if "music" in item or "song" in item or "both" in item:
            self._bed(chance, tape, "music", start, end, gain + under)
        if "place" in item or "sound" in item or "both" in item:
            lower = -chance.uniform(3, 12) if item in ("song in a place", "talk over both") else 0.0
            self._bed(chance, tape, "noise", start, end, gain + under + lower)

    def _talk(
        self, chance: np.random.Generator, tape: Tape, start: int, end: int, gain: float
    ) -> None:
        """Two people in turns, each with a microphone's room."""
        groups = list(self.shelves["speech"])
        pair = chance.choice(len(groups), 2, replace=False)
        people = [self.shelves["speech"][groups[n]] for n in pair]
        together = chance.random() < 0.6
        alone = chance.random() < 0.3
        room = None
        if self.rooms is not None and chance.random() < 0.4:
            room = self.rooms[chance.integers(len(self.rooms))]
        place, who = start, 0
        while place < end:
            clip = levelled(people[who][chance.integers(len(people[who]))])
            if room is not None:
                size = len(clip) + len(room)
                wet = np.fft.irfft(np.fft.rfft(clip, size) * np.fft.rfft(room, size), size)
                clip = wet[: len(clip)]
            clip = clip[: (end - place) * FRAME]
            done = tape.put(who, place, clip, gain + chance.uniform(-3, 3), 6)
            place = max(done, place + 5) + int(chance.uniform(0.05, 0.5) * 50)
            if not alone and chance.random() < 0.5:
                who = 1 - who
                if together:  # they do not wait until the other has finished
                    place -= int(chance.uniform(0.4, 2.0) * 50)
                    place = max(place, start)

    def _bed(
        self, chance: np.random.Generator, tape: Tape, kind: str, start: int, end: int, gain: float
    ) -> None:
        """One recording for the whole item, again where it ends, with short fades."""
        groups = self.shelves[kind]
        group = groups[list(groups)[chance.integers(len(groups))]]
        clip = levelled(group[chance.integers(len(group))])
        wanted = (end - start) * FRAME
        if len(clip) > wanted:
            first = chance.integers(len(clip) - wanted + 1)
            clip = clip[first : first + wanted]
        clip = np.resize(clip, wanted)
        fade = np.linspace(0, 1, min(len(clip) // 4, int(chance.uniform(0.01, 0.4) * RATE)) + 1)
        clip[: len(fade)] *= fade
        clip[len(clip) - len(fade) :] *= fade[::-1]
        tape.put(STEMS.index(kind), start, clip, gain, 25)


def main() -> None:
    """Write scenes in the layout of ``xplain nmf scenes``."""
    parser = argparse.ArgumentParser(prog="python -m proxies.broadcast")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--split", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--mapping", type=Path, default=MAPPING)
    parser.add_argument("--rooms", type=Path, help="that training.make_rooms of the zoo wrote")
    options = parser.parse_args()
    write(**vars(options))


def write(
    manifest: Path,
    split: str,
    out: Path,
    seconds: float = 30.0,
    count: int = 40,
    seed: int = 11,
    mapping: Path = MAPPING,
    rooms: Path | None = None,
) -> Path:
    """Write scenes where they are not yet; gives their manifest."""
    if (out / "manifest.csv").is_file():
        return out / "manifest.csv"
    held = None if rooms is None else load_file(rooms)["rooms"].astype(np.float64)
    broadcast = Broadcast(load_sources(manifest, split, mapping), seed, held)
    out.mkdir(parents=True, exist_ok=True)
    listed = []
    for number in range(count):
        tape = broadcast.scene(number, seconds)
        stems = np.round(tape.stems * 2**15).astype(np.int32)
        row = {"path": f"{number:05d}.flac", "split": split, "seconds": f"{seconds:g}"}
        for name, stem in zip(STEMS, stems, strict=True):
            row[name] = f"{number:05d}-{name}.flac" if stem.any() else ""
            if stem.any():
                clipped = stem.clip(-(2**15), 2**15 - 1).astype(np.int16)
                soundfile.write(out / row[name], clipped, RATE)
        soundfile.write(
            out / row["path"], stems.sum(0).clip(-(2**15), 2**15 - 1).astype(np.int16), RATE
        )
        one, two, music, noise = tape.active
        labels = np.stack([one | two, music, noise, one & two], 1).astype(np.uint8)
        save_file({"labels": np.ascontiguousarray(labels)}, out / f"{number:05d}.safetensors")
        row["labels"] = f"{number:05d}.safetensors"
        listed.append(row)
    making = {"split": split, "seconds": seconds, "seed": seed, "augment": False}
    (out / "scenes.json").write_text(json.dumps(making, indent=2) + "\n")
    with (out / "manifest.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, listed[0], lineterminator="\n")
        table.writeheader()
        table.writerows(listed)
    return out / "manifest.csv"


if __name__ == "__main__":
    main()
