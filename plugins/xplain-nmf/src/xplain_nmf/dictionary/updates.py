"""What learning from batches asks of a loss."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

Statistics = tuple[Tensor, ...]
"""What frames say of the atoms; those of several batches add up."""


class Updates(ABC):
    """The steps of one loss. Spectra (T, F), activations (K, T), atoms (K, F) of norm 1."""

    @abstractmethod
    def activations(self, spectra: Tensor, atoms: Tensor, l1: float) -> Tensor:
        """The activations of atoms that stay as they are."""

    @abstractmethod
    def statistics(self, spectra: Tensor, activations: Tensor, atoms: Tensor) -> Statistics:
        """What these frames say of the atoms."""

    @abstractmethod
    def atoms(self, atoms: Tensor, statistics: Statistics, l1: float) -> Tensor:
        """Better atoms, of any norm, by what was said of them."""

    @abstractmethod
    def rescaled(self, statistics: Statistics, norm: Tensor) -> Statistics:
        """The statistics once atoms are divided by, activations multiplied by norms (K, 1)."""

    @abstractmethod
    def divergence(self, spectra: Tensor, activations: Tensor, atoms: Tensor) -> float:
        """D(X, H' C), summed."""


def normalised(found: Tensor, atoms: Tensor) -> tuple[Tensor, Tensor]:
    """Atoms of norm 1 and the norms (K, 1) they had.

    One that became zero keeps the shape it had, so that it can come back; its norm is 0.
    """
    norm = found.norm(dim=1, keepdim=True)
    alive = norm > 0
    return (found / norm.where(alive, norm.new_ones(()))).where(alive, atoms), norm
