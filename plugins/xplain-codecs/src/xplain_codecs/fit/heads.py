"""Heads: small networks that decide on the latents of a frozen codec.

The three of Akman, Sun, Schuller (2024), arXiv 2410.07530, and one for few clips. Each takes
normalised latents (B, D, N) and, for clips of unequal length, which frames are theirs: valid
(B, N), True there. Frames that are padding change nothing: a clip's logits are those it has
alone. That is why no head looks from the last frame backwards, nor has batch normalisation, but
for ``hearing``, which needs it: while that learns, every clip of a batch counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from xplain.errors import ModelError, PluginError, nearest
from xplain.parameters import typed
from xplain_codecs.fit.bands import Bands, BandsSizes
from xplain_codecs.fit.hearing import Hearing, HearingSizes

MOST_LAYERS = 1000
"""Of a head; more would be made for minutes, and fill the memory."""
STILL = 1e-3
"""Least deviation that is scaled by, where the root of a variance has a gradient too."""


@dataclass(frozen=True)
class TransformerSizes:
    """Of the keyword classifier of the paper.

    positions: how many frames have a position of their own; those after them share the
    last one. None: as many as the longest training clip has frames.
    """

    width: int = 256
    layers: int = 3
    heads: int = 8
    feedforward: int = 512
    dropout: float = 0.1
    positions: int | None = None


@dataclass(frozen=True)
class ConvSizes:
    """Of the stack of convolutions over time. kernel: frames, odd."""

    width: int = 128
    layers: int = 4
    kernel: int = 5
    dropout: float = 0.1


@dataclass(frozen=True)
class GruSizes:
    """Of the recurrent classifier."""

    width: int = 128
    layers: int = 2
    dropout: float = 0.1


@dataclass(frozen=True)
class StatisticsSizes:
    """Of the linear classifier on what each channel does over the clip."""

    dropout: float = 0.5


Sizes: TypeAlias = (
    TransformerSizes | ConvSizes | GruSizes | StatisticsSizes | BandsSizes | HearingSizes
)


class Head(nn.Module):
    """A normalisation learned from the training clips, a network, a mean over time, logits."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, channels: int, width: int, labels: int) -> None:
        """Put a network from (B, D, N) to (B, width, N) between normalisation and labels."""
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.network = network
        self.out = nn.Linear(width, labels)

    def forward(self, latents: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits (B, labels) of latents (B, D, N); lengths (B,): frames that are no padding.

        Raises ValueError for latents of another number of channels.
        """
        if latents.ndim != 3 or latents.shape[1] != len(self.mean):
            raise ValueError(
                f"this head reads latents (batch, {len(self.mean)}, frames), not "
                f"{tuple(latents.shape)}; encode with the codec it was fitted on"
            )
        normal = (latents - self.mean[:, None]) / self.std[:, None]
        if lengths is None:
            logits: Tensor = self.out(self.network(normal, None).mean(-1))
            return logits
        valid = torch.arange(latents.shape[-1], device=latents.device) < lengths[:, None]
        frames = self.network(normal, valid) * valid[:, None]
        logits = self.out(frames.sum(-1) / lengths[:, None])
        return logits


class Transformer(nn.Module):
    """Linear, learned positions, transformer encoder."""

    def __init__(self, channels: int, sizes: TransformerSizes) -> None:
        """Draw the weights; sizes.positions has to be known."""
        super().__init__()
        if sizes.positions is None or sizes.positions < 1:
            raise ValueError(f"positions is at least 1, not {sizes.positions}")
        self.project = nn.Linear(channels, sizes.width)
        self.positions = nn.Parameter(0.02 * torch.randn(sizes.positions, sizes.width))
        # Time first, since batch first has a fused path in evaluation mode alone, past which
        # neither hooks see nor the same numbers come.
        layer = nn.TransformerEncoderLayer(
            sizes.width, sizes.heads, sizes.feedforward, sizes.dropout, batch_first=False
        )
        self.encoder = nn.TransformerEncoder(layer, sizes.layers, enable_nested_tensor=False)

    def forward(self, normal: Tensor, valid: Tensor | None) -> Tensor:
        """Latents (B, D, N), valid (B, N) → frames (B, width, N)."""
        place = torch.arange(normal.shape[-1], device=normal.device)
        positions = self.positions[place.clamp(max=len(self.positions) - 1)]
        frames = self.project(normal.permute(2, 0, 1)) + positions[:, None]
        padding = None if valid is None else ~valid
        out: Tensor = self.encoder(frames, src_key_padding_mask=padding)
        return out.permute(1, 2, 0)


class Convolutions(nn.Module):
    """Convolutions over time; each frame is normalised by itself."""

    def __init__(self, channels: int, sizes: ConvSizes) -> None:
        """Draw the weights."""
        super().__init__()
        if sizes.kernel % 2 == 0:
            raise ValueError(f"kernel is odd, so that frames stay in place, not {sizes.kernel}")
        self.layers = nn.ModuleList(
            nn.Conv1d(width, sizes.width, sizes.kernel, padding=sizes.kernel // 2)
            for width in (channels, *[sizes.width] * (sizes.layers - 1))
        )
        self.norms = nn.ModuleList(nn.LayerNorm(sizes.width) for _ in range(sizes.layers))
        self.activate = nn.Sequential(nn.ReLU(), nn.Dropout(sizes.dropout))

    def forward(self, normal: Tensor, valid: Tensor | None) -> Tensor:
        """Latents (B, D, N), valid (B, N) → frames (B, width, N)."""
        frames = normal
        for layer, norm in zip(self.layers, self.norms, strict=True):
            if valid is not None:
                # What a clip alone has beyond its end: the zeros of the convolution's padding.
                frames = frames * valid[:, None]
            frames = self.activate(norm(layer(frames).transpose(1, 2)).transpose(1, 2))
        return frames


class Gru(nn.Module):
    """Gated recurrent units, forwards in time, so that padding comes after all that counts."""

    def __init__(self, channels: int, sizes: GruSizes) -> None:
        """Draw the weights."""
        super().__init__()
        # torch warns of dropout between layers where there is one layer.
        dropout = sizes.dropout if sizes.layers > 1 else 0.0
        self.units = nn.GRU(channels, sizes.width, sizes.layers, batch_first=True, dropout=dropout)

    def forward(self, normal: Tensor, valid: Tensor | None) -> Tensor:
        """Latents (B, D, N), valid (B, N) → frames (B, width, N)."""
        frames: Tensor = self.units(normal.transpose(1, 2))[0]
        return frames.transpose(1, 2)


class Statistics(nn.Module):
    """Mean and standard deviation of each channel over time, scaled as over the training clips.

    Statistics pooling (Snyder et al. 2018, "X-vectors") of the latents themselves, so that the
    head is a logistic regression: with a few hundred clips, as of acted emotions, it tells new
    speakers better than deeper heads do.
    """

    centre: Tensor
    spread: Tensor

    def __init__(self, channels: int, sizes: StatisticsSizes) -> None:
        """Scale nothing, until measure() is called."""
        super().__init__()
        self.register_buffer("centre", torch.zeros(2 * channels))
        self.register_buffer("spread", torch.ones(2 * channels))
        self.dropout = nn.Dropout(sizes.dropout)

    def measure(self, clips: Iterable[Tensor]) -> None:
        """Set the scale by normalised latents (1, D, N) of training clips."""
        pooled = torch.cat([self.pooled(clip, None) for clip in clips])
        self.centre.copy_(pooled.mean(0))
        self.spread.copy_(pooled.std(0, correction=0).clamp(min=STILL))

    def pooled(self, normal: Tensor, valid: Tensor | None) -> Tensor:
        """Latents (B, D, N), valid (B, N) → means and deviations (B, 2 D)."""
        weights = torch.ones_like(normal[:, :1]) if valid is None else valid[:, None].to(normal)
        frames = weights.sum(-1)
        mean = (normal * weights).sum(-1) / frames
        variance = ((normal - mean[..., None]).square() * weights).sum(-1) / frames
        return torch.cat([mean, (variance + STILL**2).sqrt()], dim=1)

    def forward(self, normal: Tensor, valid: Tensor | None) -> Tensor:
        """Latents (B, D, N), valid (B, N) → the same statistics at every frame (B, 2 D, N)."""
        scaled = (self.pooled(normal, valid) - self.centre) / self.spread
        dropped: Tensor = self.dropout(scaled)
        return dropped[..., None].expand(-1, -1, normal.shape[-1])


SIZES: Mapping[str, type[Sizes]] = {
    "transformer": TransformerSizes,
    "conv": ConvSizes,
    "gru": GruSizes,
    "statistics": StatisticsSizes,
    "bands": BandsSizes,
    "hearing": HearingSizes,
}
"""The heads by name, with what each can be told."""


def head_sizes(kind: str, given: Mapping[str, Any]) -> Sizes:
    """The sizes of a head, those not given at their default; ModelError for wrong ones."""
    if kind not in SIZES:
        raise ModelError(f"no head {kind!r}; {nearest(kind, SIZES)}")
    known = asdict(SIZES[kind]())
    for name in given:
        if name not in known:
            raise ModelError(f"the head {kind!r} has no size {name!r}; {nearest(name, known)}")
    try:
        given = typed(SIZES[kind], given, f"the head {kind!r}")
    except PluginError as error:
        raise ModelError(str(error)) from error
    for name, value in given.items():
        if name == "dropout":
            fits = isinstance(value, int | float) and 0 <= value < 1
            wanted = "a share from 0, below 1"
        else:
            open_ended = name == "positions" and value is None
            fits = open_ended or (type(value) is int and value >= 1)
            wanted = "a whole number of at least 1"
            if name == "layers" and fits and value > MOST_LAYERS:
                fits, wanted = False, f"at most {MOST_LAYERS}"
        if not fits:
            raise ModelError(f"the head {kind!r}: {name} is {wanted}, not {value!r}")
    return SIZES[kind](**given)


def make_head(sizes: Sizes, channels: int, labels: int) -> Head:
    """A head with random weights, for latents of so many channels; ModelError if impossible."""
    network: nn.Module
    try:
        if isinstance(sizes, TransformerSizes):
            if sizes.width % sizes.heads:
                raise ValueError(f"{sizes.heads} heads do not divide a width of {sizes.width}")
            network = Transformer(channels, sizes)
        elif isinstance(sizes, ConvSizes):
            network = Convolutions(channels, sizes)
        elif isinstance(sizes, GruSizes):
            network = Gru(channels, sizes)
        elif isinstance(sizes, BandsSizes | HearingSizes):
            network = (
                Bands(channels, sizes)
                if isinstance(sizes, BandsSizes)
                else Hearing(channels, sizes)
            )
            return Head(network, channels, sizes.attention * sizes.hidden, labels)
        else:
            return Head(Statistics(channels, sizes), channels, 2 * channels, labels)
    except ValueError as error:
        raise ModelError(f"no such head can be made: {error}") from error
    return Head(network, channels, sizes.width, labels)


def with_positions(sizes: Sizes, longest: int) -> Sizes:
    """The sizes with a position for each frame of the longest training clip, if none are set."""
    if isinstance(sizes, TransformerSizes) and sizes.positions is None:
        return replace(sizes, positions=longest)
    return sizes
