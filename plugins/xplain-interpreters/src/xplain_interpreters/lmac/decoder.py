"""The decoder: from hidden layers to a mask over the latents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from xplain_interpreters.layers import Layer

ROWS = 16
"""Rows over frequency that a layer without frequencies is spread over."""

STAGES = (8, 4, 2, 1)
"""Parts of the latents' resolution at which the mask is made, one after another."""


class Decoder(nn.Module):
    """Each layer is brought to a coarse grid; their sum is refined to a mask (B, D, N) of 0 to 1.

    As in the paper, the layers are joined from coarse to fine by convolutions with upsampling; the
    sizes are not the paper's, since any model's layers have to fit.
    """

    def __init__(self, layers: Sequence[Layer], width: int = 24) -> None:
        """Read ``layers``; width: channels inside."""
        super().__init__()
        self.layers = tuple(layers)
        # A layer without frequencies says by its channels what lies where in the spectrum.
        self.readers = nn.ModuleList(
            nn.Conv2d(layer.channels, width * (1 if layer.rows > 1 else ROWS), 1)
            for layer in layers
        )
        self.refine = nn.ModuleList(
            nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(1, width), nn.GELU())
            for _ in STAGES
        )
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, hidden: Mapping[str, Tensor], shape: tuple[int, int]) -> Tensor:
        """Outputs of the layers, by name, for B clips of latents (D, N) → masks (B, D, N)."""
        total: Tensor | None = None
        for place, (part, refine) in enumerate(zip(STAGES, self.refine, strict=True)):
            size = [-(-length // part) for length in shape]
            if total is None:
                total = sum(
                    (
                        self._read(number, hidden[layer.name], size)
                        for number, layer in enumerate(self.layers)
                    ),
                    start=torch.zeros(()),
                )
            elif place:
                total = functional.interpolate(total, size=size, mode="bilinear")
            total = refine(total)
        mask: Tensor = self.out(total)[:, 0].sigmoid()
        return mask

    def _read(self, number: int, output: Tensor, size: list[int]) -> Tensor:
        grid = self.layers[number].grid(output).float()
        # Layers of any scale: each clip's is brought to that of noise.
        grid = functional.layer_norm(grid, grid.shape[1:])
        read: Tensor = self.readers[number](grid)
        if self.layers[number].rows == 1:
            read = read.reshape(len(read), -1, ROWS, read.shape[-1])
        return functional.interpolate(read, size=size, mode="bilinear")
