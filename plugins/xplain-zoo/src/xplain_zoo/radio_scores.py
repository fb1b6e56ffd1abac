"""How well frames are decided: F1, and the decisions at which it is highest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import torch
from torch import Tensor

from xplain.hysteresis import Thresholds, stretches

LOWER = (0.0, 0.1, 0.2, 0.3)  # of the onset, by which the offset is lower
SHORTEST = (0.0, 0.06, 0.1, 0.2, 0.4)  # seconds


def f1(decided: Tensor, labels: Tensor) -> Tensor:
    """F1 of each label over all frames: (frames, L) bool, (frames, L) → (L,).

    NaN where a label is neither there nor decided.
    """
    labels = labels > 0
    hits = (decided & labels).sum(dim=0).double()
    return 2 * hits / (decided.sum(dim=0) + labels.sum(dim=0))


def decide(logits: Tensor, thresholds: Sequence[Thresholds], frame_step: float) -> Tensor:
    """Which labels are there, in one recording: (frames, L) → bool."""
    decided = torch.zeros_like(logits, dtype=torch.bool)
    for label, (column, threshold) in enumerate(
        zip(logits.sigmoid().T.numpy(), thresholds, strict=True)
    ):
        for first, end in stretches(column, threshold, frame_step):
            decided[first:end, label] = True
    return decided


def choose_thresholds(
    logits: Sequence[Tensor], labels: Sequence[Tensor], frame_step: float
) -> tuple[Thresholds, ...]:
    """The decisions with the highest F1 over recordings: (frames, L) each → one for each label.

    First the probability at which frames part best, in hundredths; from there the offset, and
    what is too short to be one or to be apart.
    """
    steps = torch.arange(5, 96) / 100
    frames, truth = torch.cat(list(logits)).sigmoid(), torch.cat(list(labels))
    scores = torch.stack([f1(frames >= step, truth) for step in steps]).nan_to_num(0)
    onsets = [round(float(steps[best]), 2) for best in scores.argmax(dim=0)]
    chosen = []
    for label, onset in enumerate(onsets):
        column = [clip[:, label : label + 1] for clip in logits]
        known = truth[:, label : label + 1]

        def score(made: Thresholds, column: list[Tensor] = column, known: Tensor = known) -> float:
            decided = torch.cat([decide(clip, [made], frame_step) for clip in column])
            return float(f1(decided, known).nan_to_num(0))

        start = Thresholds(onset=onset)
        lower = [replace(start, offset=round(onset * (1 - share), 3)) for share in LOWER]
        best = max([start, *lower], key=score)
        durations = product(SHORTEST, SHORTEST)
        chosen.append(max((replace(best, min_on=a, min_off=b) for a, b in durations), key=score))
    return tuple(chosen)
