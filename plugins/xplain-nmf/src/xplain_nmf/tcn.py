"""The network Ψ: features of a recording → how active each component of the dictionary is.

A bottleneck and a temporal convolutional network as in Conv-TasNet (Luo, Mesgarani 2019,
arXiv 1809.07454), with the sizes of Mariotte et al. 2024 (arXiv 2401.08268).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

KERNEL = 3
EPSILON = 1e-3
"""Added to the variance of a frame, which can be nearly 0 in silence."""


class GlobalNorm(nn.Module):
    """Global layer norm: over channels and all frames of a recording, one gain per channel.

    Every frame then depends on the whole recording, so that windows of it differ from it.
    """

    def __init__(self, channels: int) -> None:
        """One gain and one shift for each channel."""
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, T) → the same shape."""
        normalised: Tensor = self.norm(x)
        return normalised


class FrameNorm(nn.Module):
    """Layer norm over the channels of each frame by itself: its reach is one frame."""

    def __init__(self, channels: int) -> None:
        """One gain and one shift for each channel."""
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, 1))
        self.bias = nn.Parameter(torch.zeros(channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, T) → the same shape."""
        # Over channels, torch.var_mean takes five times as long as two means.
        centred = x - x.mean(1, keepdim=True)
        variance = centred.square().mean(1, keepdim=True)
        return centred * (variance + EPSILON).rsqrt() * self.weight + self.bias


NORMS: dict[str, type[GlobalNorm] | type[FrameNorm]] = {"global": GlobalNorm, "frame": FrameNorm}


class Block(nn.Module):
    """1×1 convolution, depthwise convolution over time, 1×1 convolution, and a way past them."""

    def __init__(self, channels: int, hidden: int, dilation: int, norm: str) -> None:
        """Take the dilation of the depthwise convolution, in frames."""
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(channels, hidden, 1),
            nn.PReLU(),
            NORMS[norm](hidden),
            nn.Conv1d(
                hidden,
                hidden,
                KERNEL,
                dilation=dilation,
                padding=dilation * (KERNEL - 1) // 2,
                groups=hidden,
            ),
            nn.PReLU(),
            NORMS[norm](hidden),
            nn.Conv1d(hidden, channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, T) → the same shape."""
        added: Tensor = x + self.body(x)
        return added


class Tcn(nn.Module):
    """Norm, bottleneck, repeats × blocks with dilations 1, 2, 4, …, and a 1×1 convolution."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        bottleneck: int,
        hidden: int,
        repeats: int,
        blocks: int,
        norm: str,
    ) -> None:
        """Take the number of channels at each stage; norm: "global" or "frame"."""
        super().__init__()
        self.reach = repeats * (KERNEL - 1) // 2 * ((1 << blocks) - 1)
        """Frames to each side of a frame that can change it, but for the norm."""
        self.inputs = nn.Sequential(NORMS[norm](inputs), nn.Conv1d(inputs, bottleneck, 1))
        self.blocks = nn.Sequential(
            *(
                Block(bottleneck, hidden, 1 << b, norm)
                for _ in range(repeats)
                for b in range(blocks)
            )
        )
        self.outputs = nn.Sequential(nn.PReLU(), nn.Conv1d(bottleneck, outputs, 1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs, T) → (B, outputs, T)."""
        out: Tensor = self.outputs(self.blocks(self.inputs(features)))
        return out
