"""Teachers: any segmenter's answers at the proxy's rate, frames and labels."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import xplain
from xplain import ModelError, PluginError, registry
from xplain.errors import TargetError
from xplain.interfaces import Segmenter
from xplain_nmf.dictionary.dictionary import Dictionary
from xplain_nmf.hidden import LayerFeatures
from xplain_nmf.proxy_folder import open_proxy, save_proxy
from xplain_nmf.spectrum import Spectrum
from xplain_nmf.training.building import Features, build
from xplain_nmf.training.objectives import Objective
from xplain_nmf.training.presets import PRESETS
from xplain_nmf.training.recordings import read_recordings
from xplain_nmf.training.teachers import Teacher, load_teacher, teachers_encoder
from xplain_nmf.training.training import Settings, train

SHARED = Path(os.environ.get("XPLAIN_SHARED", Path(__file__).parents[4] / "shared"))
SILERO = SHARED / "models" / "silero" / "silero_vad_16k.onnx"
EXAMPLE = Path(__file__).parents[3] / "examples" / "black_box_speech.py"


class Ramp(Segmenter):
    """At 8 kHz, a frame each 30 ms; the logit is the time in the middle of the frame, in ms."""

    sample_rate, frame_step, labels = 8000, 0.03, ("early", "late")

    def logits(self, waveform: Tensor) -> Tensor:
        time = 30.0 * torch.arange(-(-waveform.shape[-1] // 240)) + 15
        return torch.stack([-time, time], -1).expand(len(waveform), -1, -1)


def test_other_rates_frames_and_orders_of_labels_are_brought_to_the_proxys():
    teacher = load_teacher(Ramp(), ["late", "early"])
    answers = teacher(torch.zeros(2, 16000))
    middles = 20.0 * torch.arange(50) + 10
    expected = torch.stack([middles.clamp(15, 1005), -middles.clamp(15, 1005)], -1)
    torch.testing.assert_close(answers, expected.expand(2, -1, -1))
    assert load_teacher(Ramp(), ["late"])(torch.zeros(1, 320)).shape == (1, 1, 1)


def test_one_label_is_asked_of_the_segmenter_that_answers_it():
    class Silent(Ramp):
        labels = ("late", "never")

        def logits(self, waveform: Tensor) -> Tensor:
            raise AssertionError("nobody asked for what only this one answers")

    both = Teacher([Ramp(), Silent()], ["never", "late"])
    waveform = torch.zeros(2, 16000)
    answers = both(waveform, only=1)
    torch.testing.assert_close(answers[..., 1], load_teacher(Ramp())(waveform)[..., 1])
    assert answers.shape == (2, 50, 2) and not answers[..., 0].any()
    with pytest.raises(AssertionError, match="nobody asked"):
        both(waveform)


def test_frames_that_are_the_same_pass_unchanged(teacher):
    waveform = torch.rand(1, 3000)
    torch.testing.assert_close(load_teacher(teacher)(waveform), teacher.module(waveform))


def test_a_label_that_the_teacher_lacks_is_named_with_the_nearest():
    with pytest.raises(TargetError, match=r"'lat'.*did you mean 'late'"):
        load_teacher(Ramp(), ["lat"])


def test_labels_that_exclude_each_other_are_learned_as_their_softmax():
    class Three(nn.Module):
        def forward(self, waveform: Tensor) -> Tensor:
            return torch.tensor([1.0, 2.0, 0.5]).expand(len(waveform), waveform.shape[-1] // 320, 3)

    model = xplain.wrap(Three(), sample_rate=16000, labels=[*"abc"], frame_step=0.02)
    said = load_teacher(model, ["b"])(torch.zeros(1, 640)).sigmoid()
    torch.testing.assert_close(said[0, :, 0], torch.tensor([1.0, 2.0, 0.5]).softmax(0)[1].expand(2))


def test_what_is_no_teacher_is_refused():
    once = xplain.wrap(nn.Flatten(), sample_rate=16000, labels=[*"ab"])
    with pytest.raises(ModelError, match="once per clip"):
        load_teacher(once)
    with pytest.raises(PluginError, match="nobody"):
        load_teacher("nobody-knows-this")


def test_a_teacher_is_not_trained(teacher):
    learned = load_teacher(teacher).train()
    assert learned.passes_gradients()
    assert not learned.training and not learned.segmenters[0].training


@pytest.mark.skipif(not SILERO.is_file(), reason="needs ../shared/models/silero")
def test_a_black_box_that_gives_only_probabilities(monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.setenv("XPLAIN_SHARED", str(SHARED))
    box = load_teacher(f"{EXAMPLE}:silero")
    assert box.labels == ("speech",)
    with pytest.raises(TargetError, match="music"):
        load_teacher(f"{EXAMPLE}:silero", ["music"])
    waveform = 1e-3 * torch.randn(1, 32000, generator=torch.Generator().manual_seed(0))
    answers = box(waveform)
    assert answers.shape == (1, 100, 1)
    assert (answers.sigmoid() < 0.5).all()  # noise is no speech
    frames = box.segmenters[0].logits(waveform)[0, :, 0]
    # 32 ms frames: label frame 2 is centred on sample 800, between 768 and 1280.
    expected = torch.lerp(frames[1], frames[2], (800 - 768) / 512)
    torch.testing.assert_close(answers[0, 2, 0], expected)
    assert not box.passes_gradients()
    with pytest.raises(ModelError, match="no features"):
        teachers_encoder(box)


def atoms(components: int = 4) -> Dictionary:
    draw = torch.Generator().manual_seed(0)
    return Dictionary(torch.rand(513, components, generator=draw), Spectrum.paper())


@pytest.fixture
def layered(tmp_path, monkeypatch) -> Iterator[str]:
    """A reference to a model of another plugin, which is installed for the test."""
    (tmp_path / "site" / "layered-1.0.dist-info").mkdir(parents=True)
    for name, text in {
        "layered-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: layered\nVersion: 1.0\n",
        "layered-1.0.dist-info/entry_points.txt": "[xplain]\nlayered = layered\n",
        "layered.py": "import torch, xplain\n"
        "from torch import nn\n"
        "XPLAIN_API = 1\n"
        "class Layered(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.bands = nn.Conv1d(1, 5, 320, stride=320)\n"
        "        self.leave = nn.Conv1d(5, 2, 1)\n"
        "    def forward(self, x):\n"
        "        return self.leave(self.bands(x[:, None])).transpose(1, 2)\n"
        "def load(rest):\n"
        "    torch.manual_seed(7 if rest == 'model' else 8)\n"
        "    return xplain.wrap(Layered(), sample_rate=16000, labels=('a', 'b'),\n"
        "                       multilabel=True, frame_step=0.02)\n"
        "@xplain.hookimpl\n"
        "def register_models(register):\n"
        "    register('layered', 'layered:load')\n",
    }.items():
        (tmp_path / "site" / name).write_text(text)
    monkeypatch.syspath_prepend(tmp_path / "site")
    registry._registry.cache_clear()
    yield "layered:model"
    sys.modules.pop("layered", None)
    registry._registry.cache_clear()


def test_a_layer_of_the_teacher_can_be_read(layered, tmp_path):
    waveform = torch.randn(2, 3200, generator=torch.Generator().manual_seed(1))
    hidden = LayerFeatures.load(layered, "bands")(waveform)
    bands = xplain.load_model(layered).module.bands(waveform[:, None])
    expected = nn.functional.layer_norm(bands.transpose(1, 2), (5,), eps=1e-3).transpose(1, 2)
    torch.testing.assert_close(hidden, expected)
    proxy = build(
        PRESETS["paper"], atoms(), load_teacher(layered), Features(layer_of=layered, layer="bands")
    ).eval()
    assert proxy.config.layer_channels == 5
    assert not any(name.startswith("model") for name in proxy.state_dict())
    # Gradients reach the waveform by way of the layer too.
    heard = waveform.clone().requires_grad_()
    LayerFeatures.load(layered, "bands")(heard)[0, 0, 3].backward()
    assert heard.grad is not None and heard.grad[0, 960:1280].all()
    save_proxy(proxy, tmp_path / "proxy")
    again = open_proxy(tmp_path / "proxy")
    torch.testing.assert_close(again(waveform).logits, proxy(waveform).logits)


def test_a_layer_is_asked_once_and_not_in_every_step(layered, clips, tmp_path, monkeypatch):
    teacher = load_teacher(layered)
    reads = Features(layer_of=layered, layer="bands")
    small = {"bottleneck": 8, "hidden": 8, "repeats": 1, "blocks": 2}
    proxy = build(PRESETS["paper"], atoms(), teacher, reads, changes=small).eval()
    audio = read_recordings(clips, 1.0, teacher.labels)
    waveform, asked = audio[1]["waveform"][None], []
    hook = proxy._layer.model.module.register_forward_hook(lambda *_: asked.append(1))
    expected = proxy(waveform).logits
    torch.testing.assert_close(proxy(waveform, proxy.frozen(waveform)).logits, expected)
    asked.clear()
    train(proxy, Objective(), teacher, audio, tmp_path / "out", Settings(3, 4, every=3))
    assert len(asked) == len(audio) < 3 * 4
    held = audio[1]["frozen"]
    torch.testing.assert_close(held, proxy.frozen(waveform)[0], atol=2e-3, rtol=1e-3)
    hook.remove()
    monkeypatch.setattr("xplain_nmf.training.training.MOST_HELD", 100)
    again = read_recordings(clips, 1.0, teacher.labels)
    train(proxy, Objective(), teacher, again, tmp_path / "again", Settings(1, 1, every=1))
    assert "frozen" not in again[1]


def test_a_layer_that_is_not_there_or_not_the_same_is_refused(layered, tmp_path):
    with pytest.raises(ModelError, match=r"no layer 'band'.*did you mean 'bands'"):
        LayerFeatures.load(layered, "band")
    here = f"{tmp_path}/mine.py:make"
    with pytest.raises(ModelError, match="may not name a Python file"):
        build(PRESETS["paper"], atoms(), load_teacher(layered), Features(None, here, "bands"))
    trained_on = xplain.load_model(layered).fingerprint()
    other = layered.replace(":model", ":other")
    with pytest.raises(ModelError, match="other weights"):
        LayerFeatures.load(other, "bands", trained_on)


def test_a_proxy_on_the_paper_preset_has_the_papers_spectrum_and_the_teachers_labels(teacher):
    proxy = build(PRESETS["paper"], atoms(), load_teacher(teacher, ["loud"]), seed=1)
    assert proxy.config.labels == ("loud",) and proxy.config.components == 4
    assert proxy.config.make_spectrum() == Spectrum.paper()
    torch.testing.assert_close(proxy.dictionary, nn.functional.normalize(atoms().spectra, dim=0))
    same = build(PRESETS["paper"], atoms(), load_teacher(teacher, ["loud"]), seed=1)
    assert all(
        torch.equal(a, b) for a, b in zip(same.parameters(), proxy.parameters(), strict=True)
    )


def test_overlap_has_every_third_atom_of_speech(teacher):
    class Four(Ramp):
        labels = ("speech", "music", "overlap")

    spectra = torch.rand(513, 10, generator=torch.Generator().manual_seed(0))
    known = Dictionary(spectra, Spectrum(), ("music",) * 4 + ("speech",) * 6)
    proxy = build(PRESETS["causal"], known, load_teacher(Four()), changes={"gates": False})
    kinds = ["music"] * 4 + ["speech"] * 6 + ["overlap"] * 2
    assert proxy.config.component_labels == kinds
    # With gates, what is left is of nobody: every sixth atom of all.
    gated = build(PRESETS["causal"], known, load_teacher(Four()))
    assert gated.config.component_labels == [*kinds, "rest", "rest"]
    torch.testing.assert_close(gated.dictionary[:, 12:], gated.dictionary[:, [0, 6]])
    assert gated.config.gated == ("music", "speech", "overlap")
    with torch.no_grad():
        outputs = gated.psi.outputs[-1]
        outputs.bias[-3:] = torch.tensor([-100.0, 100.0, 100.0])  # music is closed
        outputs.weight[-3:] = 0
        h = gated.activations(torch.rand(1, 3200))[0]
    assert (h[:4] == 0).all() and (h[4:] > 0).any()
    torch.testing.assert_close(proxy.dictionary[:, 10:12], proxy.dictionary[:, [4, 7]])
    assert proxy.config.own_components("speech") == [4, 5, 6, 7, 8, 9, 10, 11]
    assert proxy.config.own_components("overlap") == [10, 11]
    speaks = proxy.theta.weight > 0
    assert speaks[0].nonzero().flatten().tolist() == [4, 5, 6, 7, 8, 9, 10, 11]
    with pytest.raises(xplain.XplainError, match="class-wise"):
        build(PRESETS["causal"], atoms(), load_teacher(teacher))
    with pytest.raises(xplain.XplainError, match="no atoms of the label 'loud'"):
        build(PRESETS["causal"], known, load_teacher(teacher, ["loud"]))
