"""Sparse NMF against numbers worked out by hand, scikit-learn, and its own promises."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.optimize import nnls
from sklearn.decomposition import NMF
from sklearn.utils.estimator_checks import check_estimator

from xplain_nmf.dictionary.factorisation import SparseNMF

LOSSES = ("frobenius", "kullback-leibler", "itakura-saito")
BETA = {"frobenius": 2.0, "kullback-leibler": 1.0, "itakura-saito": 0.0}


def spectra(frames: int = 60, bins: int = 30, rank: int = 6, seed: int = 0) -> np.ndarray:
    """Sums of a few sparse parts, with noise: above zero everywhere."""
    draw = np.random.default_rng(seed)
    parts = draw.gamma(0.5, size=(rank, bins))
    active = draw.gamma(0.5, size=(frames, rank)) * (draw.random((frames, rank)) < 0.6)
    return (active @ parts + 0.05 * draw.random((frames, bins)) + 0.01).astype(np.float32)


def objective(x: np.ndarray, h: np.ndarray, c: np.ndarray, loss: str, sparsity: float) -> float:
    """What is minimised, written down once more, in double precision."""
    x, h, c = (a.astype(np.float64) for a in (x, h, c))
    model = np.maximum(h @ c, 1e-12)
    if loss == "frobenius":
        fit = 0.5 * ((x - h @ c) ** 2).sum()
    elif loss == "kullback-leibler":
        fit = (x * np.log(x / model) - x + model).sum()
    else:
        fit = (x / model - np.log(x / model) - 1).sum()
    return fit + sparsity * x.shape[1] * (h * np.linalg.norm(c, axis=1)).sum()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_matrix_of_rank_one_is_found_exactly(loss):
    # X = h c' with c = (3, 4): the atom of norm 1 is (0.6, 0.8), the activations 5 h.
    x = np.outer([1.0, 2.0, 0.5], [3.0, 4.0]).astype(np.float32)
    nmf = SparseNMF(1, loss=loss, tol=0, max_iter=100)
    h = nmf.fit_transform(x)
    np.testing.assert_allclose(nmf.components_, [[0.6, 0.8]], rtol=1e-4)
    np.testing.assert_allclose(h, [[5.0], [10.0], [2.5]], rtol=1e-4)
    assert nmf.reconstruction_err_ < 1e-3


def test_the_l1_term_shrinks_activations_by_what_it_costs():
    # One atom a = (0.6, 0.8), x = 5 a: ½ (5 − h)² + λ h is least at h = 5 − λ, λ = 0.5 · F.
    nmf = SparseNMF(1, sparsity=0.5, tol=0, max_iter=50)
    h = nmf.fit_transform(np.array([[3.0, 4.0]] * 4, dtype=np.float32))
    np.testing.assert_allclose(h, np.full((4, 1), 4.0), rtol=1e-4)
    np.testing.assert_allclose(nmf.transform([[3.0, 4.0]]), [[4.0]], rtol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_reconstruction_err_is_scikit_learns(loss):
    x = spectra()
    nmf = SparseNMF(5, loss=loss, max_iter=30)
    h = nmf.fit_transform(x)
    expected = math.sqrt(2 * objective(x, h, nmf.components_, loss, 0.0))
    assert nmf.reconstruction_err_ == pytest.approx(expected, rel=1e-3)
    # scikit-learn calls the same number the error of the same factors.
    theirs = NMF(5, init="custom", solver="mu", beta_loss=BETA[loss], max_iter=1, tol=0)
    theirs.fit_transform(x, W=h.copy(), H=nmf.components_.copy())
    assert theirs.reconstruction_err_ <= nmf.reconstruction_err_ * (1 + 1e-3)
    assert theirs.reconstruction_err_ >= nmf.reconstruction_err_ * 0.9


@pytest.mark.parametrize("components", [4, 12])
def test_frobenius_gets_as_far_as_scikit_learns_coordinate_descent(components):
    x = spectra(150, 40, rank=15)
    ours = SparseNMF(components, tol=0, max_iter=100).fit(x)
    theirs = NMF(components, solver="cd", tol=0, max_iter=200, random_state=0).fit(x)
    assert ours.reconstruction_err_ <= 1.01 * theirs.reconstruction_err_


@pytest.mark.parametrize("loss", ["kullback-leibler", "itakura-saito"])
def test_multiplicative_updates_get_as_far_as_scikit_learns(loss):
    x = spectra()
    ours = SparseNMF(5, loss=loss, tol=0, max_iter=300, init="random", random_state=0).fit(x)
    theirs = [
        NMF(
            5, solver="mu", beta_loss=loss, tol=0, max_iter=300, init="random", random_state=seed
        ).fit(x)
        for seed in range(3)
    ]
    assert ours.reconstruction_err_ <= 1.1 * max(t.reconstruction_err_ for t in theirs)


@pytest.mark.parametrize("sparsity", [0.0, 0.02])
@pytest.mark.parametrize("loss", LOSSES)
def test_no_iteration_raises_the_objective(loss, sparsity):
    x = spectra()
    seen = []
    for iterations in (1, 2, 3, 5, 10, 20, 40):
        nmf = SparseNMF(5, loss=loss, sparsity=sparsity, max_iter=iterations, tol=0)
        h = nmf.fit_transform(x)
        seen.append(objective(x, h, nmf.components_, loss, sparsity))
    # Frobenius is extrapolated: steps that raise the objective are found out and not taken.
    slack = 2e-2 if loss == "frobenius" else 1e-5
    assert all(later <= earlier * (1 + slack) for earlier, later in pairwise(seen))
    assert seen[-1] < 0.9 * seen[0]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("batch_size", [None, 50])
def test_atoms_are_of_norm_one_and_nothing_is_negative(loss, batch_size):
    nmf = SparseNMF(5, loss=loss, sparsity=0.01, max_iter=10, batch_size=batch_size)
    h = nmf.fit_transform(spectra())
    np.testing.assert_allclose(np.linalg.norm(nmf.components_, axis=1), 1, rtol=1e-5)
    assert (nmf.components_ >= 0).all() and (h >= 0).all()
    assert h.dtype == nmf.components_.dtype == np.float32


@pytest.mark.parametrize("loss", ["frobenius", "kullback-leibler"])
def test_sparsity_silences_components_and_is_not_escaped(loss):
    x = spectra()
    plain = SparseNMF(8, loss=loss, max_iter=60)
    sparse = SparseNMF(8, loss=loss, max_iter=60, sparsity=0.02)
    active = [(nmf.fit_transform(x) > 1e-3).mean() for nmf in (plain, sparse)]
    sums = [nmf.transform(x).sum() for nmf in (plain, sparse)]
    assert active[1] < 0.9 * active[0]
    assert sums[1] < 0.95 * sums[0]


def test_transform_solves_non_negative_least_squares():
    x = spectra()
    nmf = SparseNMF(5, max_iter=20).fit(x)
    exact = np.array([nnls(nmf.components_.T.astype(float), frame.astype(float))[0] for frame in x])
    np.testing.assert_allclose(nmf.transform(x), exact, atol=2e-3 * exact.max())


@pytest.mark.parametrize("loss", LOSSES)
def test_transform_of_a_frame_does_not_depend_on_its_neighbours(loss):
    x = spectra()
    nmf = SparseNMF(5, loss=loss, max_iter=20).fit(x)
    whole = nmf.transform(x)
    np.testing.assert_allclose(nmf.transform(x[7:8]), whole[7:8], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_inverse_transform_makes_the_spectra_again(loss):
    x = spectra()
    nmf = SparseNMF(6, loss=loss, max_iter=200, tol=0)
    made = nmf.inverse_transform(nmf.fit_transform(x))
    np.testing.assert_allclose(made, nmf.transform(x) @ nmf.components_, atol=0.1 * x.max())
    assert ((x - made) ** 2).sum() < 0.05 * ((x - x.mean(0)) ** 2).sum()


@pytest.mark.parametrize("loss", LOSSES)
def test_batches_come_near_what_all_at_once_finds(loss):
    x = spectra(120)
    whole = SparseNMF(6, loss=loss, max_iter=60).fit(x)
    # Itakura-Saito is not convex even in H, and begun anew in every pass.
    passes = 60 if loss == "itakura-saito" else 15
    batches = SparseNMF(6, loss=loss, max_iter=passes, batch_size=60, tol=1e-4).fit(x)
    fit = [objective(x, n.transform(x), n.components_, loss, 0.0) for n in (whole, batches)]
    unfit = objective(x, x.mean(1, keepdims=True), np.ones((1, x.shape[1])), loss, 0.0)
    assert fit[1] < fit[0] + 0.15 * (unfit - fit[0])
    assert batches.reconstruction_err_ == pytest.approx(math.sqrt(2 * fit[1]), rel=1e-3)


def test_batches_are_read_one_by_one_from_a_file(tmp_path):
    x = spectra(120)
    held = np.memmap(tmp_path / "x", dtype=np.float32, mode="w+", shape=x.shape)
    held[:] = x
    asked = {"batch_size": 60, "max_iter": 2, "random_state": 0}
    np.testing.assert_array_equal(
        SparseNMF(6, **asked).fit(held).components_, SparseNMF(6, **asked).fit(x).components_
    )


@pytest.mark.parametrize("loss", LOSSES)
def test_partial_fit_learns_from_what_it_is_shown(loss):
    x = spectra(120)
    nmf = SparseNMF(6, loss=loss)
    errors = []
    for _ in range(3):
        for batch in np.array_split(x, 2):
            nmf.partial_fit(batch)
        errors.append(objective(x, nmf.transform(x), nmf.components_, loss, 0.0))
    assert nmf.n_iter_ == 6
    assert errors[-1] < errors[0]


def test_partial_fit_of_more_of_the_same_changes_nothing():
    x = np.outer([1.0, 2.0, 0.5], [3.0, 4.0])
    nmf = SparseNMF(1)
    for _ in range(3):
        nmf.partial_fit(x)
    np.testing.assert_allclose(nmf.components_, [[0.6, 0.8]], rtol=1e-4)


def test_a_seed_gives_the_same_and_another_seed_something_else():
    x = spectra()
    asked = {"init": "random", "max_iter": 3}
    one, again, other = (SparseNMF(5, random_state=s, **asked).fit(x) for s in (1, 1, 2))
    np.testing.assert_array_equal(one.components_, again.components_)
    assert np.abs(one.components_ - other.components_).max() > 0.01


def test_it_ends_when_little_changes_and_says_after_how_many_iterations():
    x = spectra()
    assert SparseNMF(5, tol=0, max_iter=33).fit(x).n_iter_ == 33
    assert 10 <= SparseNMF(5, tol=0.5, max_iter=33).fit(x).n_iter_ < 33
    assert SparseNMF(5, loss="kullback-leibler", tol=100, max_iter=33).fit(x).n_iter_ == 20


def test_tensors_are_taken_too():
    x = spectra()
    asked = {"n_components": 3, "max_iter": 5}
    np.testing.assert_array_equal(
        SparseNMF(**asked).fit(torch.from_numpy(x)).components_,
        SparseNMF(**asked).fit(x).components_,
    )


def test_frames_of_silence_have_no_activations():
    x = spectra()
    x[:20] = 0
    for loss in ("frobenius", "kullback-leibler"):
        nmf = SparseNMF(4, loss=loss, max_iter=20)
        assert np.abs(nmf.fit_transform(x)[:20]).max() < 1e-6
        assert np.abs(nmf.transform(x)[:20]).max() < 1e-6


def test_more_components_than_frequencies_begin_at_random():
    x = spectra(40, 8)
    assert SparseNMF(12, max_iter=5).fit(x).components_.shape == (12, 8)
    with pytest.raises(ValueError, match="init='random'"):
        SparseNMF(12, init="nndsvda").fit(x)


@pytest.mark.parametrize(
    ("change", "data", "says"),
    [
        ({}, spectra(3), "4 components cannot be learnt from 3 frames"),
        ({}, np.zeros((10, 5)), "zero everywhere"),
        ({}, -spectra(), "Negative values"),
        ({}, np.full((10, 5), np.nan), "NaN"),
        ({"loss": "itakura-saito"}, np.eye(10), "infinite where spectra are zero"),
        ({"loss": "hinge"}, spectra(), "loss is one of frobenius"),
        ({"init": "magic"}, spectra(), "init is one of nndsvda"),
        ({"n_components": 0}, spectra(), "n_components is at least 1"),
        ({"batch_size": 0}, spectra(), "batch_size is at least 1"),
        ({"sparsity": -1.0}, spectra(), "zero or more"),
    ],
)
def test_what_cannot_be_factorised_is_refused(change, data, says):
    with pytest.raises(ValueError, match=says):
        SparseNMF(**{"n_components": 4, **change}).fit(data)


@pytest.mark.filterwarnings("ignore")
def test_it_is_an_estimator_as_scikit_learn_defines_them():
    check_estimator(SparseNMF(1, max_iter=10))
