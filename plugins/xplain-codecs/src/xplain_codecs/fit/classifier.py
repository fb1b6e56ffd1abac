"""Latent classifiers on disk: a folder of config.json, model.safetensors and report.json.

``latent:FOLDER`` loads one: a model that reads the latents of the codec it was fitted on.
Explained in that codec, the attribution runs on the latents directly.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

import xplain
from xplain.errors import ArtifactError, ModelError
from xplain.storage import swap
from xplain_codecs.fit.codec_record import Codec
from xplain_codecs.fit.heads import SIZES, Head, Sizes, head_sizes, make_head
from xplain_codecs.fit.report import Report
from xplain_codecs.tensor_files import DAMAGE

KIND = "xplain latent classifier"
SCHEMA = 1


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
    def from_dict(cls, data: dict[str, Any]) -> Config:
        """Read what to_dict gave; KeyError, TypeError or ModelError for anything else."""
        record = dict(data)
        for name in ("kind", "schema"):
            del record[name]
        sizes = dict(record.pop("head"))
        codec = Codec(**record.pop("synthesizer"), sample_rate=record.pop("sample_rate"))
        return cls(
            codec=codec,
            sizes=head_sizes(sizes.pop("kind"), sizes),
            labels=tuple(record.pop("labels")),
            job=record.pop("job"),
            record=record,
        )


def save(folder: Path, config: Config, head: Head, report: Report) -> None:
    """Write a classifier under another name and rename it; ArtifactError if impossible."""
    draft = None
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        draft.chmod(0o755)
        tensors = {n: t.detach().cpu().contiguous() for n, t in head.state_dict().items()}
        (draft / "model.safetensors").write_bytes(safetensors.torch.save(tensors))
        portable = replace(config, codec=config.codec.beside(folder))
        for name, content in (("config", portable.to_dict()), ("report", report.to_dict())):
            text = json.dumps(content, indent=1, allow_nan=False)
            (draft / f"{name}.json").write_text(text + "\n", "utf-8")
        swap(draft, folder)
    except (OSError, ValueError, TypeError) as error:
        raise ArtifactError(f"{folder} cannot be written: {error}") from error
    finally:
        if draft is not None:
            shutil.rmtree(draft, ignore_errors=True)


def read_config(folder: Path) -> Config:
    """Read config.json; ModelError for a folder that is not a latent classifier's."""
    try:
        data = json.loads((folder / "config.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{folder} holds no readable config.json ({error}); give a folder that xplain fit wrote"
        ) from error
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise ModelError(
            f"{folder} is not a latent classifier; give a folder that xplain fit wrote"
        )
    if data.get("schema") != SCHEMA:
        raise ModelError(
            f"{folder} was written with schema {data.get('schema')}, this xplain-codecs reads "
            f"{SCHEMA}; upgrade it, or fit again"
        )
    try:
        config = Config.from_dict(data)
        return replace(config, codec=config.codec.found_from(folder))
    except (*DAMAGE, ModelError, AttributeError) as error:
        raise _damaged(folder, "config.json", error) from error


def read_report(folder: Path) -> Report:
    """Read report.json; ModelError where it is damaged."""
    try:
        return Report.from_dict(json.loads((folder / "report.json").read_text("utf-8")))
    except (*DAMAGE, AttributeError) as error:
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
        head = make_head(config.sizes, config.codec.channels, len(config.labels))
        # From bytes, since safetensors cannot open every name that a file system can hold.
        tensors = safetensors.torch.load((folder / "model.safetensors").read_bytes())
        head.load_state_dict(tensors)
    except (*DAMAGE, ModelError, RuntimeError) as error:
        raise _damaged(folder, "model.safetensors", error) from error
    if not all(torch.isfinite(tensor).all() for tensor in tensors.values()):
        raise ModelError(f"{folder}: weights are NaN or infinite; fit again")
    return head.eval()


def _damaged(folder: Path, file: str, error: Exception) -> ModelError:
    first = " ".join(str(error).split())
    return ModelError(
        f"{folder}: {file} is damaged ({type(error).__name__}: {first}); copy the folder again, or "
        "fit again"
    )
