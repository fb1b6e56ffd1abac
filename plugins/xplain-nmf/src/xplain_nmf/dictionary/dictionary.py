"""Dictionaries of a corpus: spectra of which recordings are sums, and where they came from.

On disk a folder: ``dictionary.safetensors`` with W, ``config.json`` with everything else and
W's hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xplain.errors import ArtifactError
from xplain.storage import whole_folder
from xplain.tensors import read_tensors, to_bytes
from xplain.validated import convert, decode_json
from xplain_nmf.spectrum import BINS, HOP, SAMPLE_RATE, WINDOW, Spectrum

SCHEMA = 1
"""Version of the folder; a reader refuses a newer one."""
CONFIG, TENSORS, NAME = "config.json", "dictionary.safetensors", "dictionary"
OURS = r"config\.json|dictionary\.safetensors"
"""Names of the files in a dictionary's folder."""
ANALYSIS = {"sample_rate": SAMPLE_RATE, "window": WINDOW, "hop": HOP}
"""How the spectra were made that a dictionary is of."""


@dataclass(frozen=True)
class _Spectrum:
    scale: float
    level_seconds: float | None
    level_floor: float


@dataclass(frozen=True)
class _Stored:
    """What config.json has to hold; the rest is provenance."""

    schema: int
    sample_rate: int
    window: int
    hop: int
    spectrum: _Spectrum
    components: int
    labels: tuple[str, ...] | None
    sha256: str


@dataclass(frozen=True)
class Dictionary:
    """Spectra to build others of.

    spectra: W (F, K) float32, zero or more, each column of norm 1. spectrum: how X is made.
    labels: what each component was learnt from, where the dictionary is class-wise; else
    None. provenance: settings, recordings, versions.
    """

    spectra: Tensor
    spectrum: Spectrum
    labels: tuple[str, ...] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write a folder, which replaces an older dictionary there.

        ArtifactError where it cannot be written, or holds something else.
        """
        content = to_bytes({NAME: self.spectra})
        config = {
            "schema": SCHEMA,
            **ANALYSIS,
            "spectrum": asdict(self.spectrum),
            "components": self.spectra.shape[1],
            "labels": self.labels,
            "sha256": hashlib.sha256(content).hexdigest(),
            **self.provenance,
        }
        with whole_folder(folder, ours=OURS, record=TENSORS) as draft:
            (draft / TENSORS).write_bytes(content)
            text = json.dumps(config, indent=2, allow_nan=False)
            (draft / CONFIG).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Dictionary:
        """Read a folder; ArtifactError, saying why, for one that is not a whole dictionary."""
        try:
            data = decode_json(folder / CONFIG, dict[str, Any])
            if isinstance(schema := data.get("schema"), int) and schema > SCHEMA:
                raise ArtifactError(
                    f"{folder} was written by a newer xplain-nmf (schema {schema}, this one reads "
                    f"{SCHEMA}); update it"
                )
            config = convert(folder / CONFIG, data, _Stored)
            spectrum = Spectrum(**asdict(config.spectrum))
            tensors, _ = read_tensors(folder / TENSORS, [NAME])
            digest = hashlib.sha256((folder / TENSORS).read_bytes()).hexdigest()
            if digest != config.sha256:
                raise ArtifactError(f"{TENSORS} is not the file that {CONFIG} was written with")
        except (ArtifactError, OSError, ValueError) as error:
            raise ArtifactError(
                f"{folder} is no whole dictionary ({error}); give a folder that xplain nmf "
                "dictionary wrote, or make it again"
            ) from error
        analysis = {key: getattr(config, key) for key in ANALYSIS}
        if analysis != ANALYSIS:
            raise ArtifactError(f"{folder} is of other spectra: {analysis}, not {ANALYSIS}")
        spectra, labels = tensors[NAME], config.labels
        _check(folder, spectra, labels)
        known = _Stored.__annotations__
        provenance = {key: value for key, value in data.items() if key not in known}
        return cls(spectra, spectrum, labels, provenance)


def _check(folder: Path, spectra: Tensor, labels: tuple[str, ...] | None) -> None:
    """Refuse what would not be a dictionary of these spectra."""
    if spectra.ndim != 2 or len(spectra) != BINS or spectra.dtype != torch.float32:
        raise ArtifactError(
            f"{folder}: a dictionary is float32 ({BINS}, components), not {spectra.dtype} "
            f"{tuple(spectra.shape)}"
        )
    if not bool(torch.isfinite(spectra).all()) or bool((spectra < 0).any()):
        raise ArtifactError(f"{folder}: a dictionary holds no negative and no infinite numbers")
    if labels is not None and len(labels) != spectra.shape[1]:
        raise ArtifactError(
            f"{folder}: {len(labels)} labels for {spectra.shape[1]} components; one is of each"
        )
