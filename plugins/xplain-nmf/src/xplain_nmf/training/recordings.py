"""The audio a proxy is trained on: pieces of equal length, with stems and labels where known."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from xplain import audio
from xplain.errors import AudioError, XplainError, XplainWarning
from xplain.manifest import Row, rows
from xplain.recording import Recording
from xplain.tensors import read_tensors
from xplain_nmf.config import LABELS
from xplain_nmf.spectrum import FRAME_STEP, HOP, SAMPLE_RATE, frame_count

STEMS = {"speech": ("speech_1", "speech_2"), "music": ("music",), "noise": ("noise",)}
"""The columns whose files add up to what is heard of a kind."""


@dataclass(frozen=True)
class Piece:
    """Where a piece is. start: seconds into the recording."""

    path: Path
    start: float
    stems: Mapping[str, tuple[Path, ...]] | None
    labels: Path | None


class Recordings(Dataset[dict[str, Tensor]]):
    """Pieces of the recordings in a manifest; see :func:`read_recordings`.

    A piece: "waveform" (samples,) at 16 kHz; where a recording has stems, "stems" (3, samples)
    speech, music, noise, and "separable", 1, or of those that have none zeros and 0; "labels"
    (T, L) 0 or 1 where every recording has them; "teacher"
    (T, L), once :meth:`answer` has put it there, and "frozen" (channels, T), once :meth:`hold` has.
    """

    def __init__(self, pieces: Sequence[Piece], seconds: float, labels: Sequence[str]) -> None:
        """Take where the pieces are; labels: those of the proxy, in order."""
        self.pieces, self.seconds = list(pieces), seconds
        self.samples = round(seconds * SAMPLE_RATE)
        self.has_stems = any(piece.stems is not None for piece in pieces)
        known = all(piece.labels is not None for piece in pieces)
        self.has_labels = known and set(labels) <= set(LABELS)
        self._columns = [LABELS.index(label) for label in labels] if self.has_labels else []
        self._held: dict[int, dict[str, Tensor]] = {}
        self._teacher: Tensor | None = None
        self._frozen: Tensor | None = None

    def answer(self, probabilities: Tensor) -> None:
        """Put the teacher's probabilities (pieces, T, L) beside the pieces."""
        expected = (len(self), frame_count(self.samples))
        if probabilities.shape[:2] != expected:
            raise ValueError(f"{tuple(probabilities.shape)} for {expected} pieces and frames")
        self._teacher = probabilities

    def hold(self, frozen: Tensor | None) -> None:
        """Put what a network that is not trained gives (pieces, channels, T) beside the pieces."""
        self._frozen = frozen

    def __len__(self) -> int:
        """How many pieces there are."""
        return len(self.pieces)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One piece; its audio is read once and held with 16 bits."""
        if index not in self._held:
            self._held[index] = self._read(self.pieces[index])
        held = self._held[index]
        item = {k: v.float() / audio.FULL_SCALE for k, v in held.items() if k != "labels"}
        if self.has_stems:
            item["separable"] = torch.tensor(float(self.pieces[index].stems is not None))
        if "labels" in held:
            item["labels"] = held["labels"].float()
        if self._teacher is not None:
            item["teacher"] = self._teacher[index]
        if self._frozen is not None:
            item["frozen"] = self._frozen[index].float()
        return item

    def fingerprint(self) -> str:
        """SHA-256 over which pieces of which files these are."""
        digest = hashlib.sha256(f"{self.samples}\n".encode())
        for piece in self.pieces:
            size = piece.path.stat().st_size
            digest.update(f"{piece.path.name} {size} {piece.start:.3f}\n".encode())
        return digest.hexdigest()

    def _read(self, piece: Piece) -> dict[str, Tensor]:
        held = {"waveform": self._pcm(read_piece(piece.path, piece.start, self.samples))}
        if self.has_stems:
            stems = torch.zeros(len(STEMS), self.samples)
            for row, paths in zip(stems, (piece.stems or {}).values(), strict=False):
                for path in paths:
                    row += read_piece(path, piece.start, self.samples)
            held["stems"] = self._pcm(stems)
        if self.has_labels and piece.labels is not None:
            first = round(piece.start * SAMPLE_RATE / HOP)
            whole = read_tensors(piece.labels, ["labels"])[0]["labels"][first:][
                : frame_count(self.samples)
            ]
            rows = torch.zeros(frame_count(self.samples), len(self._columns), dtype=torch.uint8)
            rows[: len(whole)] = whole[:, self._columns]
            held["labels"] = rows
        return held

    @staticmethod
    def _pcm(waveform: Tensor) -> Tensor:
        scaled = (waveform * audio.FULL_SCALE).round()
        return scaled.clamp(-audio.FULL_SCALE, audio.FULL_SCALE - 1).to(torch.int16)


def read_recordings(
    manifest: Path, seconds: float, labels: Sequence[str], split: str | None = None
) -> Recordings:
    """Cut the recordings of a manifest into pieces of so many seconds.

    manifest: CSV with a column path (from its folder) and, where there are any, split, the
    stem columns speech_1, speech_2, music and noise, and labels, as ``xplain nmf scenes``
    writes them. The last piece of a recording begins so that it ends with it; a recording
    that is shorter than a piece is followed by silence. Raises XplainError for a manifest
    that cannot be used, AudioError for a file that cannot.
    """
    if not seconds >= 1:
        raise XplainError(f"pieces last at least a second, not {seconds:g}")
    # Whole label frames, so that a piece's labels are rows of its recording's.
    seconds = round(seconds / FRAME_STEP) * FRAME_STEP
    listed = rows(manifest, split=split)
    pieces = [piece for row in listed for piece in _cut(manifest.parent, row, seconds)]
    return Recordings(pieces, seconds, labels)


def read_piece(path: Path, start: float, samples: int) -> Tensor:
    """So many samples at 16 kHz from a place in a file, mixed down: (samples,) float32."""
    with warnings.catch_warnings():
        # A piece of a recording may well be silent.
        warnings.simplefilter("ignore", XplainWarning)
        read = audio.read_part(path, start, start + samples / SAMPLE_RATE)
    at_rate = audio.resample(read, SAMPLE_RATE).waveform[:samples]
    return torch.nn.functional.pad(at_rate, (0, samples - len(at_rate)))


def _cut(folder: Path, row: Row, seconds: float) -> list[Piece]:
    path = row.file
    try:
        recording = Recording(path)
    except AudioError as error:
        raise AudioError(f"{row.place}: {error}") from error
    length = recording.frames / recording.rate
    if length == 0:
        raise AudioError(f"{path}: holds no samples; leave it out of the manifest")
    stems = None
    if all(column in row.cells for columns in STEMS.values() for column in columns):
        stems = {
            kind: tuple(folder / row[column] for column in columns if row[column])
            for kind, columns in STEMS.items()
        }
    labels = folder / row["labels"] if row["labels"] else None
    last = int(max(0.0, length - seconds) * SAMPLE_RATE) // HOP * HOP / SAMPLE_RATE
    starts = [n * seconds for n in range(int(last // seconds) + 1)]
    if starts[-1] < last:
        starts.append(last)
    return [Piece(path, start, stems, labels) for start in starts]
