"""Reading the clips that a CSV manifest lists, for training and measuring."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
import torch
from torch import Tensor

from xplain import manifest as manifests
from xplain.errors import XplainError


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
    where = {} if dataset is None else {"dataset": dataset}
    for row in rows(manifest, ("label", "speaker"), where):
        if row["label"] not in numbers:
            raise SystemExit(f"{row.place}: {row['path']} has the label {row['label']!r}")
        waveform = read_clip(row.file, sample_rate)
        clips.append(Clip(waveform, numbers[row["label"]], row["speaker"], row["split"] or "train"))
    return clips


def read_recordings(manifest: Path, sample_rate: int, dataset: str, split: str) -> list[Clip]:
    """Recordings of a data set and a split, whatever was said in them: their label is -1."""
    listed = rows(manifest, where={"dataset": dataset}, split=split)
    return [Clip(read_clip(row.file, sample_rate), -1, row["speaker"], split) for row in listed]


def rows(
    manifest: Path,
    required: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    split: str | None = None,
) -> list[manifests.Row]:
    """Rows of a manifest; ends the program, saying why, where there are none."""
    try:
        return manifests.rows(manifest, required, where, split)
    except XplainError as error:
        raise SystemExit(str(error)) from error


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
