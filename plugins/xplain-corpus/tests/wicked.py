"""A small model and clips of which some are wicked: they raise, end, hang, … when they are asked.

Shared by the tests and by tests/kill_corpus.py of this distribution.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor, nn

import xplain

RATE = 4000
KINDS = ("raises", "exits", "hangs", "nan", "exhausts", "leaves")
"""What the first sample of a clip asks for: 0.9, 0.8, …; None is asked for below 0.35."""


class Wicked(nn.Module):
    """Logits are the log energies below and above 500 Hz; some clips do worse."""

    def forward(self, waveform: Tensor) -> Tensor:
        place = 9 - round(float(waveform[0, 0].detach()) * 10)
        if 0 <= place < len(KINDS):
            misbehave(KINDS[place])
            if KINDS[place] == "nan":
                return torch.full((len(waveform), 2), torch.nan)
        spectrum = torch.fft.rfft(waveform, 1024).abs().square() / 1024
        return torch.log1p(torch.stack([spectrum[:, :128].sum(-1), spectrum[:, 128:].sum(-1)], -1))


def misbehave(kind: str) -> None:
    if kind == "raises":
        raise ValueError("this clip is refused")
    if kind == "exits":
        os._exit(3)
    if kind == "leaves":
        raise SystemExit(4)
    if kind == "hangs":
        time.sleep(3600)
    if kind == "exhausts":
        held = []
        while True:
            held.append(np.empty(2**24))


def make() -> xplain.Model:
    return xplain.wrap(Wicked(), sample_rate=RATE, labels=("low", "high"))


def write_clips(folder: Path, good: int, bad: tuple[str, ...] = ()) -> None:
    """Write ``good`` clips of a third of a second, and one of each kind in ``bad``."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(0)
    for number in range(good):
        at = np.arange(RATE // 3) / RATE
        clip = 0.2 * np.sin(2 * np.pi * (generator.uniform(0, 200) + (200, 1200)[number % 2]) * at)
        clip += 0.01 * generator.standard_normal(len(at))
        clip[0] = 0
        soundfile.write(folder / f"clip-{number:05}.wav", clip, RATE)
    for kind in bad:
        clip = 0.01 * generator.standard_normal(RATE // 3)
        clip[0] = 0.9 - 0.1 * KINDS.index(kind)
        soundfile.write(folder / f"wicked-{kind}.wav", clip, RATE)
