"""Frame classification of transformers: (batch, frames, labels), as segmenters."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import transformers as hf

import xplain
from xplain import ModelError

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "conv_dim": (8, 8),
    "conv_kernel": (10, 8),
    "conv_stride": (20, 16),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "id2label": {0: "speech", 1: "music", 2: "noise"},
}
FAMILIES = {
    "wavlm": (hf.WavLMConfig, hf.WavLMForAudioFrameClassification),
    "wav2vec2": (hf.Wav2Vec2Config, hf.Wav2Vec2ForAudioFrameClassification),
}


def save(folder: Path, family: str = "wavlm", **settings: object) -> Path:
    torch.manual_seed(0)
    configuration, kind = FAMILIES[family]
    kind(configuration(**{**SIZES, **settings})).save_pretrained(folder)
    hf.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


def clips(count: int, samples: int) -> torch.Tensor:
    return 0.1 * torch.randn(count, samples, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_per_frame_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    model = xplain.load_model(f"hf:{save(tmp_path, family)}")
    waveforms = clips(2, 8000)
    extractor = hf.AutoFeatureExtractor.from_pretrained(tmp_path)
    inputs = extractor(list(waveforms.numpy()), sampling_rate=16000, return_tensors="pt")
    direct = FAMILIES[family][1].from_pretrained(tmp_path).eval()(**inputs).logits
    torch.testing.assert_close(model(waveforms), direct, atol=1e-5, rtol=1e-4)
    assert direct.shape == (2, 25, 3)


def test_what_is_known_of_one(tmp_path: Path) -> None:
    model = xplain.load_model(f"hf:{save(tmp_path)}")
    assert model.labels == ("speech", "music", "noise")
    assert (model.sample_rate, model.frame_step) == (16000, 0.02)
    assert model.multilabel and model.differentiable
    exclusive = save(tmp_path / "exclusive", problem_type="single_label_classification")
    assert not xplain.load_model(f"hf:{exclusive}").multilabel


def test_one_segments_and_its_span_is_explained(tmp_path: Path) -> None:
    reference = f"hf:{save(tmp_path)}"
    segmentation = xplain.segment(clips(1, 32000)[0], reference)
    assert segmentation.labels == ("speech", "music", "noise")
    assert segmentation.frames.shape[0] in (99, 100)
    explanation = xplain.explain(
        clips(1, 8000)[0],
        reference,
        synthesizer="waveform",
        explainer="saliency",
        target=xplain.Target("music", start=0.1, end=0.3),
    )
    assert explanation.target.label == "music"


def test_one_without_a_trained_head_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path)
    torch.manual_seed(0)
    encoder = hf.WavLMModel(hf.WavLMConfig(**SIZES))
    encoder.config.architectures = ["WavLMForAudioFrameClassification"]
    encoder.save_pretrained(folder, safe_serialization=True)
    configuration = hf.AutoConfig.from_pretrained(folder)
    configuration.architectures = ["WavLMForAudioFrameClassification"]
    configuration.save_pretrained(folder)
    with pytest.raises(ModelError, match="would be random"):
        xplain.load_model(f"hf:{folder}")


def test_a_model_that_has_no_frame_classification_is_named(tmp_path: Path) -> None:
    configuration = hf.HubertConfig(**SIZES)
    configuration.architectures = ["HubertForAudioFrameClassification"]
    configuration.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="'hubert' model is not an audio classifier"):
        xplain.load_model(f"hf:{tmp_path}")
