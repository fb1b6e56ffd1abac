"""The modified discrete cosine transform: what MP3 and AAC are made of."""

import math

import torch
from torch import Tensor

from xplain import Context, Latents, Synthesizer


class Mdct(Synthesizer):
    """D cosines in windows of 2 D samples, each half overlapping its neighbour.

    Princen, Johnson, Bradley (1987). As many numbers as samples, no phase, and nothing lost:
    what one window folds over, the next one folds back. D = size, N = ceil(samples / D) + 1.
    """

    encode_differentiable = True
    decode_differentiable = True

    def __init__(self, sample_rate: int, size: int = 256) -> None:
        """Work at ``sample_rate`` Hz, with ``size`` new samples in each window."""
        if size < 1:
            raise ValueError(f"a window has at least 1 new sample, not {size}")
        self.sample_rate = sample_rate
        self.size = size
        self.frequencies = [(k + 0.5) * sample_rate / (2 * size) for k in range(size)]
        t, k = torch.arange(2 * size) + 0.5, torch.arange(size)[:, None] + 0.5
        window = torch.sin(math.pi * t / (2 * size))
        cosines = torch.cos(math.pi / size * (t + size / 2) * k)
        self._basis = math.sqrt(2 / size) * window * cosines  # (D, 2 D)

    def encode(self, waveform: Tensor) -> Latents:
        """Waveforms (B, samples) → latents (B, D, N)."""
        clips, samples = waveform.shape
        ends = (self.size, self.size + -samples % self.size)
        padded = torch.nn.functional.pad(waveform, ends)
        windows = padded.unfold(1, 2 * self.size, self.size)  # (B, N, 2 D)
        values = (windows @ self._basis.to(waveform).T).transpose(1, 2)
        return Latents(values, {"length": torch.full((clips,), samples)})

    def decode(self, values: Tensor, context: Context) -> Tensor:
        """Variants (n, D, N) → (n, samples)."""
        windows = values.transpose(1, 2) @ self._basis.to(values)  # (n, N, 2 D)
        first, second = windows[:, 1:, : self.size], windows[:, :-1, self.size :]
        return (first + second).flatten(1)[:, : int(context["length"][0])]
