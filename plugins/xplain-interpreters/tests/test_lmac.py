"""L-MAC: its loss by hand, what it learns of a model whose reason is known, and its folder."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from tones import RATE, TONES, TwoTones, clip
from torch import nn

import xplain
from xplain.models import make_synthesizer
from xplain.score import Route
from xplain_devkit.check import check
from xplain_devkit.rules.rule import Case
from xplain_interpreters.layers import choose, hidden_layers, outputs
from xplain_interpreters.trained.interpreter import Training
from xplain_interpreters.trained.lmac import LMac
from xplain_interpreters.trained.mask import Decoder, loss
from xplain_interpreters.trained.training import fit


@pytest.fixture(scope="module")
def model() -> xplain.Model:
    return xplain.wrap(TwoTones(), sample_rate=RATE, labels=["low", "high"])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    for number in range(12):
        soundfile.write(folder / f"{number}.wav", clip(number, number % 2)[0].numpy(), RATE)
    return sorted(folder.iterdir())


TRAINING = Training(
    steps=90, batch=6, seconds=1.0, learning_rate=5e-3, sparsity=2.0, width=8, every=20
)


@pytest.fixture(scope="module")
def trained(
    model: xplain.Model, files: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    out = tmp_path_factory.mktemp("trained") / "explainer"
    fit(Decoder, model, make_synthesizer("stft", RATE), files, out, TRAINING)
    assert [p.name for p in out.parent.iterdir()] == ["explainer"]
    return out


def test_the_loss_is_the_papers() -> None:
    module = nn.Linear(3, 2, bias=False)
    module.weight.data = torch.tensor([[1.0, 2.0, 0.0], [0.0, -1.0, 1.0]])
    model = xplain.wrap(module, sample_rate=8000, labels=["a", "b"])
    x, mask = np.array([1.0, 2.0, -1.0]), np.array([0.5, 1.0, 0.0])

    def entropy(masked: np.ndarray, label: int) -> float:
        logits = module.weight.detach().numpy() @ masked
        return float(np.log(np.exp(logits).sum()) - logits[label])

    wanted = 3 * entropy(mask * x, 1) - 0.5 * entropy((1 - mask) * x, 1)
    wanted += 0.25 * mask.mean() + 2 * np.abs(mask * x - x).mean()
    route = Route(model, make_synthesizer("waveform", 8000))
    weights = Training(inside=3, outside=0.5, sparsity=0.25, guidance=2)
    values, given = (torch.tensor(a, dtype=torch.float32)[None, None] for a in (x, mask))
    context = route.synthesizer.encode(values[0]).context
    latents = xplain.Latents(values, context)
    got = loss(route, given, latents, torch.zeros(1, 1, 3), torch.tensor([1]), weights)
    assert float(got.detach()) == pytest.approx(wanted, rel=1e-5)


def test_it_finds_the_tone_that_decides_in_clips_it_was_not_trained_on(
    trained: Path, model: xplain.Model, tmp_path: Path
) -> None:
    inside, outside, kept = [], [], []
    for seed in range(100, 108):
        sound, start = clip(seed, seed % 2)
        e = xplain.explain(sound, model, explainer="l-mac", params={"folder": str(trained)})
        rows = (torch.tensor(e.frequencies) - TONES[seed % 2]).abs() < 100
        times = (torch.arange(e.attribution.shape[1]) + 0.5) / e.attribution.shape[1] * 2
        columns = (times > start + 0.05) & (times < start + 0.45)
        here = rows[:, None] & columns[None]
        inside.append(float(e.attribution[here].mean()))
        outside.append(float(e.attribution[~here].mean()))
        kept.append(e.extras["masked"][1]["score"] - e.extras["masked"][2]["score"])
    assert np.mean(inside) > 0.5 > 0.1 > np.mean(outside), (inside, outside)
    assert np.mean(kept) > 0, kept
    loaded = xplain.Explanation.load(e.save(tmp_path / "clip"))
    assert loaded.extras["interpretation"].sample_rate == RATE
    assert len(loaded.extras["interpretation"].waveform) == 2 * RATE


def test_an_interrupted_training_resumes_to_the_same_bytes(
    trained: Path, model: xplain.Model, files: list[Path], tmp_path: Path, monkeypatch: Any
) -> None:
    import xplain_interpreters.trained.training as training

    step, out = training._step, tmp_path / "explainer"

    def killed(number: int, *rest: Any) -> float:
        if number == 47:
            raise KeyboardInterrupt
        return step(number, *rest)

    synthesizer = make_synthesizer("stft", RATE)
    monkeypatch.setattr(training, "_step", killed)
    with pytest.raises(KeyboardInterrupt):
        fit(Decoder, model, synthesizer, files, out, TRAINING)
    monkeypatch.setattr(training, "_step", step)
    with pytest.raises(xplain.ArtifactError, match="of other settings"):
        fit(Decoder, model, synthesizer, files, out, Training(steps=121))
    fit(Decoder, model, synthesizer, files, out, TRAINING)
    for name in ("config.json", "model.safetensors"):
        assert (out / name).read_bytes() == (trained / name).read_bytes()
    before = os.stat(out / "config.json").st_mtime_ns
    fit(Decoder, model, synthesizer, files, out, TRAINING)  # done already
    assert os.stat(out / "config.json").st_mtime_ns == before
    with pytest.raises(xplain.ArtifactError, match="exists"):
        fit(Decoder, model, synthesizer, files, out, Training(steps=121))


def test_what_it_was_not_trained_for_is_refused(trained: Path, model: xplain.Model) -> None:
    sound = clip(0, 0)[0]
    method = LMac(str(trained))
    with pytest.raises(xplain.PluginError, match="own decision alone"):
        xplain.explain(sound, model, explainer=method, target="high")
    other = xplain.wrap(TwoTones(), sample_rate=RATE, labels=["low", "high"])
    other.module.filters.weight.data *= 2
    with pytest.raises(xplain.PluginError, match="with other weights"):
        xplain.explain(sound, other, explainer=method)
    with pytest.raises(xplain.PluginError, match="choose that one"):
        xplain.explain(sound, model, explainer=method, synthesizer="waveform")


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(kind="nmf"),
        lambda d: d["sizes"].update(width=4),
        lambda d: d["sizes"].update(width=60_000),
        lambda d: d["layers"][0].update(axes=[0, 1]),
        lambda d: d.pop("layers"),
    ],
)
def test_a_damaged_folder_is_refused(trained: Path, tmp_path: Path, change: Any) -> None:
    place = Path(shutil.copytree(trained, tmp_path / "copy"))
    data = json.loads((place / "config.json").read_text())
    change(data)
    (place / "config.json").write_text(json.dumps(data))
    with pytest.raises(xplain.PluginError, match="holds no trained explainer"):
        LMac(str(place))


def test_layers_with_time_are_found_whatever_their_order() -> None:
    short = {
        "conv": torch.zeros(2, 8, 40, 10),
        "gru": torch.zeros(2, 10, 16),
        "pool": torch.zeros(2, 8),
    }
    long = {
        "conv": torch.zeros(2, 8, 40, 20),
        "gru": torch.zeros(2, 20, 16),
        "pool": torch.zeros(2, 8),
    }
    conv, gru = choose(short, long, 4)
    assert (conv.channels, conv.rows, conv.grid(short["conv"], 2).shape) == (8, 40, (2, 8, 40, 10))
    assert (gru.channels, gru.rows, gru.grid(short["gru"], 2).shape) == (16, 1, (2, 16, 1, 10))
    with pytest.raises(xplain.PluginError, match="no hidden layer"):
        choose({"pool": short["pool"]}, {"pool": long["pool"]}, 4)


class Windowed(nn.Module):
    """Windows of a clip as rows of the batch; those of all clips mixed where ``mixed``."""

    def __init__(self, mixed: bool = False) -> None:
        super().__init__()
        self.mixed = mixed
        self.conv = nn.Conv1d(1, 3, 8, 4)
        self.rnn = nn.GRU(3, 5, batch_first=True)
        self.out = nn.Linear(5, 2)

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        windows = waveform.unfold(1, 2000, 1000)  # (B, windows, samples)
        clips, count = windows.shape[:2]
        rows = (windows.transpose(0, 1) if self.mixed else windows).flatten(0, 1)
        each = self.conv(rows[:, None])
        if self.mixed:
            each = each.unflatten(0, (count, clips)).transpose(0, 1).flatten(0, 1)
        said, _ = self.rnn(each.mean(dim=2).unflatten(0, (clips, count)))
        return self.out(said[:, -1])


def test_windows_that_are_rows_of_the_batch_are_put_back_in_time() -> None:
    torch.manual_seed(0)
    module = Windowed()
    route = Route(
        xplain.wrap(module, sample_rate=RATE, labels=["a", "b"]), make_synthesizer("stft", RATE)
    )
    conv, gru = hidden_layers(route, torch.device("cpu"), 4)
    assert (conv.name, conv.channels, conv.folded) == ("conv", 3, True)
    assert (gru.name, gru.channels, gru.folded) == ("rnn", 5, False)
    waveform = torch.randn(3, RATE)
    with torch.no_grad(), outputs(module, ["conv"]) as held:
        module(waveform)
    grid = conv.grid(held["conv"], 3)
    each = [module.conv(waveform[1:2, None, t : t + 2000]).mean(dim=2)[0] for t in (0, 1000)]
    torch.testing.assert_close(grid[1, :, 0, :2], torch.stack(each, dim=1), rtol=1e-4, atol=1e-5)
    mixed = xplain.wrap(Windowed(mixed=True), sample_rate=RATE, labels=["a", "b"])
    found = hidden_layers(Route(mixed, route.synthesizer), torch.device("cpu"), 4)
    assert [layer.name for layer in found] == ["rnn"]  # no clip is another's window


def test_it_keeps_the_contract_on_the_model_that_it_was_trained_on(
    trained: Path, model: xplain.Model
) -> None:
    case = Case(model, make_synthesizer("stft", RATE), clip(100, 1)[0])
    found = check("explainer", "l-mac", {"folder": str(trained)}, case)
    assert found.verdict == "passed", [o.message for o in found.outcomes if o.state == "failed"]
