"""Latent classifiers on disk: a folder of config.json, model.safetensors and report.json.

``latent:FOLDER`` loads one: a model that reads the latents of the codec it was fitted on.
Explained in that codec, the attribution runs on the latents directly.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from msgspec import Meta

import xplain
from xplain.errors import ArtifactError, ModelError
from xplain.storage import whole_folder
from xplain.tensors import read_tensors, to_bytes
from xplain.validated import convert, decode_json
from xplain_codecs.fit.codec_record import Codec
from xplain_codecs.fit.heads import SIZES, Head, Sizes, head_sizes, make_head
from xplain_codecs.fit.report import Report

KIND = "xplain latent classifier"
OURS = r"config\.json|model\.safetensors|report\.json"
"""Names of the files in a classifier's folder."""
SCHEMA = 1
MOST = 10**6
"""Channels, and Hz, that no codec has more of."""


@dataclass(frozen=True)
class _Synthesizer:
    """The codec, as config.json holds it."""

    name: str
    version: str
    parameters: dict[str, Any]
    channels: Annotated[int, Meta(ge=1, le=MOST)]
    weights: str | None


@dataclass(frozen=True)
class _Stored:
    """What config.json has to hold; the rest is a record for people."""

    kind: str
    schema: int
    head: dict[str, Any]
    labels: Annotated[tuple[str, ...], Meta(min_length=2)]
    synthesizer: _Synthesizer
    sample_rate: Annotated[int, Meta(ge=1, le=MOST)]
    job: str


@dataclass(frozen=True)
class Config:
    """What is needed to make a classifier again, and the record of how it was made.

    job: SHA-256 of all that decides what weights come out. record: training, data,
    versions and accuracy, for people.
    """

    codec: Codec
    sizes: Sizes
    labels: tuple[str, ...]
    job: str
    record: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        (head,) = (kind for kind, sizes in SIZES.items() if type(self.sizes) is sizes)
        synthesizer = asdict(self.codec)
        rate = synthesizer.pop("sample_rate")
        return {
            "kind": KIND,
            "schema": SCHEMA,
            "head": {"kind": head, **asdict(self.sizes)},
            "labels": list(self.labels),
            "synthesizer": synthesizer,
            "sample_rate": rate,
            "job": self.job,
            **self.record,
        }

    @classmethod
    def read(cls, folder: Path) -> Config:
        """Read config.json in a folder; ArtifactError or ModelError for anything else."""
        path = folder / "config.json"
        data = decode_json(path, dict[str, Any])
        stored = convert(path, data, _Stored)
        sizes = dict(stored.head)
        record = {
            name: value for name, value in data.items() if name not in _Stored.__annotations__
        }
        return cls(
            codec=Codec(**asdict(stored.synthesizer), sample_rate=stored.sample_rate),
            sizes=head_sizes(str(sizes.pop("kind", None)), sizes),
            labels=stored.labels,
            job=stored.job,
            record=record,
        )


def save(folder: Path, config: Config, head: Head, report: Report) -> None:
    """Write a classifier under another name and rename it; ArtifactError if impossible."""
    with whole_folder(folder, ours=OURS, record="report.json") as draft:
        (draft / "model.safetensors").write_bytes(to_bytes(head.state_dict()))
        portable = replace(config, codec=config.codec.beside(folder))
        for name, content in (("config", portable.to_dict()), ("report", report.to_dict())):
            text = json.dumps(content, indent=1, allow_nan=False)
            (draft / f"{name}.json").write_text(text + "\n", "utf-8")


def read_config(folder: Path) -> Config:
    """Read config.json; ModelError for a folder that is not a latent classifier's."""
    try:
        data = decode_json(folder / "config.json", dict[str, Any])
    except ArtifactError as error:
        raise ModelError(
            f"{folder} holds no readable config.json ({error}); give a folder that xplain fit wrote"
        ) from error
    if data.get("kind") != KIND:
        raise ModelError(
            f"{folder} is not a latent classifier; give a folder that xplain fit wrote"
        )
    if data.get("schema") != SCHEMA:
        raise ModelError(
            f"{folder} was written with schema {data.get('schema')}, this xplain-codecs reads "
            f"{SCHEMA}; upgrade it, or fit again"
        )
    try:
        config = Config.read(folder)
    except (ArtifactError, ModelError) as error:
        raise _damaged(folder, "config.json", error) from error
    return replace(config, codec=config.codec.found_from(folder))


def read_report(folder: Path) -> Report:
    """Read report.json; ModelError where it is damaged."""
    try:
        return decode_json(folder / "report.json", Report)
    except ArtifactError as error:
        raise _damaged(folder, "report.json", error) from error


def load(rest: str) -> xplain.Model:
    """Load the classifier in the folder that ``latent:`` is followed by.

    Raises ModelError for a folder that is none, is damaged, or was fitted on a codec that is
    not there or has changed.
    """
    folder = Path(rest).expanduser()
    if not folder.is_dir():
        raise ModelError(f"latent:{rest}: no such folder; give one that xplain fit wrote")
    config = read_config(folder)
    head = _head(folder, config)
    try:
        synthesizer = config.codec.make()
    except ModelError as error:
        raise ModelError(f"latent:{rest}: {error}") from error
    return xplain.wrap(
        head,
        sample_rate=config.codec.sample_rate,
        labels=config.labels,
        reads=synthesizer,
        name=f"latent:{rest}",
    )


def _head(folder: Path, config: Config) -> Head:
    try:
        tensors, _ = read_tensors(folder / "model.safetensors")
        with torch.device("meta"):  # weights that are replaced at once cost no memory and no chance
            head = make_head(config.sizes, config.codec.channels, len(config.labels))
        head.load_state_dict(tensors, assign=True)
    except (ArtifactError, ModelError, RuntimeError) as error:
        raise _damaged(folder, "model.safetensors", error) from error
    return head.eval()


def _damaged(folder: Path, file: str, error: Exception) -> ModelError:
    text = " ".join(str(error).split())
    return ModelError(f"{folder}: {file} is damaged ({text}); copy the folder again, or fit again")
