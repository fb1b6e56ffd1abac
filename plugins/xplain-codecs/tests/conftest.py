"""Tiny codecs of transformers with random weights, saved to folders as real ones are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from torch import nn

from xplain_codecs.codecs.dac import Dac
from xplain_codecs.codecs.encodec import Encodec
from xplain_codecs.codecs.mimi import Mimi
from xplain_codecs.codecs.neural import NeuralCodec

RATE = 8000

ENCODEC = {
    "sampling_rate": RATE,
    "hidden_size": 12,
    "num_filters": 4,
    "upsampling_ratios": [5, 4, 2],
    "codebook_size": 16,
    "num_lstm_layers": 1,
    "target_bandwidths": [0.8, 3.2],  # 200 frames a second, 4 bits each: 1 or 4 codebooks
}
CONFIGS: dict[str, Callable[[], hf.PreTrainedConfig]] = {
    "encodec": lambda: hf.EncodecConfig(**ENCODEC),
    "encodec-windows": lambda: hf.EncodecConfig(
        **ENCODEC,
        audio_channels=2,
        normalize=True,
        chunk_length_s=0.25,
        overlap=0.1,
        norm_type="time_group_norm",
        use_causal_conv=False,
    ),
    "dac": lambda: hf.DacConfig(
        encoder_hidden_size=4,
        decoder_hidden_size=32,
        downsampling_ratios=[2, 5, 4],
        n_codebooks=3,
        codebook_size=16,
        codebook_dim=3,
        sampling_rate=RATE,
    ),
    "mimi": lambda: hf.MimiConfig(
        sampling_rate=RATE,
        hidden_size=16,
        num_filters=4,
        upsampling_ratios=[5, 4],
        codebook_size=16,
        codebook_dim=8,
        vector_quantization_hidden_dimension=8,
        num_quantizers=3,
        upsample_groups=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        intermediate_size=32,
        sliding_window=10,
        layer_scale_initial_scale=0.5,
    ),
}
MODELS: dict[str, Any] = {
    "encodec": hf.EncodecModel,
    "encodec-windows": hf.EncodecModel,
    "dac": hf.DacModel,
    "mimi": hf.MimiModel,
}
CODECS: dict[str, type[NeuralCodec]] = {
    "encodec": Encodec,
    "encodec-windows": Encodec,
    "dac": Dac,
    "mimi": Mimi,
}


def _random_codec(name: str) -> Any:
    torch.manual_seed(0)
    model = MODELS[name](CONFIGS[name]()).eval()
    with torch.no_grad():
        for key, tensor in model.state_dict().items():
            if key.endswith(("embed", "embed_sum", "codebook.weight")):  # made as zeros, or small
                tensor.copy_(torch.randn_like(tensor))
        for layer in model.modules():
            if isinstance(model, hf.DacModel) and isinstance(layer, nn.Conv1d):
                layer.weight.mul_(7)  # its own leave next to nothing of a sound
    return model


@pytest.fixture(scope="session")
def random_codec() -> Callable[[str], Any]:
    """Makes the model of transformers that is saved under a name, anew."""
    return _random_codec


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where each codec is saved, by name."""
    found = {}
    for name in CODECS:
        found[name] = tmp_path_factory.mktemp(name)
        _random_codec(name).save_pretrained(found[name])
    return found


@pytest.fixture(scope="session")
def fresh(folders: dict[str, Path]) -> Callable[..., NeuralCodec]:
    """Reads a saved codec, with settings, for a test that changes it."""
    return lambda name, **settings: CODECS[name](str(folders[name]), **settings)


@pytest.fixture(scope="session")
def make(fresh: Callable[..., NeuralCodec]) -> Callable[..., NeuralCodec]:
    """A saved codec, with settings; read once for all tests, which leave it as it is."""
    return functools.cache(fresh)
