"""Leave-one-out: what a score loses is known by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import xplain
from xplain_interpreters.leave_one_out import LeaveOneOut

X = torch.tensor([[1.0, -2.0, 0.5, 2.0], [3.0, 0.0, -1.0, 1.0]])
B = torch.tensor([[0.5, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0.0]])
W = torch.tensor([[2.0, -1.0, 0.0, 1.0], [0.5, 3.0, 1.0, 0.0]])


def linear(variants: Tensor) -> Tensor:
    return 5 + (W * variants).sum(dim=(1, 2))


@pytest.mark.parametrize("max_batch", [1, 3, 64])
def test_each_word_has_what_its_elements_added(max_batch: int, closed: Any) -> None:
    score = closed(linear, max_batch)
    score.groups = xplain.Groups(
        torch.tensor([[0, 0, 1, 2], [0, 0, 1, 2]]), ("we", "speak", "here")
    )
    draws = torch.stack([B, B + 2])  # their mean is B + 1
    got = LeaveOneOut().attribute(score, X, draws)
    added = W * (X - B - 1)
    wanted = score.groups.sums(added)
    assert torch.allclose(got.groups.sums(got.values), wanted)
    rows = {row["group"]: row for row in got.extras["groups"]}
    assert rows["speak"]["lost"] == pytest.approx(float(wanted[1]))
    assert rows["here"]["score without"] == pytest.approx(float(linear(X[None]) - wanted[2]))
    assert [r["lost"] for r in got.extras["groups"]] == sorted(wanted.tolist(), reverse=True)
    assert max(score.sizes) <= max_batch


def test_without_groups_it_leaves_out_segments_of_time(closed: Any) -> None:
    score = closed(linear)
    score.duration = 0.8  # 0.2 s a frame
    got = LeaveOneOut(segment=0.4).attribute(score, X, B)
    assert got.groups.names == ("0.000-0.400 s", "0.400-0.800 s")
    assert torch.allclose(got.groups.sums(got.values)[1], (W * (X - B))[:, 2:].sum().double())


def test_in_an_explanation_its_table_is_saved(tmp_path: Any) -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, -1)), torch.nn.Conv1d(1, 2, 400, 160), torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool1d(1), torch.nn.Flatten(),
    )  # fmt: skip
    model = xplain.wrap(module, sample_rate=8000, labels=["a", "b"])
    e = xplain.explain(torch.randn(4000), model, explainer="leave-one-out")
    loaded = xplain.Explanation.load(e.save(tmp_path / "clip"))
    assert len(loaded.extras["groups"]) == 5
    assert loaded.extras == e.extras
