"""The short-time Fourier transform: magnitudes to change, phase to come back with."""

from __future__ import annotations

import torch
from torch import Tensor

from xplain import Context, Latents, Synthesizer


class Stft(Synthesizer):
    """Compressed magnitudes |S|^power, the phase kept as context.

    D = window // 2 + 1 frequencies, N = samples // hop + 1 frames, frame t centred on
    sample t · hop. With nothing changed, decoding gives the waveform back to float32's
    precision. A variant below zero, which no magnitude is, decodes as its absolute value.
    """

    encode_differentiable = True
    decode_differentiable = True

    def __init__(
        self, sample_rate: int, window: float = 0.032, overlap: int = 4, power: float = 0.5
    ) -> None:
        """Analyse with a Hann window.

        sample_rate: Hz. window: its length in seconds. overlap: windows that cover a
        sample. power: exponent of the magnitude, 1 for none.
        """
        if overlap < 2:
            raise ValueError(f"a Hann window overlaps at least 2-fold to invert, not {overlap}")
        if not 0 < power <= 1:
            raise ValueError(f"power lies in (0, 1], not at {power:g}")
        self.sample_rate = sample_rate
        self.window = window
        self.overlap = overlap
        self.power = power
        self._hop = max(1, round(window * sample_rate / overlap))
        self._size = self._hop * overlap
        self.frequencies = [k * sample_rate / self._size for k in range(self._size // 2 + 1)]

    def encode(self, waveform: Tensor) -> Latents:
        """Waveforms (B, samples) → latents (B, D, N), zero or more."""
        spectrum = torch.stft(
            waveform,
            self._size,
            self._hop,
            window=self._hann(waveform),
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        length = torch.full((len(waveform),), waveform.shape[-1])
        magnitude = spectrum.abs()
        # |S|^power has no finite slope at 0, where a gradient would become NaN.
        heard = magnitude > 0
        values = torch.where(heard, magnitude, 1.0).pow(self.power) * heard
        return Latents(values, {"phase": spectrum.angle(), "length": length})

    def decode(self, values: Tensor, context: Context) -> Tensor:
        """Variants (n, D, N) → (n, samples)."""
        # The usual square is a case of its own, since this is where a method's time goes.
        magnitude = values.square() if self.power == 0.5 else values.abs().pow(1 / self.power)
        phase = context["phase"].to(values)
        return torch.istft(
            magnitude * torch.polar(torch.ones_like(phase), phase),
            self._size,
            self._hop,
            window=self._hann(values),
            center=True,
            length=int(context["length"][0]),
        )

    def _hann(self, like: Tensor) -> Tensor:
        return torch.hann_window(self._size, dtype=like.dtype, device=like.device)
