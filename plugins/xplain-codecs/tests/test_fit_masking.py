"""xplain fit --masking: clips that lose elements by chance, as they are trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import soundfile
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from xplain_codecs.fit.codec_record import Codec
from xplain_codecs.fit.fit import Task, fit
from xplain_codecs.fit.latents import LatentClip, encode
from xplain_codecs.fit.manifest import read_manifest
from xplain_codecs.fit.masking import MOST, masked
from xplain_codecs.fit.training import Training

RATE = 8000


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Forty clips of two labels, hum and hiss, of unequal lengths."""
    lines = ["path,label"]
    draw = torch.Generator().manual_seed(0)
    for number in range(40):
        length = 1500 + 40 * number
        hiss = 0.1 * torch.randn(length, generator=draw)
        hum = 0.1 * torch.sin(torch.arange(length) * (0.1 + 0.001 * number))
        soundfile.write(tmp_path / f"{number}.wav", (hiss, hum)[number % 2].numpy(), RATE)
        lines.append(f"{number}.wav,{('hiss', 'hum')[number % 2]}")
    path = tmp_path / "manifest.csv"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def encoded(manifest: Path, folder: Path) -> list[LatentClip]:
    codec, synthesizer = Codec.of("stft", {"sample_rate": RATE, "window": 0.016})
    entries = read_manifest(manifest, {}, None, 0)
    digests = [entry.name for entry in entries]
    home = torch.device("cpu")
    clips, failed = encode(entries, digests, codec, synthesizer, folder, home, editable=True)
    assert not failed
    return [clip for clip in clips if clip.entry.part == "train"]


def batch(clips: list[LatentClip]) -> Tensor:
    return pad_sequence([clip.read().T for clip in clips], batch_first=True).mT


def test_a_share_of_the_clips_loses_elements_to_silence(manifest: Path, tmp_path: Path) -> None:
    clips = encoded(manifest, tmp_path / "latents")
    whole = batch(clips)
    before = whole.clone()
    torch.manual_seed(0)
    changed = masked(whole, clips, 0.5)
    assert torch.equal(whole, before)  # the caller's own
    lost = []
    for row, clip in enumerate(clips):
        now, then = changed[row, :, : clip.frames], whole[row, :, : clip.frames]
        different = now != then
        assert torch.equal(now[different], clip.edges().silence[different])
        assert torch.equal(changed[row, :, clip.frames :], whole[row, :, clip.frames :])
        lost.append(float(different.double().mean()))
    assert sum(share > 0 for share in lost) == len(clips) // 2
    assert max(lost) < MOST + 0.02 and max(lost) > MOST / 2  # of so many, some lose much


def test_it_is_recorded_changes_the_training_and_needs_no_emphasis(
    manifest: Path, tmp_path: Path
) -> None:
    task = Task(
        manifest=manifest,
        synthesizer="stft",
        synthesizer_params={"sample_rate": RATE, "window": 0.016},
        head="conv",
        head_params={"width": 8, "layers": 1},
        training=Training(epochs=4, learning_rate=0.01, masking=1.0),
    )
    report = fit(task, tmp_path / "out")
    assert report.accuracy.mean > 0.9
    assert '"masking": 1.0' in (tmp_path / "out" / "config.json").read_text(encoding="utf-8")
    fit(replace(task, training=replace(task.training, masking=0.0)), tmp_path / "plain")
    one, other = (load_file(tmp_path / n / "model.safetensors") for n in ("out", "plain"))
    assert not torch.equal(one["out.weight"], other["out.weight"])
