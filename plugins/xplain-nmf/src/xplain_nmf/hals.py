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

EXACT_SWEEPS = 16
"""For activations of atoms that stay as they are; a fixed number, so that what a frame is
made of does not depend on the frames beside it."""

MOMENTUM, RIDGE = 0.8, 0.01


def activations_of(spectra: Tensor, atoms: Tensor, l1: float) -> Tensor:
    """Non-negative least squares with an L1 term: of spectra (T, F), activations (K, T).

    Begins at the least squares without the bound, and extrapolates each sweep (Nesterov's
    weights, up to ``MOMENTUM``).
    """
    gram = atoms @ atoms.T
    products = atoms @ spectra.T - l1 * atoms.norm(dim=1, keepdim=True)
    ridge = RIDGE * gram.diagonal().mean().clamp_min(1e-12) * torch.eye(len(gram)).to(gram)
    start = torch.cholesky_solve(products, torch.linalg.cholesky(gram + ridge)).clamp_min_(0)
    sweep = _Sweep(start, gram, products)
    before, gradient_before = sweep.rows.clone(), sweep.gradient.clone()
    step = 1.0
    for _ in range(EXACT_SWEEPS - 1):
        sweep.run(back=True)
        following = (1 + math.sqrt(1 + 4 * step**2)) / 2
        weight, step = min(MOMENTUM, (step - 1) / following), following
        # What is extrapolated may be below zero; the next sweep ends above it. The gradient
        # goes with it, so that it costs no product.
        for now, earlier in ((sweep.rows, before), (sweep.gradient, gradient_before)):
            found = now.clone()
            now.lerp_(earlier, -weight)
            earlier.copy_(found)
    sweep.run(back=False)
    return sweep.rows


def solve(activations: Tensor, gram: Tensor, products: Tensor, sweeps: int) -> Tensor:
    """Sweeps over the activations (K, T) of given atoms, each set to its best in turn.

    gram: C C' (K, K). products: C X' (K, T), less the weight of the L1 term.
    """
    return _swept(_Sweep(activations.clone(), gram, products), sweeps)


def solve_atoms(
    atoms: Tensor, gram: Tensor, products: Tensor, penalty: Tensor, sweeps: int
) -> Tensor:
    """The same for atoms (K, F): gram H H' (K, K), products H X (K, F), penalty of each norm (K,).

    Of ½ a ‖w − u‖² + p ‖w‖ over w ≥ 0 the least is at u₊ · max(0, 1 − p / (a ‖u₊‖)).
    """
    penalised = penalty if bool(penalty.any()) else None
    return _swept(_Sweep(atoms.clone(), gram, products, penalised), sweeps)


def _swept(sweep: _Sweep, sweeps: int) -> Tensor:
    for number in range(sweeps):
        if number:
            # For a few rows or sweeps quicker than to keep it up to date.
            sweep.refresh()
        sweep.run(back=False)
    return sweep.rows


Step = tuple[Tensor, Tensor, Tensor]
"""Gradients, by what block of the gram they change, and with what changes of rows."""


class _Sweep:
    """Sets one row after the other to its best, the others as they are by then.

    A half of the rows is done before the other half hears of it in one matrix product, and
    so within each half: nearly all of the work is matrix products, where row by row it
    would be reading all of the rows for each of them.
    """

    def __init__(
        self, rows: Tensor, gram: Tensor, products: Tensor, penalty: Tensor | None = None
    ) -> None:
        """Begin with rows (K, N), which are changed."""
        self.rows, self.gram, self.products = rows, gram, products
        self.gradient = torch.empty_like(rows)
        """Products − gram @ rows, but after a sweep that did not look back."""
        self.refresh()
        self._change, self._best = torch.empty_like(rows), torch.empty_like(rows[0])
        diagonal = gram.diagonal()
        # 0 leaves a row as it is, where nothing depends on it.
        inverse = torch.where(diagonal > 0, 1 / diagonal, 0.0)
        self._diagonal: list[float] = diagonal.tolist()
        self._inverse: list[float] = inverse.tolist()
        self._shrink = None if penalty is None else (penalty * inverse).tolist()
        self._whole = self._order(0, len(rows), back=True)
        self._ahead = self._order(0, len(rows), back=False)

    def refresh(self) -> None:
        """Make the gradient that of the rows as they are."""
        torch.addmm(self.products, self.gram, self.rows, alpha=-1, out=self.gradient)

    def run(self, back: bool) -> None:
        """Go over the rows once. back: and leave the gradient of the rows as they are then."""
        for step in self._whole if back else self._ahead:
            if isinstance(step, tuple):
                step[0].addmm_(step[1], step[2], alpha=-1)
                continue
            row, gradient, change = self.rows[step], self.gradient[step], self._change[step]
            best = torch.add(row, gradient, alpha=self._inverse[step], out=self._best)
            best.clamp_min_(0)
            if self._shrink is not None:
                norm = float(best.norm())
                best *= max(0.0, 1 - self._shrink[step] / norm) if norm > 0 else 0.0
            torch.sub(best, row, out=change)
            row.copy_(best)
            if back:
                gradient.add_(change, alpha=-self._diagonal[step])

    def _order(self, first: int, last: int, back: bool) -> list[int | Step]:
        """Which row is done when, and who hears of it when; back: those before it, too."""
        if last - first == 1:
            return [first]
        middle = (first + last) // 2
        one, other = slice(first, middle), slice(middle, last)
        return [
            *self._order(first, middle, back),
            (self.gradient[other], self.gram[other, one], self._change[one]),
            *self._order(middle, last, back),
            *([(self.gradient[one], self.gram[one, other], self._change[other])] if back else []),
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
