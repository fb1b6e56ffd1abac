"""Makes seven.wav with espeak-ng (a Debian package): ``python make_clip.py [OUT]``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr

COMMAND = ["espeak-ng", "-v", "en-gb-x-rp", "-s", "140", "-p", "40"]
WORD = "seven"
RATE = 16000  # Hz
QUIET = 0.2  # seconds before and after
PEAK = 10 ** (-3 / 20)  # -3 dB re full scale


def main(out: Path) -> None:
    """Speak, trim, set the level, add the quiet, write."""
    with tempfile.TemporaryDirectory() as folder:
        spoken = Path(folder) / "spoken.wav"
        subprocess.run([*COMMAND, "-w", str(spoken), WORD], check=True)
        audio, rate = soundfile.read(spoken, dtype="float32")
    audio = soxr.resample(audio, rate, RATE)
    heard = np.flatnonzero(np.abs(audio) > 0.005 * np.abs(audio).max())
    word = audio[heard[0] : heard[-1] + 1]
    clip = np.pad(word * (PEAK / np.abs(word).max()), int(QUIET * RATE))
    soundfile.write(out, clip, RATE, subtype="PCM_16")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name(f"{WORD}.wav"))
