"""Where in the spectrum an attribution lies, by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from xplain.bands import Band, bands_of
from xplain.errors import PluginError


def channels(**where: Any) -> Any:
    return SimpleNamespace(**{"frequencies": None, "spectra": None, **where})


# Above zero, added up: 6, 3, 2, 2. What is below zero speaks against the label.
ATTRIBUTION = torch.tensor([[2.0, 4.0], [3.0, -4.0], [1.0, 1.0], [0.0, 2.0]])


def test_channels_that_are_frequencies_lie_there() -> None:
    found = bands_of(ATTRIBUTION, channels(frequencies=[50.0, 150.0, 450.0, 1000.0]))
    assert found == (Band(0, 200, pytest.approx(9 / 13)),)


def test_channels_with_spectra_lie_where_these_do() -> None:
    # Channel 0 is half at 50 and half at 450 Hz; 2 has no spectrum; 3 is at 1000 Hz.
    spectra = torch.tensor([[5.0, 0, 5, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 3]])
    found = bands_of(ATTRIBUTION, channels(spectra=(spectra, [50.0, 150.0, 450.0, 1000.0])))
    # 3 at 0–100 Hz, 3 at 100–200 Hz, 3 at 400–510 Hz, 2 at 920–1000 Hz: two of the first make half.
    assert found == (Band(0, 200, pytest.approx(6 / 11)),)


def test_nothing_is_said_where_it_is_not_known_or_nothing_speaks_for_it() -> None:
    assert bands_of(ATTRIBUTION, channels()) is None
    assert bands_of(-ATTRIBUTION.abs(), channels(frequencies=[50.0, 150.0, 450.0, 999.0])) == ()


@pytest.mark.parametrize(
    "frequencies",
    [[50.0, 150.0], [], [0.0, 0.0, 0.0, 0.0], [50.0, 150.0, float("nan"), 450.0]],
)
def test_frequencies_that_are_not_the_channels_are_refused(frequencies: list[float]) -> None:
    with pytest.raises(PluginError, match="names"):
        bands_of(ATTRIBUTION, channels(frequencies=frequencies))


def test_spectra_in_half_precision_are_taken() -> None:
    spectra = torch.eye(4, dtype=torch.bfloat16), [50.0, 150.0, 450.0, 1000.0]
    assert bands_of(ATTRIBUTION, channels(spectra=spectra)) == (
        Band(0, 200, pytest.approx(9 / 13)),
    )


@pytest.mark.parametrize(
    "spectra", [torch.ones(3, 2), -torch.ones(4, 2), torch.full((4, 2), float("nan"))]
)
def test_spectra_that_are_not_the_channels_are_refused(spectra: torch.Tensor) -> None:
    with pytest.raises(PluginError, match="they are \\(channels, frequencies\\)"):
        bands_of(ATTRIBUTION, channels(spectra=(spectra, [100.0, 200.0])))
