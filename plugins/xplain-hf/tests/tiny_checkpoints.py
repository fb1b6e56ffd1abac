"""Tiny checkpoints with random weights, of the audio architectures of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers as hf
from transformers.models.auto import modeling_auto
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

SMALL: dict[str, object] = {
    **{"hidden_size": 16, "d_model": 16, "intermediate_size": 16, "output_hidden_size": 16},
    **{"num_hidden_layers": 1, "encoder_layers": 1, "decoder_layers": 1},
    **{"num_attention_heads": 2, "encoder_attention_heads": 2, "decoder_attention_heads": 2},
    **{"encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "classifier_proj_size": 8, "vocab_size": 32},
    **{"conv_dim": (8, 8), "conv_kernel": (10, 8), "conv_stride": (5, 4)},
    **{"num_feat_extract_layers": 2, "num_conv_pos_embeddings": 8},
    **{"num_conv_pos_embedding_groups": 2, "max_source_positions": 100},
    **{"tdnn_dim": (8,) * 5, "xvector_output_dim": 8},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1},
}
"""Sizes that a configuration has under one of these names, and what they are made."""

NESTED: dict[str, dict[str, object]] = {
    "nemotron3_diarization": {
        "audio_config": {
            **{"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1},
            **{"num_attention_heads": 2, "num_mel_bins": 80},
        },
        "head_config": {"hidden_size": 16, "audio_hidden_size": 16},
    },
}
"""Where the sizes are a level deeper."""

EXTRACTORS = {
    "audio-spectrogram-transformer": lambda: hf.ASTFeatureExtractor(max_length=64),
    "whisper": lambda: hf.WhisperFeatureExtractor(feature_size=80, chunk_length=2),
    "wav2vec2-bert": hf.SeamlessM4TFeatureExtractor,
    "nemotron3_diarization": hf.NemotronAsrStreamingFeatureExtractor,
}


def listed(task: str) -> list[tuple[str, str]]:
    """Model type and class of everything that transformers lists for a task."""
    mapping = getattr(modeling_auto, f"MODEL_FOR_{task}_MAPPING_NAMES")
    return list(mapping.items())


def small(model_type: str) -> Any:
    kind = CONFIG_MAPPING[model_type]
    if model_type in NESTED:
        return kind(**NESTED[model_type])
    usual = kind()
    if model_type == "audio-spectrogram-transformer":
        return kind(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, max_length=64)
    return kind(**{name: size for name, size in SMALL.items() if hasattr(usual, name)})


def saved(folder: Path, model_type: str, name: str) -> str:
    torch.manual_seed(0)
    getattr(hf, name)(small(model_type)).save_pretrained(folder)
    EXTRACTORS.get(model_type, hf.Wav2Vec2FeatureExtractor)().save_pretrained(folder)
    return f"hf:{folder}"
