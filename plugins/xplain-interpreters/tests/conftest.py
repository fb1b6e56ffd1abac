"""Scores whose answers are known."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import xplain


class Closed(xplain.Score):
    """A score given as a function of the variants; notes how many it is given at once."""

    def __init__(self, function: Callable[[Tensor], Tensor], max_batch: int = 64) -> None:
        super().__init__()
        self.function, self.max_batch = function, max_batch
        self.sizes: list[int] = []

    def forward(self, variants: Tensor) -> Tensor:
        self.sizes.append(len(variants))
        return self.function(variants)


@pytest.fixture
def closed() -> Any:
    return Closed


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)
