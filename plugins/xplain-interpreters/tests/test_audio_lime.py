"""audioLIME: weights of segments × stems that are known by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import xplain
from xplain_interpreters.audio_lime import AudioLime

RATE = 4000


@pytest.mark.parametrize("max_batch", [1, 7, 64])
def test_of_a_linear_score_the_weights_are_what_each_component_adds(
    max_batch: int, closed: Any
) -> None:
    torch.manual_seed(1)
    x, b, w = torch.randn(3, 2, 6)
    score = closed(lambda variants: 5 + (w * variants).sum(dim=(1, 2)), max_batch)
    score.groups = xplain.Groups(torch.tensor([[0] * 6, [1] * 6]), ("voice", "drums"))
    score.duration = 3.0
    got = AudioLime(samples=100, segments=3, ridge=0).attribute(score, x, b)
    added = (w * (x - b)).reshape(2, 3, 2).sum(dim=2)  # two sources × three segments
    assert torch.allclose(got.groups.sums(got.values).float(), added.flatten(), atol=1e-4)
    rows = {(r["source"], r["start"], r["end"]): r["weight"] for r in got.extras["components"]}
    assert rows["drums", 1.0, 2.0] == pytest.approx(float(added[1, 1]), abs=1e-4)
    weights = [row["weight"] for row in got.extras["components"]]
    assert weights == sorted(weights, reverse=True)
    assert max(score.sizes) <= max_batch


def test_the_fit_is_the_weighted_ridge_of_lime() -> None:
    chance = np.random.default_rng(0)
    mixed = (chance.random((40, 5)) < 0.5).astype(float)
    mixed[0] = 1
    said = chance.normal(size=40)
    got = AudioLime(width=0.3, ridge=2.0).fitted(torch.tensor(mixed), torch.tensor(said)).numpy()
    on = mixed.sum(axis=1)
    away = 1 - np.sqrt(on / 5)  # the cosine of a mix and of all ones
    pi = np.exp(-(away**2) / 0.3**2)
    # By the normal equations, without a penalty of the intercept.
    design = np.column_stack([mixed, np.ones(40)])
    penalty = 2.0 * np.diag([1.0] * 5 + [0.0])
    wanted = np.linalg.solve(design.T @ (pi[:, None] * design) + penalty, design.T @ (pi * said))
    np.testing.assert_allclose(got, wanted[:5], atol=1e-9)


class Loudness(nn.Module):
    """How loud the first half is; the other label takes the rest."""

    def forward(self, waveform: Tensor) -> Tensor:
        half = waveform.shape[1] // 2
        halves = waveform[:, :half], waveform[:, half:]
        return torch.stack([part.square().mean(dim=1) * 50 for part in halves], dim=1)


def test_the_stem_and_the_segment_that_are_heard_are_named_and_played() -> None:
    """A hum in the first half and clicks in the second, taken apart by stems of xplain-units."""
    time = torch.arange(2 * RATE) / RATE
    hum = 0.3 * torch.sin(2 * torch.pi * 300 * time) * (time < 1)
    clicks = torch.zeros(2 * RATE)
    clicks[RATE + 200 :: 800] = 0.9
    model = xplain.wrap(Loudness(), sample_rate=RATE, labels=["early", "late"])
    settings: dict[str, Any] = {
        "synthesizer": "stems",
        "synthesizer_params": {"seconds": 0.5},
        "explainer": "audiolime",
        "params": {"samples": 60},
    }
    for target, stem, sound in (("early", "harmonic", hum), ("late", "percussive", clicks)):
        e = xplain.explain(hum + clicks, model, target=target, grouping="stems", **settings)
        first = e.extras["components"][0]
        assert first["source"] == stem and (first["start"] < 1) == (target == "early"), first
        played = e.extras["interpretation"].waveform
        similar = torch.nn.functional.cosine_similarity(played, sound, dim=0)
        assert float(similar) > 0.7
    e = xplain.explain(hum + clicks, model, **settings)
    assert not e.baseline.any()  # silence is a gain of zero
    assert {r["source"] for r in e.extras["components"]} == {"stem 1", "stem 2"}


def test_more_components_than_mixes_can_tell_apart_are_refused(closed: Any) -> None:
    score = closed(lambda variants: variants.sum(dim=(1, 2)))
    with pytest.raises(xplain.PluginError, match="10 components to weigh by 12 mixes"):
        AudioLime(samples=12).attribute(score, torch.ones(2, 20), torch.zeros(2, 20))
    with pytest.raises(ValueError, match="segments is a whole number"):
        AudioLime(segments=0)
