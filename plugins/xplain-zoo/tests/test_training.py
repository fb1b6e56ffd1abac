"""The training script on a tiny data set that the test makes itself."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training import speak_digits, train_digits
from xplain_zoo.digits import DigitClassifier


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Two 'speakers' who say the digits as tones, four clips each."""
    rows = []
    for speaker, pitch in (("anna", 1.0), ("ben", 1.3)):
        for label in range(4):
            name = f"{speaker}-{label}.wav"
            tone = 0.3 * np.sin(np.arange(2400) * 0.1 * pitch * (label + 1))
            soundfile.write(tmp_path / name, tone, 8000)
            rows.append({"path": name, "label": str(label), "speaker": speaker})
    path = tmp_path / "clips.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "speaker"])
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_one_epoch_leaves_weights_that_load_and_a_record(manifest, tmp_path):
    out = tmp_path / "out"
    train_digits.main([str(manifest), "--out", str(out), "--epochs", "1", "--seed", "7"])
    record = json.loads((out / "training.json").read_text())
    assert record["clips"] == 8
    assert record["recipe"]["seed"] == 7
    assert len(record["data"]) == 64
    assert DigitClassifier.from_folder(out).config.labels[3] == "three"


def test_the_same_seed_gives_the_same_weights(manifest, tmp_path):
    for name in ("one", "two"):
        train_digits.main([str(manifest), "--out", str(tmp_path / name), "--epochs", "1"])
    weights = [(tmp_path / n / "model.safetensors").read_bytes() for n in ("one", "two")]
    assert weights[0] == weights[1]


def test_leaving_speakers_out_keeps_the_folds_that_are_done(manifest, tmp_path, capsys):
    out = tmp_path / "folds"
    command = [str(manifest), "--out", str(out), "--epochs", "1", "--leave-one-speaker-out"]
    train_digits.main(command)
    done = (out / "anna" / "model.safetensors").stat().st_mtime_ns
    train_digits.main(command)
    assert (out / "anna" / "model.safetensors").stat().st_mtime_ns == done
    table = json.loads((out / "held-out.json").read_text())
    assert set(table) == {"anna", "ben", "mean"}
    assert "mean" in capsys.readouterr().out


def test_a_label_that_the_model_does_not_have_is_named(manifest, tmp_path):
    manifest.write_text("path,label,speaker\nanna-0.wav,eleven,anna\n")
    with pytest.raises(SystemExit, match="eleven"):
        train_digits.main([str(manifest), "--out", str(tmp_path / "out")])


def test_more_clips_to_train_on_are_never_measured_on(manifest, tmp_path):
    more = tmp_path / "more"
    more.mkdir()
    soundfile.write(more / "carl.wav", 0.3 * np.sin(np.arange(2400) * 0.2), 8000)
    (more / "manifest.csv").write_text("path,label,speaker\ncarl.wav,two,carl\n")
    out = tmp_path / "folds"
    also = ["--also", str(more / "manifest.csv"), "--epochs", "1"]
    train_digits.main([str(manifest), *also, "--out", str(out), "--leave-one-speaker-out"])
    assert set(json.loads((out / "held-out.json").read_text())) == {"anna", "ben", "mean"}
    assert json.loads((out / "anna" / "training.json").read_text())["clips"] == 5


def test_every_voice_says_every_digit_the_same_for_a_seed_and_never_the_demo_clips():
    said = speak_digits.sayings(seed=0)
    assert said == speak_digits.sayings(seed=0) != speak_digits.sayings(seed=1)
    assert len({s.name for s in said}) == len(said) == 3 * 10 * len(speak_digits.VARIANTS)
    assert all(s.variant for s in said)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs the program espeak-ng")
def test_a_spoken_word_is_the_word_alone():
    word = speak_digits.Saying("seven", "en-us", "m3", 150, 50).speak()
    assert 0.2 < len(word) / speak_digits.RATE < 1.5
    assert abs(np.abs(word).max() - speak_digits.PEAK) < 1e-3
    assert np.abs(word[:80]).max() > 0.005
