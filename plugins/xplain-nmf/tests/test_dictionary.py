"""Dictionaries: what they are learnt from, what they hold, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from typer.testing import CliRunner

from xplain.errors import ArtifactError, XplainError
from xplain_nmf.cli.main import app
from xplain_nmf.dictionary.dictionary import Dictionary
from xplain_nmf.dictionary.learning import Plan, draw_segments, learn
from xplain_nmf.scenes.sources import DataSet, Source
from xplain_nmf.spectrum import FREQUENCIES, Spectrum

TONES = {"speech": (500.0, 1500.0), "music": (2500.0, 3000.0), "noise": (5000.0, 7000.0)}
"""Hz: what the clips of each kind are made of here."""


@pytest.fixture
def corpus(tmp_path: Path) -> tuple[Path, Path]:
    """A manifest of clips, each kind made of two tones that come and go, and its mapping."""
    draw = np.random.default_rng(0)
    lines = ["path,dataset,split,label,speaker"]
    for kind, tones in TONES.items():
        for number in range(3):
            time = np.arange(48000) / 16000
            gates = (draw.random((2, 30)) < 0.6).repeat(1600, axis=1)
            sines = [np.sin(2 * np.pi * hertz * time) for hertz in tones]
            samples = 0.2 * (gates * sines).sum(axis=0) + 1e-4 * draw.standard_normal(48000)
            soundfile.write(tmp_path / f"{kind}{number}.wav", samples, 16000)
            lines.append(f"{kind}{number}.wav,{kind}-set,train,x,{number}")
    (tmp_path / "manifest.csv").write_text("\n".join(lines) + "\n")
    mapping = {kind: {f"{kind}-set": {}} for kind in TONES}
    (tmp_path / "mapping.json").write_text(json.dumps(mapping))
    return tmp_path / "manifest.csv", tmp_path / "mapping.json"


@pytest.fixture
def plan(corpus: tuple[Path, Path]) -> Callable[..., Plan]:
    def make(**changes: object) -> Plan:
        return Plan(**{"components": 6, "seconds": 5.0, "mapping": corpus[1], **changes})

    return make


@pytest.mark.parametrize("spectrum", [Spectrum(), Spectrum.paper()])
def test_each_kind_has_atoms_of_what_it_is_made_of(corpus, plan, spectrum):
    found = learn(corpus[0], plan(spectrum=spectrum))
    assert found.labels == ("speech",) * 2 + ("music",) * 2 + ("noise",) * 2
    assert found.spectra.shape == (513, 6)
    torch.testing.assert_close(found.spectra.norm(dim=0), torch.ones(6))
    assert (found.spectra >= 0).all()
    for column, kind in zip(found.spectra.T, found.labels, strict=True):
        peak = FREQUENCIES[int(column.argmax())]
        assert min(abs(peak - hertz) for hertz in TONES[kind]) < 50
    for kind in TONES:
        assert found.provenance["learnt"][kind]["r2"] > 0.5


def test_of_all_kinds_at_once_atoms_have_no_labels(corpus, plan):
    found = learn(corpus[0], plan(classwise=False))
    assert found.labels is None
    peaks = [FREQUENCIES[int(column.argmax())] for column in found.spectra.T]
    # Each kind lasts as long as the others, and has its atoms.
    for tones in TONES.values():
        assert min(abs(peak - hertz) for peak in peaks for hertz in tones) < 50


def test_a_remainder_of_components_goes_to_the_first_kinds(corpus, plan):
    found = learn(corpus[0], plan(components=8))
    assert [found.labels.count(kind) for kind in TONES] == [3, 3, 2]


def test_a_seed_draws_the_same_again(corpus, plan):
    one, again, other = (learn(corpus[0], plan(seed=seed)).spectra for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_segments_are_of_half_a_second_to_three_and_no_pauses():
    loud = np.ones(16000, np.float32)
    clip = np.concatenate([loud, np.zeros(160000, np.float32)])
    sources = [Source(clip, DataSet("speech", "a"), "x", "a")]
    segments = draw_segments(sources, 30.0, np.random.default_rng(0))
    assert all(8000 <= len(segment) <= 48000 for segment in segments)
    assert all(segment.any() for segment in segments)
    assert 30 <= sum(map(len, segments)) / 16000 < 33


def test_data_sets_are_drawn_by_their_share():
    sources = [
        Source(np.full(8000, level, np.float32), DataSet("noise", name, share), "x", name)
        for name, share, level in (("a", 3.0, 0.5), ("b", 1.0, 0.25))
    ]
    segments = draw_segments(sources, 300.0, np.random.default_rng(0))
    share = np.mean([segment[0] == 0.5 for segment in segments])
    assert 0.7 < share < 0.8


def test_a_dictionary_comes_back_from_its_folder(corpus, plan, tmp_path):
    made = learn(corpus[0], plan(spectrum=Spectrum(2.0, 1.0)))
    made.save(tmp_path / "d")
    loaded = Dictionary.load(tmp_path / "d")
    assert torch.equal(loaded.spectra, made.spectra)
    assert loaded.labels == made.labels
    assert loaded.spectrum == Spectrum(2.0, 1.0)
    assert loaded.provenance["settings"]["seed"] == 0
    assert loaded.provenance["recordings"]["speech"] == 2  # the third is for dev
    made.save(tmp_path / "d")  # in the place of the older one
    assert sorted(p.name for p in tmp_path.glob("d/*")) == ["config.json", "dictionary.safetensors"]


def test_from_the_command_line(corpus, tmp_path):
    asked = [*map(str, ("dictionary", corpus[0], "--mapping", corpus[1])), "--seconds", "3"]
    runner = CliRunner()
    for preset, labels, spectrum in (
        ("causal", ("speech", "music", "noise"), Spectrum()),
        ("paper", None, Spectrum.paper()),
    ):
        out = tmp_path / preset
        options = ["--components", "3", "--preset", preset, "--out", str(out)]
        result = runner.invoke(app, [*asked, *options])
        assert result.exit_code == 0, result.output
        loaded = Dictionary.load(out)
        assert (loaded.labels, loaded.spectrum) == (labels, spectrum)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--components", "2"], "2 components for 3 kinds"),
        (["--components", "3000"], "cannot be learnt from"),
        (["--preset", "ours"], "no preset 'ours'"),
        (["--loss", "euclid"], "no loss 'euclid'"),
        (["--scale", "-1"], "above 0"),
        (["--seconds", "0"], "above 0"),
    ],
)
def test_what_cannot_be_learnt_is_said(corpus, tmp_path, options, says):
    asked = [
        "dictionary",
        str(corpus[0]),
        "--mapping",
        str(corpus[1]),
        "--out",
        str(tmp_path / "d"),
    ]
    result = CliRunner().invoke(app, [*asked, "--seconds", "3", *options])
    assert isinstance(result.exception, XplainError)
    assert says in str(result.exception)
    assert not (tmp_path / "d").exists()


def test_silent_clips_make_no_dictionary():
    silent = [Source(np.zeros(8000, np.float32), DataSet("music", "a"), "x", "a")]
    with pytest.raises(XplainError, match="all clips of music are silent"):
        draw_segments(silent, 3.0, np.random.default_rng(0))


def test_damaged_dictionaries_are_refused(tmp_path):
    folder = tmp_path / "d"
    good = Dictionary(torch.rand(513, 2), Spectrum(), ("speech", "music"))
    good.save(folder)
    config = folder / "config.json"
    text = config.read_text()

    def refused(says: str) -> None:
        with pytest.raises(ArtifactError, match=says):
            Dictionary.load(folder)

    config.write_text(text.replace('"schema": 1', '"schema": 2'))
    refused("newer xplain-nmf")
    config.write_text(text.replace('"hop": 320', '"hop": 160'))
    refused("other spectra")
    config.write_text(text.replace('"speech",\n', ""))
    refused("1 labels for 2 components")
    config.write_text("{}")
    refused("damaged")
    config.write_text(text)
    tensors = folder / "dictionary.safetensors"
    content = bytearray(tensors.read_bytes())
    content[-1] ^= 1
    tensors.write_bytes(bytes(content))
    refused("is not the file that config.json was written with")
    tensors.unlink()
    refused("dictionary.safetensors cannot be read .*No such file")
    for wrong in (torch.rand(512, 2), -torch.rand(513, 2), torch.full((513, 2), torch.nan)):
        Dictionary(wrong, Spectrum()).save(folder / "wrong")
        with pytest.raises(ArtifactError, match=r"a dictionary (is|holds)|NaN or infinite"):
            Dictionary.load(folder / "wrong")


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ArtifactError, match=r"exists and holds notes\.txt"):
        Dictionary(torch.rand(513, 2), Spectrum()).save(tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
