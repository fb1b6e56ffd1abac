"""Prototypes: what speaks for a label over a whole run, and the clips that are most like it."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xplain.errors import XplainError
from xplain.storage import write_text
from xplain_corpus.averages import mean
from xplain_corpus.corpus import Corpus

TYPICAL = 3
TIMES = 20
"""Parts of a clip, from its beginning to its end, in which evidence is told of over time."""
RECORD = "prototypes.json"

Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Prototype:
    """What speaks for a label.

    clips: of which it is the mean; segments: likewise, of a run of segments. channels: the share
    of positive evidence in each channel, or of each component of an additive segmenter among
    those that its segments name (the largest). low, high: their 95 % intervals over clips.
    frequencies: of the channels, Hz. times: the share in each twentieth of a clip. typical: ids
    of the clips whose shares are nearest to the mean.
    """

    label: str
    clips: int
    segments: int | None
    channels: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    frequencies: tuple[float, ...] | None
    times: tuple[float, ...] | None
    typical: tuple[str, ...]


def prototypes(corpus: Corpus, ids: Sequence[str] | None = None) -> tuple[Prototype, ...]:
    """Average what speaks for each label: positive evidence of clips, or parts of segments.

    ids: of the clips (default: all). Each clip counts alike, by its shares. Raises XplainError
    where nothing is there to be averaged, such as segments without ``--explain``.
    """
    chosen = corpus.chosen() if ids is None else list(ids)
    found: dict[str, list[tuple[str, Numbers, Numbers | None]]] = defaultdict(list)
    segments: dict[str, int] = defaultdict(int)
    for name in chosen:
        if corpus.header.question.segments:
            for label, held in _parts(corpus, name).items():
                segments[label] += len(held)
                found[label].append((name, np.mean(held, axis=0), None))
        else:
            evidence = corpus.attribution(name).double().numpy().clip(min=0)
            if evidence.any():
                shares = evidence / evidence.sum()
                places = np.arange(shares.shape[1]) * TIMES // shares.shape[1]
                over = np.bincount(places, shares.sum(axis=0), TIMES).astype(np.float64)
                found[corpus.row(name)["target"]].append((name, shares.sum(axis=1), over))
    if not found:
        raise XplainError(
            f"{corpus.place} has no evidence to average; a run of segments needs --explain and a "
            "segmenter that is additive"
        )
    return tuple(
        _prototype(corpus, label, each, segments.get(label))
        for label, each in sorted(found.items())
    )


def write(made: Sequence[Prototype], corpus: Corpus, folder: Path) -> Path:
    """Write prototypes.json into a folder; returns its path."""
    held: dict[str, Any] = {"run": corpus.header.key, "model": corpus.header.question.model}
    held |= {"prototypes": [asdict(each) for each in made]}
    write_text(folder / RECORD, json.dumps(held, indent=1, ensure_ascii=False) + "\n")
    return folder / RECORD


def peaks(prototype: Prototype) -> str:
    """Where most of what speaks for a label lies, in words."""
    order = np.argsort(-np.array(prototype.channels), kind="stable")[:TYPICAL]
    named = []
    for place in sorted(order.tolist()):
        at = f"channel {place}"
        if prototype.segments is not None:
            at = f"component {place}"
        elif prototype.frequencies is not None:
            at = f"{prototype.frequencies[place]:,.0f} Hz"
        named.append(f"{at} {prototype.channels[place]:.1%}")
    of = f"{prototype.clips:,} clips"
    of += "" if prototype.segments is None else f", {prototype.segments:,} segments"
    return f"{of}; {', '.join(named)}"


def _prototype(
    corpus: Corpus,
    label: str,
    held: Sequence[tuple[str, Numbers, Numbers | None]],
    segments: int | None,
) -> Prototype:
    size = max(len(shares) for _, shares, _ in held)
    stacked = np.stack([np.pad(shares, (0, size - len(shares))) for _, shares, _ in held])
    intervals = [mean(column) for column in stacked.T]
    middle = stacked.mean(axis=0)
    norms = np.linalg.norm(stacked, axis=1) * max(float(np.linalg.norm(middle)), 1e-30)
    near = np.argsort(-(stacked @ middle) / np.maximum(norms, 1e-30), kind="stable")[:TYPICAL]
    times = [over for _, _, over in held if over is not None]
    frequencies = corpus.header.frequencies
    return Prototype(
        label=label,
        clips=len(held),
        segments=segments,
        channels=tuple(middle.tolist()),
        low=tuple(each.low for each in intervals),
        high=tuple(each.high for each in intervals),
        frequencies=frequencies if frequencies is not None and len(frequencies) == size else None,
        times=tuple(np.mean(times, axis=0).tolist()) if times else None,
        typical=tuple(held[place][0] for place in near),
    )


def _parts(corpus: Corpus, name: str) -> dict[str, list[Numbers]]:
    """Positive relevance of the components of each segment of a clip, as shares, by label."""
    found: dict[str, list[Any]] = defaultdict(list)
    for segment in corpus.segments(name):
        if segment.parts:
            numbers = np.zeros(1 + max(part.number for part in segment.parts))
            for part in segment.parts:
                numbers[part.number] = max(part.relevance, 0.0)
            if numbers.any():
                found[segment.label].append(numbers / numbers.sum())
    size = max((len(each) for held in found.values() for each in held), default=0)
    return {
        label: [np.pad(each, (0, size - len(each))) for each in held]
        for label, held in found.items()
    }
