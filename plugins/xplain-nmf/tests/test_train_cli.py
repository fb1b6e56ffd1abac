"""xplain nmf train: from a teacher, recordings and a dictionary to a folder with a proxy."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import transformers as hf
from typer.testing import CliRunner

from xplain import ModelError, XplainError
from xplain.errors import ArtifactError, TargetError
from xplain_nmf.cli.main import app
from xplain_nmf.dictionary.dictionary import Dictionary
from xplain_nmf.proxy_folder import open_proxy
from xplain_nmf.spectrum import Spectrum

TEACHER = """
import xplain
from torch import nn
import torch

class Loudness(nn.Module):
    def forward(self, waveform):
        power = nn.functional.pad(waveform, (0, -waveform.shape[-1] % 320))
        power = power.unflatten(-1, (-1, 320)).square().mean(-1)
        return torch.stack([4 * (power / x).clamp_min(1e-6).log10() for x in (1e-3, 1e-2)], -1)

def model():
    return xplain.wrap(Loudness(), sample_rate=16000, labels=("speech", "overlap"),
                       multilabel=True, frame_step=0.02)
"""


@pytest.fixture
def teacher_file(tmp_path: Path) -> str:
    (tmp_path / "loudness.py").write_text(TEACHER)
    return f"{tmp_path / 'loudness.py'}:model"


def dictionary(folder: Path, labels: tuple[str, ...] | None = None, k: int = 6) -> Path:
    spectra = torch.rand(513, k, generator=torch.Generator().manual_seed(0))
    spectrum = Spectrum.paper() if labels is None else Spectrum()
    Dictionary(torch.nn.functional.normalize(spectra, dim=0), spectrum, labels).save(folder)
    return folder


QUICK = ["--seconds", 1, "--steps", 2, "--batch", 2, "--every", 2]


def train(*arguments: object):
    result = CliRunner().invoke(app, ["train", *map(str, [*QUICK, *arguments])])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result


def test_a_proxy_of_unlabelled_recordings(teacher_file, clips, tmp_path):
    out, words = tmp_path / "proxy", dictionary(tmp_path / "dictionary")
    train(
        "--teacher", teacher_file, "--audio", clips, "--split", "train", "--dictionary", words,
        "--out", out, "--preset", "paper", "--evaluation", clips, "--train-dictionary",
    )  # fmt: skip
    proxy = open_proxy(out)
    assert proxy.config.labels == ("speech", "overlap")
    assert proxy.config.dictionary_trained and proxy.config.norm == "global"
    record = json.loads((out / "training.json").read_text())
    assert record["preset"] == "paper" and record["stems"] is False
    assert [entry for entry in record["log"] if "eval_f1_teacher_speech" in entry]


def test_our_preset_without_stems_and_with_a_class_wise_dictionary(teacher_file, clips, tmp_path):
    words = dictionary(tmp_path / "dictionary", ("speech",) * 3 + ("music",) * 3)
    out = tmp_path / "proxy"
    twice = ["--audio", clips, "--audio", clips]
    train("--teacher", teacher_file, *twice, "--dictionary", words, "--out", out)
    proxy = open_proxy(out)
    assert json.loads((out / "training.json").read_text())["audio"]["pieces"] == 2 * 4 * 2
    kinds = ["speech"] * 3 + ["music"] * 3 + ["overlap"] + ["rest"] * 2
    assert proxy.config.component_labels == kinds
    terms = json.loads((out / "training.json").read_text())["log"][0]
    assert "necessity" in terms and "separation" not in terms
    with pytest.raises(XplainError, match="class-wise"):
        plain = dictionary(tmp_path / "plain")
        train("--teacher", teacher_file, "--audio", clips, "--dictionary", plain, "--out", out)


def test_a_layer_of_another_model_than_the_first_teacher(teacher_file, clips, tmp_path):
    common = ["--teacher", teacher_file, "--audio", clips, "--out", tmp_path / "proxy"]
    common += ["--preset", "paper", "--dictionary", dictionary(tmp_path / "dictionary")]
    with pytest.raises(ModelError, match="may not name a Python file"):
        train(*common, "--layer", "bands")
    with pytest.raises(ModelError, match="nobody"):
        train(*common, "--layer", "bands", "--layer-of", "nobody:knows")
    with pytest.raises(XplainError, match="give --layer too"):
        train(*common, "--layer-of", "zoo:radio-teacher")


def test_a_proxy_is_gone_on_from(teacher_file, clips, tmp_path):
    words = dictionary(tmp_path / "dictionary", ("speech",) * 3 + ("music",) * 3)
    common = ["--teacher", teacher_file, "--audio", clips]
    train(*common, "--dictionary", words, "--out", tmp_path / "one")
    train(*common, "--from", tmp_path / "one", "--steps", 1, "--out", tmp_path / "two")
    one, two = open_proxy(tmp_path / "one"), open_proxy(tmp_path / "two")
    assert two.config.component_labels == one.config.component_labels
    moved = (two.dictionary - one.dictionary).abs().max()
    assert 0 < moved < 0.1  # a step from there, not from the dictionary's or drawn weights
    record = json.loads((tmp_path / "two" / "training.json").read_text())
    assert record["from"] == "one" and record["objective"]["start"] == 0
    for wrong in (["--from", tmp_path / "one", "--dictionary", words], []):
        with pytest.raises(XplainError, match="--dictionary or --from"):
            train(*common, *wrong, "--out", tmp_path / "three")
    with pytest.raises(ModelError, match="decides speech, overlap, and the teacher overlap;"):
        begun = ["--from", tmp_path / "one", "--label", "overlap"]
        train(*common, *begun, "--out", tmp_path / "three")


def test_the_proxy_of_a_transformers_model_reads_its_encoder(clips, tmp_path):
    pytest.importorskip("xplain_hf")
    torch.manual_seed(0)
    settings = hf.WavLMConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        conv_dim=(8, 8), conv_kernel=(10, 8), conv_stride=(20, 16), num_feat_extract_layers=2,
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        id2label={0: "speech", 1: "overlap"},
    )  # fmt: skip
    model = hf.WavLMForAudioFrameClassification(settings)
    model.save_pretrained(tmp_path / "wavlm")
    hf.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "wavlm")
    out, words = tmp_path / "proxy", dictionary(tmp_path / "dictionary")
    train(
        "--teacher", f"hf:{tmp_path / 'wavlm'}", "--audio", clips, "--dictionary", words,
        "--out", out, "--preset", "paper", "--encoder", "teacher",
    )  # fmt: skip
    proxy = open_proxy(out)
    waveform = torch.randn(1, 16000, generator=torch.Generator().manual_seed(0))
    normal = (waveform - waveform.mean()) / waveform.std(correction=0)
    hidden = model.eval().wavlm(normal).last_hidden_state
    # Its frames hear 150 samples each, 320 apart; the label frames lie in between.
    expected = torch.lerp(hidden[:, 4], hidden[:, 5], (160 - 74.5) / 320)
    torch.testing.assert_close(proxy.encoder(waveform, 50)[:, 4], expected, atol=1e-3, rtol=1e-2)


def test_what_cannot_be_trained_is_said_before_the_work(teacher_file, clips, tmp_path):
    words = dictionary(tmp_path / "dictionary")
    common = ["--teacher", teacher_file, "--audio", clips, "--out", tmp_path / "proxy"]
    with pytest.raises(TargetError, match="'music'"):
        train(*common, "--dictionary", words, "--label", "music")
    with pytest.raises(ArtifactError, match="no whole dictionary"):
        train(*common, "--dictionary", tmp_path)
    with pytest.raises(XplainError, match="no features"):
        train(*common, "--dictionary", words, "--preset", "paper", "--encoder", "teacher")
    assert not (tmp_path / "proxy.partial").exists() and not (tmp_path / "proxy").exists()


def test_a_training_that_is_killed_goes_on_to_the_same_weights(teacher_file, clips, tmp_path):
    words = dictionary(tmp_path / "dictionary")
    given = [
        "--teacher",
        teacher_file,
        "--audio",
        clips,
        "--dictionary",
        words,
        "--preset",
        "paper",
    ]
    given += ["--steps", 8]
    train(*given, "--out", tmp_path / "whole")
    code = "from xplain.cli.main import main; main()"
    command = [sys.executable, "-c", code, "nmf", "train", *map(str, [*QUICK, *given])]
    killed = subprocess.Popen([*command, "--out", str(tmp_path / "out")], stderr=subprocess.DEVNULL)
    partial = tmp_path / "out.partial"
    while killed.poll() is None and not list(partial.glob("checkpoints/checkpoint-*")):
        time.sleep(0.01)
    # Another that would write the same is refused while it lives.
    if killed.poll() is None:
        killed.send_signal(signal.SIGSTOP)
        with pytest.raises(ArtifactError, match="being written by another process"):
            train(*given, "--out", tmp_path / "out")
        killed.send_signal(signal.SIGKILL)
    killed.wait()
    train(*given, "--out", tmp_path / "out")
    names = ("config.json", "model.safetensors")
    whole, again = ([(tmp_path / d / n).read_bytes() for n in names] for d in ("whole", "out"))
    assert whole == again
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith((".", "out"))) == ["out"]
