"""Averaged gradients: what they are for scores whose slope is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from xplain_captum.sampling import GradientShap, SmoothGrad, VarGrad

X = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.0, -1.0]])  # a range of 5
B = torch.tensor([[0.5, 0.0, 0.0], [1.0, 1.0, 1.0]])
W = torch.tensor([[2.0, -1.0, 0.0], [0.5, 3.0, 1.0]])


def linear(z: Tensor) -> Tensor:
    return (W * z).sum(dim=(1, 2))


def squares(z: Tensor) -> Tensor:
    return (W * z.square()).sum(dim=(1, 2))


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)
    np.random.seed(0)


@pytest.mark.parametrize("max_batch", [1, 7, 64])
def test_from_one_baseline_a_linear_score_is_attributed_exactly(
    max_batch: int, closed: Any
) -> None:
    got = GradientShap(samples=20).attribute(closed(linear, max_batch), X, B)
    assert torch.allclose(got, W * (X - B), atol=1e-5)


def test_draws_are_the_baselines_distribution(closed: Any) -> None:
    draws = torch.stack([B, B + 1, B - 4])  # their mean is B − 1
    got = GradientShap(samples=20000).attribute(closed(linear, 1000), X, draws)
    assert torch.allclose(got, W * (X - B + 1), atol=0.1)


def test_gradient_shap_tends_to_integrated_gradients(closed: Any) -> None:
    # The integrated gradients of w z² are w (x² − b²).
    got = GradientShap(samples=20000).attribute(closed(squares, 1000), X, B)
    assert torch.allclose(got, W * (X.square() - B.square()), atol=0.2)


def test_smooth_grad_of_a_linear_score_is_its_weights_with_their_sign(closed: Any) -> None:
    got = SmoothGrad(samples=7).attribute(closed(linear, 3), X, B)
    assert torch.allclose(got, W, atol=1e-5)


def test_var_grad_of_a_linear_score_is_zero(closed: Any) -> None:
    got = VarGrad(samples=7).attribute(closed(linear, 3), X, B)
    assert got.min() >= 0 and got.max() < 1e-5


def test_var_grad_of_a_quadratic_is_the_noise_times_its_curvature(closed: Any) -> None:
    # The slope is 2 w z, so its variance is (2 w)² σ², with σ = 0.1 · 5.
    got = VarGrad(samples=20000, noise=0.1).attribute(closed(squares, 1000), X, B)
    assert torch.allclose(got, 4 * W.square() * 0.25, rtol=0.05)


@pytest.mark.parametrize("method", [GradientShap, SmoothGrad, VarGrad])
@pytest.mark.parametrize("samples", [0, 2.5, "many"])
def test_samples_that_are_no_number_are_refused(method: Any, samples: object) -> None:
    with pytest.raises(ValueError, match="whole number, at least 1"):
        method(samples=samples)


@pytest.mark.parametrize("method", [SmoothGrad, VarGrad])
def test_no_noise_is_refused(method: Any) -> None:
    with pytest.raises(ValueError, match="above 0"):
        method(noise=0.0)
