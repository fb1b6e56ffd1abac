"""Makes clips to fit a classifier on latents on: ``python -m training.vary_digits``.

``xplain fit`` takes clips as they are. So that a few speakers in quiet rooms become more, each
training clip is written once as it is and three times faster or slower, at another level, with
noise, with quiet around it, or upside down; a tenth is left for dev, as it is, and so are the
test clips.
"""

from __future__ import annotations

import argparse
import csv
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import soundfile
import torch
from torch import Tensor

from training import augment
from training.clips_manifest import Clip, read_manifest
from xplain_zoo.digits import LABELS

RATE = 8000  # Hz
COPIES = 3  # of each training clip, varied
DEV = 0.1  # of the training clips
SPEED = 1.15  # at most, and one by it at least: pitch, formants and tempo together
LEVEL = (-42.0, -8.0)  # dB, of the loudest tenth
NOISY = 0.5  # of the copies
SNR = (15.0, 50.0)  # dB
AROUND = 0.3  # seconds of quiet at most, on half of all sides
FRAME = 0.02  # seconds on the others, so that codecs cut a word elsewhere each time


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the clips, and the manifest that xplain fit takes."""
    parser = argparse.ArgumentParser(prog="python -m training.vary_digits")
    parser.add_argument("manifest", type=Path, help="CSV: path, dataset, split, label, speaker")
    parser.add_argument("--dataset", help="only rows whose column dataset says this")
    parser.add_argument("--also", type=Path, help="a manifest of more clips to train on, varied")
    parser.add_argument("--share", type=float, default=1.0, help="of those, how many")
    parser.add_argument("--out", type=Path, required=True, help="folder for clips and manifest.csv")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    draw = random.Random(options.seed)
    clips = read_manifest(options.manifest, LABELS, RATE, options.dataset)
    more = read_manifest(options.also, LABELS, RATE) if options.also else []
    more = [c for c in more if c.split == "train"]
    more = draw.sample(more, round(options.share * len(more)))
    write(options.out, arranged(clips, more, draw))


def arranged(clips: Sequence[Clip], more: Sequence[Clip], draw: random.Random) -> list[Clip]:
    """Every clip with the split it is for; training clips first as they are, then varied."""
    generator = torch.Generator().manual_seed(draw.randrange(2**31))
    train = [c for c in clips if c.split == "train"]
    dev = {id(c) for c in draw.sample(train, round(DEV * len(train)))}
    found = []
    for clip in clips:
        if id(clip) in dev:
            found.append(replace(clip, split="dev"))
        elif clip.split == "train":
            found += [clip, *(varied(clip, draw, generator) for _ in range(COPIES))]
        else:
            found.append(clip)
    return found + [varied(clip, draw, generator) for clip in more]


def varied(clip: Clip, draw: random.Random, generator: torch.Generator) -> Clip:
    """The same word by another voice, at another level, in another room."""
    word = augment.change_speed(clip.waveform, SPEED ** draw.uniform(-1.0, 1.0))
    before, after = (draw.uniform(0.0, draw.choice((FRAME, AROUND))) for _ in range(2))
    start = round(before * RATE)
    sound = augment.place(word, start + len(word) + round(after * RATE), start)[None]
    sound = augment.set_level(sound, torch.zeros(1))
    if draw.random() < NOISY:
        background = augment.noise(
            (1, sound.shape[1]), torch.tensor([draw.uniform(0.0, 2.0)]), generator
        )
        sound = sound + background * 10 ** (-draw.uniform(*SNR) / 20)
    sound = augment.set_level(sound, torch.tensor([draw.uniform(*LEVEL)]))[0]
    return replace(clip, waveform=_unclipped(sound) * draw.choice((-1.0, 1.0)))


def write(out: Path, clips: Sequence[Clip]) -> None:
    """Clips as 16-bit WAV, and manifest.csv."""
    (out / "clips").mkdir(parents=True, exist_ok=True)
    with (out / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "speaker", "split"])
        for number, clip in enumerate(clips):
            name = f"clips/{number:05}.wav"
            soundfile.write(out / name, clip.waveform.numpy(), RATE)
            rows.writerow([name, LABELS[clip.label], clip.speaker, clip.split])


def _unclipped(sound: Tensor) -> Tensor:
    return sound / sound.abs().max().clamp(min=1.0)


if __name__ == "__main__":
    main()
