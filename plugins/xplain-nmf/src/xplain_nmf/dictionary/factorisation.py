"""Sparse non-negative matrix factorisation, as scikit-learn's estimators are."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from xplain_nmf.dictionary import hals
from xplain_nmf.dictionary.initialisation import Init, Singular, at_random, nndsvda, singular
from xplain_nmf.dictionary.multiplicative import Multiplicative
from xplain_nmf.dictionary.updates import Statistics, Updates, normalised

Loss = Literal["frobenius", "kullback-leibler", "itakura-saito"]
Array = npt.NDArray[np.float32]

BETA = {"kullback-leibler": 1, "itakura-saito": 0}
BLOCK = 4096
"""Frames at a time where each is gone through by itself."""
RANK = 2
"""Singular vectors for each component: the rest of the data hardly changes the atoms."""


class SparseNMF(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """X ≈ H C: spectra as sums of non-negative atoms, few of them at a time.

    X: (frames T, frequencies F). H: (T, K), the activations. C: (K, F), the atoms,
    ``components_``: scikit-learn's orientation, the transpose of W in the papers. Minimises

        D(X, H C) + sparsity · F · Σ H,    H ≥ 0, C ≥ 0, each atom of norm 1,

    where D is ½ ‖X − H C‖² or the generalised Kullback-Leibler or the Itakura-Saito
    divergence. The L1 term has the weight that scikit-learn gives ``alpha_W`` with
    ``l1_ratio=1``, and cannot be escaped by atoms that grow while their activations shrink:
    an atom's norm is part of it throughout, and 1 at the end.

    Frobenius is solved by coordinate descent made of matrix products (HALS: Cichocki and
    Phan 2009; several sweeps for a product with X: Gillis and Glineur 2012; extrapolated,
    with restarts: Ang and Gillis 2019), on what the first singular vectors hold of X where
    K is small, and ``transform`` by the alternating direction method of multipliers (Huang et
    al. 2016); the others by multiplicative updates that never raise the objective
    (Févotte and Idier 2011). float32, on the CPU or a GPU.

    After fitting: ``components_`` (K, F), ``reconstruction_err_`` (√(2 D), which is
    ‖X − H C‖ for Frobenius, as in scikit-learn), ``n_iter_``, ``n_features_in_``. Settings
    or data that are wrong are a ValueError.
    """

    def __init__(
        self,
        n_components: int = 64,
        *,
        loss: Loss = "frobenius",
        sparsity: float = 0.0,
        init: Init | None = None,
        max_iter: int = 200,
        tol: float = 1e-2,
        batch_size: int | None = None,
        random_state: int | np.random.RandomState | None = None,
        device: str | None = None,
    ) -> None:
        """Keep the settings; they are checked where they are used.

        n_components: K. loss: which D. sparsity: weight of the L1 term. init: "nndsvda"
        (Boutsidis and Gallopoulos 2008, for K ≤ min(T, F)) or "random"; None: the first
        where it can be. max_iter: most iterations; with ``batch_size``, passes over X. tol:
        the fit ends when ten iterations (or one pass) lower the objective by less than this
        share of it. batch_size: frames at a time, for data that do not fit into memory: a
        numpy.memmap is read batch by batch. random_state: the seed. device: of the
        computation; None: the CPU.
        """
        self.n_components = n_components
        self.loss = loss
        self.sparsity = sparsity
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.batch_size = batch_size
        self.random_state = random_state
        self.device = device

    def fit(self, X: npt.ArrayLike, y: object = None) -> SparseNMF:
        """Find the atoms of spectra (T, F)."""
        self._fit(self._data(X, reset=True))
        return self

    def fit_transform(self, X: npt.ArrayLike, y: object = None) -> Array:
        """Find the atoms of spectra (T, F), and give the activations (T, K)."""
        return self._fit(self._data(X, reset=True))

    def partial_fit(self, X: npt.ArrayLike, y: object = None) -> SparseNMF:
        """Learn from one more batch of spectra (T, F).

        What all the batches said of the atoms counts alike (Mairal et al. 2010).
        """
        first = not hasattr(self, "components_")
        data = self._data(X, reset=first)
        if first:
            self._begin(data)
            self.n_iter_ = 0
        self._learn(data, keep=1.0)
        self.n_iter_ += 1
        return self

    def transform(self, X: npt.ArrayLike) -> Array:
        """The activations (T, K) of spectra (T, F), the atoms as they are."""
        check_is_fitted(self)
        data = self._data(X, reset=False)
        atoms, updates = self._tensor(self.components_), self._updates()
        found = [
            updates.activations(self._tensor(part), atoms, self._l1).T.cpu().numpy()
            for part in _blocks(data, BLOCK)
        ]
        return cast(Array, np.concatenate(found))

    def inverse_transform(self, X: npt.ArrayLike) -> Array:
        """The spectra (T, F) that activations (T, K) make."""
        check_is_fitted(self)
        return cast(Array, np.asarray(X, dtype=np.float32) @ self.components_)

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn is to know: no negative data, and float32 whatever comes in."""
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    @property
    def _l1(self) -> float:
        return float(self.sparsity * self.n_features_in_)

    def _fit(self, data: Array) -> Array:
        """Set what is found, and give the activations (T, K)."""
        if self.batch_size is not None:
            return self._fit_batches(data, self.batch_size)
        spectra = self._tensor(data)
        if self.loss == "frobenius":
            found = self._fit_frobenius(spectra)
        else:
            activations, atoms = self._guess(spectra)
            found = Multiplicative(BETA[self.loss]).factorise(
                spectra, activations, atoms, self._l1, self.max_iter, self.tol
            )
        activations, atoms, self.n_iter_ = found
        self.components_ = atoms.cpu().numpy()
        self._said: Statistics = ()
        transposed: Array = activations.T.contiguous().cpu().numpy()
        self.reconstruction_err_ = self._error(data, transposed)
        return transposed

    def _fit_frobenius(self, spectra: Tensor) -> tuple[Tensor, Tensor, int]:
        """On twice as many singular vectors as components, where that is less than there is."""
        rank = RANK * self.n_components
        few = 2 * rank <= min(spectra.shape)
        vectors = singular(spectra, rank) if few else None
        guess = self._guess(spectra, vectors)
        data = hals.Data(vectors.left, vectors.right) if vectors else hals.Data(spectra)
        activations, atoms, iterations = hals.factorise(
            data, *guess, self._l1, self.max_iter, self.tol
        )
        # The atoms are the best for activations a step further on, and of nearly these data.
        products = hals.Data(spectra).with_atoms(atoms) - self._l1
        activations = hals.solve(activations, atoms @ atoms.T, products, hals.SWEEPS)
        return activations, atoms, iterations

    def _fit_batches(self, data: Array, size: int) -> Array:
        """Pass after pass over the batches, in an order drawn anew for each."""
        random = check_random_state(self.random_state)
        self._begin(data[: max(size, self.n_components)])
        batches = list(_blocks(data, size))
        # Of what a pass said a half counts in the next: the atoms were others then.
        keep = 0.5 ** (1 / len(batches))
        before = math.inf
        for iteration in range(1, self.max_iter + 1):
            self.n_iter_ = iteration
            now = sum(self._learn(batches[i], keep) for i in random.permutation(len(batches)))
            if before - now <= self.tol * now:
                break
            before = now
        activations = self.transform(data)
        self.reconstruction_err_ = self._error(data, activations)
        return activations

    def _begin(self, data: Array) -> None:
        """The atoms that the first batch suggests, of which nothing is known yet."""
        _, atoms = self._guess(self._tensor(data))
        self.components_ = atoms.cpu().numpy()
        self._said = ()

    def _learn(self, data: Array, keep: float) -> float:
        """Change the atoms by one batch; the objective there before that."""
        spectra, atoms, updates = (
            self._tensor(data),
            self._tensor(self.components_),
            self._updates(),
        )
        activations = updates.activations(spectra, atoms, self._l1)
        objective = updates.divergence(spectra, activations, atoms)
        objective += self._l1 * float(activations.sum(dtype=torch.float64))
        said = updates.statistics(spectra, activations, atoms)
        if self._said:
            said = tuple(keep * old + new for old, new in zip(self._said, said, strict=True))
        atoms, norm = normalised(updates.atoms(atoms, said, self._l1), atoms)
        self._said = updates.rescaled(said, norm)
        self.components_ = atoms.cpu().numpy()
        return objective

    def _guess(self, spectra: Tensor, vectors: Singular | None = None) -> tuple[Tensor, Tensor]:
        """Where to begin: activations (K, T), atoms (K, F) of norm 1."""
        mean, components = float(spectra.mean(dtype=torch.float64)), self.n_components
        few = components <= min(spectra.shape)
        if (self.init or ("nndsvda" if few else "random")) == "random":
            seed = int(check_random_state(self.random_state).randint(2**31))
            generator = torch.Generator().manual_seed(seed)
            frames, bins = spectra.shape
            guess = at_random(frames, bins, components, mean, generator)
        elif few:
            guess = nndsvda(vectors or singular(spectra, components), components, mean)
        else:
            raise ValueError(
                f"nndsvda gives at most min{tuple(spectra.shape)} components, not {components}; "
                "choose init='random'"
            )
        activations, atoms = (part.to(spectra) for part in guess)
        atoms, norm = normalised(atoms, atoms)
        return activations * norm, atoms

    def _error(self, data: Array, activations: Array) -> float:
        """√(2 D) of spectra (T, F) and activations (T, K)."""
        atoms, updates = self._tensor(self.components_), self._updates()
        error = sum(
            updates.divergence(self._tensor(part), self._tensor(found).T, atoms)
            for part, found in zip(_blocks(data, BLOCK), _blocks(activations, BLOCK), strict=True)
        )
        return math.sqrt(2 * max(error, 0.0))

    def _updates(self) -> Updates:
        return hals.Frobenius() if self.loss == "frobenius" else Multiplicative(BETA[self.loss])

    def _tensor(self, data: Array) -> Tensor:
        return torch.as_tensor(data, dtype=torch.float32, device=self.device)

    def _data(self, X: npt.ArrayLike, reset: bool) -> Array:
        """Check the settings and spectra (T, F), which may be a tensor."""
        if self.loss != "frobenius" and self.loss not in BETA:
            raise ValueError(f"loss is one of {', '.join(get_args(Loss))}, not {self.loss!r}")
        if self.init is not None and self.init not in get_args(Init):
            raise ValueError(f"init is one of {', '.join(get_args(Init))}, not {self.init!r}")
        for name, least in (("n_components", 1), ("max_iter", 1), ("batch_size", 1)):
            value = getattr(self, name)
            if not (value is None and name == "batch_size") and not value >= least:
                raise ValueError(f"{name} is at least {least}, not {value}")
        if not (self.sparsity >= 0 and self.tol >= 0):
            raise ValueError("sparsity and tol are zero or more")
        if isinstance(X, Tensor):
            X = X.detach().cpu().numpy()
        data = cast(Array, validate_data(self, X, reset=reset, dtype=np.float32))
        lowest = float(data.min())
        if lowest < 0:
            raise ValueError(
                f"Negative values in data passed to SparseNMF (least {lowest:g}); spectra are "
                "magnitudes, powers or log(1 + power)"
            )
        if self.loss == "itakura-saito" and lowest == 0:
            raise ValueError(
                "itakura-saito is infinite where spectra are zero; add a small value to them"
            )
        if not reset:
            return data
        if len(data) < self.n_components:
            raise ValueError(
                f"{self.n_components} components cannot be learnt from {len(data)} frames "
                "(n_samples); give more audio or fewer components"
            )
        if not data.any():
            raise ValueError("the spectra are zero everywhere; there is nothing to factorise")
        return data


def _blocks(data: Array, size: int) -> Iterator[Array]:
    for start in range(0, len(data), size):
        yield data[start : start + size]
