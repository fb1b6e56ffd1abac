"""The whole, as a user has it: the demo, and real recordings through zoo:digits."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import xplain


def test_the_demo_leaves_a_page_and_audio_that_can_be_heard(tmp_path: Path) -> None:
    command = [Path(sys.executable).with_name("xplain"), "demo", "--out", "demo"]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=tmp_path, env=offline, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "demo/index.html" in done.stderr and "keep-0.1.wav" in done.stderr
    folders = sorted(p for p in (tmp_path / "demo").iterdir() if p.is_dir())
    assert [folder.name for folder in folders] == ["digits", "digits-latent"]
    for folder in folders:
        original, rate = soundfile.read(folder / "original.wav")
        for name in ("keep-0.1.wav", "remove-0.1.wav"):
            info = soundfile.info(folder / name)
            samples, _ = soundfile.read(folder / name)
            assert (info.subtype, info.samplerate, info.frames) == ("PCM_16", rate, len(original))
            assert np.abs(samples).max() < 1  # no clipping
            level = 20 * np.log10(np.sqrt(np.square(samples).mean() / np.square(original).mean()))
            assert -30 < level < 3  # dB
        explanation = json.loads((folder / "explanation.json").read_text())
        (keep,) = (r for r in explanation["results"] if r["file"] == "keep-0.1.wav")
        (remove,) = (r for r in explanation["results"] if r["file"] == "remove-0.1.wav")
        assert (folder / "index.html").is_file()
        assert keep["reencoded"]["label"] == "seven"
        assert remove["reencoded"]["probability"] < keep["reencoded"]["probability"]
        # Which of the two is close, and exact integrals do not decide it.
        assert explanation["verdict"]["kind"] in ("faithful", "partly")


@pytest.fixture(scope="module")
def recordings(shared: Path) -> list[Path]:
    """Thirty training clips of FSDD, every speaker and digit among them, of all lengths."""
    with (shared / "data" / "manifest.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if (r["dataset"], r["split"]) == ("fsdd", "train")]
    return [shared / "data" / row["path"] for row in rows[::75]]


def test_real_words_are_explained_by_what_is_enough_for_them_and_needed(
    recordings: list[Path],
) -> None:
    explanations = xplain.explain(recordings, "zoo:digits")
    outcomes = [e.scores() for e in explanations]
    assert np.mean([keep.agrees for keep, _ in outcomes]) >= 0.9
    assert np.mean([remove.agrees for _, remove in outcomes]) <= 0.2
    assert np.median([e.completeness_error for e in explanations]) <= 0.01
    assert all(e.converged for e in explanations)


def test_a_real_word_is_explained_the_same_alone_and_among_others(recordings: list[Path]) -> None:
    model = xplain.load_model("zoo:digits")
    among = xplain.explain(recordings[:4], model)
    assert len({len(e.waveform) for e in among}) > 1
    for path, e in zip(recordings[:4], among, strict=True):
        alone = xplain.explain(path, model)
        assert torch.allclose(e.attribution, alone.attribution, atol=1e-5, rtol=0)
        assert torch.allclose(e.keep(0.1), alone.keep(0.1), atol=1e-5, rtol=0)
