"""Fixtures of the core's tests; tests/toys.py has what they are made of."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor
from toys import RATE, BandEnergies, Convolutions

import xplain


@pytest.fixture
def bands() -> xplain.Model:
    return xplain.wrap(BandEnergies(), sample_rate=RATE, labels=("low", "mid", "high"))


@pytest.fixture
def convolutions() -> xplain.Model:
    torch.manual_seed(0)
    return xplain.wrap(Convolutions().train(), sample_rate=RATE, labels=("a", "b", "c"))


@pytest.fixture
def chirp() -> Tensor:
    time = torch.arange(RATE) / RATE
    return 0.3 * torch.sin(2 * math.pi * (200 * time + 1600 * time.square()))


@pytest.fixture
def noise() -> Callable[[float, int], Tensor]:
    def make(seconds: float, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return 0.1 * torch.randn(round(seconds * RATE), generator=generator)

    return make


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("XPLAIN_SHARED", Path(__file__).parent / ".." / "shared"))
    if not (folder / "data" / "manifest.csv").is_file():
        pytest.skip("needs the recordings of ../shared/data (or XPLAIN_SHARED), which are absent")
    return folder.resolve()
