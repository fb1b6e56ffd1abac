"""Prototypes: the mean relevance of a label's segments, worked out once more by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch
from PIL import Image
from torch import Tensor
from torch.testing import assert_close
from typer.testing import CliRunner

from xplain import AdditiveSegmenter
from xplain.errors import ArtifactError, ModelError, XplainError
from xplain_nmf.cli.main import app
from xplain_nmf.model import NmfProxy
from xplain_nmf.prototypes.corpus import measure_corpus
from xplain_nmf.prototypes.plot import png
from xplain_nmf.prototypes.prototypes import Prototypes, measure


class Steps(AdditiveSegmenter):
    """Three parts that a waveform's samples name: part k is active where the sample is k / 4."""

    sample_rate, frame_step, labels = 8000, 0.02, ("a", "b")
    weights = torch.tensor([[4.0, -1.0, 0.0], [0.0, 1.0, 8.0]])
    bias = torch.tensor([-2.0, -3.0])
    spectra = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    frequencies = torch.tensor([100.0, 1000.0])
    window, context, fade = 0.4, 0.0, 0.0

    def parts(self, waveform: Tensor) -> Tensor:
        marks = (waveform[:, ::160] * 4).round()
        return torch.stack([(marks == k + 1).float() for k in range(3)], dim=1)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Frames: 10 of part 0, 10 of nothing, 20 of part 2, 10 of nothing, 30 of part 0."""
    levels = [0.25] * 10 + [0.0] * 10 + [0.75] * 20 + [0.0] * 10 + [0.25] * 30
    samples = torch.tensor(levels).repeat_interleave(160)
    soundfile.write(tmp_path / "steps.wav", samples.numpy(), 8000, subtype="FLOAT")
    return tmp_path / "steps.wav"


def test_a_prototype_is_the_mean_over_segments(recording):
    found = measure(Steps(), [recording])
    # a: part 0 gives 4 − 2 > 0 in two segments, of 10 and 30 frames; b: part 2 in one.
    assert found.segments == (2, 1)
    assert found.seconds == pytest.approx((0.8, 0.4))
    assert_close(found.relevance, torch.tensor([[4.0, 0.0, 0.0], [0.0, 0.0, 8.0]]))
    assert_close(found.spectrum, torch.tensor([[4.0, 0.0], [0.0, 8.0]]))
    assert found.active_share == pytest.approx(60 / 240)


def test_components_are_shared_where_both_labels_have_them():
    relevance = torch.tensor(
        [[3.0, 2.0, 0.0, -9.0] + [0.1] * 16, [0.0, 5.0, 4.0, 0.0] + [0.0] * 16]
    )
    found = Prototypes(
        ("a", "b"), relevance, torch.rand(4, 20), torch.arange(4.0), (1, 1), (1.0, 1.0), 0.5
    )
    assert found.own(0) == [0, 1] and found.own(1) == [1, 2]  # a tenth of twenty
    assert found.shared() == [[2, 1], [1, 2]]


def test_a_label_whose_relevance_is_not_above_zero_has_no_components():
    found = Prototypes(
        ("a",), -torch.ones(1, 20), torch.rand(4, 20), torch.arange(4.0), (1,), (1.0,), 0.5
    )
    assert found.own(0) == []
    assert found.record()["labels"]["a"]["bands"] == []


def test_prototypes_come_back_from_their_folder(recording, tmp_path):
    found = measure(Steps(), [recording], provenance={"proxy": {"name": "steps"}})
    found.save(tmp_path / "p", png(found))
    loaded = Prototypes.load(tmp_path / "p")
    for name in ("relevance", "spectra", "frequencies"):
        assert torch.equal(getattr(loaded, name), getattr(found, name))
    assert (loaded.labels, loaded.segments, loaded.seconds) == (("a", "b"), (2, 1), (0.8, 0.4))
    assert loaded.provenance == {"proxy": {"name": "steps"}}
    record = json.loads((tmp_path / "p" / "prototypes.json").read_text())
    assert record["labels"]["b"]["components"] == [{"number": 2, "relevance": 8.0, "peak": 1000.0}]
    # All of part 0's spectrum is at 100 Hz: the band that ends there or begins there.
    (band,) = record["labels"]["a"]["bands"]
    assert band["low"] <= 100 <= band["high"] and band["share"] == pytest.approx(1)
    with Image.open(tmp_path / "p" / "prototypes.png") as picture:
        assert picture.width > 800


@pytest.fixture
def proxy(make_proxy: Callable[..., NmfProxy], tmp_path: Path) -> Path:
    made = make_proxy(component_labels=["heard"] * 3 + ["loud"] * 3)
    with torch.no_grad():
        made.theta.bias.fill_(1.0)  # every label holds somewhere
    made.save_pretrained(tmp_path / "proxy")
    return tmp_path / "proxy"


def test_from_the_command_line(proxy, clips, tmp_path):
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["prototypes", str(proxy), str(clips), "--split", "dev", "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    found = Prototypes.load(out)
    assert found.labels == ("heard", "loud")
    assert found.kinds == ("heard",) * 3 + ("loud",) * 3
    assert found.provenance["recordings"]["count"] == 1
    made = NmfProxy.from_pretrained(proxy).eval()
    assert_close(found.spectra, made.dictionary.detach())


def test_what_has_no_prototypes_is_said(proxy, clips, tmp_path, make_proxy):
    with pytest.raises(XplainError, match="no split 'tset'"):
        measure_corpus(str(proxy), clips, split="tset")
    with pytest.raises(ModelError, match="holds no whole proxy"):
        measure_corpus(str(tmp_path), clips)
    factory = tmp_path / "clip_model.py"
    factory.write_text(
        "import torch, xplain\n"
        "class Net(torch.nn.Module):\n"
        "    def forward(self, x): return torch.stack([x.mean(-1), x.std(-1)], -1)\n"
        "def make(): return xplain.wrap(Net(), sample_rate=16000, labels=('a', 'b'))\n"
    )
    with pytest.raises(ModelError, match="does not decide by parts"):
        measure_corpus(f"{factory}:make", clips)
    quiet = make_proxy()
    with torch.no_grad():
        quiet.theta.weight.zero_()
        quiet.theta.bias.fill_(-5.0)
    quiet.save_pretrained(tmp_path / "quiet")
    with pytest.raises(XplainError, match="none of the recordings holds a segment"):
        measure_corpus(str(tmp_path / "quiet"), clips)
    with pytest.raises(ArtifactError, match="no prototypes that can be read"):
        Prototypes.load(tmp_path)
