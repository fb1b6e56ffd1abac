"""The folder of an explanation: explanation.json, tensors.safetensors and 16-bit WAVs."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import soundfile
from msgspec import Struct
from torch import Tensor

from xplain import audio
from xplain.errors import ArtifactError
from xplain.storage import check_replaceable, whole_folder
from xplain.tensors import read_tensors, to_bytes
from xplain.validated import convert, decode_json

RECORD, TENSORS, ORIGINAL = "explanation.json", "tensors.safetensors", "original.wav"
OURS = (
    r"explanation\.json|tensors\.safetensors|original\.wav|(keep|remove)-[\d.e-]+\.wav|"
    r"extra-[a-z0-9-]+\.wav|index\.html"
)
"""Names of the files in an explanation's folder."""


def extra_file(name: str) -> str:
    """Name of the audio file of what a method gave beside the map."""
    return f"extra-{name}.wav"


class Made(Struct):
    """The part of a plugin's or a model's record that tells it from another."""

    name: str
    sha256: str | None = None
    parameters: dict[str, Any] = {}


class Origin(Struct):
    """The part of a provenance that tells an explanation from another."""

    audio: dict[str, Any]
    model: Made
    synthesizer: Made
    explainer: Made
    replacement: Made
    baseline: Made
    grouping: Made
    seed: int


def identity(record: Mapping[str, Any]) -> str:
    """Give a hash that is equal for two explanations of the same question by the same means.

    record: as in explanation.json. It covers the recording, the model and its weights, the
    plugins with their parameters, the target, the selection and the seed; neither the ratios
    that were rendered nor versions nor the device. ArtifactError where a record lacks these.
    """
    origin = convert(RECORD, record.get("provenance"), Origin)
    target = convert(RECORD, record.get("target"), dict[str, Any])
    kinds = ("model", "synthesizer", "explainer", "replacement", "baseline", "grouping")
    plugins = [getattr(origin, kind) for kind in kinds]
    known = {
        "audio": origin.audio.get("sha256"),
        "plugins": [[made.name, made.sha256, made.parameters] for made in plugins],
        "target": [target.get(name) for name in ("label", "versus", "start", "end")],
        "selection": record.get("selection"),
        "seed": origin.seed,
    }
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()


def check_place(folder: Path, own: str, overwrite: bool) -> None:
    """Refuse a folder that holds files of others, or an explanation of another identity."""
    check_replaceable(folder, ours=OURS, record=RECORD)
    if overwrite:
        return
    try:
        same = identity(decode_json(folder / RECORD, dict[str, Any])) == own
    except ArtifactError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return
        raise ArtifactError(
            f"{folder} holds a damaged explanation ({error}); choose another folder, or "
            "overwrite it"
        ) from error
    if not same:
        raise ArtifactError(
            f"{folder} holds another explanation (of another recording, model, method, target "
            "or other settings); choose another folder, or overwrite it"
        )


def write(
    folder: Path,
    record: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
    sounds: Mapping[str, tuple[Tensor, int]],
    overwrite: bool,
) -> None:
    """Write an explanation whole or not at all.

    sounds: (samples,) and Hz of each, by file name. overwrite: whether another
    explanation may be replaced; the same one is written anew.
    """
    with whole_folder(folder, ours=OURS, record=RECORD) as draft:
        (draft / TENSORS).write_bytes(to_bytes(tensors))
        for name, (waveform, rate) in sounds.items():
            audio.write(draft / name, waveform, rate)
        text = json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False)
        # A file's name may hold bytes that are no text; they are shown, as JSON has only text.
        shown = re.sub("[\ud800-\udfff]", lambda m: f"\\\\x{ord(m[0]) & 0xFF:02x}", text)
        (draft / RECORD).write_text(shown + "\n", "utf-8")
        check_place(folder, identity(record), overwrite)


def read_record(folder: Path) -> dict[str, Any]:
    """Read explanation.json; ArtifactError where it is no JSON object."""
    return decode_json(_inside(folder, RECORD), dict[str, Any])


def read_all(folder: Path) -> dict[str, Tensor]:
    """Read the tensors; ArtifactError where they cannot be read, or are not finite."""
    try:
        return read_tensors(_inside(folder, TENSORS))[0]
    except (RuntimeError, AttributeError) as error:  # types of numbers that torch cannot check
        raise ArtifactError(f"{TENSORS} cannot be read: {error}") from error


def read_sound(folder: Path, name: str, rate: int, samples: int) -> Tensor:
    """Read a 16-bit WAV of this rate (Hz) and length: (samples,); ArtifactError for another."""
    path = _inside(folder, name)
    try:
        # Opened here, since libsndfile cannot open every name that a file system can hold.
        with path.open("rb") as raw, soundfile.SoundFile(raw) as file:
            found = (file.format, file.subtype, file.channels, file.samplerate, file.frames)
            if found != ("WAV", "PCM_16", 1, rate, samples):
                raise ArtifactError(f"{name} is no 16-bit WAV of {samples} samples at {rate} Hz")
            read = file.read(dtype="int16")
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        raise ArtifactError(f"{name} cannot be read: {error}") from error
    if len(read) != samples:
        raise ArtifactError(f"{name} is cut off after {len(read)} of {samples} samples")
    return audio.from_pcm16(read)


def _inside(folder: Path, name: str) -> Path:
    """A regular file of the folder; ArtifactError for a name or a link that leads elsewhere."""
    path = folder / name
    try:
        home, leads = os.path.realpath(folder), os.path.realpath(path)
        if os.path.basename(name) != name or os.path.dirname(leads) != home:
            raise ArtifactError(f"{name!r} leads out of the folder")
        if not os.path.isfile(leads):
            raise ArtifactError(f"{name} is missing, or is no file")
    except (OSError, ValueError) as error:
        raise ArtifactError(f"{name!r} cannot be read: {error}") from error
    return path
