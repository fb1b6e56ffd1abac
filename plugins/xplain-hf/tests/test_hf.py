"""The scheme hf:, against transformers called directly, on tiny classifiers saved to folders."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers as hf
from huggingface_hub import constants
from huggingface_hub.utils import _http
from small_classifiers import (
    LABELS,
    RATE,
    RAW,
    assert_one_line,
    classifier,
    clips,
    configure,
    drop,
    edit,
    prepare,
    refused,
)
from tiny_checkpoints import saved as saved_tiny
from torch import Tensor

import xplain
from xplain_hf.modules import minimum_samples, normalise

MAIN = ["wav2vec2", "hubert", "wavlm", "data2vec-audio"]
FEATURES = ["audio-spectrogram-transformer", "whisper"]


def asked_directly(folder: Path, waveforms: Tensor) -> Tensor:
    extractor = hf.AutoFeatureExtractor.from_pretrained(folder)
    model = hf.AutoModelForAudioClassification.from_pretrained(folder, dtype=torch.float32)
    inputs = extractor([w.numpy() for w in waveforms], sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        return model(**inputs).logits


# Models


@pytest.mark.parametrize("family", [*RAW, *FEATURES])
def test_logits_are_those_of_transformers(family: str, saved: Callable[[str], Path]) -> None:
    model = xplain.load_model(f"hf:{saved(family)}")
    waveforms = clips(3)
    with torch.no_grad():
        logits = model(waveforms)
    torch.testing.assert_close(logits, asked_directly(saved(family), waveforms), atol=1e-5, rtol=0)
    assert float(logits.std()) > 0.01  # of something that does depend on what is asked


@pytest.mark.parametrize("family", [*RAW, *FEATURES])
def test_a_clip_among_others_is_the_clip_alone(family: str, saved: Callable[[str], Path]) -> None:
    model = xplain.load_model(f"hf:{saved(family)}")
    waveforms = clips(4) * torch.tensor([1.0, 0.01, 3.0, 0.0])[:, None]
    with torch.no_grad():
        together = model(waveforms)
        alone = torch.cat([model(w[None]) for w in waveforms])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


@pytest.mark.parametrize("family", RAW)
def test_gradients_reach_the_waveform(family: str, saved: Callable[[str], Path]) -> None:
    model = xplain.load_model(f"hf:{saved(family)}")
    assert model.differentiable
    waveforms = clips(2).requires_grad_()
    (gradient,) = torch.autograd.grad(model(waveforms)[:, 0].sum(), waveforms)
    assert torch.isfinite(gradient).all()
    assert (gradient.abs().amax(dim=-1) > 0).all()


@pytest.mark.parametrize("family", RAW)
def test_clips_shorter_than_the_encoder_are_padded(
    family: str, saved: Callable[[str], Path]
) -> None:
    model = xplain.load_model(f"hf:{saved(family)}")
    least = minimum_samples(configure(family))
    for samples in (1, least - 1, least):
        assert torch.isfinite(model(clips(2, samples))).all()
    bare = hf.AutoModelForAudioClassification.from_pretrained(saved(family))
    with pytest.raises((RuntimeError, ValueError)):  # so no fewer samples would do
        bare(clips(1, least - 1))


def test_the_published_encoder_needs_400_samples() -> None:
    assert minimum_samples(hf.Wav2Vec2Config()) == 400


@pytest.mark.parametrize(
    "waveform",
    [
        clips(1)[0],
        clips(1)[0] * 1e-4,
        clips(1)[0] + 0.5,
        torch.zeros(100),
        torch.full((100,), 0.25),
        torch.ones(1),
    ],
    ids=["noise", "faint", "offset", "silence", "constant", "one-sample"],
)
def test_normalisation_is_the_feature_extractors(waveform: Tensor) -> None:
    extractor = hf.Wav2Vec2FeatureExtractor(do_normalize=True)
    expected = extractor(waveform.numpy(), sampling_rate=RATE).input_values[0]
    np.testing.assert_allclose(normalise(waveform[None])[0].numpy(), expected, atol=1e-5)


def test_the_gradient_at_silence_is_finite() -> None:
    silence = torch.zeros(1, 50, requires_grad=True)
    (gradient,) = torch.autograd.grad(normalise(silence)[0, 3], silence)
    # d/dx (x - mean) / sqrt(var + 1e-7) at x = 0: (1 - 1/50) / sqrt(1e-7)
    assert gradient[0, 3].item() == pytest.approx(0.98 / 1e-7**0.5, rel=1e-4)


def test_the_loudness_counts_only_without_normalisation(folder: Path) -> None:
    # The usual encoder divides loudness out again, after its first convolution.
    model = classifier("wav2vec2", feat_extract_norm="layer", conv_bias=True)
    for convolution in model.wav2vec2.feature_extractor.conv_layers:
        torch.nn.init.normal_(convolution.conv.bias)
    model.save_pretrained(folder)
    quiet, loud = clips(1), 20 * clips(1)
    model = xplain.load_model(f"hf:{folder}")
    torch.testing.assert_close(model(quiet), model(loud), atol=1e-4, rtol=0)
    prepare("wav2vec2", do_normalize=False).save_pretrained(folder)
    model = xplain.load_model(f"hf:{folder}")
    assert (model(quiet) - model(loud)).abs().max() > 1e-2
    torch.testing.assert_close(model(loud), asked_directly(folder, loud), atol=1e-5, rtol=0)


def test_what_is_known_of_a_model(folder: Path) -> None:
    model = xplain.load_model(f"hf:{folder}")
    assert (model.name, model.version) == (f"hf:{folder}", None)
    assert model.labels == LABELS
    assert model.sample_rate == RATE
    assert not model.multilabel and not model.module.training
    shuffled = {"10": "k", "2": "c", **{str(i): f"l{i}" for i in range(10) if i != 2}}
    classifier("wav2vec2", num_labels=11).save_pretrained(folder)
    edit(
        folder / "config.json",
        id2label=shuffled,
        label2id={v: int(k) for k, v in shuffled.items()},
        problem_type="multi_label_classification",
    )
    prepare("wav2vec2", sampling_rate=8000).save_pretrained(folder)
    model = xplain.load_model(f"hf:{folder}")
    assert model.labels == ("l0", "l1", "c", *(f"l{i}" for i in range(3, 10)), "k")
    assert (model.sample_rate, model.multilabel) == (8000, True)


def test_half_precision_is_read_as_float32(folder: Path) -> None:
    classifier("wav2vec2").half().save_pretrained(folder)
    model = xplain.load_model(f"hf:{folder}")
    assert {p.dtype for p in model.module.parameters()} == {torch.float32}
    assert model(clips(1)).dtype == torch.float32


def test_sharded_safetensors_are_read(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    classifier("wav2vec2").save_pretrained(folder, max_shard_size="10KB")
    assert (folder / "model.safetensors.index.json").is_file()
    model = xplain.load_model(f"hf:{folder}")
    torch.testing.assert_close(model(clips(1)), asked_directly(folder, clips(1)))


def test_a_checkpoint_without_a_mask_embedding_keeps_its_fingerprint(folder: Path) -> None:
    drop(folder, "masked_spec_embed")
    prints = {xplain.load_model(f"hf:{folder}").fingerprint() for _ in range(2)}
    assert len(prints) == 1


# Explaining


@pytest.mark.parametrize("family", MAIN)
def test_a_raw_model_is_explained_end_to_end(family: str, saved: Callable[[str], Path]) -> None:
    explanation = xplain.explain(
        clips(1)[0],
        xplain.load_model(f"hf:{saved(family)}"),
        synthesizer="stft",
        explainer="integrated-gradients",
        params={"steps": 4},
    )
    assert torch.isfinite(explanation.attribution).all()
    assert explanation.attribution.abs().max() > 0
    assert torch.isfinite(explanation.keep(0.1)).all()


def test_only_a_baseline_that_sounds_lets_the_path_integral_converge(
    saved: Callable[[str], Path],
) -> None:
    model = xplain.load_model(f"hf:{saved('data2vec-audio')}")
    clip = clips(1)[0] * torch.linspace(0, 1, RATE // 4)
    of_silence, of_mean = (
        xplain.explain(clip, model, synthesizer="stft", baseline=baseline, params={"steps": 20})
        for baseline in ("silence", "mean")
    )
    assert of_silence.converged is False
    assert of_silence.completeness_error is not None and of_silence.completeness_error > 0.5
    assert of_mean.converged is True
    assert of_mean.completeness_error is not None and of_mean.completeness_error < 0.01


class FrameOcclusion(xplain.Explainer):
    """What the score loses when a frame becomes the baseline's; needs no gradient."""

    def attribute(self, score: xplain.Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N) by frames."""
        attribution = torch.zeros_like(latents)
        for frame in range(0, latents.shape[1], 8):
            changed = latents.clone()
            changed[:, frame : frame + 8] = baseline[:, frame : frame + 8]
            lost = score(latents[None]) - score(changed[None])
            attribution[:, frame : frame + 8] = lost / latents.shape[0]
        return attribution


def test_a_model_without_gradients_is_explained_without_them(tmp_path: Path) -> None:
    folder = saved_tiny(tmp_path, "wav2vec2-bert", "Wav2Vec2BertForSequenceClassification")
    model = xplain.load_model(folder)
    assert not model.differentiable
    with pytest.raises(xplain.ModelError, match="needs gradients") as caught:
        xplain.explain(clips(1)[0], model, synthesizer="stft", explainer="integrated-gradients")
    assert_one_line(caught.value, str(tmp_path))
    explanation = xplain.explain(clips(1)[0], model, synthesizer="stft", explainer=FrameOcclusion())
    assert torch.isfinite(explanation.attribution).all()
    assert explanation.attribution.abs().max() > 0


@pytest.mark.parametrize("family", FEATURES)
def test_gradients_pass_through_features_that_are_computed_in_torch(
    family: str, saved: Callable[[str], Path]
) -> None:
    model = xplain.load_model(f"hf:{saved(family)}")
    assert model.differentiable
    explanation = xplain.explain(
        clips(1)[0], model, synthesizer="stft", explainer="integrated-gradients",
        params={"steps": 4},
    )  # fmt: skip
    assert torch.isfinite(explanation.attribution).all()
    assert explanation.attribution.abs().max() > 0


OFFLINE = """
import sys
import xplain
import xplain_hf.plugin
assert "torch" not in sys.modules and "transformers" not in sys.modules
import torch
torch.set_num_threads(1)
for name in ("me/tiny", "me/tiny@v2", "me/tiny@" + "b" * 40):
    model = xplain.load_model(f"hf:{name}")
    print(model.name, model.version, len(model.labels))
for name in ("me/absent", "me/tiny@v3"):
    try:
        xplain.load_model(f"hf:{name}")
    except xplain.ModelError as error:
        print(error)
"""


def test_repositories_are_read_from_the_cache_when_offline(
    saved: Callable[[str], Path], tmp_path: Path
) -> None:
    first, second = "a" * 40, "b" * 40
    repository = tmp_path / "hub" / "models--me--tiny"
    for commit in (first, second):
        shutil.copytree(saved("wav2vec2"), repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(first)
    (repository / "refs" / "v2").write_text(second)
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith(("HF_", "TRANSFORMERS_"))},
        "HF_HOME": str(tmp_path),
        "HF_HUB_OFFLINE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    *loaded, absent, revision = done.stdout.splitlines()
    assert loaded == [
        f"hf:me/tiny {first} 3",
        f"hf:me/tiny@v2 {second} 3",
        f"hf:me/tiny@{second} {second} 3",
    ]
    assert absent.startswith("hf:me/absent: it is not in the cache")
    assert revision.startswith("hf:me/tiny@v3: ")
    assert "HF_HUB_OFFLINE" in absent and "HF_HUB_OFFLINE" in revision


class Logged(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def test_the_hubs_retries_are_not_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    logger, logged = logging.getLogger("huggingface_hub"), Logged()
    monkeypatch.setattr(logger, "handlers", [logged])
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    address = "http://127.0.0.1:1/{repo_id}/{revision}/{filename}"  # where nobody listens
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
    monkeypatch.setattr(_http.time, "sleep", waits.append)
    with pytest.raises(xplain.ModelError, match="hf:nobody/absent: it is not in the cache"):
        xplain.load_model("hf:nobody/absent")
    assert len(waits) > 1 and logged.texts == []
    logger.warning("said to others")
    assert logged.texts == ["said to others"]


def test_nothing_is_printed(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    verbosity = hf.logging.get_verbosity()
    bars = hf.logging.is_progress_bar_enabled()
    xplain.load_model(f"hf:{folder}")
    drop(folder, "classifier")
    refused(folder)
    assert capfd.readouterr() == ("", "")
    assert hf.logging.get_verbosity() == verbosity
    assert hf.logging.is_progress_bar_enabled() == bars


@pytest.mark.parametrize("family", ["wav2vec2", "hubert", "wavlm"])
def test_a_model_that_hooks_its_own_layers_works_before_and_after(
    family: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    config = configure(family, use_weighted_layer_sum=True)
    classifier = hf.AutoModelForAudioClassification.from_config(config).eval()
    classifier.save_pretrained(tmp_path)
    hf.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    clip = 0.2 * torch.randn(4000, generator=torch.Generator().manual_seed(0))
    model = xplain.load_model(f"hf:{tmp_path}")
    for explainer in ("occlusion", "saliency"):
        e = xplain.explain(clip, model, explainer=explainer)
        fresh = xplain.load_model(f"hf:{tmp_path}")(clip[None])
        assert torch.equal(model(clip[None]), fresh)
        expected = dict(zip(model.labels, fresh.softmax(-1)[0].tolist(), strict=True))
        assert e.probabilities == pytest.approx(expected, abs=1e-5)
