"""The shipped codec and zoo:digits-latent: what loads, what is kept, what is explained."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from training.clips_manifest import read_clip, read_manifest
from training.spectral import log_spectral_correlation
from xplain_zoo.digits import LABELS, WEIGHTS

xplain = pytest.importorskip("xplain")
transformers = pytest.importorskip("transformers")
pytest.importorskip("xplain_codecs")

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("XPLAIN_SHARED", ROOT.parent / "shared"))
CODEC = WEIGHTS.parent / "codec"
CLASSIFIER = WEIGHTS.parent / "digits-latent"
CLIP = WEIGHTS.parents[1] / "clips" / "seven.wav"
MEGABYTES = 4_000_000


@pytest.fixture(scope="module")
def seven() -> torch.Tensor:
    return read_clip(CLIP, 8000)


@pytest.fixture(scope="module")
def model():
    return xplain.load_model("zoo:digits-latent")


def test_plain_transformers_reads_the_codec_as_float32_and_the_word_comes_back(seven):
    codec = transformers.EncodecModel.from_pretrained(CODEC)
    assert all(p.dtype == torch.float32 for p in codec.parameters())
    with torch.no_grad():
        heard = codec(seven[None, None]).audio_values[0, 0]
    assert heard.shape == seven.shape
    assert log_spectral_correlation(seven, heard) >= 0.7  # through every codebook


def test_the_synthesizer_gives_what_transformers_gives(seven, model):
    codec = transformers.EncodecModel.from_pretrained(CODEC)
    level = seven.square().mean().sqrt()  # which this codec divides out
    with torch.no_grad():
        latents = model.reads.encode(seven[None])
        expected = codec.encoder((seven / level)[None, None])
        torch.testing.assert_close(latents.values, expected, rtol=1e-4, atol=1e-4)
        heard = model.reads.decode(latents.values, latents.context)
        expected = level * codec.decoder(latents.values)[:, 0, : len(seven)]
    torch.testing.assert_close(heard, expected)
    assert log_spectral_correlation(seven, heard[0]) >= 0.9


def test_pieces_give_what_the_whole_gives(seven, model):
    whole = model.reads
    pieces = type(whole)(str(CODEC), quantised=whole.quantised, chunk=0.25)
    long = torch.cat([seven, 0.3 * seven.flip(0), seven])[None]
    with torch.no_grad():
        one, other = whole.encode(long), pieces.encode(long)
        torch.testing.assert_close(one.values, other.values, atol=1e-4, rtol=1e-4)
        heard = pieces.decode(one.values, one.context)
        torch.testing.assert_close(whole.decode(one.values, one.context), heard, atol=1e-5, rtol=0)


def test_silence_stays_silent(model):
    silent = torch.zeros(1, 4000)
    with torch.no_grad():
        latents = model.reads.encode(silent)
        heard = model.reads.decode(latents.values, latents.context)
    assert float(heard.abs().max()) < 1e-3


def test_weights_are_small_and_their_cards_name_the_licence():
    for folder in (CODEC, CLASSIFIER):
        assert sum(file.stat().st_size for file in folder.iterdir()) <= MEGABYTES
        card = (folder / "README.md").read_text(encoding="utf-8")
        assert "CC BY-SA 4.0" in card and "Zohar Jackson" in card


def test_no_file_names_a_place_of_the_machine_it_was_made_on():
    parameters = json.loads((CLASSIFIER / "config.json").read_text())["synthesizer"]["parameters"]
    assert parameters["checkpoint"] == "../codec"
    for file in [*CODEC.glob("*.json"), *CLASSIFIER.glob("*.json")]:
        assert not [text for text in _texts(json.loads(file.read_text())) if text.startswith("/")]


def test_the_clip_is_explained_without_a_network(seven, monkeypatch):
    def refuse(*_: object) -> None:
        raise AssertionError("asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    model = xplain.load_model("zoo:digits-latent")
    assert model.labels == LABELS
    e = xplain.explain(seven, model, sample_rate=8000)
    assert e.target.label == "seven" and e.target.probability >= 0.8
    assert e.provenance["route"] == "head(z)"
    assert e.converged and e.check().kind == "faithful"
    curves, again = e.curves([0.1]), e.curves([0.1], reencoded=True)
    assert curves.agrees(curves.kept).all() and not curves.agrees(curves.removed).any()
    assert again.agrees(again.kept).all()


def test_without_the_plugin_the_error_says_what_to_install():
    code = "import xplain; xplain.load_model('zoo:digits-latent')"
    only = {**os.environ, "XPLAIN_PLUGINS": "xplain-zoo"}
    done = subprocess.run([sys.executable, "-c", code], env=only, capture_output=True, text=True)
    assert "zoo:digits-latent needs the plugin xplain-codecs" in done.stderr


def test_the_codec_keeps_every_test_clip_of_fsdd(model):
    manifest = SHARED / "data" / "manifest.csv"
    if not manifest.exists():
        pytest.skip(f"no real audio: {manifest} is missing (set XPLAIN_SHARED)")
    clips = [c for c in read_manifest(manifest, LABELS, 8000, "fsdd") if c.split == "test"]
    same, right, alike = [], [], []
    with torch.no_grad():
        for clip in clips:
            latents = model.reads.encode(clip.waveform[None])
            heard = model.reads.decode(latents.values, latents.context)
            decision = int(model(latents.values).argmax())
            same.append(int(model(model.reads.encode(heard).values).argmax()) == decision)
            right.append(model.labels[decision] == LABELS[clip.label])
            alike.append(log_spectral_correlation(clip.waveform, heard[0]))
    assert len(clips) == 200
    # What the model cards say, a little lower.
    assert sum(right) / 200 >= 0.93
    assert sum(same) / 200 >= 0.97
    assert sum(alike) / 200 >= 0.9


def _texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for one in value.values() for text in _texts(one)]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return [value] if isinstance(value, str) else []
