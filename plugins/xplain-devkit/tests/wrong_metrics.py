"""A right metric, and wrong ones: each breaks one rule and keeps all others."""

from __future__ import annotations

import torch
from torch import Tensor

from xplain.metric import Metric, Undefined, metric


def declared(function: object, top: float = 1) -> Metric:
    declare = metric(better="higher", range=(0, top), category="complexity", source="these tests")
    return declare(function)  # type: ignore[arg-type]


def largest_share(attribution: Tensor) -> float:
    """Share of the largest element."""
    sizes = attribution.abs()
    if not bool(sizes.any()):
        raise Undefined("an attribution of zeros")
    return float(sizes.max() / sizes.sum())


def share_or_nan(attribution: Tensor) -> float:
    """The same, where zeros are divided by zero."""
    sizes = attribution.abs()
    return float(sizes.max() / sizes.sum())


def changing(attribution: Tensor) -> float:
    """The same, and the attribution is not what it was."""
    value = largest_share(attribution)
    attribution.mul_(2)
    return value


counted: list[float] = []


def remembering(attribution: Tensor) -> float:
    """The mean over all clips so far."""
    counted.append(largest_share(attribution))
    return sum(counted) / len(counted)


def percents(attribution: Tensor) -> float:
    """The same in percent, which is not in the range that is declared."""
    return 100 * largest_share(attribution)


def tensor_share(attribution: Tensor) -> float:
    """The same as a tensor."""
    return torch.tensor(largest_share(attribution))  # type: ignore[return-value]


def is_sparse(attribution: Tensor) -> float:
    """Whether one element has more than a tenth."""
    return largest_share(attribution) > 0.1


def unexplained(attribution: Tensor) -> float:
    return largest_share(attribution)
