"""Edits against what they have to be by definition, and their effect on scores known by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import xplain
from xplain_interpreters.audio_edits import at_level, at_pitch, at_rate, in_noise, stretched
from xplain_interpreters.edits import Edits

RATE = 8000


def tone(hertz: float, seconds: float = 1.0) -> Tensor:
    return 0.3 * torch.sin(2 * math.pi * hertz * torch.arange(round(seconds * RATE)) / RATE)


def peak(waveform: Tensor) -> float:
    """Hz of the loudest frequency of the middle half."""
    middle = waveform[len(waveform) // 4 : -len(waveform) // 4]
    spectrum = torch.fft.rfft(middle * torch.hann_window(len(middle)), n=2**16).abs()
    return float(spectrum.argmax()) * RATE / 2**16


@pytest.mark.parametrize("semitones", [-4, 2, 12])
def test_another_pitch_is_as_many_semitones_away(semitones: int) -> None:
    moved = at_pitch(tone(440), RATE, semitones)
    assert len(moved) == RATE
    assert peak(moved) == pytest.approx(440 * 2 ** (semitones / 12), rel=0.005)
    assert float(moved[2000:6000].std()) == pytest.approx(0.3 / math.sqrt(2), rel=0.15)


@pytest.mark.parametrize("factor", [0.7, 1.4])
def test_another_rate_keeps_the_pitch(factor: float) -> None:
    spoken = stretched(tone(440), RATE, factor)
    assert len(spoken) == round(RATE / factor)
    assert peak(spoken) == pytest.approx(440, rel=0.005)
    click = torch.zeros(RATE)
    click[4000] = 1.0
    assert int(stretched(click, RATE, factor).abs().argmax()) == pytest.approx(
        4000 / factor, abs=200
    )
    assert len(at_rate(tone(440), RATE, factor)) == RATE


def test_noise_and_level_are_in_decibels() -> None:
    clip = tone(440)
    added = in_noise(clip, RATE, 10) - clip
    ratio = 10 * math.log10(float(clip.square().sum() / added.square().sum()))
    assert ratio == pytest.approx(10, abs=1e-3)
    assert torch.allclose(at_level(clip, RATE, -20), clip / 10)


class LogEnergy(nn.Module):
    """Log of the mean square of the samples, against nothing."""

    def forward(self, waveform: Tensor) -> Tensor:
        energy = waveform.square().mean(dim=1).clamp_min(1e-12).log()
        return torch.stack([energy, torch.zeros_like(energy)], dim=1)


def test_the_table_has_the_changes_of_the_score(tmp_path: Any) -> None:
    model = xplain.wrap(LogEnergy(), sample_rate=RATE, labels=["loud", "not"])
    clip = torch.cat([tone(440, 0.5), torch.zeros(RATE // 2)])
    e = xplain.explain(
        clip, model, explainer=Edits(), synthesizer="waveform", target="loud", max_batch=3
    )
    changes = {(row["edit"], row["amount"]): row["change"] for row in e.extras["edits"]}
    for decibels in (-20.0, -10.0, 10.0):
        assert changes["level", decibels] == pytest.approx(decibels * math.log(10) / 10, rel=1e-3)
    assert changes["noise", 0.0] == pytest.approx(math.log(2), abs=0.05)
    assert abs(changes["pitch", 2.0]) < 0.2
    loud, silent = e.attribution[0, : RATE // 2], e.attribution[0, RATE // 2 :]
    assert loud.min() > 0 > silent.max()  # where nothing sounds, noise alone changes anything
    loaded = xplain.Explanation.load(e.save(tmp_path / "clip"))
    assert loaded.extras["edits"] == e.extras["edits"]
    heard = loaded.extras["level"]
    played = [row["amount"] for row in loaded.extras["edits"] if row["played"]]
    assert heard.sample_rate == RATE and played[-1] == -20
    assert torch.allclose(heard.waveform, clip / 10, atol=1e-4)


def test_a_score_without_a_recording_is_refused(closed: Any) -> None:
    score = closed(lambda variants: variants.sum(dim=(1, 2)))
    with pytest.raises(xplain.PluginError, match="change a recording"):
        Edits().attribute(score, torch.ones(2, 3), torch.zeros(2, 3))
