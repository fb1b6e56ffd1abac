"""DNSMOS P.835 (Reddy et al. 2022): how good does speech sound? Mean opinion scores 1-5."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from third_party.weights import filled, onnx

SAMPLES = 144_160
POOLED = 8 * 160
"""Samples of one column after the last pooling."""
LABELS = ("signal", "background", "overall")


class Dnsmos(nn.Module):
    """Waveforms (B, samples) at 16 kHz → opinion scores (B, 3): signal, background, overall.

    Clips are repeated to, or cut at, 9.01 s, as its authors do. Of those that fill columns of the
    last pooling exactly, whole repetitions in the middle are left out, for a fourth of the time:
    their columns are those of the repetition before, of which the maximum is the same.
    """

    real: Tensor
    imaginary: Tensor

    def __init__(self) -> None:
        """Build it without weights."""
        super().__init__()
        self.register_buffer("real", torch.zeros(161, 320, 1))
        self.register_buffer("imaginary", torch.zeros(161, 320, 1))
        widths = (1, 128, 64, 64, 32, 32, 32, 64)
        self.conv = nn.ModuleList(nn.Conv2d(*ends, 3, padding=1) for ends in pairwise(widths))
        self.dense = nn.ModuleList([nn.Linear(64, 128), nn.Linear(128, 64), nn.Linear(64, 3)])

    @classmethod
    def load(cls, folder: Path) -> Dnsmos:
        """With the weights of the folder of third parties' models."""
        given = onnx(folder / "dnsmos_sig_bak_ovr.onnx")
        graph = "mos_estimator_logpow"
        weights = {
            "real": given["time2freq/stft-real/kernel:0"],
            "imaginary": given["time2freq/stft-imag/kernel:0"],
        }
        for place, number in enumerate(("", "_1", "_2", "_3", "_4", "_5", "_6")):
            weights[f"conv.{place}.weight"] = given[f"conv2d{number}/kernel:0"]
            weights[f"conv.{place}.bias"] = given[f"conv2d{number}/bias:0"]
        for place, name in enumerate(("dense", "dense_1", "dense_3")):
            weights[f"dense.{place}.weight"] = given[
                f"{graph}/{name}/MatMul/ReadVariableOp/resource:0"
            ].T
            weights[f"dense.{place}.bias"] = given[
                f"{graph}/{name}/BiasAdd/ReadVariableOp/resource:0"
            ]
        return filled(cls(), weights)

    def forward(self, waveform: Tensor) -> Tensor:
        """Opinion scores (B, 3)."""
        length, samples = waveform.shape[1], SAMPLES
        if length % POOLED == 0 and length >= 10 * POOLED:
            samples -= max(0, SAMPLES // length - 2) * length
        whole = waveform.repeat(1, -(-samples // length))[:, :samples]
        frames = whole.unfold(1, 320, 160).transpose(1, 2)
        power = (self.real[..., 0] @ frames).square() + (self.imaginary[..., 0] @ frames).square()
        x = (power.transpose(1, 2).clamp(min=1e-12).log() / math.log(10))[:, None]
        for number, conv in enumerate(self.conv):
            x = conv(x).relu()
            if number in (3, 4, 5):
                x = nn.functional.max_pool2d(x, 2)
        x = x.amax(dim=(2, 3))
        return self.dense[2](self.dense[1](self.dense[0](x).relu()).relu())
