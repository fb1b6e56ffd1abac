"""What the radio segmenter is trained and measured on: mixed scenes, and meetings with RTTM."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import soundfile
import torch
from safetensors.torch import load_file
from torch import Tensor

from training.clips_manifest import read_clip, rows
from xplain.manifest import Row

RATE = 16000  # Hz
HOP = 320  # samples of a frame
PARTS = (("speech_1", "speech_2"), ("music",), ("noise",))
"""The stems that belong together: the speakers, music, noise."""
MEETING_LABELS = ("speech", "overlap")
"""What is known of a meeting."""


@dataclass(frozen=True)
class Scene:
    """A mixture known in parts.

    waveform: (samples,) int16, the mixture. parts: (3, samples) int16, in the order of PARTS.
    labels: (frames, 4) uint8: speech, music, noise, overlap.
    """

    waveform: Tensor
    parts: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Meeting:
    """A recording of which speech and overlap are known. waveform: (samples,) float32.

    labels: (frames, 2) uint8: speech, overlap.
    """

    waveform: Tensor
    labels: Tensor


def read_scenes(folder: Path) -> list[Scene]:
    """Read a folder that ``xplain nmf scenes`` made: all of it, into memory."""
    listed = list(rows(folder / "manifest.csv", ["labels"]))
    with ThreadPoolExecutor() as pool:  # libsndfile works without the interpreter's lock
        return list(pool.map(lambda row: _scene(folder, row), listed))


def _scene(folder: Path, row: Row) -> Scene:
    waveform = _read16(row.file)
    parts = torch.zeros(len(PARTS), len(waveform), dtype=torch.int32)
    for part, names in zip(parts, PARTS, strict=True):
        for name in names:
            if row[name]:
                part += _read16(folder / row[name])
    # Two speakers may be louder together than with what else there was to cancel them.
    parts = parts.clamp(-(2**15), 2**15 - 1).to(torch.int16)
    return Scene(waveform, parts, load_file(folder / row["labels"])["labels"])


def _read16(path: Path) -> Tensor:
    samples, rate = soundfile.read(path, dtype="int16")
    if rate != RATE or samples.ndim != 1:
        raise SystemExit(f"{path}: scenes are mono at {RATE} Hz")
    return torch.from_numpy(samples)


def read_meetings(rttm: Path) -> list[Meeting]:
    """Recordings that an RTTM file annotates whole; NAME.flac or NAME.wav lie beside it."""
    turns: dict[str, list[tuple[str, float, float]]] = defaultdict(list)
    for line in rttm.read_text(encoding="utf-8").splitlines():
        if line.startswith("SPEAKER"):
            fields = line.split()
            turns[fields[1]].append((fields[7], float(fields[3]), float(fields[4])))
    meetings = []
    for name, spoken in turns.items():
        found = [
            p
            for p in (rttm.with_name(f"{name}{end}") for end in (".flac", ".wav", ".opus"))
            if p.exists()
        ]
        if not found:
            raise SystemExit(f"{rttm}: neither {name}.flac nor {name}.wav lies beside it")
        waveform = read_clip(found[0], RATE)
        meetings.append(Meeting(waveform, turns_to_frames(spoken, -(-len(waveform) // HOP))))
    return meetings


def turns_to_frames(turns: Sequence[tuple[str, float, float]], frames: int) -> Tensor:
    """Turns (speaker, start, duration; seconds) → speech and overlap: (frames, 2) uint8.

    A frame belongs to a turn where its middle does. Overlap is where two speakers' turns meet.
    """
    middles = (torch.arange(frames, dtype=torch.float64) + 0.5) * HOP / RATE
    speakers = sorted({speaker for speaker, _, _ in turns})
    active = torch.zeros(len(speakers), frames, dtype=torch.bool)
    for speaker, start, duration in turns:
        active[speakers.index(speaker)] |= (middles >= start) & (middles < start + duration)
    count = active.sum(dim=0)
    return torch.stack([count > 0, count > 1], dim=1).to(torch.uint8)
