"""Reading the clips that a CSV manifest lists, for training and measuring."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor


@dataclass(frozen=True)
class Clip:
    """A recording to train on or to measure on."""

    waveform: Tensor  # (samples,) float32
    label: int
    speaker: str
    split: str


def read_manifest(
    manifest: Path, labels: Sequence[str], sample_rate: int, dataset: str | None = None
) -> list[Clip]:
    """Clips of a CSV with columns path, label, speaker (and dataset, split where present).

    Paths are relative to the manifest's folder. A label is a name in ``labels`` or its number;
    audio is mixed down and resampled to ``sample_rate`` Hz.
    """
    numbers = {name: i for i, name in enumerate(labels)}
    numbers |= {str(i): i for i in range(len(labels))}
    clips = []
    with manifest.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if dataset is not None and row.get("dataset") != dataset:
                continue
            if row["label"] not in numbers:
                raise SystemExit(f"{manifest}: {row['path']} has the label {row['label']!r}")
            waveform = read_clip(manifest.parent / row["path"], sample_rate)
            label = numbers[row["label"]]
            clips.append(Clip(waveform, label, row["speaker"], row.get("split") or "train"))
    if not clips:
        raise SystemExit(f"{manifest}: no clips" + (f" of {dataset}" if dataset else ""))
    return clips


def read_recordings(manifest: Path, sample_rate: int, dataset: str, split: str) -> list[Clip]:
    """Recordings of a data set and a split, whatever was said in them: their label is -1."""
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if (r["dataset"], r["split"]) == (dataset, split)]
    if not rows:
        raise SystemExit(f"{manifest}: no recordings of {dataset} with the split {split}")
    return [
        Clip(read_clip(manifest.parent / row["path"], sample_rate), -1, row["speaker"], split)
        for row in rows
    ]


def read_clip(path: Path, sample_rate: int) -> Tensor:
    """One file, mixed down and resampled: (samples,) float32."""
    audio, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = soxr.resample(audio.mean(axis=1), rate, sample_rate)
    return torch.from_numpy(np.ascontiguousarray(mono, np.float32))


def fingerprint(clips: Sequence[Clip]) -> str:
    """SHA-256 of all samples and labels in order, so that a record says what was trained on."""
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(f"{clip.label} {clip.speaker} {clip.split}\n".encode())
        digest.update(clip.waveform.numpy().tobytes())
    return digest.hexdigest()
