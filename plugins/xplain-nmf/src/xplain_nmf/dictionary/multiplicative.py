"""Kullback-Leibler and Itakura-Saito: multiplicative updates that never raise the objective.

D(X, H' C) + l1 · Σ_k ‖c_k‖ Σ_t h_kt, by majorisation-minimisation (Févotte and Idier 2011).
The surrogate of an atom's element w is least at (a / b)^(1/p) without the penalty, and with
it at the root of w^p (b + c w) = a, p = 1 for Kullback-Leibler and 2 for Itakura-Saito;
without the exponent 1/p Itakura-Saito's objective can rise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from xplain_nmf.dictionary.updates import Statistics, Updates, normalised

TINY = 1e-12
EXACT_STEPS = 100
"""For activations of atoms that stay as they are; see hals.STEPS."""
BLOCK = 8192
"""Frames at a time, so that no second array of the size of the data is made."""


class Multiplicative(Updates):
    """The steps of both."""

    def __init__(self, beta: int) -> None:
        """beta: 1 for Kullback-Leibler, 0 for Itakura-Saito."""
        self.beta = beta
        self.power = 2 - beta

    def activations(self, spectra: Tensor, atoms: Tensor, l1: float) -> Tensor:
        """A fixed number of steps, from the same activation of every atom on."""
        level = spectra.sum(1) / atoms.sum().clamp_min(TINY)
        found = level.expand(len(atoms), -1)
        for _ in range(EXACT_STEPS):
            found = self.step(spectra, found, atoms, l1)
        return found

    def step(self, spectra: Tensor, activations: Tensor, atoms: Tensor, l1: float) -> Tensor:
        """One step of the activations."""
        model = self._model(activations, atoms)
        above = atoms @ (spectra * model.pow(self.beta - 2)).T
        below = atoms @ model.pow(self.beta - 1).T + l1 * atoms.norm(dim=1, keepdim=True)
        ratio: Tensor = (above / below.clamp_min(TINY)).pow(1 / self.power)
        return activations * ratio

    def statistics(self, spectra: Tensor, activations: Tensor, atoms: Tensor) -> Statistics:
        """a (K, F), b (K, F) and Σ_t h (K,)."""
        model = self._model(activations, atoms)
        above = atoms.pow(self.power) * (activations @ (spectra * model.pow(self.beta - 2)))
        return above, activations @ model.pow(self.beta - 1), activations.sum(1)

    def atoms(self, atoms: Tensor, statistics: Statistics, l1: float) -> Tensor:
        """Where the surrogate is least."""
        above, below, total = statistics
        below = below.clamp_min(TINY)
        best = (above / below).pow(1 / self.power)
        if l1 == 0:
            return best
        slope = (l1 * total / atoms.norm(dim=1).clamp_min(TINY))[:, None]
        # Newton's method from above on a function that is convex and rises: it comes down.
        for _ in range(30):
            value = best.pow(self.power) * (below + slope * best) - above
            rise = best.pow(self.power - 1) * (self.power * below + (self.power + 1) * slope * best)
            best = (best - value / rise.clamp_min(TINY)).clamp_min(0)
        return best

    def rescaled(self, statistics: Statistics, norm: Tensor) -> Statistics:
        """See Updates."""
        above, below, total = statistics
        alive = norm.where(norm > 0, norm.new_ones(()))
        return above * alive ** (1 - self.power), below * norm, total * norm[:, 0]

    def divergence(self, spectra: Tensor, activations: Tensor, atoms: Tensor) -> float:
        """See Updates."""
        model = self._model(activations, atoms)
        if self.beta == 1:
            elements = torch.xlogy(spectra, spectra / model) - spectra + model
        else:
            ratio = spectra / model
            elements = ratio - ratio.log() - 1
        return float(elements.sum(dtype=torch.float64))

    def factorise(
        self,
        spectra: Tensor,
        activations: Tensor,
        atoms: Tensor,
        l1: float,
        max_iter: int,
        tol: float,
    ) -> tuple[Tensor, Tensor, int]:
        """Find both from a first guess on: activations (K, T), atoms (K, F), iterations."""
        blocks = torch.split(spectra, BLOCK)
        found = list(torch.split(activations, BLOCK, dim=1))
        before = float("inf")
        for iteration in range(1, max_iter + 1):
            sums: Statistics = ()
            for i, block in enumerate(blocks):
                found[i] = self.step(block, found[i], atoms, l1)
                said = self.statistics(block, found[i], atoms)
                sums = tuple(a + b for a, b in zip(sums, said, strict=True)) if sums else said
            atoms, norm = normalised(self.atoms(atoms, sums, l1), atoms)
            found = [block * norm for block in found]
            if iteration % 10 == 0:
                now = sum(
                    self.divergence(block, h, atoms) + l1 * float(h.sum(dtype=torch.float64))
                    for block, h in zip(blocks, found, strict=True)
                )
                if before - now <= tol * now:
                    break
                before = now
        return torch.cat(found, dim=1), atoms, iteration

    @staticmethod
    def _model(activations: Tensor, atoms: Tensor) -> Tensor:
        return (activations.T @ atoms).clamp_min(TINY)
