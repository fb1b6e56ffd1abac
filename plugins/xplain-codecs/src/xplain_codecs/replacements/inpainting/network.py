"""A masked model of latents: what could be in the places that are not known."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

SIDES = (1, 2, 4, 8, 1, 2)
"""Dilations of the blocks, in frames."""
LOG_SPREAD = (-4.0, 1.5)
"""Smallest and largest logarithm of a standard deviation, of latents with a deviation of 1."""


class Block(nn.Module):
    """A residual block over time, as in ConvNeXt (Liu et al. 2022)."""

    def __init__(self, width: int, dilation: int) -> None:
        """Keep ``width`` channels."""
        super().__init__()
        self.along = nn.Conv1d(
            width, width, 5, padding=2 * dilation, dilation=dilation, groups=width
        )
        self.norm = nn.GroupNorm(1, width)
        self.wide = nn.Conv1d(width, 2 * width, 1)
        self.narrow = nn.Conv1d(2 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, N) → the same shape."""
        inner = functional.gelu(self.wide(self.norm(self.along(x))))
        added: Tensor = x + self.narrow(inner)
        return added


class MaskedModel(nn.Module):
    """A normal distribution for each unknown element, given those that are known.

    sizes: channels of the latents, and width of the network. mean, scale (D,): of the latents.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, sizes: Mapping[str, int]) -> None:
        """Make it for latents of ``channels``, with ``width`` channels inside."""
        super().__init__()
        channels, width = sizes["channels"], sizes["width"]
        self.sizes = dict(sizes)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("scale", torch.ones(channels))
        self.enter = nn.Conv1d(2 * channels, width, 3, padding=1)
        self.blocks = nn.ModuleList(Block(width, dilation) for dilation in SIDES)
        self.leave = nn.Conv1d(width, 2 * channels, 1)

    def forward(self, values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Means and standard deviations (B, D, N) of normalised latents; known: bool (B, D, N)."""
        x = self.enter(torch.cat([values * known, known.to(values)], dim=1))
        for block in self.blocks:
            x = block(x)
        mean, log = self.leave(x).chunk(2, dim=1)
        return mean, log.clamp(*LOG_SPREAD).exp()

    def normalised(self, values: Tensor) -> Tensor:
        """Latents (B, D, N) with a mean of 0 and a deviation of 1 in each channel."""
        return (values - self.mean[:, None]) / self.scale[:, None]

    def loss(self, values: Tensor, known: Tensor) -> Tensor:
        """Mean negative log-likelihood of the unknown elements of latents (B, D, N), in nats."""
        x = self.normalised(values)
        mean, spread = self(x, known)
        nats = functional.gaussian_nll_loss(mean, x, spread.square(), full=True, reduction="none")
        return nats[~known].mean()

    def drawn(
        self, values: Tensor, keep: Tensor, draws: int, rounds: int, generator: torch.Generator
    ) -> Tensor:
        """Latents (draws, D, N) whose unknown places are drawn, from (D, N) and bool (D, N).

        As in MaskGIT (Chang et al. 2022), a share of the unknown places at a time: what was drawn
        in one round is known in the next, so that elements fit each other.
        """
        known = keep.expand(draws, *keep.shape).clone()
        x = self.normalised(values[None]) * known
        chance = torch.rand(known.shape, generator=generator).to(x.device)
        for number in range(rounds):
            mean, spread = self(x, known)
            noise = torch.randn(known.shape, generator=generator).to(x)
            now = ~known & (chance < (number + 1) / rounds)
            x = torch.where(now, mean + spread * noise, x)
            known |= now
        return x * self.scale[:, None] + self.mean[:, None]
