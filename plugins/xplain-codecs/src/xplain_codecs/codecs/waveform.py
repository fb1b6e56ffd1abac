"""The identity: samples as their own representation."""

from __future__ import annotations

from torch import Tensor

from xplain import Context, Latents, Synthesizer


class Waveform(Synthesizer):
    """One channel whose frames are the samples: D = 1, N = samples."""

    encode_differentiable = True
    decode_differentiable = True

    def __init__(self, sample_rate: int) -> None:
        """Work at ``sample_rate`` Hz."""
        self.sample_rate = sample_rate

    def encode(self, waveform: Tensor) -> Latents:
        """Waveforms (B, samples) → latents (B, 1, samples), no context."""
        return Latents(waveform[:, None], {})

    def decode(self, values: Tensor, context: Context) -> Tensor:
        """Variants (n, 1, samples) → (n, samples)."""
        return values[:, 0]
