"""Test inputs: sounds, representations and networks.

All of it is made here, small enough for hundreds of evaluations in a second, and needs no
plugin to be installed.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from xplain.interfaces import Clip, Context, Latents, Replacement, Synthesizer

RATE = 8000
"""Hz, of the sounds that explainers and replacements are tested on."""


def half_a_second(made: Synthesizer) -> int:
    """Samples of half a second at a synthesizer's rate."""
    return made.sample_rate // 2


def noise(samples: int, seed: int = 0) -> Tensor:
    """White noise (samples,) with a standard deviation of 0.1."""
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(samples, generator=generator)


def tone(hertz: float, samples: int, sample_rate: int, start: float = 0, end: float = 1) -> Tensor:
    """A sine (samples,) that sounds from one share of the time to another."""
    time = torch.arange(samples) / sample_rate
    share = torch.arange(samples) / samples
    return 0.3 * torch.sin(2 * math.pi * hertz * time) * ((share >= start) & (share < end))


class Frames(Synthesizer):
    """Frames of 8 samples under an orthonormal cosine transform: nothing overlaps.

    D = 8, N = ceil(samples / 8). Without loss, and differentiable both ways.
    """

    encode_differentiable = True
    decode_differentiable = True
    size = 8

    def __init__(self, sample_rate: int = RATE) -> None:
        """Work at ``sample_rate`` Hz."""
        self.sample_rate = sample_rate
        k, n = torch.arange(self.size)[:, None], torch.arange(self.size)[None]
        basis = torch.cos(math.pi / self.size * (n + 0.5) * k) * math.sqrt(2 / self.size)
        self._basis = torch.cat([basis[:1] / math.sqrt(2), basis[1:]])

    def encode(self, waveform: Tensor) -> Latents:
        """Waveforms (B, samples) → latents (B, 8, N)."""
        samples = waveform.shape[-1]
        padded = nn.functional.pad(waveform, (0, -samples % self.size))
        frames = padded.reshape(len(waveform), -1, self.size)
        values = (frames @ self._basis.to(waveform).T).transpose(1, 2)
        return Latents(values, {"length": torch.full((len(waveform),), samples)})

    def decode(self, values: Tensor, context: Context) -> Tensor:
        """Variants (n, 8, N) → (n, samples)."""
        frames = values.transpose(1, 2) @ self._basis.to(values)
        return frames.flatten(1)[:, : int(context["length"][0])]


class Levels(Synthesizer):
    """How loud the clip is, 50 times a second, the rest kept as context: D = 1.

    Few elements and no clicks between them, so that methods that ask about one element after
    another find what is in a clip of a second soon. Without loss where there is any sound.
    """

    encode_differentiable = False
    decode_differentiable = True

    def __init__(self, sample_rate: int = RATE) -> None:
        """Work at ``sample_rate`` Hz."""
        self.sample_rate = sample_rate

    def encode(self, waveform: Tensor) -> Latents:
        """Waveforms (B, samples) → levels (B, 1, N): the root of the mean square."""
        frames = math.ceil(waveform.shape[-1] * 50 / self.sample_rate)
        power = nn.functional.adaptive_avg_pool1d(waveform.square()[:, None], frames)
        return Latents(power.sqrt(), {"sound": waveform, "level": power.sqrt()})

    def decode(self, values: Tensor, context: Context) -> Tensor:
        """Variants (n, 1, N) → (n, samples)."""
        sound, level = context["sound"], context["level"]
        gain = values / torch.where(level > 0, level, 1.0)
        return sound * nn.functional.interpolate(gain, sound.shape[-1], mode="linear")[:, 0]


class Nothing(Replacement):
    """Zero in every element, which is silence in Frames and in Levels."""

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        """Zeros (D, N)."""
        return torch.zeros_like(latents)


class OfSound(nn.Module):
    """A network on waveforms, with parts that methods may disturb (dropout, batch norm)."""

    def __init__(self) -> None:
        """Draw the weights."""
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(1, 8, 64, stride=16), nn.BatchNorm1d(8), nn.Softplus(), nn.Dropout(0.5)
        )
        self.head = nn.Linear(8, 3)

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms (batch, samples) → logits (batch, 3)."""
        padded = nn.functional.pad(waveform, (0, 64))
        logits: Tensor = self.head(self.layers(padded[:, None]).mean(-1))
        return logits


class OfOneElement(nn.Module):
    """A linear network whose second logit is three times one element of the latents of Frames.

    The other logits are zero. rectified: with a ReLU in front, which some methods need; it
    changes nothing where the element is positive.
    """

    def __init__(self, element: tuple[int, int], frames: int, *, rectified: bool) -> None:
        """Read the element (channel, frame) of latents (8, frames)."""
        super().__init__()
        channel, frame = element
        linear = nn.Linear(Frames.size * frames, 3)
        with torch.no_grad():
            linear.weight.zero_()
            linear.bias.zero_()
            linear.weight[1, channel * frames + frame] = 3
        rectifier = [nn.ReLU()] if rectified else []
        self.layers = nn.Sequential(nn.Flatten(), *rectifier, linear)

    def forward(self, values: Tensor) -> Tensor:
        """Latents (batch, 8, frames) → logits (batch, 3)."""
        logits: Tensor = self.layers(values)
        return logits


class OfLatents(nn.Module):
    """A network on the latents of Frames, of layers that most methods support."""

    def __init__(self) -> None:
        """Draw the weights."""
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(Frames.size, 16, 1),
            nn.ReLU(),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
            nn.Linear(16, 3),
        )

    def forward(self, values: Tensor) -> Tensor:
        """Latents (batch, 8, N) → logits (batch, 3)."""
        logits: Tensor = self.layers(values)
        return logits


class LinearlyOfLatents(nn.Module):
    """A network of one layer on the latents of Frames, for methods that support no other."""

    def __init__(self) -> None:
        """Draw the weights."""
        super().__init__()
        self.head = nn.Linear(Frames.size, 3)

    def forward(self, values: Tensor) -> Tensor:
        """Latents (batch, 8, N) → logits (batch, 3)."""
        logits: Tensor = self.head(values.mean(dim=-1))
        return logits
