"""xplain fit --emphasis: clips that keep only what counts, or lose it, as they are trained on."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
import soundfile
import torch
from torch import Tensor, nn

import xplain
from xplain.tensors import read_tensors
from xplain_codecs.fit import training
from xplain_codecs.fit.codec_record import Codec
from xplain_codecs.fit.emphasis import KEEP, REMOVE, Emphasis, importance
from xplain_codecs.fit.fit import Task, fit
from xplain_codecs.fit.heads import Head
from xplain_codecs.fit.latents import LatentClip, encode
from xplain_codecs.fit.manifest import read_manifest
from xplain_codecs.fit.training import Training

RATE = 8000
LABELS = ("high", "low", "mid")


class Same(nn.Module):
    """A network that leaves its input as it is, so that the head is linear."""

    def forward(self, normal: Tensor, valid: Tensor | None) -> Tensor:
        return normal


def linear_head(channels: int) -> Head:
    torch.manual_seed(3)
    return Head(Same(), channels, channels, len(LABELS))


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones of three pitches, of unequal length: 6 + 2 + 2 of each."""
    folder = tmp_path_factory.mktemp("tones")
    chance = torch.Generator().manual_seed(0)
    rows = [["path", "label", "split"]]
    for label, hertz in zip(LABELS, (2100, 300, 900), strict=True):
        for number in range(10):
            clock = torch.arange(800 + 80 * number) / RATE
            sound = 0.3 * torch.sin(2 * math.pi * hertz * clock)
            sound += 0.02 * torch.randn(len(clock), generator=chance)
            soundfile.write(folder / f"{label}-{number}.wav", sound.numpy(), RATE)
            part = "train" if number < 6 else "dev" if number < 8 else "test"
            rows.append([f"{label}-{number}.wav", label, part])
    with (folder / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return folder / "manifest.csv"


@pytest.fixture(scope="module")
def encoded(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> list[LatentClip]:
    """Training clips with all that editing takes."""
    entries = read_manifest(manifest, {}, None, 0)
    codec, synthesizer = Codec.of("stft", {"sample_rate": RATE, "window": 0.016})
    folder = tmp_path_factory.mktemp("latents")
    digests = [entry.name for entry in entries]
    cpu = torch.device("cpu")
    clips, _ = encode(entries, digests, codec, synthesizer, folder, cpu, editable=True)
    return [clip for clip in clips if clip.entry.part == "train"]


def task(manifest: Path, **settings: float) -> Task:
    return Task(
        manifest,
        "stft",
        "conv",
        synthesizer_params={"window": 0.016},
        head_params={"width": 16, "layers": 2, "kernel": 3},
        training=Training(**{"epochs": 6, "batch": 9, "learning_rate": 0.02, **settings}),
    )


def batch(clips: list[LatentClip]) -> tuple[Tensor, Tensor]:
    """Latents filled up with NaN, which would be seen wherever padding is read, and targets."""
    longest = max(clip.frames for clip in clips)
    values = torch.full((len(clips), len(clips[0].read()), longest), math.nan)
    for row, clip in zip(values, clips, strict=True):
        row[:, : clip.frames] = clip.read()
    return values, torch.eye(len(LABELS))[[clip.label for clip in clips]]


def test_of_a_linear_head_importance_is_weight_times_distance_from_silence() -> None:
    head = linear_head(channels=4)
    clips, silence = torch.randn(2, 4, 5), torch.randn(2, 4, 5)
    truth, lengths = torch.eye(3)[[2, 0]], torch.tensor([5, 3])
    found = importance(head, clips, silence, truth, lengths)
    for row, label, frames in ((0, 2, 5), (1, 0, 3)):
        weight = head.out.weight[label][:, None] / frames
        expected = weight * (clips[row] - silence[row])[:, :frames]
        torch.testing.assert_close(found[row, :, :frames], expected)
        assert found[row, :, frames:].abs().sum() == 0
    assert all(parameter.grad is None for parameter in head.parameters())


def test_edited_clips_keep_only_what_counts_or_lose_it(encoded: list[LatentClip]) -> None:
    synthesizer = Codec.of("stft", {"sample_rate": RATE, "window": 0.016})[1]
    clips = sorted(encoded, key=lambda clip: clip.frames)
    values, truth = batch(clips)
    values = values.nan_to_num()
    head = linear_head(values.shape[1])
    torch.manual_seed(1)
    edited, targets = Emphasis(synthesizer, share=1.0, reencoded=0.0).apply(
        head, clips, values, truth
    )
    fates = {"kept": 0, "removed": 0, "whole": 0}
    for row, clip in enumerate(clips):
        size, label = clip.frames, clip.label
        whole, now = values[row, :, :size], edited[row, :, :size]
        silence = clip.edges().silence
        counts = head.out.weight[label][:, None].detach() * (whole - silence)
        stays, lost = now == whole, now == silence
        if targets[row, label] == 0:
            assert targets[row].tolist() == pytest.approx(((1 - truth[row]) / 2).tolist())
            assert (stays | lost).all()
            assert counts[lost & ~stays].min() >= counts[stays & ~lost].max() - 1e-6
            assert REMOVE[0] / 2 <= lost.double().mean() <= REMOVE[1] + 0.01
            fates["removed"] += 1
            continue
        assert torch.equal(targets[row], truth[row])
        if (stays | lost).all() and lost.double().mean() > 0.5:
            assert counts[stays & ~lost].min() >= counts[lost & ~stays].max() - 1e-6
            assert KEEP[0] / 2 <= stays.double().mean() <= KEEP[1] + 0.01
            fates["kept"] += 1
        else:
            torch.testing.assert_close(now, whole, atol=1e-3, rtol=1e-3)  # through the codec
            fates["whole"] += 1
        assert torch.equal(edited[row, :, size:], values[row, :, size:])
    assert fates == {"kept": 5, "removed": 10, "whole": 3}
    assert torch.equal(values, batch(clips)[0].nan_to_num())  # the caller's own


def test_what_is_reencoded_is_decoded_with_the_clips_own_context(
    encoded: list[LatentClip], manifest: Path
) -> None:
    synthesizer = Codec.of("stft", {"sample_rate": RATE, "window": 0.016})[1]
    values, truth = batch(encoded)
    values = values.nan_to_num()
    head = linear_head(values.shape[1])
    torch.manual_seed(1)
    edited, targets = Emphasis(synthesizer, 1.0, reencoded=0.0).apply(head, encoded, values, truth)
    torch.manual_seed(1)
    reencoded, same = Emphasis(synthesizer, 1.0, reencoded=1.0).apply(head, encoded, values, truth)
    assert torch.equal(targets, same)
    changed = 0
    for row, clip in enumerate(encoded):
        sound = torch.from_numpy(soundfile.read(clip.entry.file, dtype="float32")[0])
        context = synthesizer.encode(sound[None]).context
        before = edited[row : row + 1, :, : clip.frames]
        expected = synthesizer.encode(synthesizer.decode(before, context)).values[0]
        torch.testing.assert_close(reencoded[row, :, : clip.frames], expected, atol=2e-3, rtol=1e-2)
        changed += not torch.allclose(expected, before[0], atol=1e-2)
    assert changed >= len(encoded) / 2


def test_it_learns_is_recorded_and_goes_on_to_the_very_same_weights(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = fit(task(manifest, epochs=12, emphasis=0.5), tmp_path / "out")
    assert report.accuracy.mean == 1.0
    config = json.loads((tmp_path / "out" / "config.json").read_text("utf-8"))
    assert (config["training"]["emphasis"], config["training"]["reencoded"]) == (0.5, 0.5)
    steps, step = [0], training._step

    def stopped(*arguments: object) -> float:
        steps[0] += 1
        if steps[0] == 5:
            raise KeyboardInterrupt
        return step(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(training, "_step", stopped)
        with pytest.raises(KeyboardInterrupt):
            fit(task(manifest, epochs=12, emphasis=0.5), tmp_path / "again")
    fit(task(manifest, epochs=12, emphasis=0.5), tmp_path / "again")
    once, twice = (tmp_path / name / "model.safetensors" for name in ("out", "again"))
    assert once.read_bytes() == twice.read_bytes()
    fit(task(manifest, epochs=12), tmp_path / "plain")
    assert once.read_bytes() != (tmp_path / "plain" / "model.safetensors").read_bytes()


def test_clips_that_were_kept_without_what_editing_takes_are_encoded_anew(
    manifest: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "latents"
    fit(task(manifest, epochs=1), tmp_path / "one", latents=kept)
    assert not any("silence" in read_tensors(f)[0] for f in kept.iterdir())
    fit(task(manifest, epochs=1, emphasis=0.5), tmp_path / "two", latents=kept)
    assert sum("silence" in read_tensors(f)[0] for f in kept.iterdir()) == 18
    assert xplain.load_model(f"latent:{tmp_path / 'two'}").labels == LABELS
