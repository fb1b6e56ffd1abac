"""How well frames are decided: F1, and the decisions at which it is highest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import torch
from torch import Tensor

from xplain.interfaces import Thresholds
from xplain.segmentation.tracker import stretches

STEPS = tuple(number / 100 for number in range(5, 96))
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


def best_f1(logits: Tensor, labels: Tensor) -> Tensor:
    """F1 of each label at the probability, in hundredths, at which it is highest: (frames, L).

    0 where a label is neither there nor decided. What weights know, whatever their bias.
    """
    probabilities = logits.sigmoid()
    each = [f1(probabilities >= step, labels).nan_to_num(0) for step in STEPS]
    return torch.stack(each).amax(0)


def choose_thresholds(
    logits: Sequence[Tensor], truth: Sequence[Tensor], frame_step: float
) -> Thresholds:
    """The decisions on one label with the highest F1 over recordings: (frames,) each.

    First the probability at which frames part best, in hundredths; from there the offset, and
    what is too short to be one or to be apart.
    """
    columns = [clip[:, None] for clip in logits]
    probabilities, known = torch.cat(columns).sigmoid(), torch.cat(list(truth))[:, None]

    def score(made: Thresholds) -> float:
        decided = torch.cat([decide(clip, [made], frame_step) for clip in columns])
        return float(f1(decided, known).nan_to_num(0))

    onset = max(STEPS, key=lambda step: float(f1(probabilities >= step, known).nan_to_num(0)))
    plain = Thresholds(onset=onset)
    lower = [replace(plain, offset=round(onset * (1 - share), 3)) for share in LOWER]
    best = max([plain, *lower], key=score)
    durations = product(SHORTEST, SHORTEST)
    return max((replace(best, min_on=a, min_off=b) for a, b in durations), key=score)
