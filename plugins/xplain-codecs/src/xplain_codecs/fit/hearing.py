"""The head that hears: an estimated spectrum, and on it the network of a classifier of waveforms.

What a network has learned of the spectra of audio it knows of latents too, once a spectrum is
estimated from them well. `training.train_digits_latent` of xplain-zoo makes one from two parts.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xplain_codecs.fit.bands import FAR, LOUDEST, MIDDLE, SCALE, can_be_halved, compressed

SQUARES = 4
"""Whose sum is the power of a band."""
FAINT = 1e-6
"""Added to it before its logarithm is taken."""


@dataclass(frozen=True)
class HearingSizes:
    """Of the head that hears what zoo:digits hears.

    bands: a multiple of 8, up to ``highest`` Hz. parts: of a frame, in time. width, layers: of the
    estimate. hidden, attention: of what decides on it, which is normalised over the batch while it
    learns, so that it takes thousands of clips.
    """

    bands: int = 32
    highest: int = 3900
    parts: int = 2
    width: int = 128
    layers: int = 4
    hidden: int = 128
    attention: int = 4
    dropout: float = 0.3


class Hearing(nn.Module):
    """Estimates the power in mel bands, and looks at it as zoo:digits does."""

    def __init__(self, channels: int, sizes: HearingSizes) -> None:
        """Draw the weights; ValueError for sizes that cannot be halved as often as they are."""
        super().__init__()
        bands, self.parts, hidden = sizes.bands, sizes.parts, sizes.hidden
        can_be_halved(bands, hidden)
        self.power = SquaredEstimate(channels, sizes)
        maps = (1, hidden // 4, hidden * 3 // 8, hidden // 2, hidden // 2)
        self.pictures = nn.ModuleList(
            nn.Conv2d(
                a,
                b,
                5 if a == 1 else 3,
                (2, self.parts) if a == 1 else 1,
                bias=False,
                padding=2 if a == 1 else 1,
            )
            for a, b in pairwise(maps)
        )
        self.scales = nn.ModuleList(nn.BatchNorm2d(b) for b in maps[1:])
        self.hide = nn.Dropout2d(sizes.dropout / 2)
        self.mixes = nn.ModuleList(
            nn.Conv1d(a, hidden, k, padding=k // 2)
            for a, k in ((maps[-1] * bands // 8, 3), (hidden, 5))
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden) for _ in range(2))
        self.drop = nn.Dropout(sizes.dropout)
        self.attention = nn.Conv1d(hidden, sizes.attention, 1)

    def forward(self, normal: Tensor, valid: Tensor | None) -> Tensor:
        """Latents (B, D, N), valid (B, N) → what attention gathers, at every frame (B, W, N)."""
        inside = None if valid is None else valid.repeat_interleave(self.parts, dim=1)
        return self.look(compressed(self.power(normal, valid).exp(), inside), valid)

    def look(self, picture: Tensor, valid: Tensor | None) -> Tensor:
        """Compressed power (B, bands, parts · N), valid (B, N) → the same (B, width, N)."""
        frames = picture.shape[-1] // self.parts
        if valid is None:
            valid = picture.new_ones(len(picture), frames).bool()
        # Zeros beyond a clip's end: what the padding of a convolution holds for a clip alone.
        place = (picture * valid.repeat_interleave(self.parts, dim=1)[:, None])[:, None]
        for number, (layer, norm) in enumerate(zip(self.pictures, self.scales, strict=True)):
            place = F.silu(norm(layer(place))) * valid[:, None, None]
            if number == 1:
                place, valid = _in_pairs(place, valid)
            if number == 2:
                place = F.avg_pool2d(place, (2, 1))
        there = valid[:, None]
        moments = self.hide(place).flatten(1, 2)
        for mix, norm in zip(self.mixes, self.norms, strict=True):
            moments = self.drop(F.silu(norm(mix(moments)))) * there
        weights = self.attention(moments).masked_fill(~there, FAR)
        gathered = torch.einsum("bct,bht->bhc", moments, weights.softmax(-1)).flatten(1)
        return gathered[..., None].expand(-1, -1, frames)


class SquaredEstimate(nn.Module):
    """The logarithm of the power in mel bands, from latents alone, as a sum of squares.

    Latents that follow the waveform lead to amplitudes by a smooth way, and to the logarithm of
    power by a steep one.
    """

    def __init__(self, channels: int, sizes: HearingSizes) -> None:
        """Draw the weights."""
        super().__init__()
        width = sizes.width
        self.bands, self.parts = sizes.bands, sizes.parts
        self.first = nn.Conv1d(channels, width, 3, padding=1)
        self.layers = nn.ModuleList(Layer(width) for _ in range(sizes.layers))
        self.norm = nn.LayerNorm(width)
        self.level = nn.Linear(width, self.parts)
        self.out = nn.Linear(width, self.parts * self.bands * SQUARES)

    def forward(self, normal: Tensor, valid: Tensor | None) -> Tensor:
        """Latents (B, D, N), valid (B, N) → natural logarithms (B, bands, parts · N)."""
        there = None if valid is None else valid[:, None].to(normal)
        frames = self.first(normal if there is None else normal * there)
        for layer in self.layers:
            frames = layer(frames if there is None else frames * there)
        seen = self.norm(frames.mT)
        amplitudes = self.out(seen).unflatten(-1, (self.parts, self.bands, SQUARES))
        level = SCALE * self.level(seen)[..., None] + MIDDLE
        power = (amplitudes.square().sum(-1) + FAINT).log() + level
        logs: Tensor = power.clamp(max=LOUDEST).flatten(1, 2).mT
        return logs


class Layer(nn.Module):
    """A channel's own convolution over time, then all channels of each frame (ConvNeXt; Liu et al.
    2022)."""

    def __init__(self, width: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.time = nn.Conv1d(width, width, 5, padding=2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.mix = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, frames: Tensor) -> Tensor:
        """(B, width, N) → the same."""
        found: Tensor = frames + self.mix(self.norm(self.time(frames).mT)).mT
        return found


def _in_pairs(place: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Means over two bands and two frames, of the frames that are a clip's, and which those are."""
    there = F.avg_pool1d(valid.to(place)[:, None], 2, ceil_mode=True)
    pooled = F.avg_pool2d(place, 2, ceil_mode=True) / there.clamp(min=0.5)[:, None]
    return pooled, there[:, 0] > 0
