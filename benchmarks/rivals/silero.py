"""Silero VAD as `xplain benchmark` and `xplain fit-explainer` take it: silero.py:speech."""

from __future__ import annotations

import sys
from pathlib import Path

from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from recordings import shared
from third_party.silero import Silero

import xplain


class OfClip(nn.Module):
    """One answer for a clip: the mean over its windows (B, 1)."""

    def __init__(self, network: Silero) -> None:
        """Ask a network."""
        super().__init__()
        self.network = network

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits (B, 1) of speech."""
        logits: Tensor = self.network(waveform)
        return logits.mean(dim=1)


def speech() -> xplain.Model:
    """Does anybody speak in the clip?"""
    network = OfClip(Silero.load(shared() / "models" / "silero" / "silero_vad_16k.onnx"))
    return xplain.wrap(
        network, sample_rate=16_000, labels=["speech"], task="multilabel", name="silero"
    )
