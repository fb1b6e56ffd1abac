"""Can one tell from its answers that a digit model hears something that is no digit?

zoo:digits on test digits, and on 0.6 s of meetings, noises, music and other words: how well the
highest probability, the highest logit and the energy score (Liu et al. 2020) tell them apart, and
how many of the strange clips pass for sure (a probability of .6).

    python benchmarks/unlike.py
"""

from __future__ import annotations

import random
from pathlib import Path

import torch
from recordings import recordings
from scipy.stats import mannwhitneyu
from torch import Tensor

import xplain
from xplain.audio import read, resample

STRANGE = (
    ("ami", "train", 10),
    ("esc10", "test", 15),
    ("music", "test", 15),
    ("picovoice-wake-words", "test", 20),
)
SECONDS, SURE = 0.6, 0.6


def main() -> None:
    """Print a line for each kind of strange sound."""
    torch.set_num_threads(1)
    model = xplain.load_model("zoo:digits")
    own = answers(model, some("fsdd", "test", 40))
    for dataset, split, clips in STRANGE:
        other = answers(model, some(dataset, split, clips))
        areas = [
            mannwhitneyu(own[:, n], other[:, n]).statistic / (len(own) * len(other))
            for n in range(3)
        ]
        passed = float((other[:, 0] >= SURE).float().mean())
        names = ("probability", "logit", "energy")
        said = ", ".join(f"{name} {area:.3f}" for name, area in zip(names, areas, strict=True))
        print(f"{dataset}: {passed:.2f} of {clips} are {SURE} sure; area under the ROC: {said}")


def some(dataset: str, split: str, clips: int) -> list[Path]:
    """Recordings of a data set, drawn by chance."""
    rows = recordings(dataset, split)
    random.Random(3).shuffle(rows)
    return [row.path for row in rows[:clips]]


def answers(model: xplain.Model, paths: list[Path]) -> Tensor:
    """Highest probability, highest logit and energy of each: (n, 3). Long clips: their middle."""
    found = []
    for path in paths:
        waveform = resample(read(path), model.sample_rate).waveform
        length = round(SECONDS * model.sample_rate)
        if len(waveform) > 2 * length:
            waveform = waveform[len(waveform) // 2 :][:length]
        with torch.no_grad():
            logits = model(waveform[None])[0]
        found.append(torch.stack([logits.softmax(-1).max(), logits.max(), logits.logsumexp(-1)]))
    return torch.stack(found)


if __name__ == "__main__":
    main()
