"""latent:FOLDER: what is loaded, and what is said of folders and codecs that are not right."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import xplain
from xplain.errors import ModelError
from xplain.intervals import Interval
from xplain_codecs.codecs.encodec import Encodec
from xplain_codecs.codecs.stft import Stft
from xplain_codecs.fit.classifier import Config, save
from xplain_codecs.fit.codec_record import Codec
from xplain_codecs.fit.heads import GruSizes, make_head
from xplain_codecs.fit.report import Report

RATE = 8000
REPORT = Report(
    labels=("a", "b"),
    accuracy=Interval(0.5, 0.25, 0.75),
    majority=0.5,
    recall={"a": 1.0, "b": None},
    confusion=((3, 1), (0, 0)),
    clips={"train": 4, "dev": 2, "test": 4},
    epochs=3,
    best_epoch=2,
    dev_accuracy=0.5,
    failed={},
    seconds=1.0,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A head with weights by chance, saved."""
    torch.manual_seed(0)
    codec, _ = Codec.of("stft", {"sample_rate": RATE, "window": 0.016})
    sizes = GruSizes(width=4, layers=1)
    config = Config(codec, sizes, ("a", "b"), "0" * 64, {"accuracy": {"mean": 0.5}})
    save(tmp_path / "head", config, make_head(sizes, codec.channels, 2), REPORT)
    return tmp_path / "head"


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    change(config)
    (folder / "config.json").write_text(json.dumps(config), "utf-8")


def test_a_saved_head_is_the_same_when_it_is_loaded(folder: Path) -> None:
    model = xplain.load_model(f"latent:{folder}")
    torch.manual_seed(0)
    made = make_head(GruSizes(width=4, layers=1), 65, 2).eval()
    latents = torch.rand(3, 65, 7)
    assert torch.equal(model(latents), made(latents))
    assert model.name == f"latent:{folder}"
    assert (model.labels, model.sample_rate, model.multilabel) == (("a", "b"), RATE, False)


def test_it_reads_the_synthesizer_with_the_parameters_it_was_fitted_with(folder: Path) -> None:
    reads = xplain.load_model(f"latent:{folder}").reads
    assert isinstance(reads, Stft)
    assert (reads.sample_rate, reads.window, reads.overlap, reads.power) == (RATE, 0.016, 4, 0.5)


def test_latents_of_another_codec_are_refused(folder: Path) -> None:
    model = xplain.load_model(f"latent:{folder}")
    with pytest.raises(ModelError, match=r"this head reads latents \(batch, 65, frames\)"):
        model(Stft(RATE).encode(torch.zeros(1, RATE)).values)


def test_the_same_codec_with_other_settings_is_decoded_and_encoded_again(folder: Path) -> None:
    model = xplain.load_model(f"latent:{folder}")
    clip = 0.3 * torch.sin(torch.arange(2000) * 0.5)
    e = xplain.explain(clip, model, synthesizer=Stft(RATE, window=0.016, power=1))
    assert e.provenance["route"] == "head(encode(decode(z)))"


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder; give one that xplain fit wrote"):
        xplain.load_model(f"latent:{tmp_path / 'nothing'}")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no readable config.json"),
        ("{", "no readable config.json"),
        (
            "[]",
            "no readable config.json .*expected `object`, got `array`",
        ),
        ("{}", "is not a latent classifier; give a folder that xplain fit wrote"),
        ('{"model_type": "wav2vec2"}', "is not a latent classifier"),
    ],
)
def test_a_foreign_folder_is_refused(folder: Path, content: str | None, said: str) -> None:
    (folder / "config.json").unlink()
    if content is not None:
        (folder / "config.json").write_text(content)
    with pytest.raises(ModelError, match=said):
        xplain.load_model(f"latent:{folder}")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.update(schema=2), "written with schema 2, .* reads 1; upgrade it, or fit"),
        (lambda c: c.pop("head"), "config.json is damaged"),
        (lambda c: c.pop("labels"), "config.json is damaged"),
        (lambda c: c.update(head="gru"), "config.json is damaged"),
        (lambda c: c["head"].update(kind="lstm"), "config.json is damaged .*no head 'lstm'"),
        (lambda c: c["head"].update(width=-1), "config.json is damaged .*width is a whole"),
        (lambda c: c["synthesizer"].pop("name"), "config.json is damaged"),
        (lambda c: c["head"].update(width=5), "model.safetensors is damaged .*size mismatch"),
        (lambda c: c["labels"].append("c"), "model.safetensors is damaged .*size mismatch"),
        (
            lambda c: c["synthesizer"].update(name="xplain-codecs/gone"),
            "reads the latents of xplain-codecs/gone .* cannot be made: no synthesizer",
        ),
        (
            lambda c: c["synthesizer"]["parameters"].update(hop=3),
            "cannot be made: .* has no parameter 'hop'.*correct its parameters in config.json",
        ),
        (
            lambda c: c["synthesizer"]["parameters"].update(sample_rate=16000),
            "fitted on another xplain-codecs/stft .*sample_rate 8000 then, 16000 now.*fit again",
        ),
        (
            lambda c: c["synthesizer"]["parameters"].update(window=0.032),
            "fitted on another xplain-codecs/stft .channels 65 then, 129 now.",
        ),
        (
            lambda c: c["synthesizer"].update(weights="0" * 64),
            "fitted on another xplain-codecs/stft .weights '0+' then, None now",
        ),
    ],
)
def test_a_damaged_or_changed_config_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    edit(folder, change)
    with pytest.raises(ModelError, match=said):
        xplain.load_model(f"latent:{folder}")


def test_damaged_weights_are_refused(folder: Path) -> None:
    file = folder / "model.safetensors"
    whole = file.read_bytes()
    tensors = safetensors.torch.load(whole)
    file.write_bytes(whole[:-10])
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        xplain.load_model(f"latent:{folder}")
    file.write_bytes(b"\x80\x04pickle")
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        xplain.load_model(f"latent:{folder}")
    file.unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors is damaged"):
        xplain.load_model(f"latent:{folder}")
    tensors["out.bias"][0] = torch.nan
    safetensors.torch.save_file(tensors, file)
    with pytest.raises(
        ModelError, match=r"model\.safetensors is damaged .*NaN or infinite.*fit again"
    ):
        xplain.load_model(f"latent:{folder}")


def test_a_codec_whose_weights_were_replaced_is_refused(
    tmp_path: Path, folders: dict[str, Path]
) -> None:
    """The same folder, the same settings, another training of the codec in it."""
    home = tmp_path / "codec"
    shutil.copytree(folders["encodec"], home)
    codec, _ = Codec.of("encodec", {"checkpoint": str(home)})
    sizes = GruSizes(width=4, layers=1)
    save(
        tmp_path / "head",
        Config(codec, sizes, ("a", "b"), "0" * 64, {}),
        make_head(sizes, codec.channels, 2),
        REPORT,
    )
    assert xplain.load_model(f"latent:{tmp_path / 'head'}").reads is not None
    weights = safetensors.torch.load_file(home / "model.safetensors")
    name = next(name for name in weights if name.startswith("encoder") and name.endswith("bias"))
    weights[name] += 1e-3
    safetensors.torch.save_file(weights, home / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"fitted on another xplain-codecs/encodec .weights '\w+"):
        xplain.load_model(f"latent:{tmp_path / 'head'}")
    shutil.rmtree(home)
    with pytest.raises(
        ModelError, match=r"which cannot be made: .*correct its parameters in config"
    ):
        xplain.load_model(f"latent:{tmp_path / 'head'}")


def fitted_on(checkpoint: Path, folder: Path) -> dict[str, Any]:
    """Save a classifier on a codec that is read from a folder; gives the parameters it records."""
    codec, _ = Codec.of("encodec", {"checkpoint": str(checkpoint)})
    sizes = GruSizes(width=4, layers=1)
    config = Config(codec, sizes, ("a", "b"), "0" * 64, {})
    save(folder, config, make_head(sizes, codec.channels, 2), REPORT)
    written: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
    parameters: dict[str, Any] = written["synthesizer"]["parameters"]
    return parameters


@pytest.mark.parametrize("place", ["codec", "head/codec"])
def test_a_codec_in_the_folder_or_next_to_it_moves_with_it(
    folders: dict[str, Path], tmp_path: Path, place: str
) -> None:
    first = tmp_path / "first"
    shutil.copytree(folders["encodec"], first / "codec")
    assert fitted_on(first / "codec", first / "head")["checkpoint"] == "../codec"
    if place == "head/codec":  # somebody puts the two together
        (first / "codec").rename(first / place)
        edit(first / "head", lambda c: c["synthesizer"]["parameters"].update(checkpoint="./codec"))
    first.rename(tmp_path / "second")
    reads = xplain.load_model(f"latent:{tmp_path / 'second' / 'head'}").reads
    assert isinstance(reads, Encodec)
    assert Path(str(reads.checkpoint)) == tmp_path / "second" / place


def test_a_codec_elsewhere_is_named_as_it_was(folders: dict[str, Path], tmp_path: Path) -> None:
    far = folders["encodec"]
    assert fitted_on(far, tmp_path / "head")["checkpoint"] == str(far)
    (tmp_path / "head").rename(tmp_path / "moved")
    reads = xplain.load_model(f"latent:{tmp_path / 'moved'}").reads
    assert isinstance(reads, Encodec)
    assert reads.checkpoint == str(far)
