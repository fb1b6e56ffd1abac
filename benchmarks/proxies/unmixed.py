"""Recordings as they are, to train proxies on beside scenes: meetings, music, noise and speech.

    python -m proxies.unmixed MANIFEST --out FOLDER        (in benchmarks/)

Pieces of 10 s of the training clips, none of which is measured on; of every two, one went through
MP3, Opus or a telephone, and each is brought to a level of −45 to −15 dBFS.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from proxies.scenes import HELD_OUT, VOICES

RATE = 16000
PIECE = 10 * RATE
PIECES = {"ami": 24, "music": 40, "esc10": 28, "ambient": 20, "librispeech": 2, "emodb": 12,
          "picovoice-speech-to-intent": 10, "ravdess": 20, "tess": 6, "fsdd": 3}  # fmt: skip
"""How many of each data set, at most. Short clips follow one another in a piece."""
CODECS = ("MP3", "Opus", "telephone")
Samples = npt.NDArray[np.float32]


def main() -> None:
    """Write them."""
    parser = argparse.ArgumentParser(prog="python -m proxies.unmixed")
    parser.add_argument("manifest", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write(options.manifest, options.out, options.seed)


def write(manifest: Path, out: Path, seed: int = 0) -> Path:
    """Write pieces and their manifest.csv, which it gives."""
    out.mkdir(parents=True, exist_ok=True)
    draw = np.random.default_rng(seed)
    files: dict[str, list[Path]] = defaultdict(list)
    with manifest.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            path = manifest.parent / row["path"]
            spoken = row["dataset"] in ("esc10", "ambient") and row["label"] in VOICES
            if row["split"] == "train" and path.stem not in HELD_OUT and not spoken:
                files[row["dataset"]].append(path)
    listed = []
    for dataset, count in PIECES.items():
        for number, piece in enumerate(_pieces(files[dataset], count, draw)):
            codec = CODECS[draw.integers(3)] if draw.random() < 0.5 else ""
            power = float(np.square(piece).mean())
            level = 10 ** (draw.uniform(-45, -15) / 20) / max(power, 1e-12) ** 0.5
            heard = through(piece * min(level, 0.99 / max(1e-9, np.abs(piece).max())), codec)
            name = f"{dataset}-{number:03d}.flac"
            soundfile.write(out / name, heard, RATE)
            listed.append({"path": name, "dataset": dataset, "codec": codec})
    with (out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, listed[0], lineterminator="\n")
        table.writeheader()
        table.writerows(listed)
    return out / "manifest.csv"


def _pieces(files: list[Path], count: int, draw: np.random.Generator) -> list[Samples]:
    """So many pieces, each file before any for the second time; all of a file that is long."""
    found: list[Samples] = []
    held: list[Samples] = []
    for path in (files[n] for n in draw.permutation(len(files))):
        samples, rate = soundfile.read(path, dtype="float32")
        samples = samples if rate == RATE else soxr.resample(samples, rate, RATE)
        held.append(np.concatenate([samples, np.zeros(RATE // 4, np.float32)]))
        if sum(map(len, held)) >= PIECE:
            whole = np.concatenate(held)
            pieces = [whole[n : n + PIECE] for n in range(0, len(whole) - PIECE + 1, PIECE)]
            found += pieces[:3]
            held = []
        if len(found) >= count:
            break
    return found[:count]


def through(samples: Samples, codec: str) -> Samples:
    """What a codec makes of samples at 16 kHz, as long and without its delay; "" for none."""
    if not codec:
        return samples.astype(np.float32)
    rate = 8000 if codec == "telephone" else RATE
    kind = {"MP3": ("MP3", "MPEG_LAYER_III"), "Opus": ("OGG", "OPUS"), "telephone": ("WAV", "ULAW")}
    container, subtype = kind[codec]
    held = io.BytesIO()
    given = samples if rate == RATE else soxr.resample(samples, RATE, rate)
    lossy = {} if codec == "telephone" else {"compression_level": 0.8}
    soundfile.write(held, given, rate, format=container, subtype=subtype, **lossy)
    held.seek(0)
    heard, _ = soundfile.read(held, dtype="float32")
    heard = heard if rate == RATE else soxr.resample(heard, rate, RATE)
    size = 1 << (len(samples) + len(heard)).bit_length()
    product = np.fft.irfft(np.fft.rfft(heard, size) * np.conj(np.fft.rfft(samples, size)), size)
    delay = int(product[:4096].argmax())
    return np.pad(heard[delay:], (0, len(samples)))[: len(samples)].astype(np.float32)


if __name__ == "__main__":
    main()
