"""PyanNet, pyannote's speaker segmentation (Bredin, Laurent 2021): who speaks, frame by frame."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn

from third_party.weights import filled, safetensors

STEP = 270
"""Samples from one frame to the next: a stride of 10, pooled by 3 three times."""

LOWEST, NARROWEST, RATE = 50.0, 50.0, 16_000
"""Hz: limits of the learnt band passes; the sample rate."""


class SincFilters(nn.Module):
    """80 band passes of 251 samples, cosines and sines, from 40 learnt bands (Pariente 2020)."""

    low_hz_: Tensor
    band_hz_: Tensor
    n_: Tensor
    window_: Tensor

    def __init__(self) -> None:
        """Make room for the bands; the weights fill it."""
        super().__init__()
        self.low_hz_ = nn.Parameter(torch.zeros(40, 1))
        self.band_hz_ = nn.Parameter(torch.zeros(40, 1))
        self.register_buffer("n_", torch.zeros(1, 125))
        self.register_buffer("window_", torch.zeros(125))

    def forward(self, waveform: Tensor) -> Tensor:
        """(B, 1, samples) → (B, 80, frames) every 10 samples."""
        low = LOWEST + self.low_hz_.abs()
        high = (low + NARROWEST + self.band_hz_.abs()).clamp(LOWEST, RATE / 2)
        width = 2 * (high - low)
        start, end = low @ self.n_, high @ self.n_
        cosine = (end.sin() - start.sin()) / (self.n_ / 2) * self.window_
        sine = (start.cos() - end.cos()) / (self.n_ / 2) * self.window_
        even = torch.cat([cosine, width, cosine.flip(1)], dim=1)
        odd = torch.cat([sine, torch.zeros_like(width), -sine.flip(1)], dim=1)
        filters = torch.cat([even / width, odd / width])
        return nn.functional.conv1d(waveform, filters[:, None], stride=10)


class PyanNet(nn.Module):
    """Waveforms (B, samples) at 16 kHz → logits (B, frames, 3), one for each of three speakers.

    Made for windows of 5 s: 293 frames. Its first layer takes the loudness out.
    """

    def __init__(self) -> None:
        """Build it without weights."""
        super().__init__()
        self.sincnet = nn.ModuleDict(
            {
                "wav_norm1d": nn.InstanceNorm1d(1, affine=True),
                "conv1d": nn.ModuleList(
                    [
                        nn.ModuleDict({"filterbank": SincFilters()}),
                        nn.Conv1d(80, 60, 5),
                        nn.Conv1d(60, 60, 5),
                    ]
                ),
                "norm1d": nn.ModuleList(nn.InstanceNorm1d(d, affine=True) for d in (80, 60, 60)),
            }
        )
        self.lstm = nn.LSTM(60, 128, 4, bidirectional=True, batch_first=True)
        self.linear = nn.ModuleList([nn.Linear(256, 128), nn.Linear(128, 128)])
        self.classifier = nn.Linear(128, 3)

    @classmethod
    def load(cls, folder: Path) -> PyanNet:
        """With the weights of the folder of third parties' models."""
        return filled(cls(), safetensors(folder / "pyannet_segmentation.safetensors"))

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits (B, frames, 3)."""
        parts = self.sincnet
        x = parts["wav_norm1d"](waveform[:, None])
        filters, norms = parts["conv1d"], parts["norm1d"]
        for place, norm in enumerate(norms):
            x = filters[0]["filterbank"](x).abs() if place == 0 else filters[place](x)
            x = nn.functional.leaky_relu(norm(nn.functional.max_pool1d(x, 3)))
        x, _ = self.lstm(x.transpose(1, 2))
        for linear in self.linear:
            x = nn.functional.leaky_relu(linear(x))
        return self.classifier(x)


class Speech(nn.Module):
    """Does anybody speak, do two? Logits (B, frames, 2): largest and second largest of three."""

    def __init__(self, pyannet: PyanNet) -> None:
        """Ask a PyanNet."""
        super().__init__()
        self.pyannet = pyannet

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits (B, frames, 2)."""
        return self.pyannet(waveform).topk(2, dim=-1).values


LABELS = ("speech", "overlap")
FRAME_STEP = STEP / RATE


def frames_of(samples: int) -> int:
    """How many frames a waveform gives: every filter and pooling without padding."""
    count = (samples - 251) // 10 + 1
    for kernel in (5, 5):
        count = count // 3 - kernel + 1
    return math.floor(count / 3)
