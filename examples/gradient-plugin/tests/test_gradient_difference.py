"""GradientDifference keeps the contract, and is right where the answer is known."""

import torch
from torch import Tensor
from xplain_gradient_difference.explainer import GradientDifference

from xplain import Score
from xplain_devkit import ExplainerContract


class TestContract(ExplainerContract):
    name = "xplain-gradient-difference/gradient-difference"


class Squares(Score):
    """Adds up the squares of all elements."""

    max_batch = 2

    def forward(self, variants: Tensor) -> Tensor:
        return variants.square().sum(dim=(1, 2))


def test_the_slope_of_a_square_is_twice_its_root() -> None:
    latents, baseline = torch.tensor([[1.0, 3.0]]), torch.tensor([[0.0, 1.0]])
    attribution = GradientDifference().attribute(Squares(), latents, baseline)
    torch.testing.assert_close(attribution, torch.tensor([[2.0, 12.0]]))  # 2x · (x − b)
