"""The in-painter: it learns what sounds are like, sees nothing that was removed, resumes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

import xplain
from xplain.errors import ArtifactError
from xplain_codecs.codecs.stft import Stft
from xplain_codecs.fit.codec_record import Codec
from xplain_codecs.replacements.inpainting import training as trainings
from xplain_codecs.replacements.inpainting.inpainter import Inpainter
from xplain_codecs.replacements.inpainting.network import MaskedModel
from xplain_codecs.replacements.inpainting.training import Training, fit, mask
from xplain_devkit.rules.replacements import RULES, ReplacementSubject
from xplain_devkit.rules.rule import examine
from xplain_devkit.toys.models import RATE

TRAINING = Training(steps=150, batch=4, frames=16, width=24, learning_rate=1e-2, every=90)
PITCHES = (500.0, 1500.0, 2500.0, 3500.0)
PARAMS: dict[str, Any] = {"sample_rate": RATE, "window": 0.008, "overlap": 2}


def hum(seed: int) -> tuple[Tensor, float]:
    """A tone of one of four pitches through half a second, in faint noise, and its pitch."""
    chance = np.random.default_rng(seed)
    hertz = PITCHES[seed % 4]
    time = np.arange(RATE // 2) / RATE
    sound = 0.3 * np.sin(2 * np.pi * hertz * time) + 0.003 * chance.normal(size=len(time))
    return torch.from_numpy(sound).float(), hertz


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("hums")
    for seed in range(24):
        soundfile.write(folder / f"{seed:02}.wav", hum(seed)[0].numpy(), RATE)
    return sorted(folder.iterdir())


def fitted(files: list[Path], out: Path, training: Training = TRAINING) -> dict[str, float]:
    codec, synthesizer = Codec.of("stft", PARAMS)
    return fit(codec, synthesizer, files, out, training)


@pytest.fixture(scope="module")
def trained(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained") / "inpainter"
    reached = fitted(files, out)
    assert reached["nats"] < reached["plain"] - 0.3, reached
    assert [p.name for p in out.parent.iterdir()] == ["inpainter"]
    return out


def test_what_it_paints_goes_on_with_what_is_kept(trained: Path) -> None:
    stft, right = Stft(**PARAMS), []
    for seed in range(100, 108):
        sound, hertz = hum(seed)
        latents = stft.encode(sound[None])
        clip = xplain.Clip(stft, sound, latents, torch.Generator().manual_seed(0))
        keep = torch.ones(clip.shape, dtype=torch.bool)
        keep[:, 40:46] = False  # six frames in the middle
        painted = Inpainter(str(trained)).fill(latents.values[0], keep, clip)
        assert painted.shape == (4, *clip.shape)
        assert torch.equal(painted[:, keep], latents.values[0][keep].expand(4, -1))
        assert not torch.equal(painted[0], painted[1])
        spectrum = painted[:, :, 40:46].mean(dim=(0, 2))
        places = [round(pitch / RATE * 64) for pitch in PITCHES]
        right.append(PITCHES[int(spectrum[places].argmax())] == hertz)
    assert sum(right) >= 6, right  # by chance 2


def test_it_keeps_the_rules_of_replacements(trained: Path) -> None:
    subject = ReplacementSubject(
        "replacement", lambda: Inpainter(str(trained), rounds=2), synthesizer=Stft(**PARAMS)
    )
    found = examine(subject, RULES)
    assert found.verdict == "passed", [o.message for o in found.outcomes if o.state == "failed"]


def test_the_score_is_the_mean_over_its_draws(trained: Path) -> None:
    class Loud(torch.nn.Module):
        def forward(self, waveform: Tensor) -> Tensor:
            level = waveform.square().mean(dim=1)
            return torch.stack([level, -level], dim=1)

    model = xplain.wrap(Loud(), sample_rate=RATE, labels=["loud", "quiet"])
    settings: dict[str, Any] = {
        "synthesizer": "stft",
        "synthesizer_params": PARAMS,
        "baseline": "silence",
        "replacement": Inpainter(str(trained), draws=3),
        "explainer": "saliency",
    }
    e = xplain.explain(hum(100)[0], model, **settings)
    kept = torch.zeros(1, *e.attribution.shape, dtype=torch.bool)
    kept[:, 10:] = True
    draws = e.live.draws(kept)
    assert draws.shape[:2] == (1, 3)
    with e.live.asking() as (ask, _):
        assert ask is not None
        assert float(ask.masked(kept)) == pytest.approx(float(ask(draws[0]).mean()), rel=1e-4)


def test_an_interrupted_training_resumes_to_the_same_bytes(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = Training(steps=8, batch=2, frames=8, width=8, every=3)
    fitted(files[:4], tmp_path / "whole", training)
    drawn = trainings.batch

    def stops(clips: Any, settings: Training, step: int) -> tuple[Tensor, Tensor]:
        if step == 7:
            raise KeyboardInterrupt
        return drawn(clips, settings, step)

    with monkeypatch.context() as patch:
        patch.setattr(trainings, "batch", stops)
        with pytest.raises(KeyboardInterrupt):
            fitted(files[:4], tmp_path / "again", training)
    with pytest.raises(ArtifactError, match="of other settings"):
        fitted(files[:4], tmp_path / "again", Training(steps=9, batch=2, frames=8, width=8))
    fitted(files[:4], tmp_path / "again", training)
    assert sorted(os.listdir(tmp_path)) == ["again", "whole"]
    for name in ("config.json", "model.safetensors"):
        one, other = ((tmp_path / which / name).read_bytes() for which in ("whole", "again"))
        assert one == other


def test_the_likelihood_is_that_of_a_normal_distribution() -> None:
    torch.manual_seed(0)
    network = MaskedModel({"channels": 3, "width": 4})
    network.mean.copy_(torch.tensor([1.0, 2.0, 3.0]))
    network.scale.copy_(torch.tensor([0.5, 1.0, 2.0]))
    values, known = torch.randn(2, 3, 5), torch.rand(2, 3, 5) < 0.5
    x = (values - network.mean[:, None]) / network.scale[:, None]
    mean, spread = network(x, known)
    wanted = -torch.distributions.Normal(mean, spread).log_prob(x)[~known].mean()
    assert torch.allclose(network.loss(values, known), wanted, atol=1e-5)


def test_a_mask_removes_something_everywhere_by_chance() -> None:
    chance = torch.Generator().manual_seed(0)
    masks = torch.stack([mask(10, 7, chance) for _ in range(400)])
    assert not masks.flatten(1).all(dim=1).any()
    assert 0.4 < float(masks.float().mean()) < 0.6


def test_what_is_no_in_painter_for_these_latents_is_refused(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(xplain.PluginError, match="xplain fit-inpainter MANIFEST"):
        Inpainter()
    with pytest.raises(xplain.PluginError, match="holds no in-painter"):
        Inpainter(str(tmp_path))
    with pytest.raises(ValueError, match="draws is a whole number"):
        Inpainter(str(trained), draws=0)
    sound, other = hum(1)[0], Stft(RATE)
    clip = xplain.Clip(other, sound, other.encode(sound[None]), torch.Generator())
    keep = torch.zeros(clip.shape, dtype=torch.bool)
    with pytest.raises(xplain.PluginError, match="was trained on the latents of"):
        Inpainter(str(trained)).fill(clip.latents.values[0], keep, clip)
