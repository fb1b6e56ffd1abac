"""What a proxy is trained for: the paper's loss, and terms that make the explanation causal.

Shapes: B scenes, K components, F bins, T frames, L labels, G groups of components.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

TINY = 1e-8
FLOOR = 1e-3
"""Of W H in a share: below it all shares fade, and so do their gradients."""


def distillation(logits: Tensor, teacher: Tensor) -> Tensor:
    """KL(teacher ‖ student) of each label's yes or no, mean over all: logits, teacher (B, T, L).

    teacher: probabilities. Its entropy is taken off, so that 0 is reached where both agree.
    """
    cross = functional.binary_cross_entropy_with_logits(logits, teacher)
    return cross - functional.binary_cross_entropy(teacher, teacher)


def factorisation(spectrum: Tensor, reconstruction: Tensor) -> Tensor:
    """Mean squared error of X (B, F, T) against W H."""
    return functional.mse_loss(reconstruction, spectrum)


def sparsity(activations: Tensor) -> Tensor:
    """Mean absolute activation of H (B, K, T)."""
    return activations.abs().mean()


def group_shares(dictionary: Tensor, activations: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """How much of W H each group of components makes: (B, G, F, T) in 0..1, and W H (B, F, T).

    dictionary: W (F, K); activations: H (B, K, T); groups: which group each component is in,
    int (K,), 0 to G − 1. Where W H is 0 all shares are 0.
    """
    members = functional.one_hot(groups).T.bool()
    made = torch.stack([dictionary[:, m] @ activations[:, m] for m in members], dim=1)
    whole = made.sum(1)
    return made / (whole[:, None] + FLOOR), whole


def ideal_shares(stems: Tensor, mixture: Tensor) -> Tensor:
    """Phase-sensitive masks (Erdogan et al. 2015) in 0..1: complex (B, S, F, T), (B, F, T)."""
    mixture = mixture[:, None]
    power = torch.view_as_real(mixture).square().sum(-1) + TINY
    aligned = (torch.view_as_real(stems) * torch.view_as_real(mixture)).sum(-1)
    return (aligned / power).clamp(0, 1)


def separation(shares: Tensor, ideal: Tensor, spectrum: Tensor) -> Tensor:
    """Squared error of masks (B, S, F, T), each bin weighted by X (B, F, T) and by nothing else."""
    weight = spectrum / (spectrum.mean() + TINY)
    return ((shares - ideal).square() * weight[:, None]).mean()


def equal_energy(mask: Tensor, other: Tensor, power: Tensor, where: Tensor) -> Tensor:
    """Another mask, scaled so that it takes as much energy as a mask where something is.

    mask, other: (B, F, T) in 0..1; power: |S|² (B, F, T); where: (B, T), 0 or 1. A mask
    lets through at most everything; what cannot reach the energy is as near as three rescalings
    bring it.
    """
    seen = power * where[:, None]
    wanted = (mask.square() * seen).sum((1, 2), keepdim=True)
    for _ in range(3):
        taken = (other.square() * seen).sum((1, 2), keepdim=True)
        other = (other * ((wanted + TINY) / (taken + TINY)).sqrt()).clamp(max=1)
    return other


def lost(logits: Tensor, where: Tensor) -> Tensor:
    """How far logits are from saying no where they must: each (B, T), ``where`` 0..1.

    −log(1 − p), mean over the frames in ``where``; 0 where there is none.
    """
    return (functional.softplus(logits) * where).sum() / (where.sum() + 1)


def kept(logits: Tensor, where: Tensor) -> Tensor:
    """How far logits are from saying yes where they must: −log p, as :func:`lost`."""
    return (functional.softplus(-logits) * where).sum() / (where.sum() + 1)
