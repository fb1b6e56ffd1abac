"""Methods without gradients: what they are for scores whose parts are known."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

import xplain
from xplain_captum.ablation import FeatureAblation, Occlusion
from xplain_captum.coalitions import KernelShap, Lime, ShapleySampling
from xplain_captum.groups import grid, groups, shared_out

X = torch.tensor([[1.0, -2.0, 0.5, 2.0], [3.0, 0.0, -1.0, 1.0]])
B = torch.tensor([[0.5, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0.0]])
W = torch.tensor([[2.0, -1.0, 0.0, 1.0], [0.5, 3.0, 1.0, -2.0]])
PARTS = W * (X - B)


def linear(z: Tensor) -> Tensor:
    return (W * z).sum(dim=(1, 2))


def both(z: Tensor) -> Tensor:
    """Something only where the two channels of the first frame are there together."""
    return 6 * z[:, 0, 0] * z[:, 1, 0]


def shared(numbers: Tensor) -> Tensor:
    """The parts of a linear score, with the mean of its group at each element."""
    flat = torch.zeros_like(PARTS)
    for group in numbers.unique():
        flat[numbers == group] = PARTS[numbers == group].mean()
    return flat


GROUPINGS = {
    "element": torch.arange(8).view(2, 4),
    "channel": torch.tensor([[0, 0, 0, 0], [1, 1, 1, 1]]),
    "frame": torch.tensor([[0, 1, 2, 3], [0, 1, 2, 3]]),
    "block:2x3": torch.tensor([[0, 0, 0, 1], [0, 0, 0, 1]]),
}


@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize(
    ("method", "within"),
    [(FeatureAblation, 1e-5), (ShapleySampling, 1e-5), (KernelShap, 1e-3)],
)
def test_of_a_linear_score_every_group_has_the_parts_of_its_elements(
    method: Any, within: float, grouping: str, closed: Any
) -> None:
    got = method(grouping=grouping).attribute(closed(linear), X, B)
    assert torch.allclose(got, shared(GROUPINGS[grouping]), atol=within)


def test_lime_of_a_linear_score_is_near_its_parts_as_far_as_ridge_lets_it(closed: Any) -> None:
    got = Lime(grouping="element", samples=3000).attribute(closed(linear), X, B)
    assert torch.allclose(got, PARTS, atol=0.05)


@pytest.mark.parametrize("method", [ShapleySampling, KernelShap])
def test_what_takes_two_is_shared_by_two(method: Any, closed: Any) -> None:
    # Shapley: of 6 · 2 · 1, that only both together bring, each has half.
    latents = torch.tensor([[2.0, 9.0], [1.0, 9.0]])
    parameters = {"orders": 2000} if method is ShapleySampling else {"samples": 2000}
    torch.manual_seed(0)
    got = method(grouping="element", **parameters).attribute(
        closed(both), latents, torch.zeros(2, 2)
    )
    assert torch.allclose(got, torch.tensor([[6.0, 0.0], [6.0, 0.0]]), atol=0.5)
    assert float(got.sum()) == pytest.approx(12.0, rel=1e-3)


def test_ablation_charges_each_of_two_with_the_whole(closed: Any) -> None:
    latents = torch.tensor([[2.0, 9.0], [1.0, 9.0]])
    got = FeatureAblation("element").attribute(closed(both), latents, torch.zeros(2, 2))
    assert torch.allclose(got, torch.tensor([[12.0, 0.0], [12.0, 0.0]]))


def test_occlusion_is_the_mean_over_the_windows_that_cover_an_element(closed: Any) -> None:
    # Windows of one frame's two channels and the next frame's: frames 0-1, 1-2, 2-3.
    frames = PARTS.sum(dim=0)
    pairs = (frames[:-1] + frames[1:]) / 4
    column = torch.stack([pairs[0], pairs[:2].mean(), pairs[1:].mean(), pairs[2]])
    got = Occlusion(window="2x2", stride="1x1").attribute(closed(linear), X, B)
    assert torch.allclose(got, column.expand(2, 4), atol=1e-5)


def test_a_window_that_is_cut_at_the_end_is_divided_by_what_is_left_of_it(closed: Any) -> None:
    # Windows of 1 channel × 3 frames by 2: frames 0-2 and 2-3, of three elements and of two.
    got = Occlusion(window="1x3", stride="1x2").attribute(closed(linear), X, B)
    first, last = PARTS[:, :3].sum(dim=1) / 3, PARTS[:, 2:].sum(dim=1) / 2
    expected = torch.stack([first, first, (first + last) / 2, last], dim=1)
    assert torch.allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("shape", [(2, 4), (1, 7), (5, 1), (3, 5), (1, 1)])
@pytest.mark.parametrize("window", ["1x1", "1x2", "2x3", "3x3", "4x2", "9x9"])
@pytest.mark.parametrize("stride", ["1x1", "1x2", None])
def test_every_element_has_the_mean_over_the_windows_that_contain_it(
    shape: tuple[int, int], window: str, stride: str | None, closed: Any
) -> None:
    high, wide = map(int, window.split("x"))
    down, along = map(int, stride.split("x")) if stride else (-(-high // 2), -(-wide // 2))
    if along > wide:
        return
    generator = torch.Generator().manual_seed(0)
    weights, latents, baseline = torch.randn(3, *shape, generator=generator)
    parts = weights * (latents - baseline)
    # By definition: a window starts at every multiple of the stride, up to the first that
    # reaches the end; the clip cuts off what stands over.
    expected = torch.zeros(shape)
    for place in itertools.product(*map(range, shape)):
        means = []
        for top, left in itertools.product(range(0, shape[0], down), range(0, shape[1], along)):
            begun_late = (top > 0 and top - down + high >= shape[0]) or (
                left > 0 and left - along + wide >= shape[1]
            )
            if begun_late or not (top <= place[0] < top + high and left <= place[1] < left + wide):
                continue
            means.append(parts[top : top + high, left : left + wide].mean())
        expected[place] = torch.stack(means).mean()
    score = closed(lambda z: (weights * z).sum(dim=(1, 2)), max_batch=3)
    got = Occlusion(window, stride).attribute(score, latents, baseline)
    assert torch.allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize("block", ["1x2", "1x3", "2x3", "1x1"])
def test_windows_side_by_side_are_ablated_blocks(block: str, closed: Any) -> None:
    occluded = Occlusion(window=block, stride=block).attribute(closed(linear), X, B)
    ablated = FeatureAblation(f"block:{block}").attribute(closed(linear), X, B)
    assert torch.allclose(occluded, ablated, atol=1e-6)


def test_a_window_larger_than_the_latents_covers_them(closed: Any) -> None:
    got = Occlusion(window="16x8").attribute(closed(linear), X, B)
    assert torch.allclose(got, PARTS.mean().expand(2, 4), atol=1e-6)


@pytest.mark.parametrize(
    "method",
    [FeatureAblation("frame"), Occlusion("2x1"), ShapleySampling("frame"), KernelShap("frame")],
    ids=lambda m: type(m).__name__,
)
def test_over_draws_of_the_baseline_the_mean_is_taken(method: Any, closed: Any) -> None:
    draws = torch.stack([B, B + 2, -B])
    got = method.attribute(closed(linear), X, draws)
    expected = (W * (X - draws.mean(dim=0))).mean(dim=0).expand(2, 4)
    assert torch.allclose(got, expected, atol=1e-3)


@pytest.mark.parametrize(
    "shape", [(257, 130), (129, 94), (1, 160000), (128, 75), (1, 3), (64, 1), (1, 1)]
)
@pytest.mark.parametrize("count", [64, 512])
def test_the_default_grid_costs_the_same_whatever_the_representation(
    shape: tuple[int, int], count: int, closed: Any
) -> None:
    numbers = groups(closed(linear), torch.zeros(shape), None, count)
    made = int(numbers.max()) + 1
    assert numbers.shape == shape
    assert min(count, math.prod(shape)) / 2 <= made <= count
    sizes = numbers.flatten().bincount()
    assert sizes.max() == math.prod(grid(*shape, count))


def test_what_is_shared_out_sums_to_what_the_groups_had() -> None:
    numbers = torch.tensor([[0, 0, 1], [0, 0, 1]])
    values = torch.tensor([8.0, 3.0])
    assert float(shared_out(values[numbers], numbers).sum()) == 11.0


@pytest.mark.parametrize("method", [FeatureAblation, ShapleySampling, KernelShap, Lime])
def test_a_grouping_that_does_not_exist_is_refused(method: Any) -> None:
    with pytest.raises(xplain.XplainError, match="did you mean 'frame'"):
        method(grouping="frames")


def test_kernel_shap_refuses_a_single_group(closed: Any) -> None:
    with pytest.raises(xplain.PluginError, match="a single group by the grouping block:8x8"):
        KernelShap(grouping="block:8x8").attribute(closed(linear), X, B)


@pytest.mark.parametrize("size", ["16", "0x4", "axb", "4x", ""])
def test_a_window_that_is_no_size_is_refused(size: str) -> None:
    with pytest.raises(ValueError, match="channels × frames"):
        Occlusion(window=size)


def test_a_stride_that_leaves_gaps_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves gaps"):
        Occlusion(window="4x4", stride="4x5")
