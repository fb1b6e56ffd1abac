"""What stands for "nothing here" where nobody says: silence, or noise where silence is none."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import xplain
from xplain_codecs.codecs.stft import Stft

RATE = 8000


class Harmonics(nn.Module):
    """How much of each frame's power lies at five harmonics of 200 and of 310 Hz."""

    def __init__(self, loud: bool = False) -> None:
        super().__init__()
        bins = torch.arange(257) * RATE / 512
        combs = [
            sum((-(((bins - k * f) / 12) ** 2)).exp() for k in range(1, 6)) for f in (200, 310)
        ]
        self.register_buffer("combs", torch.stack(combs))
        self.loud = loud

    def forward(self, waveform: Tensor) -> Tensor:
        window = torch.hann_window(512)
        power = torch.stft(waveform, 512, 128, window=window, return_complex=True).abs().square()
        if not self.loud:
            power = power / power.sum(dim=1, keepdim=True).clamp(min=1e-20)
        return 5 * (self.combs @ power).mean(dim=2).clamp(min=1e-9).sqrt()


def tone(pitch: float) -> Tensor:
    time = torch.arange(RATE) / RATE
    clean = sum(torch.sin(2 * math.pi * pitch * k * time + k) for k in range(1, 6))
    hiss = torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    return 0.1 * (clean / clean.std() + hiss * 10**-0.5)


def explained(module: nn.Module, **settings: Any) -> xplain.Explanation:
    model = xplain.wrap(module, sample_rate=RATE, labels=("200 Hz", "310 Hz"))
    return xplain.explain(tone(200), model, **settings)


def test_a_model_that_takes_loudness_out_is_compared_with_noise() -> None:
    found = explained(Harmonics())
    replacement, baseline = (found.provenance[k] for k in ("replacement", "baseline"))
    assert replacement["name"] == baseline["name"] == "xplain-codecs/noise"
    assert (replacement["parameters"]["level"], baseline["parameters"]["level"]) == (-5, -10)
    assert "20 dB fainter, 100%" in replacement["chosen"]
    assert found.converged


def test_its_evidence_lies_at_the_harmonics_that_it_hears() -> None:
    found = explained(Harmonics())
    bins = torch.tensor(Stft(RATE).frequencies)
    near = torch.stack([(bins - 200 * k).abs() <= 1.5 * bins[1] for k in range(1, 6)]).any(dim=0)
    positive = found.attribution.clamp(min=0)
    assert float(positive[near].sum() / positive.sum()) > 0.85


def test_a_model_that_hears_loudness_is_compared_with_silence() -> None:
    found = explained(Harmonics(loud=True))
    assert found.provenance["replacement"]["name"] == "xplain-codecs/silence"
    assert found.provenance["baseline"]["name"] == "xplain-codecs/silence"
    assert "chosen" not in found.provenance["replacement"]


@pytest.mark.parametrize(
    "given", [{"replacement": "silence"}, {"baseline": "silence"}, {"baseline": "mean"}]
)
def test_what_is_asked_for_is_taken(given: dict[str, str]) -> None:
    found = explained(Harmonics(), **given)
    (kind, name), *_ = given.items()
    assert found.provenance[kind]["name"] == f"xplain-codecs/{name}"
    assert found.provenance["replacement"]["name"] == "xplain-codecs/silence"


class Power(nn.Module):
    """A clip's power, raised to an exponent, against nothing."""

    def __init__(self, exponent: float) -> None:
        super().__init__()
        self.exponent = exponent

    def forward(self, waveform: Tensor) -> Tensor:
        power = waveform.square().mean(dim=1).clamp(min=1e-30) ** self.exponent
        return torch.stack([power, 0 * power], dim=1)


@pytest.mark.parametrize(
    ("exponent", "name"), [(0.05, "noise"), (0.14, "noise"), (0.16, "silence"), (0.5, "silence")]
)
def test_silence_is_none_where_20_db_less_leave_more_than_half(exponent: float, name: str) -> None:
    """A hundredth of the power, and so 100 ** -exponent of the score: .79, .52, .48, .1."""
    found = explained(Power(exponent), explainer="feature-ablation", params={"grouping": "channel"})
    assert found.provenance["replacement"]["name"] == f"xplain-codecs/{name}"
    assert found.provenance["baseline"]["parameters"].get("level") == {"noise": -10}.get(name)
