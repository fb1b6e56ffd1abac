"""A dictionary from a manifest: balanced segments of each kind, factorised."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xplain.errors import XplainError
from xplain.progress import say
from xplain_nmf.dictionary.dictionary import Dictionary
from xplain_nmf.dictionary.factorisation import Loss, SparseNMF
from xplain_nmf.scenes.sources import DEFAULT, RATE, Samples, Source, load_sources
from xplain_nmf.spectrum import Spectrum

SHORTEST, LONGEST = 0.5, 3.0  # seconds of a segment (Mariotte et al. 2024)
QUIET = 0.01
"""A segment of less than this share of its clip's mean power is a pause, and not taken."""


@dataclass(frozen=True)
class Plan:
    """What to learn of.

    components: K, of all kinds together. classwise: whether each kind has components of its
    own, as many as the others. seconds: of each kind. loss, sparsity, max_iter: see
    SparseNMF. split, mapping: see load_sources.
    """

    components: int = 256
    spectrum: Spectrum = field(default_factory=Spectrum)
    classwise: bool = True
    seconds: float = 300.0
    loss: Loss = "frobenius"
    sparsity: float = 0.0
    max_iter: int = 200
    seed: int = 0
    split: str = "train"
    mapping: Path = DEFAULT


def learn(manifest: Path, plan: Plan, device: str = "cpu") -> Dictionary:
    """Learn a dictionary of the clips that a manifest lists.

    Raises XplainError for a manifest of which none can be learnt, or settings that do not
    fit what it lists.
    """
    kinds: dict[str, list[Source]] = defaultdict(list)
    for source in load_sources(manifest, plan.split, plan.mapping):
        kinds[source.dataset.kind].append(source)
    shares = _shares(plan.components, list(kinds)) if plan.classwise else {}
    chance = np.random.default_rng(plan.seed)
    spectra = {
        kind: torch.cat([plan.spectrum(torch.from_numpy(s)[None])[0].T for s in segments])
        for kind, sources in kinds.items()
        for segments in [draw_segments(sources, plan.seconds, chance)]
    }
    learnt: dict[str, tuple[Tensor, dict[str, Any]]] = {}
    if plan.classwise:
        for kind, count in shares.items():
            learnt[kind] = _factorise(spectra[kind], count, plan, kind, device)
    else:
        learnt["all"] = _factorise(
            torch.cat(list(spectra.values())), plan.components, plan, "all kinds", device
        )
    labels = tuple(kind for kind, count in shares.items() for _ in range(count))
    return Dictionary(
        torch.cat([atoms for atoms, _ in learnt.values()]).T.contiguous(),
        plan.spectrum,
        labels if plan.classwise else None,
        _provenance(manifest, plan, kinds, {name: about for name, (_, about) in learnt.items()}),
    )


def draw_segments(
    sources: Sequence[Source], seconds: float, chance: np.random.Generator
) -> list[Samples]:
    """Segments of 0.5 to 3 s that together last as long as asked, each (samples,) at 16 kHz.

    Data sets are drawn by their share, their clips alike. A clip that is shorter is taken
    whole.
    """
    clips: dict[str, list[Samples]] = defaultdict(list)
    weights: dict[str, float] = {}
    for source in sources:
        if source.waveform.any():
            clips[source.dataset.name].append(source.waveform)
            weights[source.dataset.name] = source.dataset.share
    if not clips:
        raise XplainError(f"all clips of {sources[0].dataset.kind} are silent; add others")
    names = list(clips)
    odds = np.array([weights[name] for name in names])
    segments: list[Samples] = []
    wanted = round(seconds * RATE)
    while wanted > 0:
        of_set = clips[names[int(chance.choice(len(names), p=odds / odds.sum()))]]
        clip = of_set[int(chance.integers(len(of_set)))]
        length = min(len(clip), round(chance.uniform(SHORTEST, LONGEST) * RATE))
        start = int(chance.integers(len(clip) - length + 1))
        segment = clip[start : start + length]
        if np.square(segment).mean() >= QUIET * np.square(clip).mean():
            segments.append(segment)
            wanted -= length
    return segments


def _shares(components: int, kinds: Sequence[str]) -> dict[str, int]:
    """As many components for each kind, the first ones having one more where it does not go up."""
    if components < len(kinds):
        raise XplainError(
            f"{components} components for {len(kinds)} kinds of sound ({', '.join(kinds)}); each "
            "needs one at least"
        )
    each, more = divmod(components, len(kinds))
    return {kind: each + (n < more) for n, kind in enumerate(kinds)}


def _factorise(
    spectra: Tensor, count: int, plan: Plan, what: str, device: str
) -> tuple[Tensor, dict[str, Any]]:
    """Atoms (count, F), and how well they do."""
    if plan.loss == "itakura-saito":
        # Infinite at zero, which spectra are where there is digital silence.
        spectra = spectra.clamp_min(1e-4)
    nmf = SparseNMF(
        count,
        loss=plan.loss,
        sparsity=plan.sparsity,
        max_iter=plan.max_iter,
        random_state=plan.seed,
        device=device,
    )
    try:
        activations = nmf.fit_transform(spectra)
    except ValueError as error:
        raise XplainError(f"no dictionary of {what}: {error}") from error
    rest = float((spectra.numpy() - nmf.inverse_transform(activations)).__pow__(2).sum())
    spread = float((spectra - spectra.mean(0)).square().sum())
    explained = 1 - rest / spread
    say(f"{what}: {count} components of {len(spectra)} frames, R² {explained:.3f}")
    about = {"frames": len(spectra), "iterations": nmf.n_iter_, "r2": explained}
    return torch.from_numpy(nmf.components_), about


def _provenance(
    manifest: Path,
    plan: Plan,
    kinds: Mapping[str, Sequence[Source]],
    learnt: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    settings = asdict(plan)
    del settings["spectrum"]
    settings["mapping"] = plan.mapping.name
    return {
        "settings": settings,
        "learnt": dict(learnt),
        "recordings": {
            "manifest": manifest.name,
            "sha256": hashlib.sha256(manifest.read_bytes()).hexdigest(),
            **{kind: len(sources) for kind, sources in kinds.items()},
        },
        "versions": {name: version(name) for name in ("xplain-nmf", "torch")},
    }
