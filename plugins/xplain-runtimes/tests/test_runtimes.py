"""Models in files and of other libraries, against what runs them directly."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import xplain

RATE = 16000
SETTINGS: Any = {"explainer": "feature-ablation", "params": {"grouping": "block:257x40"}}


def clip(samples: int = RATE) -> Tensor:
    return 0.1 * torch.randn(samples, generator=torch.Generator().manual_seed(0))


def two_bands(path: Path, samples: int | None = None) -> Path:
    """A model that gives the mean square of the sound and of its differences, as an ONNX file."""
    onnx = pytest.importorskip("onnx")
    from onnx import TensorProto, helper

    size = samples or "samples"
    sound = helper.make_tensor_value_info("sound", TensorProto.FLOAT, ["batch", size])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["batch", 2])
    constants = [
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        helper.make_tensor("zero", TensorProto.INT64, [1], [0]),
        helper.make_tensor("last", TensorProto.INT64, [1], [-1]),
        helper.make_tensor("end", TensorProto.INT64, [1], [2**62]),
    ]
    nodes = [
        helper.make_node("Slice", ["sound", "one", "end", "one"], ["later"]),
        helper.make_node("Slice", ["sound", "zero", "last", "one"], ["earlier"]),
        helper.make_node("Sub", ["later", "earlier"], ["steps"]),
        helper.make_node("ReduceL2", ["sound", "one"], ["level"], keepdims=1),
        helper.make_node("ReduceL2", ["steps", "one"], ["rough"], keepdims=1),
        helper.make_node("Concat", ["level", "rough"], ["answer"], axis=1),
    ]
    graph = helper.make_graph(nodes, "two", [sound], [answer], constants)
    # Slice along axis 1, the samples.
    for node in nodes[:2]:
        node.input[3] = "one"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def test_an_onnx_file_is_explained_by_what_it_gives(tmp_path: Path) -> None:
    file = two_bands(tmp_path / "two.onnx")
    model = xplain.load_model(f"onnx:{file}?rate=16000&task=regression&labels=level,rough&unit=V")
    sound = torch.stack([clip(), 2 * clip()])
    expected = torch.stack([sound.norm(dim=1), sound.diff(dim=1).norm(dim=1)], dim=1)
    torch.testing.assert_close(model(sound), expected)
    e = xplain.explain((clip(), RATE), model, target="rough", **SETTINGS)
    assert (e.target.unit, e.target.probability) == ("V", None)
    assert e.target.value == pytest.approx(float(expected[0, 1]), rel=1e-4)
    with pytest.raises(xplain.ModelError, match="needs gradients"):
        xplain.explain((clip(), RATE), model, explainer="integrated-gradients")


def test_a_file_of_a_fixed_length_gets_a_shorter_clip_repeated(tmp_path: Path) -> None:
    model = xplain.load_model(f"onnx:{two_bands(tmp_path / 'two.onnx', 2000)}?rate=16000")
    assert model.labels == ("0", "1")
    short, long = clip(800), clip(3000)
    repeated = short.repeat(3)[:2000]
    assert float(model(short[None])[0, 0]) == pytest.approx(float(repeated.norm()), rel=1e-5)
    assert float(model(long[None])[0, 0]) == pytest.approx(float(long[:2000].norm()), rel=1e-5)


@pytest.mark.parametrize(
    ("reference", "wrong"),
    [
        ("onnx:nowhere.onnx?rate=8000", "no such file"),
        ("onnx:{file}", "does not say the sample rate.*[?]rate=16000"),
        ("onnx:{file}?rate=16000&label=a", "no setting 'label'; did you mean 'labels'"),
        ("onnx:{file}?rate=fast", "rate is a number, not 'fast'"),
        ("onnx:{file}?rate=16000&answer=logits", "gives no 'logits'"),
        ("onnx:{text}?rate=16000", "is no ONNX model"),
        ("tflite:{text}?rate=16000", "is no TFLite model"),
    ],
)
def test_what_cannot_be_read_or_asked_is_refused(
    reference: str, wrong: str, tmp_path: Path
) -> None:
    pytest.importorskip("ai_edge_litert" if reference.startswith("tflite") else "onnxruntime")
    (tmp_path / "text").write_text("no model")
    file = two_bands(tmp_path / "two.onnx")
    with pytest.raises(xplain.ModelError, match=wrong) as caught:
        xplain.load_model(reference.format(file=file, text=tmp_path / "text"))
    assert "\n" not in str(caught.value)


def test_speech_quality_is_a_regression(shared: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    file = shared / "models" / "third-party" / "dnsmos_sig_bak_ovr.onnx"
    query = "rate=16000&task=regression&labels=SIG,BAK,OVR&unit=MOS&tolerance=0.5"
    model = xplain.load_model(f"onnx:{file}?{query}")
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    sound = np.tile(clip().numpy(), 10)[:144160]
    (expected,) = session.run(None, {session.get_inputs()[0].name: sound[None]})
    np.testing.assert_allclose(model(clip()[None]), expected, rtol=1e-3)
    settings: Any = {"explainer": "feature-ablation", "params": {"grouping": "block:999x50"}}
    e = xplain.explain((clip(), RATE), model, target="OVR", max_batch=2, **settings)
    assert e.target.unit == "MOS" and 0 < (e.target.value or 0) < 6


def test_a_detector_with_a_state_decides_per_window(shared: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    file = shared / "models" / "silero" / "silero_vad_16k.onnx"
    query = "rate=16000&labels=speech&output=probabilities&window=512&before=64"
    model = xplain.load_model(f"onnx:{file}?{query}")
    assert model.frame_step == pytest.approx(0.032) and model.multilabel
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    state, said = np.zeros((2, 1, 128), np.float32), []
    padded = np.pad(clip(1024).numpy(), (64, 0))
    for start in (0, 512):
        heard = padded[None, start : start + 576]
        one, state = session.run(None, {"input": heard, "state": state, "sr": np.array(16000)})
        said.append(float(one[0, 0]))
    np.testing.assert_allclose(model(clip(1024)[None])[0, :, 0].sigmoid(), said, atol=1e-5)
    with pytest.raises(xplain.ModelError, match="state"):
        xplain.load_model(f"onnx:{file}?rate=16000&labels=speech")
    s = xplain.segment((clip(), RATE), model)
    assert s.frames.shape[1] == 1


def test_a_tflite_file_runs(shared: Path) -> None:
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    file = shared / "models" / "lyra" / "soundstream_encoder.tflite"
    model = xplain.load_model(f"tflite:{file}?rate=16000&task=embedding")
    direct = interpreter.Interpreter(model_path=str(file))
    direct.allocate_tensors()
    (put,), (got, *_) = direct.get_input_details(), direct.get_output_details()
    sound = clip(int(put["shape"][-1]))
    direct.set_tensor(put["index"], sound.numpy().reshape(put["shape"]))
    direct.invoke()
    expected = direct.get_tensor(got["index"]).reshape(1, -1)
    np.testing.assert_allclose(model(sound[None]), expected, atol=1e-5)


# SpeechBrain and pyannote.audio need torchaudio, which is not used here: what stands for their
# classes has the attributes and methods that these have (speechbrain 1.0, pyannote.audio 3.3).


class Mods(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding_model = nn.Linear(257, 8)
        self.classifier = nn.Sequential(nn.Linear(8, 3), nn.LogSoftmax(-1))


class EncoderClassifier(nn.Module):
    __module__ = "speechbrain.inference.classifiers"

    def __init__(self, labels: bool) -> None:
        super().__init__()
        self.mods = Mods()
        encoder = SimpleNamespace(ind2lab={0: "en", 1: "de", 2: "fr"} if labels else {})
        self.hparams = SimpleNamespace(label_encoder=encoder)
        self.audio_normalizer = SimpleNamespace(sample_rate=RATE)

    def encode_batch(self, wavs: Tensor, wav_lens: Tensor) -> Tensor:
        spectra = torch.fft.rfft(wavs.unfold(-1, 512, 256)).abs().mean(1)
        given: Tensor = self.mods.embedding_model(spectra)
        return given[:, None]


def test_an_encoder_of_speechbrain_is_a_classifier_or_an_embedding() -> None:
    e = xplain.explain((clip(), RATE), EncoderClassifier(labels=True), **SETTINGS)
    assert e.target.label in ("en", "de", "fr") and len(e.probabilities) == 3
    like = xplain.SimilarTo((clip().flip(0), RATE))
    e = xplain.explain((clip(), RATE), EncoderClassifier(labels=False), target=like, **SETTINGS)
    assert e.target.task == "embedding"
    assert "speechbrain" not in sys.modules


class PyanNet(nn.Module):
    __module__ = "pyannote.audio.models.segmentation.PyanNet"

    def __init__(self, classes: tuple[str, ...] | None, powerset: bool = False) -> None:
        super().__init__()
        self.specifications = SimpleNamespace(classes=classes, powerset=powerset, duration=2.0)
        self.audio = SimpleNamespace(sample_rate=RATE)
        self.layer = nn.Conv1d(1, 7 if powerset else 3, 400, 320)
        self.powerset = powerset

    def forward(self, waveforms: Tensor) -> Tensor:
        given: Tensor = self.layer(waveforms).transpose(1, 2)
        return given.log_softmax(-1) if self.powerset else given.sigmoid()


def test_a_model_of_pyannote_decides_per_frame() -> None:
    classes = ("speaker#1", "speaker#2", "speaker#3")
    s = xplain.segment((clip(2 * RATE), RATE), PyanNet(classes))
    assert s.labels == classes and s.frame_step == pytest.approx(2 / 99)
    target = xplain.Target("speaker#2", start=0.2, end=0.5)
    e = xplain.explain((clip(2 * RATE), RATE), PyanNet(classes), target=target, **SETTINGS)
    assert e.target.task == "multilabel"
    with pytest.raises(xplain.ModelError, match="give a Model"):
        pipeline = type("Pipeline", (), {"__module__": "pyannote.audio.core.pipeline"})()
        xplain.segment((clip(), RATE), pipeline)
    assert not isinstance(sys.modules.get("pyannote.audio"), ModuleType)


def test_classes_of_who_speaks_at_once_become_speakers() -> None:
    given = PyanNet(("a", "b", "c"), powerset=True)
    sound = clip(2 * RATE)
    with torch.no_grad():
        _, a, b, c, ab, ac, bc = given(sound[None, None])[0].exp().T
    expected = torch.stack([a + ab + ac, b + ab + bc, c + ac + bc], dim=1)
    s = xplain.segment((sound, RATE), given)
    there = (expected >= 0.5).any(dim=0)
    assert s.labels == tuple(f"speaker {n + 1}" for n in range(3) if there[n])
    assert torch.allclose(s.frames, expected[:, there], atol=1e-5)
    assert {segment.label for segment in s.segments} == set(s.labels)
    assert xplain.explain((sound, RATE), given, target="speaker 2", **SETTINGS).probabilities


def test_a_segmenter_is_explained_as_the_model_that_it_is() -> None:
    class Loud(xplain.Segmenter):
        sample_rate, frame_step, labels = RATE, 0.1, ("loud",)

        def logits(self, waveform: Tensor) -> Tensor:
            return waveform.unfold(-1, 1600, 1600).square().mean(-1, keepdim=True).log() + 5

    e = xplain.explain((clip(), RATE), Loud(), explainer="occlusion")
    assert (e.target.label, e.target.task) == ("loud", "multilabel")
