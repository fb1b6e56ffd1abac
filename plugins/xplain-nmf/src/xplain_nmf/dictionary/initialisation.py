"""Where a factorisation begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Init = Literal["nndsvda", "random"]


@dataclass(frozen=True)
class Singular:
    """The first singular vectors of (T, F): left (T, r), each times its value, and right (F, r)."""

    left: Tensor
    right: Tensor


def singular(spectra: Tensor, rank: int) -> Singular:
    """By way of the Gram matrix, which is small: there are many frames and few frequencies."""
    _, vectors = torch.linalg.eigh((spectra.T @ spectra).double())
    right = vectors[:, -rank:].flip(1).to(spectra.dtype).contiguous()
    return Singular(spectra @ right, right)


def nndsvda(vectors: Singular, components: int, mean: float) -> tuple[Tensor, Tensor]:
    """Activations (K, T) and atoms (K, F) by Boutsidis and Gallopoulos 2008.

    Of each pair of vectors the positive or the negative parts, whichever weigh more; zeros,
    which some solvers cannot leave, become the mean of the data.
    """
    left, right = vectors.left[:, :components].T, vectors.right[:, :components].T
    signed = [
        (left.clamp_min(0), right.clamp_min(0)),
        ((-left).clamp_min(0), (-right).clamp_min(0)),
    ]
    weights = [(u.norm(dim=1) * v.norm(dim=1))[:, None] for u, v in signed]
    positive = weights[0] >= weights[1]
    size = torch.maximum(*weights).sqrt()
    guesses = []
    for upper, lower in zip(*signed, strict=True):
        part = torch.where(positive, upper, lower)
        scaled = part * size / part.norm(dim=1, keepdim=True).clamp_min(1e-30)
        guesses.append(torch.where(scaled > 1e-6, scaled, mean).contiguous())
    return guesses[0], guesses[1]


def at_random(
    frames: int, bins: int, components: int, mean: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Activations (K, T) and atoms (K, F): halves of normal draws whose product has this mean."""
    size = (mean / components) ** 0.5
    draw = [torch.randn(components, n, generator=generator).abs() * size for n in (frames, bins)]
    return draw[0], draw[1]
