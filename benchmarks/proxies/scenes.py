"""What proxies are measured on: mixed scenes with their stems, and meetings of AMI."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from xplain import audio
from xplain_nmf.config import LABELS
from xplain_nmf.spectrum import FRAME_STEP, frame_count
from xplain_nmf.training.recordings import STEMS


@dataclass(frozen=True)
class Scene:
    """waveform: (samples,) at 16 kHz. stems: by kind, (samples,). labels: (T, L) bool.

    known: the labels that are annotated.
    """

    waveform: Tensor
    stems: dict[str, Tensor]
    labels: Tensor
    known: tuple[str, ...] = LABELS


def read_scenes(manifest: Path, most: int | None = None) -> list[Scene]:
    """The first scenes of a folder that ``xplain nmf scenes`` wrote."""
    with manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))[:most]
    scenes = []
    for row in rows:
        waveform = audio.read(manifest.parent / row["path"]).waveform
        stems = {
            kind: sum(
                (audio.read(manifest.parent / row[c]).waveform for c in columns if row[c]),
                torch.zeros_like(waveform),
            )
            for kind, columns in STEMS.items()
        }
        labels = load_file(manifest.parent / row["labels"])["labels"].bool()
        scenes.append(Scene(waveform, stems, labels))
    return scenes


HELD_OUT = ("dev01", "trn06", "trn09")
"""The excerpts of AMI that are measured: of two meetings, both left out by training.pool. The zoo's
present weights were trained on trn06 and trn09."""
PURE = {
    "speech": ("librispeech", "picovoice-speech-to-intent", "emodb", "ravdess"),
    "music": ("music",),
    "noise": ("esc10", "ambient"),
}
"""Data sets of recordings in which one kind is heard from beginning to end."""
LONG, MANY = 2.5, 40
"""Seconds that a recording has at least, and how many recordings at most."""
VOICES = ("baby_cry", "person_sneeze", "crowd", "city")


def read_pure(data: Path, kind: str, split: str = "test") -> list[Scene]:
    """Recordings of one kind as they are, all of whose frames are called that, and nothing else."""
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [
            row
            for row in csv.DictReader(file)
            if row["dataset"] in PURE[kind]
            and row["split"] == split
            and row["label"] not in VOICES
            and float(row["duration_s"]) >= LONG
        ]
    scenes = []
    for number, row in enumerate(rows):
        if number * MANY % len(rows) < MANY:  # evenly, over all
            waveform = audio.read(data / row["path"]).waveform
            labels = torch.zeros(frame_count(len(waveform)), len(LABELS), dtype=torch.bool)
            labels[:, LABELS.index(kind)] = True
            scenes.append(Scene(waveform, {}, labels))
    return scenes


def read_meetings(data: Path, names: Sequence[str] = HELD_OUT) -> list[Scene]:
    """Excerpts of AMI, speech and overlap by the RTTM beside them; the rest unknown."""
    turns: dict[str, list[tuple[float, float]]] = {}
    for rttm in sorted((data / "ami").glob("*.rttm")):
        for line in rttm.read_text().splitlines():
            if line.startswith("SPEAKER"):
                _, name, _, start, length, *_ = line.split()
                turns.setdefault(name, []).append((float(start), float(length)))
    with (data / "manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if Path(r["path"]).stem in names]
    scenes = []
    for row in rows:
        waveform = audio.read(data / row["path"]).waveform
        centres = (torch.arange(frame_count(len(waveform))) + 0.5) * FRAME_STEP
        speaking = torch.zeros(len(centres))
        for begin, span in turns[Path(row["path"]).stem]:
            speaking += (centres >= begin) & (centres < begin + span)
        labels = torch.zeros(len(centres), len(LABELS), dtype=torch.bool)
        labels[:, LABELS.index("speech")] = speaking >= 1
        labels[:, LABELS.index("overlap")] = speaking >= 2
        scenes.append(Scene(waveform, {}, labels, ("speech", "overlap")))
    return scenes
