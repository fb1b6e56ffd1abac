"""Scores whose answers are known, and heads like those people explain."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import xplain

SHAPE = (6, 12)


class Closed(xplain.Score):
    """A score given as a function of the variants."""

    def __init__(self, function: Callable[[Tensor], Tensor], max_batch: int = 64) -> None:
        super().__init__()
        self.function, self.max_batch = function, max_batch

    def forward(self, variants: Tensor) -> Tensor:
        return self.function(variants)


class Headed(xplain.Score):
    """The second logit of a head that reads the latents; notes how many variants it is given."""

    def __init__(self, head: nn.Module, max_batch: int = 64) -> None:
        super().__init__()
        self.head, self.max_batch = head, max_batch
        self.sizes: list[int] = []
        self.eval()

    def forward(self, variants: Tensor) -> Tensor:
        self.sizes.append(len(variants))
        return self.head(variants)[:, 1]


class OverFrames(nn.Module):
    """A transformer or a GRU along the frames, and the mean over them."""

    def __init__(self, recurrent: bool) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.body: nn.Module = (
            nn.GRU(SHAPE[0], 8, batch_first=True)
            if recurrent
            else nn.TransformerEncoderLayer(SHAPE[0], 2, 16, batch_first=True)
        )
        self.out = nn.Linear(8 if recurrent else SHAPE[0], 3)

    def forward(self, variants: Tensor) -> Tensor:
        frames = self.body(variants.transpose(1, 2))
        return self.out((frames[0] if self.recurrent else frames).mean(dim=1))


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(SHAPE[0], 8, 3, padding=1),
        nn.BatchNorm1d(8),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Conv1d(8, 4, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )


HEADS: dict[str, Callable[[], nn.Module]] = {
    "convolutions": convolutions,
    "transformer": lambda: OverFrames(recurrent=False),
    "gru": lambda: OverFrames(recurrent=True),
}


def make_headed(head: str, max_batch: int = 64) -> Headed:
    torch.manual_seed(0)
    return Headed(HEADS[head](), max_batch)


@pytest.fixture
def closed() -> type[Closed]:
    """Score given by a function: closed(function, max_batch)."""
    return Closed


@pytest.fixture
def over() -> type[Headed]:
    """Score of a given head: over(head, max_batch)."""
    return Headed


@pytest.fixture
def headed() -> Callable[..., Headed]:
    """Score of a head by its name: headed(name, max_batch)."""
    return make_headed


@pytest.fixture
def clip() -> tuple[Tensor, Tensor]:
    """Latents and a baseline, (6, 12)."""
    generator = torch.Generator().manual_seed(3)
    return (
        torch.randn(SHAPE, generator=generator),
        0.3 * torch.randn(SHAPE, generator=generator),
    )
