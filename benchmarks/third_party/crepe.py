"""CREPE tiny, a pitch tracker (Kim et al. 2018)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from third_party.weights import filled, safetensors

BINS = 360
FRAME, HOP = 1024, 160
FRAME_STEP = HOP / 16_000


def hertz(bins: Tensor) -> Tensor:
    """Pitch of bins, 20 cents apart."""
    return 10 * 2 ** ((1997.379 + 20 * bins) / 1200)


LABELS = tuple(f"{float(hz):.1f} Hz" for hz in hertz(torch.arange(BINS)))


class Crepe(nn.Module):
    """Waveforms (B, samples) at 16 kHz → logits (B, frames, 360), one sigmoid for each pitch.

    Frames of 1,024 samples every 160, centred, each brought to mean 0 and deviation 1. Only
    every ``every``-th is computed.
    """

    def __init__(self, every: int = 1) -> None:
        """Build it without weights."""
        super().__init__()
        self.every = every
        widths = (1, 128, 16, 16, 16, 32, 64)
        for number in range(1, 7):
            kernel, stride = (512, 4) if number == 1 else (64, 1)
            ends = widths[number - 1 : number + 1]
            self.add_module(f"conv{number}", nn.Conv2d(*ends, (kernel, 1), (stride, 1)))
            self.add_module(f"conv{number}_BN", nn.BatchNorm2d(widths[number], 1e-3))
        self.classifier = nn.Linear(256, BINS)

    @classmethod
    def load(cls, folder: Path, every: int = 1) -> Crepe:
        """With the weights of the folder of third parties' models."""
        return filled(cls(every), safetensors(folder / "crepe_tiny.safetensors"))

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits (B, frames, 360)."""
        padded = nn.functional.pad(waveform, (FRAME // 2, FRAME // 2))
        frames = padded.unfold(1, FRAME, HOP * self.every)
        centred = frames - frames.mean(dim=2, keepdim=True)
        spread = centred.square().sum(dim=2, keepdim=True) / (FRAME - 1)
        x = (centred / spread.clamp(min=1e-20).sqrt()).flatten(0, 1)[:, None, :, None]
        for number in range(1, 7):
            x = nn.functional.pad(x, (0, 0, 254, 254) if number == 1 else (0, 0, 31, 32))
            x = self.get_submodule(f"conv{number}")(x).relu()
            x = nn.functional.max_pool2d(self.get_submodule(f"conv{number}_BN")(x), (2, 1))
        logits: Tensor = self.classifier(x.permute(0, 2, 1, 3).flatten(1))
        return logits.unflatten(0, frames.shape[:2])


class ThisPitch(nn.Module):
    """Is it this pitch? Logit (B, 1): the mean over frames of the logit of each frame's bin.

    bins: (frames,) int64, such as the model's own decision; −1 where a frame does not count.
    """

    bins: Tensor

    def __init__(self, crepe: Crepe, bins: Tensor) -> None:
        """Ask about a course of pitch."""
        super().__init__()
        self.crepe = crepe
        self.register_buffer("bins", bins)

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits (B, 1)."""
        counts = self.bins >= 0
        logits = self.crepe(waveform)[:, counts]
        picked = logits.gather(2, self.bins[counts].expand(len(logits), -1)[..., None])
        return picked.mean(dim=1)
