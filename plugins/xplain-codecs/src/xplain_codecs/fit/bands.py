"""The head that first estimates a spectrum: power in mel bands, then convolutions over it.

Latents of a generative codec carry the waveform's phase, which says nothing about a word and
which a small head would have to learn to ignore from few speakers. How much power is in which
band can be learned from any audio, without labels; what is decided on it then is what is heard.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

GAIN = 100.0
"""How far below a clip's level the compression bends."""
QUIET = 1e-6
"""Power under which a clip counts as quiet: the division by its level fades out there."""
SCALE, MIDDLE = 4.0, -10.0
"""Of logarithms of power, about their deviation and their mean."""
FAR = -1e4
"""Attention outside a clip, before the softmax: far below any frame's."""
LOUDEST = 30.0
"""Logarithm of power at most: what is larger would be infinite."""


@dataclass(frozen=True)
class BandsSizes:
    """Of the head that estimates a spectrum.

    bands: a multiple of 8, up to ``highest`` Hz. parts: of a frame, in time. width, layers: of the
    estimate. hidden, attention: of what decides on it.
    """

    bands: int = 32
    highest: int = 3900
    parts: int = 2
    width: int = 160
    layers: int = 3
    hidden: int = 96
    attention: int = 4
    dropout: float = 0.3


class Bands(nn.Module):
    """Estimates the power in mel bands, several times a frame, and looks at it as at a picture."""

    def __init__(self, channels: int, sizes: BandsSizes) -> None:
        """Draw the weights; ValueError for sizes that cannot be halved as often as they are."""
        super().__init__()
        bands, parts, hidden = sizes.bands, sizes.parts, sizes.hidden
        can_be_halved(bands, hidden)
        self.power = Estimate(channels, bands, parts, sizes.width, sizes.layers)
        self.parts = parts
        rows, maps = bands // 2, (1, hidden // 4, hidden // 3, hidden // 2, hidden // 2)
        self.pictures = nn.ModuleList(
            Picture(a, b, 5 if a == 1 else 3, rows // height, (2, parts) if a == 1 else (1, 1))
            for a, b, height in zip(maps, maps[1:], (1, 2, 4, 4), strict=False)
        )
        flat = maps[-1] * rows // 4
        self.mixes = nn.ModuleList(
            nn.Conv1d(a, hidden, k, padding=k // 2) for a, k in ((flat, 3), (hidden, 5))
        )
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(2))
        self.activate = nn.Sequential(nn.ReLU(), nn.Dropout(sizes.dropout))
        self.attention = nn.Conv1d(hidden, sizes.attention, 1)

    def forward(self, normal: Tensor, valid: Tensor | None) -> Tensor:
        """Latents (B, D, N), valid (B, N) → what attention gathers, at every frame (B, W, N)."""
        inside = None if valid is None else _parts(valid, self.parts)
        return self.look(compressed(self.power(normal, valid).exp(), inside), valid)

    def look(self, picture: Tensor, valid: Tensor | None) -> Tensor:
        """Compressed power (B, bands, parts · N), valid (B, N) → the same (B, width, N)."""
        if valid is None:
            valid = picture.new_ones(len(picture), picture.shape[-1] // self.parts).bool()
        # Zeros beyond a clip's end: what the padding of a convolution holds for a clip alone.
        place, there = picture[:, None] * _parts(valid, self.parts)[:, None, None], valid[:, None]
        for number, layer in enumerate(self.pictures):
            place = layer(place) * there[:, None]
            if number < 2:
                place = F.avg_pool2d(place, (2, 1))
        frames = place.flatten(1, 2)
        for mix, norm in zip(self.mixes, self.norms, strict=True):
            frames = self.activate(norm(mix(frames).mT)).mT * there
        weights = self.attention(frames).masked_fill(~there, FAR)
        gathered = torch.einsum("bct,bht->bhc", frames, weights.softmax(-1)).flatten(1)
        return gathered[..., None].expand(-1, -1, frames.shape[-1])


def can_be_halved(bands: int, hidden: int) -> None:
    """Raise ValueError for sizes that cannot be halved as often as a picture's are."""
    if bands % 8 or hidden < 4:
        raise ValueError(
            f"bands are a multiple of 8 and hidden is at least 4, not {bands} and {hidden}"
        )


class Estimate(nn.Module):
    """The logarithm of the power in mel bands, from latents alone."""

    def __init__(self, channels: int, bands: int, parts: int, width: int, layers: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.bands, self.parts = bands, parts
        self.first = nn.Conv1d(channels, width, 5, padding=2)
        self.layers = nn.ModuleList(nn.Conv1d(width, width, 5, padding=2) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers + 1))
        self.activate = nn.ReLU()
        self.out = nn.Linear(width, parts * bands)

    def forward(self, normal: Tensor, valid: Tensor | None) -> Tensor:
        """Latents (B, D, N), valid (B, N) → natural logarithms (B, bands, parts · N)."""
        there = None if valid is None else valid[:, None].to(normal)
        frames = self.first(normal if there is None else normal * there)
        for layer, norm in zip(self.layers, self.norms, strict=False):
            inner = self.activate(norm(frames.mT)).mT
            frames = frames + self.activate(layer(inner if there is None else inner * there))
        values = (SCALE * self.out(self.norms[-1](frames.mT)) + MIDDLE).clamp(max=LOUDEST)
        parts: Tensor = values.reshape(len(values), -1, self.bands)
        return parts.mT


class Picture(nn.Module):
    """A convolution over bands and time; each moment is normalised by itself."""

    def __init__(
        self, before: int, after: int, kernel: int, rows: int, stride: tuple[int, int]
    ) -> None:
        """Draw the weights; rows: how many bands come out."""
        super().__init__()
        self.layer = nn.Conv2d(before, after, kernel, stride, padding=kernel // 2)
        self.norm = nn.LayerNorm((after, rows))
        self.activate = nn.ReLU()

    def forward(self, picture: Tensor) -> Tensor:
        """(B, before, bands, time) → (B, after, rows, time / stride)."""
        moments = self.layer(picture).permute(0, 3, 1, 2)
        found: Tensor = self.activate(self.norm(moments).permute(0, 2, 3, 1))
        return found


def compressed(power: Tensor, valid: Tensor | None) -> Tensor:
    """Power (B, bands, T) → about 0..2, silence near 0, whatever the clip's level."""
    if valid is not None:
        power = power * valid[:, None]
    loudness = power.mean(1)
    # Weighting each frame by itself keeps silence around a sound out of the level.
    level = loudness.square().sum(-1) / (loudness.sum(-1) + QUIET)
    return torch.log1p(GAIN / (level + QUIET)[:, None, None] * power) / 4


def _parts(valid: Tensor, parts: int) -> Tensor:
    return valid.repeat_interleave(parts, dim=1)
