"""Makes clips to train on with espeak-ng: ``python -m training.speak_digits OUT``.

FSDD has five speakers, so a network trained on four of them hears the fifth badly. A
speech synthesiser has as many voices as it has dialects and formant settings. Needs the
program espeak-ng; its licence covers the program, not what it says.
"""

from __future__ import annotations

import argparse
import csv
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from xplain_zoo.digits import LABELS

RATE = 8000  # Hz
PEAK = 0.3
AUDIBLE = 0.02  # of the peak; what is quieter before and after the word is cut off

DIALECTS = (
    "en-gb",
    "en-us",
    "en-gb-scotland",
    "en-gb-x-gbclan",
    "en-gb-x-rp",
    "en-gb-x-gbcwmd",
    "en-029",
    "en-us-nyc",
)
# Those of espeak-ng that sound like people: no robots, no whisper, no demon. The voice of
# clips/seven.wav, a dialect without a variant, is not among them.
# fmt: off
VARIANTS = (
    "adam", "Alex", "Alicia", "Andrea", "Andy", "Annie", "antonio", "aunty", "belinda",
    "benjamin", "boris", "caleb", "david", "Denis", "Diogo", "ed", "edward", "Gene", "Gene2",
    "gustave", "Henrique", "Hugo", "iven", "iven2", "Jacky", "john", "kaukovalta", "Lee",
    "linda", "marcelo", "Marco", "Mario", "max", "Michael", "michel", "miguel", "Mike",
    "Nguyen", "pablo", "paul", "pedro", "quincy", "rob", "robert", "steph", "steph2", "zac",
    "anika", "f1", "f2", "f3", "f4", "f5", "grandma", "grandpa", "klatt", "klatt2", "klatt3",
    "klatt4", "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "norbert", "sandro", "shelby",
    "travis", "victor",
)
# fmt: on
SPEEDS = (115, 210)  # words a minute
PITCHES = (20, 80)  # espeak-ng's scale, 0-99


@dataclass(frozen=True)
class Saying:
    """One word to be spoken."""

    word: str
    dialect: str
    variant: str
    speed: int
    pitch: int

    @property
    def name(self) -> str:
        """Name of its file."""
        return f"{self.word}_{self.dialect}_{self.variant}.wav"

    def speak(self) -> np.ndarray:
        """The word alone, (samples,) float32 at RATE."""
        with tempfile.TemporaryDirectory() as folder:
            spoken = Path(folder) / "spoken.wav"
            voice = ["-v", f"{self.dialect}+{self.variant}"]
            manner = ["-s", str(self.speed), "-p", str(self.pitch)]
            subprocess.run(["espeak-ng", *voice, *manner, "-w", spoken, self.word], check=True)
            audio, rate = soundfile.read(spoken, dtype="float32")
        audio = soxr.resample(audio, rate, RATE)
        level = np.abs(audio)
        heard = np.flatnonzero(level > AUDIBLE * level.max())
        word: np.ndarray = audio[heard[0] : heard[-1] + 1] * (PEAK / level.max())
        return word


def sayings(seed: int, dialects: int = 3) -> list[Saying]:
    """Every digit by every variant in some dialects, at a speed and pitch drawn for each."""
    draw = random.Random(seed)
    return [
        Saying(word, dialect, variant, draw.randint(*SPEEDS), draw.randint(*PITCHES))
        for variant in VARIANTS
        for dialect in draw.sample(DIALECTS, dialects)
        for word in LABELS
    ]


def main() -> None:
    """Speak them all, and write the manifest that train_digits takes."""
    parser = argparse.ArgumentParser(prog="python -m training.speak_digits")
    parser.add_argument("out", type=Path, help="folder for the clips and manifest.csv")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    (options.out / "clips").mkdir(parents=True, exist_ok=True)
    said = sayings(options.seed)
    with (options.out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "speaker"])
        for number, saying in enumerate(said, start=1):
            soundfile.write(options.out / "clips" / saying.name, saying.speak(), RATE)
            rows.writerow([f"clips/{saying.name}", saying.word, f"espeak-ng {saying.variant}"])
            if number % 100 == 0 or number == len(said):
                print(f"{number} of {len(said)}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
