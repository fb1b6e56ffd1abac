"""What evidence has to be before it is measured.

Each check says what was given in place of what is asked, and gives float64 on the CPU back, so
that a value depends neither on the device nor on the order in which float32 is summed. None
changes what it is given.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from xplain.errors import XplainError

SLACK = 1e-6
"""Rounding tolerance of a probability in float32 outside [0, 1]."""

SUM_SLACK = 1e-2
"""Tolerance of the sum of class probabilities around 1; bfloat16 needs this much."""


def probability(value: float, name: str) -> float:
    """Check a probability. Raises XplainError for anything else, such as a logit."""
    number = float(value)
    if not -SLACK <= number <= 1 + SLACK:  # NaN too
        raise XplainError(
            f"{name} is {number:g}, which is not a probability between 0 and 1; "
            "pass the softmax or sigmoid of the logits, taken once"
        )
    return min(1.0, max(0.0, number))


def probabilities(values: Tensor, name: str, *, label: int, multilabel: bool) -> list[float]:
    """Check one clip's probabilities (L,), one for each label.

    Raises XplainError for logits, for labels in place of probabilities, for a batch, and for a
    label that is not there.
    """
    if values.ndim != 1 or not values.is_floating_point() or not len(values):
        raise XplainError(
            f"{name} is {_described(values)}, not the probabilities (L,) of one clip's labels; "
            "pass them all, not the label that was decided for"
        )
    entries: list[float] = values.tolist()  # labels are few: faster than operations on tensors
    if not all(map(math.isfinite, entries)):
        raise XplainError(f"{name} holds NaN or infinite values; mend what made them")
    if len(entries) == 1 and not multilabel:
        raise XplainError(
            f"{name} has one entry, so that every decision would be for label 0; "
            "pass the probabilities (L,) of all labels, not the label that was decided for"
        )
    for number in (min(entries), max(entries)):
        probability(number, f"an entry of {name}")
    if not multilabel and abs(sum(entries) - 1) > SUM_SLACK:
        raise XplainError(
            f"{name} sums to {sum(entries):g}, but probabilities of labels that exclude "
            "each other sum to 1; pass their softmax, or say multilabel where labels are "
            "independent"
        )
    if not 0 <= label < len(entries):
        raise XplainError(f"{name} has {len(entries)} labels, so there is no label {label}")
    return entries


def attribution(values: Tensor, name: str = "attribution") -> Tensor:
    """Check one clip's attribution (D, N): float64 (D, N). Raises XplainError for NaN."""
    return finite(values, name, 2)


def mask(values: Tensor, name: str, shape: torch.Size) -> Tensor:
    """Check a bool mask of a shape. Raises XplainError for anything else."""
    if values.dtype != torch.bool or values.shape != shape:
        raise XplainError(f"{name} is {_described(values)}; it has to be bool {tuple(shape)}")
    return values.detach().cpu()


def frames(values: Tensor, name: str) -> Tensor:
    """Check decisions in frames: bool (frames,), at least one."""
    if values.ndim != 1 or values.numel() == 0:
        raise XplainError(f"{name} is {_described(values)}; it has to be bool (frames,)")
    return mask(values, name, values.shape)


def curve(values: Tensor, ratios: Tensor, name: str) -> tuple[Tensor, Tensor]:
    """Check probabilities along ratios, (R,) each: both as float64.

    Raises XplainError where ratios do not ascend within [0, 1] or the lengths differ.
    """
    points, shares = finite(values, name, 1), finite(ratios, "ratios", 1)
    same_shape(points, shares, name, "ratios")
    if float(shares[0]) < 0 or float(shares[-1]) > 1 or bool((shares.diff() <= 0).any()):
        raise XplainError(f"ratios have to ascend within 0 to 1, and are {shares.tolist()}")
    for number in (float(points.min()), float(points.max())):
        probability(number, f"a point of {name}")
    return points.clamp(0, 1), shares


def same_shape(one: Tensor, other: Tensor, name: str, other_name: str) -> None:
    """Refuse two tensors of different shapes."""
    if one.shape != other.shape:
        raise XplainError(
            f"{name} is {tuple(one.shape)} and {other_name} {tuple(other.shape)}; they belong "
            "together and have one shape"
        )


def number(value: float, name: str) -> float:
    """Check a finite number."""
    if not math.isfinite(value):
        raise XplainError(f"{name} is {value:g}; it has to be finite")
    return float(value)


def finite(values: Tensor, name: str, ndim: int) -> Tensor:
    """Check a tensor of ndim axes that holds finite numbers: float64."""
    if values.ndim != ndim or values.numel() == 0 or values.dtype == torch.bool:
        raise XplainError(
            f"{name} is {_described(values)}; it has to be numbers with {ndim} axes, of one clip"
        )
    numbers = values.detach().cpu().to(torch.float64)
    if not bool(torch.isfinite(numbers).all()):
        raise XplainError(f"{name} holds NaN or infinite values; mend what made them")
    return numbers


def _described(values: Tensor) -> str:
    return f"{str(values.dtype).removeprefix('torch.')} {tuple(values.shape)}"
