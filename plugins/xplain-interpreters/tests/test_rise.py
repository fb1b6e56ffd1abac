"""RISE against its expectation for linear scores, and against the paper's sum written out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from xplain_interpreters.rise import Rise

X = torch.tensor([[1.0, -2.0, 0.5, 2.0], [3.0, 0.0, -1.0, 1.0], [0.0, 1.0, 2.0, -1.0]])
B = torch.tensor([[0.5, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0.0], [0.0, 0.0, -1.0, 0.0]])
W = torch.tensor([[2.0, -1.0, 0.0, 1.0], [0.5, 3.0, 1.0, 0.0], [0.0, -1.0, 0.0, 2.0]])


def linear(variants: Tensor) -> Tensor:
    return 100 + (W * variants).sum(dim=(1, 2))


@pytest.mark.parametrize("keep", [0.5, 0.2])
def test_of_a_linear_score_it_gives_what_each_element_added_less_its_share(
    keep: float, closed: Any
) -> None:
    # Cov(f, M) = w (x − b) p (1 − p), and the map is that over E[M] = p.
    got = Rise(masks=20_000, grid="3x4", keep=keep).attribute(closed(linear, 1000), X, B)
    assert torch.allclose(got, (1 - keep) * W * (X - B), atol=0.2)


def test_draws_of_the_baseline_take_turns(closed: Any) -> None:
    draws = torch.stack([B, B + 1, B - 4])  # their mean is B − 1
    got = Rise(masks=30_000, grid="3x4").attribute(closed(linear, 1000), X, draws)
    assert torch.allclose(got, 0.5 * W * (X - B + 1), atol=0.35)


@pytest.mark.parametrize("max_batch", [1, 7, 64])
def test_it_is_the_papers_sum_over_its_masks(max_batch: int, closed: Any) -> None:
    rise = Rise(masks=50, grid="2x2")
    latents, baseline = torch.rand(6, 9), torch.zeros(6, 9)

    def square(variants: Tensor) -> Tensor:
        return variants[:, 2, 3].square() + variants.sum(dim=(1, 2))

    score = closed(square, max_batch)
    torch.manual_seed(1)
    got = rise.attribute(score, latents, baseline)
    torch.manual_seed(1)
    masks = np.stack([rise.mask(6, 9).numpy() for _ in range(50)]).astype(np.float64)
    said = [float(square(latents[None] * torch.tensor(m).float())) for m in masks]
    wanted = sum((f - np.mean(said)) * m for f, m in zip(said, masks, strict=True)) / (0.5 * 50)
    np.testing.assert_allclose(got.numpy(), wanted, atol=1e-5)
    assert max(score.sizes) <= max_batch


def test_masks_are_smooth_shifted_and_kept_as_often_as_asked() -> None:
    masks = torch.stack([Rise(grid="4x4", keep=0.3).mask(40, 60) for _ in range(2000)])
    assert masks.shape == (2000, 40, 60) and masks.min() >= 0 and masks.max() <= 1
    assert torch.allclose(masks.mean(dim=0), torch.tensor(0.3), atol=0.06)
    steps = masks.diff(dim=1).abs().amax(dim=(0, 2))
    assert steps.max() <= 1 / 10 + 1e-6  # a cell of 10 channels goes over linearly
    assert (steps > 0.05).all()  # and borders of cells lie anywhere


@pytest.mark.parametrize("wrong", [{"masks": 1}, {"grid": "8"}, {"keep": 0}, {"keep": 1}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Rise(**wrong)
