"""Prototypes of a proxy by reference, over the recordings of a manifest."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from pathlib import Path

from xplain import AdditiveSegmenter, load_model
from xplain.errors import ModelError
from xplain.manifest import rows
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
    name, segmenter = additive(reference)
    kinds = None
    if isinstance(segmenter, NmfSegmenter) and segmenter.proxy.config.component_labels:
        kinds = tuple(segmenter.proxy.config.component_labels)
    recordings = [row.file for row in rows(manifest, split=split)]
    provenance = {
        "proxy": {"name": name, "sha256": segmenter.fingerprint()},
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


def additive(reference: str) -> tuple[str, AdditiveSegmenter]:
    """The name and the segmenter of a proxy; ModelError for what does not decide by parts."""
    model = load_model(reference if ":" in reference else f"nmf:{reference}")
    if not isinstance(model.segmenter, AdditiveSegmenter):
        raise ModelError(
            f"{reference} does not decide by parts that have spectra, so that it has no "
            "prototypes; train a proxy of it: xplain nmf train"
        )
    return model.name, model.segmenter
