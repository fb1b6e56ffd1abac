"""Prototypes of a proxy by reference, over the recordings of a manifest."""

from __future__ import annotations

import csv
import hashlib
from importlib.metadata import version
from pathlib import Path

from xplain import AdditiveSegmenter, load_model
from xplain.errors import ModelError, XplainError, nearest
from xplain.progress import track
from xplain_nmf.prototypes.prototypes import Prototypes, measure
from xplain_nmf.segmenter import NmfSegmenter


def measure_corpus(
    reference: str, manifest: Path, split: str | None = None, device: str = "cpu"
) -> Prototypes:
    """Measure the prototypes of a proxy, or of any model whose segmenter is additive.

    reference: a proxy's folder, or a model reference. manifest: CSV with a column path, from
    its folder. Raises ModelError for a model of another kind, XplainError for a manifest
    that cannot be used or recordings that cannot be read.
    """
    model = load_model(reference if ":" in reference else f"nmf:{reference}")
    segmenter = model.segmenter
    if not isinstance(segmenter, AdditiveSegmenter):
        raise ModelError(
            f"{reference} does not decide by parts that have spectra, so that it has no "
            "prototypes; train a proxy of it: xplain nmf train"
        )
    kinds = None
    if isinstance(segmenter, NmfSegmenter) and segmenter.proxy.config.component_labels:
        kinds = tuple(segmenter.proxy.config.component_labels)
    recordings = _recordings(manifest, split)
    provenance = {
        "proxy": {"name": model.name, "sha256": segmenter.fingerprint()},
        "recordings": {
            "manifest": manifest.name,
            "sha256": hashlib.sha256(manifest.read_bytes()).hexdigest(),
            "split": split,
            "count": len(recordings),
        },
        "versions": {name: version(name) for name in ("xplain", "xplain-nmf", "torch")},
    }
    listed = track(recordings, len(recordings), "prototypes")
    return measure(segmenter, listed, kinds, provenance, device)


def _recordings(manifest: Path, split: str | None) -> list[Path]:
    try:
        with manifest.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise XplainError(f"{manifest} cannot be read as a manifest ({error})") from error
    columns = reader.fieldnames or ()
    for column in ("path", *(["split"] if split is not None else [])):
        if column not in columns:
            raise XplainError(f"{manifest} has no column {column!r}; {nearest(column, columns)}")
    chosen = [row for row in rows if split is None or row["split"] == split]
    if not chosen:
        splits = {row.get("split", "") for row in rows}
        raise XplainError(
            f"{manifest} lists no recording of that split; {nearest(split or '', splits)}"
        )
    return [manifest.parent / row["path"] for row in chosen]
