"""Listen to Interpret: its dictionary, its loss by hand, and what it says of a known model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tones import RATE, TONES, TwoTones, clip
from torch.nn import functional

import xplain
from xplain.models import make_synthesizer
from xplain.score import Route
from xplain_devkit.check import check
from xplain_devkit.rules.rule import Case
from xplain_interpreters.layers import Layer
from xplain_interpreters.trained.interpreter import Training
from xplain_interpreters.trained.parts import Parts
from xplain_interpreters.trained.training import fit

TRAINING = Training(steps=300, batch=6, learning_rate=5e-3, width=8, components=4, every=50)


@pytest.fixture(scope="module")
def model() -> xplain.Model:
    return xplain.wrap(TwoTones(), sample_rate=RATE, labels=["low", "high"])


@pytest.fixture(scope="module")
def trained(model: xplain.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for number in range(12):
        soundfile.write(folder / f"{number}.wav", clip(number, number % 2)[0].numpy(), RATE)
    out = tmp_path_factory.mktemp("trained") / "explainer"
    fit(Parts, model, make_synthesizer("stft", RATE), sorted(folder.iterdir()), out, TRAINING)
    return out


def test_the_dictionary_is_that_of_spectra_which_were_mixed() -> None:
    chance = np.random.default_rng(0)
    spectra = np.zeros((10, 2))
    spectra[1:4, 0], spectra[6:9, 1] = (1, 2, 1), (2, 1, 1)
    mixed = spectra @ chance.exponential(size=(2, 300))
    network = Parts(
        [Layer("a", (1, 2), 3, 1)], {"width": 2, "components": 2, "channels": 10, "labels": 2}
    )
    network.prepare(torch.tensor(mixed)[None].float(), 0)
    found = network.dictionary.numpy()
    if found[2, 0] < found[2, 1]:
        found = found[:, ::-1]
    np.testing.assert_allclose(found / found.sum(axis=0), spectra / spectra.sum(axis=0), atol=0.03)
    with pytest.raises(xplain.PluginError, match="not negative"):
        network.prepare(torch.tensor([[[-1.0]]]), 0)


@pytest.mark.parametrize("components", [4, 32])
def test_its_parts_begin_as_loud_as_the_clip_however_many_there_are(components: int) -> None:
    torch.manual_seed(0)
    sizes = {"width": 4, "components": components, "channels": 40, "labels": 2}
    network = Parts([Layer("a", (1, 2), 5, 1)], sizes)
    values = torch.rand(2, 40, 60)
    network.prepare(values, 0)
    activations, _ = network({"a": torch.randn(2, 5, 7)}, values.shape)
    assert 0.4 < float(activations.detach().mean()) < 1.2
    rebuilt = network.dictionary @ activations.detach()
    assert 0.4 < float(rebuilt.sum() / values.sum()) < 1.2


def test_the_loss_is_the_sum_of_its_three_means(model: xplain.Model) -> None:
    torch.manual_seed(0)
    sizes = {"width": 2, "components": 3, "channels": 4, "labels": 2}
    network = Parts([Layer("a", (1, 2), 5, 1)], sizes)
    network.dictionary.copy_(torch.rand(4, 3))
    hidden, values = {"a": torch.randn(2, 5, 7)}, torch.rand(2, 4, 7)
    logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    route = Route(model, make_synthesizer("stft", RATE))
    weights = Training(reconstruction=3.0, quiet=0.5)
    got = network.cost(route, hidden, xplain.Latents(values, {}), values, logits, weights)
    h, a = (t.detach().numpy() for t in network(hidden, (2, 4, 7)))
    z = np.einsum("bkt,bt->bk", h, a)
    said = z @ network.theta.weight.detach().numpy().T + network.theta.bias.detach().numpy()
    log = said - np.log(np.exp(said).sum(axis=1, keepdims=True))
    p = np.exp(logits.numpy()) / np.exp(logits.numpy()).sum(axis=1, keepdims=True)
    x = values.numpy()
    missing = np.square(x - network.dictionary.numpy() @ h).mean() / np.square(x).mean()
    wanted = -(p * log).sum(axis=1).mean() + 3 * missing + 0.5 * h.mean()
    assert float(got.detach()) == pytest.approx(wanted, rel=1e-4)


def test_it_finds_the_tone_that_decides_for_any_label(
    trained: Path, model: xplain.Model, tmp_path: Path
) -> None:
    own, other = [], []
    for seed in range(100, 108):
        sound, _ = clip(seed, seed % 2)
        settings: dict[str, Any] = {"explainer": "listen-to-interpret"}
        settings["params"] = {"folder": str(trained)}
        e = xplain.explain(sound, model, **settings)
        rows = (torch.tensor(e.frequencies) - TONES[seed % 2]).abs() < 100
        own.append(bool(rows[e.attribution.sum(dim=1).argmax()]))
        against = xplain.explain(sound, model, target=model.labels[1 - seed % 2], **settings)
        other.append(float(against.attribution[rows].sum()))
    assert sum(own) >= 7, own  # most evidence lies at the tone
    assert np.mean(other) < 0, other
    rows_ = e.extras["components"]
    total = sum(row["relevance"] for row in rows_)
    assert float(e.attribution.sum()) == pytest.approx(total, rel=1e-3)
    assert rows_[0]["played"] and [r["relevance"] for r in rows_] == sorted(
        (r["relevance"] for r in rows_), reverse=True
    )
    loaded = xplain.Explanation.load(e.save(tmp_path / "clip"))
    heard = loaded.extras["interpretation"].waveform
    similar = functional.cosine_similarity(heard, sound, dim=0)
    assert len(heard) == len(sound) and similar > 0.7


def test_a_folder_of_another_kind_is_refused(trained: Path) -> None:
    from xplain_interpreters.trained.lmac import LMac

    with pytest.raises(xplain.PluginError, match="is no l-mac"):
        LMac(str(trained))


def test_it_keeps_the_contract_on_the_model_that_it_was_trained_on(
    trained: Path, model: xplain.Model
) -> None:
    case = Case(model, make_synthesizer("stft", RATE), clip(100, 1)[0])
    found = check("explainer", "listen-to-interpret", {"folder": str(trained)}, case)
    assert found.verdict == "passed", [o.message for o in found.outcomes if o.state == "failed"]
