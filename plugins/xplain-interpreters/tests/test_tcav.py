"""TCAV on a model whose hidden layer is known, against scikit-learn and autograd themselves."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor, nn

import xplain
from xplain_interpreters.tcav import Tcav, directions

RATE = 4000
HERTZ = (300.0, 700.0, 1100.0, 1500.0)


class Bank(nn.Module):
    """Energies of four filters in every frame (the hidden layer); a linear head on their mean."""

    def __init__(self) -> None:
        super().__init__()
        time = torch.arange(64) / RATE
        waves = [f(2 * math.pi * hz * time) for hz in HERTZ for f in (torch.sin, torch.cos)]
        self.filters = nn.Conv1d(1, 8, 64, 32, bias=False)
        self.filters.weight.data = torch.stack(waves)[:, None] / 8
        self.hidden = nn.Conv1d(4, 4, 1, bias=False)
        self.hidden.weight.data = torch.eye(4)[..., None]
        self.head = nn.Linear(4, 2, bias=False)
        self.head.weight.data = torch.tensor([[3.0, 0.0, -1.0, 0.0], [0.0, 1.0, 0.0, 1.0]])

    def forward(self, waveform: Tensor) -> Tensor:
        energy = self.filters(waveform[:, None]).square().unflatten(1, (4, 2)).sum(dim=2)
        return self.head(self.hidden(energy).mean(dim=2))


def sound(seed: int, hertz: float) -> Tensor:
    chance = torch.Generator().manual_seed(seed)
    time = torch.arange(RATE // 2) / RATE
    noise = 0.05 * torch.randn(len(time), generator=chance)
    return noise + (0.2 + 0.1 * torch.rand((), generator=chance)) * torch.sin(
        2 * math.pi * hertz * time
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[float, str]:
    """A folder of sounds of each tone."""
    parent = tmp_path_factory.mktemp("concepts")
    for hertz in HERTZ:
        (parent / f"{hertz:.0f}").mkdir()
        for number in range(8):
            path = parent / f"{hertz:.0f}" / f"{number}.wav"
            soundfile.write(path, sound(number + int(hertz), hertz).numpy(), RATE)
    return {hertz: str(parent / f"{hertz:.0f}") for hertz in HERTZ}


@pytest.fixture
def model() -> xplain.Model:
    return xplain.wrap(Bank(), sample_rate=RATE, labels=["a", "b"])


def explained(model: xplain.Model, clip: Tensor, **params: Any) -> xplain.Explanation:
    return xplain.explain(
        clip, model, target="a", synthesizer="waveform", explainer="tcav", params=params
    )


def test_the_sensitivity_is_the_head_along_the_direction(
    folders: dict[float, str], model: xplain.Model, tmp_path: Path
) -> None:
    clip = sound(1, 300)
    for hertz, weight in ((300.0, 3.0), (1100.0, -1.0)):
        e = explained(model, clip, concept=folders[hertz], others=folders[1500.0])
        (row,) = e.extras["concepts"]
        assert row["layer"] == "hidden" and row["right"] == 1.0
        # Between the two tones the direction is (e_k − e_4) / √2, and the head says w_k of it.
        assert row["sensitivity"] == pytest.approx(weight / math.sqrt(2), rel=0.1)
        assert row["chance"] == 1 / 21 and row["positive"] == (weight > 0)
        assert abs(row["sensitivity"]) > 10 * row["spread"]
    loaded = xplain.Explanation.load(e.save(tmp_path / "clip"))
    assert loaded.extras["concepts"] == e.extras["concepts"]
    assert len(loaded.extras["most-like"].waveform) == RATE // 2


def test_the_map_goes_through_the_concept_alone(
    folders: dict[float, str], model: xplain.Model
) -> None:
    clip = sound(1, 300) + sound(2, 700)
    e = explained(model, clip, concept=folders[300.0], others=folders[1500.0])
    # By hand: the score is linear above the layer, f = U · mean h, and h depends on the clip.
    v = torch.tensor([1.0, 0.0, 0.0, -1.0]) / math.sqrt(2)
    z = clip.clone().requires_grad_()
    energy = model.module.filters(z[None, None]).square().unflatten(1, (4, 2)).sum(dim=2)[0]
    (slope,) = torch.autograd.grad((v @ energy).mean() * (model.module.head.weight[0] @ v), z)
    wanted = (z * slope).detach()
    similar = torch.cosine_similarity(e.attribution[0], wanted, dim=0)
    assert float(similar) > 0.99
    assert float(e.attribution.norm()) == pytest.approx(float(wanted.norm()), rel=0.1)


def test_directions_are_those_of_scikit_learn_and_of_shuffled_sounds_are_not() -> None:
    chance = np.random.default_rng(0)
    vectors = chance.normal(size=(40, 3))
    which = np.arange(40) < 20
    vectors[which, 1] += 4
    found, shuffled = directions(torch.tensor(vectors).float(), torch.tensor(which), 10)
    whole = LogisticRegression().fit(vectors / vectors.std(), which).coef_[0]
    whole /= np.linalg.norm(whole)
    assert all(float(one.vector.norm()) == pytest.approx(1) for one in (*found, *shuffled))
    assert np.mean([one.vector.numpy() @ whole for one in found]) > 0.97
    assert np.mean([one.right for one in found]) > 0.9
    assert 0.2 < np.mean([one.right for one in shuffled]) < 0.8


def test_what_is_no_concept_or_no_layer_is_refused(
    folders: dict[float, str], model: xplain.Model, tmp_path: Path
) -> None:
    with pytest.raises(xplain.PluginError, match="give concept= "):
        Tcav()
    with pytest.raises(xplain.PluginError, match="holds 0 sounds"):
        Tcav(str(tmp_path), folders[300.0])
    with pytest.raises(xplain.PluginError, match=r"cannot read the layer 'head'.*hidden"):
        explained(model, sound(1, 300), concept=folders[300.0], others=folders[700.0], layer="head")


def test_sounds_count_in_its_fingerprint(folders: dict[float, str]) -> None:
    one, other = (Tcav(folders[300.0], folders[hertz]) for hertz in (700.0, 1100.0))
    assert one.fingerprint() != other.fingerprint()
    assert one.fingerprint() == Tcav(folders[300.0], folders[700.0]).fingerprint()
