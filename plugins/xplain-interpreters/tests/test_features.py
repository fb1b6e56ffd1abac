"""A sparse autoencoder: a planted dictionary comes back, and its features explain by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from tones import RATE, TONES, TwoTones, clip
from torch import Tensor
from torch.nn import functional

import xplain
from xplain.models import make_synthesizer
from xplain.score import Route
from xplain_devkit.check import check
from xplain_devkit.rules.rule import Case
from xplain_interpreters.trained.autoencoder import SparseAutoencoder
from xplain_interpreters.trained.features import SparseFeatures
from xplain_interpreters.trained.interpreter import Training
from xplain_interpreters.trained.training import fit

TRAINING = Training(steps=150, batch=6, learning_rate=1e-2, features=12, active=2, every=40)


@pytest.fixture(scope="module")
def model() -> xplain.Model:
    return xplain.wrap(TwoTones(), sample_rate=RATE, labels=["low", "high"])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    for number in range(12):
        soundfile.write(folder / f"{number}.wav", clip(number, number % 2)[0].numpy(), RATE)
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def trained(
    model: xplain.Model, files: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("trained") / "explainer"
    fit(SparseAutoencoder, model, make_synthesizer("stft", RATE), files, out, TRAINING)
    return out


def planted(frames: int, atoms: Tensor, chance: torch.Generator) -> Tensor:
    """Frames (1, D, N), each the sum of two atoms (D, K) with positive weights."""
    which = torch.rand(frames, atoms.shape[1], generator=chance).argsort(dim=1)[:, :2]
    weights = torch.zeros(frames, atoms.shape[1])
    weights.scatter_(1, which, 0.5 + torch.rand(frames, 2, generator=chance))
    return (weights @ atoms.T).T[None]


def test_a_planted_dictionary_comes_back(model: xplain.Model) -> None:
    chance = torch.Generator().manual_seed(0)
    atoms = functional.normalize(torch.randn(16, 10, generator=chance), dim=0)
    training = Training(features=20, active=2)
    torch.manual_seed(0)
    network = SparseAutoencoder([], SparseAutoencoder.sizes_of(training, 16, 2))
    values = planted(2000, atoms, chance)
    network.prepare(values, 0)
    optimiser = torch.optim.AdamW(network.parameters(), 1e-2)
    route, nothing = Route(model, make_synthesizer("stft", RATE)), torch.zeros(())
    for _ in range(300):
        latents = xplain.Latents(planted(128, atoms, chance), {})
        cost = network.cost(route, {}, latents, nothing, nothing, training)
        optimiser.zero_grad()
        cost.backward()
        optimiser.step()
    alike = (atoms.T @ network.atoms.detach()).max(dim=1).values
    assert (alike > 0.95).sum() >= 9, alike
    active, added = network(values)
    assert int((active > 0).sum(dim=1).max()) <= 2
    missing = (values - added - network.scale * network.bias[:, None]).square().mean()
    assert missing < 0.05 * values.var()


def test_relevance_adds_up_and_the_feature_of_the_tone_is_played(
    trained: Path, model: xplain.Model, tmp_path: Path
) -> None:
    params: dict[str, Any] = {"folder": str(trained), "steps": 64}
    for seed in (100, 101):
        sound, _ = clip(seed, seed % 2)
        e = xplain.explain(sound, model, explainer="sparse-autoencoder", params=params)
        *rows, left = e.extras["features"]
        total = sum(row["relevance"] for row in rows)
        assert left["feature"] == "left over"
        assert total == pytest.approx(e.score - left["relevance"], rel=0.02)
        assert float(e.attribution.sum()) == pytest.approx(total, rel=1e-3)
        near = (torch.tensor(e.frequencies) - TONES[seed % 2]).abs() < 100
        assert bool(near[e.attribution.sum(dim=1).argmax()])
        loaded = xplain.Explanation.load(e.save(tmp_path / f"{seed}"))
        spectrum = torch.fft.rfft(loaded.extras[rows[0]["feature"]].waveform).abs()
        hertz = float(spectrum.argmax()) * RATE / (2 * (len(spectrum) - 1))
        assert abs(hertz - TONES[seed % 2]) < 50  # what is played is the tone


def test_relevance_is_that_of_a_linear_model_by_hand(trained: Path, closed: Any) -> None:
    made = SparseFeatures(str(trained), steps=3)
    made.checked = lambda score: score  # type: ignore[assignment,method-assign,return-value]
    values = torch.rand(made.network.sizes["channels"], 6)
    weight = torch.randn_like(values)
    score = closed(lambda variants: 2 + (weight * variants).sum(dim=(1, 2)), 2)
    score.clip = type("Clip", (), {"frame_times": torch.arange(6) * 0.1})
    made.played = 0
    got = made.attribute(score, values, torch.zeros_like(values))
    active, added = made.network(values[None])
    by_hand = (active[0] * (made.network.atoms.T @ weight)).sum(dim=1).detach()
    assert torch.allclose(got.values, weight * added[0], atol=1e-4)
    rows = {row["feature"]: row for row in got.extras["features"]}
    best = int(by_hand.argmax())
    assert rows[f"feature-{best}"]["relevance"] == pytest.approx(float(by_hand[best]), rel=1e-4)
    assert max(score.sizes) <= 2


def test_it_explains_any_model_in_its_latents_and_no_other_latents(
    trained: Path, model: xplain.Model
) -> None:
    torch.manual_seed(3)
    other = xplain.wrap(TwoTones(), sample_rate=RATE, labels=["low", "high"])
    with torch.no_grad():
        other.module.filters.weight.mul_(1.5)
    case = Case(other, make_synthesizer("stft", RATE), clip(100, 1)[0])
    found = check("explainer", "sparse-autoencoder", {"folder": str(trained)}, case)
    assert found.verdict == "passed", [o.message for o in found.outcomes if o.state == "failed"]
    params: dict[str, Any] = {"folder": str(trained)}
    with pytest.raises(xplain.PluginError, match="trained on the representation"):
        xplain.explain(
            clip(1, 1)[0],
            model,
            synthesizer="waveform",
            explainer="sparse-autoencoder",
            params=params,
        )


def test_more_active_features_than_there_are_are_refused() -> None:
    with pytest.raises(xplain.PluginError, match="9 of 8 features"):
        SparseAutoencoder([], {"width": 1, "channels": 4, "features": 8, "active": 9})
