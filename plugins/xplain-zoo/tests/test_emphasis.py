"""What counts most is kept or taken, by a classifier whose reasons are known."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor, nn

from training.emphasis import Emphasis, importance
from training.precision import halved


class Linear(nn.Module):
    """Logits are weighted sums of the elements, so gradient times input is weight times value."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.tensor([[4.0, 3.0, 2.0, 1.0], [0.0, 0.0, 0.0, 0.0]])

    def classify(self, bands: Tensor) -> Tensor:
        return bands.flatten(1) @ self.weights.T


BANDS = torch.ones(10, 2, 2)
TARGETS = torch.tensor([[1.0, 0.0]]).repeat(10, 1)


def test_importance_of_a_linear_model_is_weight_times_value():
    got = importance(Linear(), 2 * BANDS, TARGETS)
    assert torch.allclose(got[0], torch.tensor([[8.0, 6.0], [4.0, 2.0]]), atol=0.1)


def test_what_counts_is_all_that_is_left_or_all_that_is_gone():
    emphasis = Emphasis(share=1.0, kept=0.5, least=0.5, most=0.5)
    bands, targets = emphasis.apply(Linear(), BANDS, TARGETS, random.Random(0))
    kept = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    for clip, target in zip(bands, targets, strict=True):
        if target[0] == 1:
            assert torch.equal(clip, kept)
        else:
            assert torch.equal(clip, 1 - kept)
            assert target.tolist() == [0.5, 0.5]
    assert int((targets[:, 0] == 1).sum()) == 5
    assert torch.equal(BANDS, torch.ones(10, 2, 2))


def test_the_training_mode_is_left_as_it_was():
    model = Linear().train()
    Emphasis().apply(model, BANDS, TARGETS, random.Random(0))
    assert model.training


@pytest.mark.parametrize(
    ("able", "kind"), [({"avx512_bf16": True}, torch.bfloat16), ({"avx2": True}, torch.float32)]
)
def test_only_a_processor_that_has_bfloat16_computes_in_it(
    able: dict[str, bool], kind: torch.dtype, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    with halved():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == kind
