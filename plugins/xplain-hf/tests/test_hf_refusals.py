"""What is refused of a folder or a repository, each in one line that says what to do."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers as hf
from huggingface_hub import HfApi
from safetensors.torch import load_file, save_file
from small_classifiers import clips, configure, drop, edit, prepare, refused

import xplain


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/at/all", "~/nowhere-at-all", "..x", ""])
def test_a_path_that_is_no_folder(name: str) -> None:
    refused(name, "is not a folder", "save_pretrained")


def test_a_mistyped_name_in_a_folder_that_is_here_is_not_looked_for_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    refused("models/mistyped", "is not a folder", "save_pretrained")


def test_a_file_in_place_of_a_folder(folder: Path) -> None:
    refused(folder / "model.safetensors", "is not a folder")


@pytest.mark.parametrize("name", ["a/b/c", "two words", "owner/"])
def test_a_name_that_no_repository_can_have(name: str) -> None:
    refused(name, "neither a folder nor a repository's name")


def test_an_empty_revision() -> None:
    refused("owner/name@", "no revision")


def test_a_folder_without_a_configuration(tmp_path: Path) -> None:
    refused(tmp_path, "has no config.json")


def test_a_damaged_configuration(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    refused(folder, "config.json cannot be read")


def test_a_model_of_another_kind(tmp_path: Path) -> None:
    hf.BertConfig().save_pretrained(tmp_path)
    refused(tmp_path, "'bert' model is not an audio classifier", "wav2vec2")


def test_an_unknown_architecture(folder: Path) -> None:
    edit(folder / "config.json", model_type="from-the-future")
    refused(folder, "config.json cannot be read", "from-the-future")


def test_code_of_a_repository_is_not_run(folder: Path) -> None:
    edit(
        folder / "config.json",
        model_type="own",
        auto_map={"AutoConfig": "own.Config", "AutoModelForAudioClassification": "own.Model"},
    )
    (folder / "own.py").write_text("raise SystemExit('this ran')\n")
    refused(folder, "code from its own repository", "xplain.wrap")


def test_no_feature_extractor_beside_a_raw_model(folder: Path) -> None:
    (folder / "preprocessor_config.json").unlink()
    refused(folder, "has no preprocessor_config.json", "Wav2Vec2FeatureExtractor(…)")


def test_a_damaged_feature_extractor(folder: Path) -> None:
    (folder / "preprocessor_config.json").write_text("{")
    refused(folder, "preprocessor_config.json cannot be read")


@pytest.mark.parametrize(
    ("family", "other"),
    [
        ("whisper", "wav2vec2"),
        ("audio-spectrogram-transformer", "wav2vec2"),
        ("wav2vec2", "whisper"),
    ],
)
def test_a_feature_extractor_of_another_model(
    family: str, other: str, saved: Callable[[str], Path], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(saved(family), tmp_path / "model"))
    prepare(other).save_pretrained(copy)
    refused(copy, "preprocessor_config.json", type(prepare(other)).__name__, repr(family))


class Payload:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('unpickled')",))


def test_pickled_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save(Payload(), folder / "pytorch_model.bin")
    refused(folder, "no weights as safetensors", "save_pretrained(FOLDER)")


@pytest.mark.parametrize("named", ["adapter_model.bin", "../weights.safetensors"])
def test_a_configuration_that_names_other_weights(folder: Path, named: str) -> None:
    # transformers reads what it names, also where it is told use_safetensors=True.
    write = save_file if named.endswith("tensors") else torch.save
    write(load_file(folder / "model.safetensors"), folder / named)
    edit(folder / "config.json", transformers_weights=named)
    refused(folder, "no weights as safetensors")


@pytest.mark.parametrize("name", ["attn_implementation", "_attn_implementation"])
def test_a_configuration_that_names_a_kernel_of_a_repository(folder: Path, name: str) -> None:
    """Nothing of it is fetched: the model answers as without it."""
    before = xplain.load_model(f"hf:{folder}").module(clips(1))
    edit(folder / "config.json", **{name: "kernels-community/flash-attn"})
    model = xplain.load_model(f"hf:{folder}")
    assert torch.equal(model.module(clips(1)), before)


def test_an_adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"base_model_name_or_path": "someone/else"}')
    refused(folder, "adapter_config.json", "merge")


def test_no_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    refused(folder, "no weights as safetensors")


def test_damaged_weights(folder: Path) -> None:
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    refused(folder, "weights cannot be read", "download")


def test_an_encoder_without_a_trained_head(folder: Path) -> None:
    torch.manual_seed(0)
    hf.Wav2Vec2Model(configure("wav2vec2")).save_pretrained(folder)
    refused(folder, "classifier.weight", "random", "trained for this")


def test_a_head_without_its_encoder(folder: Path) -> None:
    drop(folder, "encoder.layers")
    refused(folder, "wav2vec2.encoder.layers", "more)", "random")


def test_a_head_of_another_size(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["classifier.bias"] = torch.zeros(7)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    refused(folder, "classifier.bias", "another shape")


@pytest.mark.parametrize("place", ["itself", "a part"])
def test_a_configuration_that_would_fetch_another_is_refused(
    place: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(HfApi, "repo_exists", lambda self, name: asked.append(name))
    named = {"model_type": "detr", "backbone": "someone/else", "use_timm_backbone": False}
    if place == "itself":
        edit(folder / "config.json", **named)
    else:
        edit(folder / "config.json", model_type="speech-encoder-decoder", encoder=named, decoder={})
    refused(folder, "a 'detr' model, which is none of audio")
    assert asked == []
    edit(folder / "config.json", model_type="")
    refused(folder, "config.json has no model_type")
