"""Resemblyzer, a speaker encoder (Wan et al. 2018, generalised end-to-end loss)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from third_party.mel import slaney_edges, triangles
from third_party.weights import filled, safetensors

FRAMES = 160
"""Of a window, 10 ms apart."""

LEVEL = 10 ** (-30 / 20)
"""Root mean square to which quieter clips are raised."""


class VoiceEncoder(nn.Module):
    """Waveforms (B, samples) at 16 kHz → who speaks, unit vectors (B, 256).

    The mean over windows of 1.6 s every ``hop`` frames; shorter clips are one window.
    """

    filters: Tensor
    window: Tensor

    def __init__(self, hop: int = 80) -> None:
        """Build it without weights."""
        super().__init__()
        self.hop = hop
        self.lstm = nn.LSTM(40, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)
        self.register_buffer("window", torch.hann_window(400), persistent=False)
        bank = triangles(slaney_edges(0, 8000, 40), 400, 16_000)
        self.register_buffer("filters", bank.float(), persistent=False)

    @classmethod
    def load(cls, folder: Path, hop: int = 80) -> VoiceEncoder:
        """With the weights of the folder of third parties' models."""
        return filled(cls(hop), safetensors(folder / "resemblyzer.safetensors"))

    def mel(self, waveform: Tensor) -> Tensor:
        """Power in 40 bands (B, frames, 40), without a logarithm."""
        level = waveform.square().mean(dim=1, keepdim=True).clamp(min=1e-16).sqrt()
        raised = waveform * (LEVEL / level).clamp(min=1)
        spectrum = torch.stft(
            raised, 400, 160, window=self.window, pad_mode="constant", return_complex=True
        )
        power = spectrum.real.square() + spectrum.imag.square()
        return (self.filters @ power).transpose(1, 2)

    def forward(self, waveform: Tensor) -> Tensor:
        """Embeddings (B, 256)."""
        mel = self.mel(waveform)
        if mel.shape[1] > FRAMES:
            mel = mel.unfold(1, FRAMES, self.hop).transpose(2, 3)
        else:
            mel = mel[:, None]
        _, (hidden, _) = self.lstm(mel.flatten(0, 1))
        said = nn.functional.normalize(self.linear(hidden[-1]).relu())
        return nn.functional.normalize(said.unflatten(0, mel.shape[:2]).mean(dim=1))


class SameSpeaker(nn.Module):
    """Cosine (B, 1) to a reference's embedding, as a logit of being the same speaker.

    (cosine − threshold) · slope: above 0 it is decided for the same speaker.
    """

    reference: Tensor

    def __init__(
        self, encoder: VoiceEncoder, reference: Tensor, threshold: float, slope: float = 20.0
    ) -> None:
        """Compare with a reference (256,)."""
        super().__init__()
        self.encoder, self.threshold, self.slope = encoder, threshold, slope
        self.register_buffer("reference", reference)

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits (B, 1)."""
        return self.slope * ((self.encoder(waveform) @ self.reference)[:, None] - self.threshold)
