"""Tiny classifiers of transformers in folders, and what is told of one that is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers as hf
from safetensors.torch import load_file, save_file
from torch import Tensor

import xplain

RATE = 16000


LABELS = ("yes", "no", "stop")


CONVOLUTIONS = {
    "conv_dim": (8, 8, 8),
    "conv_kernel": (10, 8, 4),
    "conv_stride": (5, 4, 4),
    "num_feat_extract_layers": 3,
}


SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


ENCODER = {
    **SIZES,
    **CONVOLUTIONS,
    "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2,
    "classifier_proj_size": 8,
}


RAW: dict[str, Callable[..., hf.PreTrainedConfig]] = {
    "wav2vec2": lambda **k: hf.Wav2Vec2Config(**ENCODER, **k),
    "hubert": lambda **k: hf.HubertConfig(**ENCODER, **k),
    "wavlm": lambda **k: hf.WavLMConfig(**ENCODER, **k),
    "data2vec-audio": lambda **k: hf.Data2VecAudioConfig(
        **{**ENCODER, "num_conv_pos_embeddings": 2, "conv_pos_kernel_size": 5}, **k
    ),
    "sew": lambda **k: hf.SEWConfig(**ENCODER, squeeze_factor=2, **k),
    "unispeech-sat": lambda **k: hf.UniSpeechSatConfig(**ENCODER, **k),
}


def configure(family: str, **settings: object) -> hf.PreTrainedConfig:
    settings = {"id2label": dict(enumerate(LABELS)), **settings}
    if family in RAW:
        return RAW[family](**settings)
    if family == "whisper":
        return hf.WhisperConfig(
            d_model=16,
            encoder_layers=1,
            decoder_layers=1,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=16,
            decoder_ffn_dim=16,
            num_mel_bins=20,
            max_source_positions=50,
            classifier_proj_size=8,
            **settings,
        )
    return hf.ASTConfig(**SIZES, max_length=64, num_mel_bins=32, patch_size=16, **settings)


def prepare(family: str, **settings: object) -> hf.FeatureExtractionMixin:
    if family in RAW:
        return hf.Wav2Vec2FeatureExtractor(**settings)
    if family == "whisper":
        return hf.WhisperFeatureExtractor(feature_size=20, chunk_length=1)
    return hf.ASTFeatureExtractor(num_mel_bins=32, max_length=64)


def classifier(family: str, **settings: object) -> hf.PreTrainedModel:
    torch.manual_seed(0)
    model = hf.AutoModelForAudioClassification.from_config(configure(family, **settings))
    for parameter in model.classifier.parameters():
        # As initialised, the labels differ by less than what these tests look for.
        torch.nn.init.normal_(parameter)
    return model.eval()


def clips(count: int, samples: int = RATE // 4, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(count, samples, generator=generator) + 0.02


def edit(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


def assert_one_line(error: BaseException, *words: str) -> None:
    assert "\n" not in str(error)
    for word in words:
        assert word in str(error)


def drop(folder: Path, *parts: str) -> None:
    file = folder / "model.safetensors"
    kept = {k: v for k, v in load_file(file).items() if not any(part in k for part in parts)}
    save_file(kept, file, metadata={"format": "pt"})


def refused(reference: object, *words: str) -> None:
    with pytest.raises(xplain.ModelError) as caught:
        xplain.load_model(f"hf:{reference}")
    assert_one_line(caught.value, f"hf:{reference}", *words)
