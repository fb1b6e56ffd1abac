"""Silero VAD: does anybody speak? A recurrent network over windows of 32 ms."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from third_party.weights import filled, onnx

WINDOW, CONTEXT = 512, 64
FRAME_STEP = WINDOW / 16_000


class Silero(nn.Module):
    """Waveforms (B, samples) at 16 kHz → logits (B, windows, 1) of speech.

    The last window is filled with zeros. The state begins at zero.
    """

    basis: Tensor

    def __init__(self) -> None:
        """Build it without weights."""
        super().__init__()
        self.register_buffer("basis", torch.zeros(258, 1, 256))
        sizes = ((129, 128, 1), (128, 64, 2), (64, 64, 2), (64, 128, 1))
        self.encoder = nn.ModuleList(nn.Conv1d(i, o, 3, s, 1) for i, o, s in sizes)
        self.rnn = nn.LSTM(128, 128, batch_first=True)
        self.head = nn.Conv1d(128, 1, 1)

    @classmethod
    def load(cls, file: Path) -> Silero:
        """With the weights of silero_vad_16k.onnx."""
        given = onnx(file)
        weights = {"basis": given["model.stft.forward_basis_buffer"]}
        for kind in ("weight", "bias"):
            for place in range(4):
                name = f"model.encoder.{place}.reparam_conv.{kind}"
                weights[f"encoder.{place}.{kind}"] = given[name]
            for part in ("ih", "hh"):
                weights[f"rnn.{kind}_{part}_l0"] = given[f"model.decoder.rnn.{kind}_{part}"]
            weights[f"head.{kind}"] = given[f"model.decoder.decoder.2.{kind}"]
        return filled(cls(), weights)

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits (B, windows, 1)."""
        missing = -waveform.shape[1] % WINDOW
        padded = nn.functional.pad(waveform, (CONTEXT, missing))
        windows = padded.unfold(1, WINDOW + CONTEXT, WINDOW)
        x = nn.functional.pad(windows.flatten(0, 1), (0, CONTEXT), mode="reflect")[:, None]
        real, imaginary = nn.functional.conv1d(x, self.basis, stride=128).chunk(2, dim=1)
        # A square root has no finite slope at zero.
        x = (real.square() + imaginary.square()).clamp(min=1e-14).sqrt()
        for layer in self.encoder:
            x = layer(x).relu()
        x, _ = self.rnn(x[..., 0].unflatten(0, windows.shape[:2]))
        logits: Tensor = self.head(x.transpose(1, 2).relu())
        return logits.transpose(1, 2)
