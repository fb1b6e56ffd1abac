"""Frobenius: hierarchical alternating least squares, in blocks and extrapolated.

½ ‖X − H' C‖² + l1 · Σ_k ‖c_k‖ Σ_t h_kt, with activations H (K, T), kept so that a component's
lie beside each other, and atoms C (K, F). The penalty is that of atoms of norm 1, whatever
norm they have while they are being found: it does not change when an atom grows and its
activations shrink.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from xplain_nmf.updates import Statistics, Updates

SWEEPS = 3
"""Over the components for each product with the data, which costs more than they do."""

EXACT_SWEEPS = 20
"""For activations of atoms that stay as they are; a fixed number, so that what a frame is
made of does not depend on the frames beside it."""

MOMENTUM = 0.8


def activations_of(spectra: Tensor, atoms: Tensor, l1: float) -> Tensor:
    """Non-negative least squares with an L1 term: of spectra (T, F), activations (K, T).

    Begins at the least squares without the bound, and extrapolates each sweep (Nesterov's
    weights, up to ``MOMENTUM``).
    """
    gram = atoms @ atoms.T
    products = atoms @ spectra.T - l1 * atoms.norm(dim=1, keepdim=True)
    ridge = 1e-4 * gram.diagonal().mean().clamp_min(1e-12) * torch.eye(len(gram)).to(gram)
    found = torch.cholesky_solve(products, torch.linalg.cholesky(gram + ridge)).clamp_min_(0)
    start, step = found, 1.0
    for _ in range(EXACT_SWEEPS):
        before, found = found, solve(start, gram, products, 1)
        following = (1 + math.sqrt(1 + 4 * step**2)) / 2
        weight = min(MOMENTUM, (step - 1) / following)
        start, step = torch.lerp(before, found, 1 + weight).clamp_min_(0), following
    return found


def solve(activations: Tensor, gram: Tensor, products: Tensor, sweeps: int) -> Tensor:
    """Sweeps over the activations (K, T) of given atoms, each set to its best in turn.

    gram: C C' (K, K). products: C X' (K, T), less the weight of the L1 term.
    """
    inverse = _inverse_diagonal(gram)
    rows = activations.clone()
    for _ in range(sweeps):
        _sweep(rows, gram, torch.addmm(products, gram, rows, alpha=-1), inverse, 0, len(rows))
    return rows


def solve_atoms(
    atoms: Tensor, gram: Tensor, products: Tensor, penalty: Tensor, sweeps: int
) -> Tensor:
    """The same for atoms (K, F): gram H H' (K, K), products H X (K, F), penalty of each norm (K,).

    Of ½ a ‖w − u‖² + p ‖w‖ over w ≥ 0 the least is at u₊ · max(0, 1 − p / (a ‖u₊‖)).
    """
    inverse = _inverse_diagonal(gram)
    shrink = None
    if bool(penalty.any()):
        shrink = [p * i for p, i in zip(penalty.tolist(), inverse, strict=True)]
    rows = atoms.clone()
    for _ in range(sweeps):
        gradient = torch.addmm(products, gram, rows, alpha=-1)
        _sweep(rows, gram, gradient, inverse, 0, len(rows), shrink)
    return rows


def _sweep(
    rows: Tensor,
    gram: Tensor,
    gradient: Tensor,
    inverse: list[float],
    first: int,
    last: int,
    shrink: list[float] | None = None,
) -> None:
    """Set one row after the other to its best, the others as they are by then, in place.

    ``gradient`` holds products − gram @ rows on entry, and how far each row went at the end.
    A half of the rows is done before the other half hears of it in one matrix product, and
    so within each half: nearly all of the work is matrix products, where row by row it
    would be reading all of the rows for each of them.
    """
    if last - first == 1:
        row, change = rows[first], gradient[first]
        best = torch.add(row, change, alpha=inverse[first]).clamp_min_(0)
        if shrink is not None:
            norm = float(best.norm())
            best *= max(0.0, 1 - shrink[first] / norm) if norm > 0 else 0.0
        torch.sub(best, row, out=change)
        row.copy_(best)
        return
    middle = (first + last) // 2
    _sweep(rows, gram, gradient, inverse, first, middle, shrink)
    gradient[middle:last].addmm_(gram[middle:last, first:middle], gradient[first:middle], alpha=-1)
    _sweep(rows, gram, gradient, inverse, middle, last, shrink)


def _inverse_diagonal(gram: Tensor) -> list[float]:
    """1 / the diagonal; 0, which leaves a row as it is, where nothing depends on it."""
    diagonal = gram.diagonal()
    return torch.where(diagonal > 0, 1 / diagonal, 0.0).tolist()


@dataclass(frozen=True)
class Data:
    """Spectra, or what their first singular vectors hold of them, which costs less.

    left: (T, F), or (T, r) with right (F, r), where X ≈ left right'.
    """

    left: Tensor
    right: Tensor | None = None

    def with_atoms(self, atoms: Tensor) -> Tensor:
        """C X': (K, T)."""
        return (atoms if self.right is None else atoms @ self.right) @ self.left.T

    def with_activations(self, activations: Tensor) -> Tensor:
        """H X: (K, F)."""
        products = activations @ self.left
        return products if self.right is None else products @ self.right.T


def factorise(
    data: Data, activations: Tensor, atoms: Tensor, l1: float, max_iter: int, tol: float
) -> tuple[Tensor, Tensor, int]:
    """Find both from a first guess on: activations (K, T), atoms (K, F) of norm 1, iterations.

    Every iterate is extrapolated along its last step, by a share that grows while the
    objective falls; where it rises the step is not taken (Ang and Gillis 2019, algorithm 3
    with their parameters).
    """
    energy = float(data.left.double().square().sum())
    share, most = 0.5, 1.0
    old_h, old_c = activations, atoms
    start_h, start_c = activations, atoms
    history = [float("inf")]
    for _ in range(max_iter):
        products = data.with_atoms(start_c) - l1 * start_c.norm(dim=1, keepdim=True)
        new_h = solve(start_h, start_c @ start_c.T, products, SWEEPS)
        start_h = (new_h + share * (new_h - old_h)).clamp_min_(0)
        gram, products = start_h @ start_h.T, data.with_activations(start_h)
        penalty = l1 * start_h.sum(1)
        new_c = solve_atoms(start_c, gram, products, penalty, SWEEPS)
        objective = (
            energy / 2
            - float((products * new_c).sum(dtype=torch.float64))
            + float((gram * (new_c @ new_c.T)).sum(dtype=torch.float64)) / 2
            + float(penalty @ new_c.norm(dim=1))
        )
        if objective > history[-1]:
            most, share = share, share / 1.5
            start_h, start_c = old_h, old_c
            history.append(history[-1])
        else:
            start_c = (new_c + share * (new_c - old_c)).clamp_min_(0)
            share, most = min(most, 1.05 * share), min(1.0, 1.01 * most)
            norm = new_c.norm(dim=1, keepdim=True)
            norm = torch.where(norm > 0, norm, 1.0)
            old_h, old_c = new_h * norm, new_c / norm
            start_h, start_c = start_h * norm, start_c / norm
            history.append(objective)
        if len(history) > 10 and history[-11] - history[-1] <= tol * history[-1]:
            break
    return old_h, old_c, len(history) - 1


class Frobenius(Updates):
    """The steps of ½ ‖X − H' C‖²."""

    def activations(self, spectra: Tensor, atoms: Tensor, l1: float) -> Tensor:
        """See Updates."""
        return activations_of(spectra, atoms, l1)

    def statistics(self, spectra: Tensor, activations: Tensor, atoms: Tensor) -> Statistics:
        """H H' (K, K), H X (K, F) and Σ_t h (K,)."""
        return activations @ activations.T, activations @ spectra, activations.sum(1)

    def atoms(self, atoms: Tensor, statistics: Statistics, l1: float) -> Tensor:
        """See Updates."""
        gram, products, total = statistics
        return solve_atoms(atoms, gram, products, l1 * total, SWEEPS)

    def rescaled(self, statistics: Statistics, norm: Tensor) -> Statistics:
        """See Updates."""
        gram, products, total = statistics
        return gram * norm * norm.T, products * norm, total * norm[:, 0]

    def divergence(self, spectra: Tensor, activations: Tensor, atoms: Tensor) -> float:
        """See Updates."""
        rest = torch.addmm(spectra, activations.T, atoms, alpha=-1)
        return float(rest.square().sum(dtype=torch.float64)) / 2
