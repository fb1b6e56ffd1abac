"""Prototypes: the mean relevance of a label's segments, worked out once more by hand."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
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
from xplain.manifest import rows as manifest_rows
from xplain_nmf.cli.main import app
from xplain_nmf.model import NmfProxy
from xplain_nmf.prototypes.corpus import measure_corpus
from xplain_nmf.prototypes.examples import drift, name_components
from xplain_nmf.prototypes.plot import png
from xplain_nmf.prototypes.prototypes import Prototypes, measure
from xplain_nmf.proxy_folder import open_proxy, save_proxy


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


def test_a_components_moments_are_where_it_is_loudest(recording):
    found = measure(Steps(), [recording])
    first, second, third = found.moments
    assert [(m.recording, m.seconds, m.activation) for m in first] == [(recording, 0.01, 1.0)]
    assert second == () and third[0].seconds == 0.41


def test_components_are_named_after_the_sounds_in_which_they_are_loudest(tmp_path):
    rows = []
    for label, level in (("low", 0.25), ("high", 0.75), ("both", 0.5)):
        soundfile.write(tmp_path / f"{label}.wav", torch.full((8000,), level).numpy(), 8000)
        rows.append(f"{label}.wav,{label}")
    (tmp_path / "named.csv").write_text("path,label\n" + "\n".join(rows) + "\n")
    named = name_components(Steps(), manifest_rows(tmp_path / "named.csv", ("label",)))
    # Each part is active in one of three: three times as much as on average.
    assert [name and name[0] for name in named] == ["low", "both", "high"]
    assert named[0] == ("low", 3.0)
    with pytest.raises(XplainError, match="two at least"):
        name_components(Steps(), [])


def test_drift_says_which_components_count_for_more():
    one = Prototypes(
        ("a",), torch.tensor([[3.0, 1.0]]), torch.eye(2), torch.arange(2.0), (1,), (1.0,), 0.5
    )
    other = replace(one, relevance=torch.tensor([[1.0, 3.0]]))
    found = drift(one, other)["a"]
    assert found == {"likeness": 0.6, "more": [(1, 0.5)], "less": [(0, -0.5)]}
    with pytest.raises(XplainError, match="different proxies"):
        drift(one, replace(one, spectra=torch.ones(2, 2)))


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
    save_proxy(made, tmp_path / "proxy")
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
    made = open_proxy(proxy)
    assert_close(found.spectra, made.dictionary.detach())
    page = (out / "index.html").read_text()
    heard = re.findall(r'data-sound="([^"]+)"', page)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(heard[0])))
    assert rate == 16000 and len(samples) == pytest.approx(2 * 24000 + 4000, abs=1200)
    again = CliRunner().invoke(app, ["drift", str(out), str(out)])
    same = json.loads(again.output)
    assert {label: about["likeness"] for label, about in same.items()} == {"heard": 1, "loud": 1}
    assert not any(about["more"] or about["less"] for about in same.values())


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
    save_proxy(quiet, tmp_path / "quiet")
    with pytest.raises(XplainError, match="none of the recordings holds a segment"):
        measure_corpus(str(tmp_path / "quiet"), clips)
    with pytest.raises(ArtifactError, match="no prototypes that can be read"):
        Prototypes.load(tmp_path)
