"""What is refused: checkpoints, settings and latents that cannot be right."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from xplain import PluginError
from xplain.registry import registry
from xplain_codecs.codecs.dac import Dac
from xplain_codecs.codecs.encodec import Encodec
from xplain_codecs.codecs.mimi import Mimi
from xplain_codecs.codecs.neural import NeuralCodec

CODECS: dict[str, type[NeuralCodec]] = {"encodec": Encodec, "dac": Dac, "mimi": Mimi}

Make = Callable[..., NeuralCodec]


def noise(*shape: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", list(CODECS))
def test_without_a_checkpoint_it_says_what_to_give(name: str) -> None:
    with pytest.raises(
        PluginError, match=f"{name}.*checkpoint= the folder.*{CODECS[name].example}"
    ):
        registry().create("synthesizer", name, {})


def test_what_is_no_checkpoint_is_refused(tmp_path: Path, folders: dict[str, Path]) -> None:
    with pytest.raises(PluginError, match=r"no config\.json"):
        Dac(str(tmp_path))
    with pytest.raises(PluginError, match="not a folder"):
        Dac(str(tmp_path / "absent"))
    with pytest.raises(PluginError, match="holds a 'mimi' model, and not a 'dac' codec"):
        Dac(str(folders["mimi"]))


@pytest.mark.parametrize("name", list(CODECS))
def test_a_kernel_that_a_checkpoint_names_is_not_fetched(
    name: str, tmp_path: Path, folders: dict[str, Path]
) -> None:
    folder = Path(shutil.copytree(folders[name], tmp_path / name))
    settings = json.loads((folder / "config.json").read_text())
    settings["attn_implementation"] = "kernels-community/flash-attn"
    (folder / "config.json").write_text(json.dumps(settings))
    changed, whole = CODECS[name](str(folder)), CODECS[name](str(folders[name]))
    clip = noise(1, changed.sample_rate)
    assert torch.equal(changed.encode(clip).values, whole.encode(clip).values)


@pytest.mark.parametrize("name", list(CODECS))
def test_pickled_missing_and_damaged_weights_are_refused(
    name: str, tmp_path: Path, folders: dict[str, Path]
) -> None:
    (tmp_path / "config.json").write_bytes((folders[name] / "config.json").read_bytes())
    with pytest.raises(PluginError, match="no weights as safetensors"):
        CODECS[name](str(tmp_path))
    weights = load_file(folders[name] / "model.safetensors")
    torch.save(weights, tmp_path / "pytorch_model.bin")
    with pytest.raises(PluginError, match=r"pickled ones .* are not read"):
        CODECS[name](str(tmp_path))
    key = next(k for k in weights if k.startswith("decoder") and k.endswith(("bias", "original1")))
    rest = {k: v for k, v in weights.items() if k != key}
    save_file(rest, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(PluginError, match="would be random"):
        CODECS[name](str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"not tensors")
    with pytest.raises(PluginError, match="cannot be read"):
        CODECS[name](str(tmp_path))


@pytest.mark.parametrize("name", list(CODECS))
@pytest.mark.parametrize("named", ["adapter_model.bin", "../weights.safetensors"])
def test_a_configuration_that_names_other_weights_is_refused(
    name: str, named: str, tmp_path: Path, folders: dict[str, Path]
) -> None:
    # transformers reads what it names, also where it is told use_safetensors=True.
    folder = Path(shutil.copytree(folders[name], tmp_path / name))
    weights = load_file(folder / "model.safetensors")
    write = save_file if named.endswith("tensors") else torch.save
    write(weights, folder / named)
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "transformers_weights": named}))
    with pytest.raises(PluginError, match="no weights as safetensors"):
        CODECS[name](str(folder))


def test_settings_that_cannot_be_are_refused(make: Make) -> None:
    for settings in ({"chunk": 0}, {"dtype": "int8"}, {"codebooks": 0}, {"codebooks": 4}):
        with pytest.raises(ValueError, match=next(iter(settings))):
            make("dac", **settings)


def test_latents_of_another_codec_or_length_are_refused(make: Make) -> None:
    codec, other = make("encodec"), make("dac")
    latents = codec.encode(noise(1, 3000))
    with pytest.raises(PluginError, match="decode latents with the codec, and the context"):
        other.decode(latents.values, latents.context)
    with pytest.raises(PluginError, match="decode latents with the codec, and the context"):
        codec.decode(latents.values[..., 1:], latents.context)
    with pytest.raises(PluginError, match="a context without a length"):
        codec.decode(latents.values, {})
    with pytest.raises(PluginError, match="3 variants and a context of 2"):
        context = codec.encode(noise(2, 3000)).context
        codec.decode(latents.values.expand(3, -1, -1), context)
    for shape in ((3000,), (1, 0), (1, 2, 3000)):
        with pytest.raises(PluginError, match="mono waveforms"):
            codec.encode(torch.zeros(shape))


def test_weights_are_read_from_the_folder_alone_and_no_pipe_is_waited_for(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    folder = Path(shutil.copytree(folders["dac"], tmp_path / "dac"))
    weights = folder / "model.safetensors"
    weights.rename(tmp_path / "elsewhere.safetensors")
    index = {"weight_map": dict.fromkeys(load_file(tmp_path / "elsewhere.safetensors"), "")}
    for name in ("../elsewhere.safetensors", str(tmp_path / "elsewhere.safetensors")):
        index["weight_map"] = dict.fromkeys(index["weight_map"], name)
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))
        with pytest.raises(PluginError, match="beside it alone"):
            Dac(str(folder))
    os.mkfifo(weights)
    with pytest.raises(PluginError, match="no regular file"):
        Dac(str(folder))
