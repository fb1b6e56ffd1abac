"""For a linear score Σ w·x, leaving a group out takes exactly Σ w·(x − b) over the group."""

import pytest
import torch
from torch import Tensor
from xplain_leave_one_out.explainer import LeaveOneOut

from xplain import Score
from xplain_devkit import ExplainerContract


class TestContract(ExplainerContract):
    name = "xplain-leave-one-out/leave-one-out"


class Linear(Score):
    """Adds up weight · x, and remembers how many variants it was asked at once."""

    def __init__(self, weight: Tensor, max_batch: int) -> None:
        super().__init__()
        self.weight, self.max_batch, self.asked = weight, max_batch, [0]

    def forward(self, variants: Tensor) -> Tensor:
        self.asked.append(len(variants))
        return (self.weight * variants).sum(dim=(1, 2))


def draw(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.mark.parametrize("max_batch", [1, 2, 64])
@pytest.mark.parametrize("draws", [(), (2,)])
def test_a_group_is_given_what_the_score_loses_without_it(
    max_batch: int, draws: tuple[int, ...]
) -> None:
    weight, latents, baseline = draw(3, 10), draw(3, 10), draw(*draws, 3, 10)
    score = Linear(weight, max_batch)
    attribution = LeaveOneOut(frames=4).attribute(score, latents, baseline)

    mean = baseline.reshape(-1, 3, 10).mean(dim=0)
    drop = weight * (latents - mean)
    for group in (slice(0, 4), slice(4, 8), slice(8, 10)):
        shared = drop[:, group].mean().expand_as(drop[:, group])
        torch.testing.assert_close(attribution[:, group], shared)
    assert max(score.asked) <= max_batch


def test_a_group_without_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 frame"):
        LeaveOneOut(frames=0)
