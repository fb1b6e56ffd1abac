"""Frobenius: hierarchical alternating least squares, in blocks and extrapolated.

½ ‖X − H' C‖² + l1 · Σ_k ‖c_k‖ Σ_t h_kt, with activations H (K, T), kept so that a component's
lie beside each other, and atoms C (K, F). The penalty is that of atoms of norm 1, whatever
norm they have while they are being found: it does not change when an atom grows and its
activations shrink.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from xplain_nmf.dictionary.updates import Statistics, Updates

SWEEPS = 3
"""Over the components for each product with the data, which costs more than they do."""

STEPS = 20
"""To the activations of atoms that stay as they are; a fixed number, so that what a frame is
made of does not depend on the frames beside it."""

RHO, RELAXATION = 0.2, 1.6
"""Of those steps: their penalty, in terms of an atom's energy, and over-relaxation."""


def activations_of(spectra: Tensor, atoms: Tensor, l1: float) -> Tensor:
    """Non-negative least squares with an L1 term: of spectra (T, F), activations (K, T).

    By the alternating direction method of multipliers (Boyd et al. 2011, sections 3.4.3 and
    5.2; for NMF Huang, Sidiropoulos and Liavas 2016): a step is one product with a matrix
    (K, K), the same for all frames. Its state s holds both the activations, where it is above
    zero, and the multipliers, where it is below.
    """
    gram = (atoms @ atoms.T).double()
    rho = RHO * gram.diagonal().mean().clamp_min(1e-12)
    inverse: Tensor = torch.linalg.inv(gram + rho * torch.eye(len(gram)).to(gram))
    forward, back = inverse.to(atoms), (rho * inverse).to(atoms)
    products = atoms @ spectra.T - l1 * atoms.norm(dim=1, keepdim=True)
    unbound = forward @ products
    state: Tensor = unbound.clone()
    for _ in range(STEPS):
        found = torch.addmm(unbound, back, state.abs())
        state.add_(found.sub_(state.clamp_min(0)), alpha=RELAXATION)
    return state.clamp_min_(0)


def solve(activations: Tensor, gram: Tensor, products: Tensor, sweeps: int) -> Tensor:
    """Sweeps over the activations (K, T) of given atoms, each set to its best in turn.

    gram: C C' (K, K). products: C X' (K, T), less the weight of the L1 term.
    """
    return _sweeps(activations, gram, products, sweeps, None)


def solve_atoms(
    atoms: Tensor, gram: Tensor, products: Tensor, penalty: Tensor, sweeps: int
) -> Tensor:
    """The same for atoms (K, F): gram H H' (K, K), products H X (K, F), penalty of each norm (K,).

    Of ½ a ‖w − u‖² + p ‖w‖ over w ≥ 0 the least is at u₊ · max(0, 1 − p / (a ‖u₊‖)).
    """
    return _sweeps(atoms, gram, products, sweeps, penalty if bool(penalty.any()) else None)


def _sweeps(
    rows: Tensor, gram: Tensor, products: Tensor, sweeps: int, penalty: Tensor | None
) -> Tensor:
    """Set one row after the other to its best, the others as they are by then.

    A half of the rows is done before the other half hears of it in one matrix product, and
    so within each half: nearly all of the work is matrix products, where row by row it
    would be reading all of the rows for each of them.
    """
    rows = rows.clone()
    gradient, best = torch.empty_like(rows), torch.empty_like(rows[0])
    diagonal = gram.diagonal()
    # 0 leaves a row as it is, where nothing depends on it.
    inverse = torch.where(diagonal > 0, 1 / diagonal, 0.0)
    factors: list[float] = inverse.tolist()
    shrink = None if penalty is None else (penalty * inverse).tolist()
    steps = _order(rows, gram, gradient, 0, len(rows))
    for _ in range(sweeps):
        torch.addmm(products, gram, rows, alpha=-1, out=gradient)
        number = 0
        for to, block, change in steps:
            if block is not None:
                to.addmm_(block, change, alpha=-1)
                continue
            torch.add(to, change, alpha=factors[number], out=best).clamp_min_(0)
            if shrink is not None:
                norm = float(best.norm())
                best *= max(0.0, 1 - shrink[number] / norm) if norm > 0 else 0.0
            torch.sub(best, to, out=change)
            to.copy_(best)
            number += 1
    return rows


Step = tuple[Tensor, Tensor | None, Tensor]
"""A row and its gradient; or gradients, by what block of the gram they change, with what."""


def _order(rows: Tensor, gram: Tensor, gradient: Tensor, first: int, last: int) -> list[Step]:
    """What a sweep does, in order; a row's gradient holds how far it went once it is done."""
    if last - first == 1:
        return [(rows[first], None, gradient[first])]
    middle = (first + last) // 2
    told = (gradient[middle:last], gram[middle:last, first:middle], gradient[first:middle])
    return [
        *_order(rows, gram, gradient, first, middle),
        told,
        *_order(rows, gram, gradient, middle, last),
    ]


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
    objective falls; where it rises the step is taken back, and made without extrapolation
    (Ang and Gillis 2019, with their parameters).
    """
    energy = float(data.left.double().square().sum())
    share, most = 0.5, 1.0
    old_h, old_c = activations, atoms
    start_h, start_c = activations, atoms
    history = [float("inf")]
    plain = False
    for _ in range(max_iter):
        along = 0.0 if plain else share
        products = data.with_atoms(start_c) - l1 * start_c.norm(dim=1, keepdim=True)
        new_h = solve(start_h, start_c @ start_c.T, products, SWEEPS)
        start_h = torch.lerp(old_h, new_h, 1 + along).clamp_min_(0)
        gram, products = start_h @ start_h.T, data.with_activations(start_h)
        penalty = l1 * start_h.sum(1)
        new_c = solve_atoms(start_c, gram, products, penalty, SWEEPS)
        objective = (
            energy / 2
            - float((products * new_c).sum(dtype=torch.float64))
            + float((gram * (new_c @ new_c.T)).sum(dtype=torch.float64)) / 2
            + float(penalty @ new_c.norm(dim=1))
        )
        if objective > history[-1] and not plain:
            most, share = share, share / 1.5
            start_h, start_c, plain = old_h, old_c, True
            history.append(history[-1])
            continue
        start_c = torch.lerp(old_c, new_c, 1 + along).clamp_min_(0)
        if not plain:
            share, most = min(most, 1.05 * share), min(1.0, 1.01 * most)
        norm = new_c.norm(dim=1, keepdim=True)
        norm = torch.where(norm > 0, norm, 1.0)
        old_h, old_c = new_h * norm, new_c / norm
        start_h, start_c, plain = start_h * norm, start_c / norm, False
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
