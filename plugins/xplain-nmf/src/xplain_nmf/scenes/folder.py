"""A folder of scenes: mixtures and stems as 16-bit FLAC, labels, and a manifest.

    manifest.csv                 path, split, seconds, speech_1, speech_2, music, noise, labels
    mixtures/00000.flac          the sum of the stems, sample by sample
    stems/00000-speech_1.flac    only of who takes part; an empty cell in the manifest for the rest
    labels/00000.safetensors     "labels": (frames, 4) uint8, in the order of LABELS
    scenes.json                  what the folder was made of and how

Paths in the manifest are taken from the folder.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from safetensors.numpy import save

from xplain.errors import XplainError
from xplain.progress import say, track
from xplain.storage import only_writer, write_bytes, write_text
from xplain_nmf.scenes.scene import LABELS, STEMS, Mixer
from xplain_nmf.scenes.sources import DEFAULT, RATE, load_sources, read_mapping

VERSION = 2
"""Of how scenes are mixed and stored; a folder of another one is not gone on with."""
SCALE = 2**15


@dataclass(frozen=True)
class Order:
    """What is asked for. augment: see Mixer."""

    manifest: Path
    split: str
    seconds: float
    count: int
    seed: int = 0
    augment: bool = False
    mapping: Path = DEFAULT


def make_scenes(order: Order, folder: Path) -> None:
    """Make the scenes that the folder does not hold yet, and its manifest.

    Raises XplainError where the folder holds scenes of another making, or nothing can be
    mixed; ArtifactError where it cannot be written.
    """
    if order.count < 1:
        raise XplainError(f"there is no making {order.count} scenes; ask for one at least")
    with only_writer(folder):
        _claim(order, folder)
        waiting = [n for n in range(order.count) if not _labels(folder, n).exists()]
        if len(waiting) < order.count:
            say(f"{folder}: {order.count - len(waiting)} scenes are there already")
        if waiting:
            sources = load_sources(order.manifest, order.split, order.mapping)
            mixer = Mixer(sources, order.seconds, order.seed, order.augment)
            for number in track(waiting, len(waiting), "mixing scenes"):
                _write(mixer, number, folder)
        write_text(folder / "manifest.csv", _manifest(order, folder))


def _claim(order: Order, folder: Path) -> None:
    """Say in the folder what it is made of, or see that it says the same."""
    making = {
        "version": VERSION,
        "manifest": order.manifest.name,
        "split": order.split,
        "seconds": order.seconds,
        "seed": order.seed,
        "augment": order.augment,
        "sample_rate": RATE,
        "labels": LABELS,
        "datasets": [asdict(dataset) for dataset in read_mapping(order.mapping)],
    }
    text = json.dumps(making, indent=2) + "\n"
    record = folder / "scenes.json"
    if not record.exists():
        write_text(record, text)
    elif record.read_bytes() != text.encode():
        raise XplainError(
            f"{folder} holds scenes of another making (see {record.name}); give another folder, or "
            "ask for the same split, seconds, seed, mapping and augmentation to go on with it"
        )


def _write(mixer: Mixer, number: int, folder: Path) -> None:
    scene = mixer.scene(number)
    stems = np.round(scene.stems * SCALE).astype(np.int32)
    for name, stem in zip(STEMS, stems, strict=True):
        if stem.any():
            _save_audio(folder / "stems" / f"{number:05d}-{name}.flac", stem)
    # Of the rounded stems, so that they add up to it exactly; Mixer leaves room for that.
    _save_audio(folder / "mixtures" / f"{number:05d}.flac", stems.sum(axis=0))
    # Last: a scene that has labels is whole.
    write_bytes(_labels(folder, number), save({"labels": np.ascontiguousarray(scene.labels)}))


def _labels(folder: Path, number: int) -> Path:
    return folder / "labels" / f"{number:05d}.safetensors"


def _save_audio(path: Path, samples: npt.NDArray[np.int32]) -> None:
    held = io.BytesIO()
    soundfile.write(held, samples.astype(np.int16), RATE, format="FLAC", subtype="PCM_16")
    write_bytes(path, held.getvalue())


def _manifest(order: Order, folder: Path) -> str:
    held = io.StringIO()
    table = csv.writer(held, lineterminator="\n")
    table.writerow(["path", "split", "seconds", *STEMS, "labels"])
    for number in range(order.count):
        stems = [f"stems/{number:05d}-{name}.flac" for name in STEMS]
        there = [stem if (folder / stem).exists() else "" for stem in stems]
        labels = _labels(folder, number).relative_to(folder).as_posix()
        mixture = f"mixtures/{number:05d}.flac"
        table.writerow([mixture, order.split, f"{order.seconds:g}", *there, labels])
    return held.getvalue()
