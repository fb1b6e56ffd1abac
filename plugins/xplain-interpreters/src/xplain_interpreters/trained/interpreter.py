"""What is trained: a network that reads hidden layers, and what a step of it costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from xplain import Latents
from xplain.score import Route
from xplain_interpreters.layers import Layer

ROWS = 16
"""Rows over frequency that a layer without frequencies is spread over."""


@dataclass(frozen=True)
class Training:
    """How an interpreter is trained.

    seconds: of a piece of a clip. width: channels inside. every: steps from one checkpoint to the
    next. inside, outside, sparsity, guidance: weights of L-MAC's loss. components: of the
    dictionary of Listen to Interpret; reconstruction, quiet: weights of its loss. features, active:
    of a sparse autoencoder, all of them and those in a frame.
    """

    steps: int = 400
    batch: int = 8
    seconds: float = 1.0
    learning_rate: float = 1e-3
    width: int = 24
    every: int = 50
    seed: int = 0
    inside: float = 4.0
    outside: float = 0.2
    sparsity: float = 0.4
    guidance: float = 0.0
    components: int = 32
    reconstruction: float = 10.0
    quiet: float = 0.8
    features: int = 64
    active: int = 8


class Interpreter(nn.Module, ABC):
    """A network on some layers of a model, or on latents alone.

    kind: the explainer's name. sizes: what it is made with again, beside the layers. reads_model:
    whether it reads a model's layers; one that does not is of a representation, for any model.
    """

    kind: ClassVar[str]
    reads_model: ClassVar[bool] = True

    def __init__(self, layers: Sequence[Layer], sizes: Mapping[str, int]) -> None:
        """Read ``layers``."""
        super().__init__()
        self.layers, self.sizes = tuple(layers), dict(sizes)
        width = self.sizes["width"]
        # A layer without frequencies says by its channels what lies where in the spectrum.
        self.readers = nn.ModuleList(
            nn.Conv2d(layer.channels, width * (1 if layer.rows > 1 else ROWS), 1)
            for layer in layers
        )

    def read(self, hidden: Mapping[str, Tensor], clips: int, size: Sequence[int]) -> Tensor:
        """Outputs of the layers for B clips, by name, on one grid: (B, width, *size)."""
        total = torch.zeros(())
        for layer, reader in zip(self.layers, self.readers, strict=True):
            grid = layer.grid(hidden[layer.name], clips).float()
            # Layers of any scale: each clip's is brought to that of noise.
            read: Tensor = reader(functional.layer_norm(grid, grid.shape[1:]))
            if layer.rows == 1:
                read = read.reshape(len(read), -1, ROWS, read.shape[-1])
            total = total + functional.interpolate(read, size=list(size), mode="bilinear")
        return total

    def prepare(self, values: Tensor, seed: int) -> None:
        """Learn from latents (B, D, N) what comes before the training."""

    @abstractmethod
    def cost(
        self,
        route: Route,
        hidden: Mapping[str, Tensor],
        latents: Latents,
        silence: Tensor,
        logits: Tensor,
        weights: Training,
    ) -> Tensor:
        """What clips cost, the mean over them; logits (B, L) are the model's of them."""

    @classmethod
    @abstractmethod
    def sizes_of(cls, training: Training, channels: int, labels: int) -> dict[str, int]:
        """Sizes for latents of D channels and a model of L labels."""
