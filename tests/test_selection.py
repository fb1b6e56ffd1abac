"""Which elements are selected, by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from xplain import XplainError
from xplain.selection import GROUPINGS, Selection, top

ATTRIBUTION = torch.tensor([[5.0, -9.0, 1.0], [2.0, 3.0, 0.0]])


def select(
    ratio: float, attribution: Tensor = ATTRIBUTION, seed: int = 0, **settings: object
) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    rank = Selection(**settings).rank(attribution, generator)  # type: ignore[arg-type]
    return top(rank, ratio).int().tolist()


def test_elements_are_selected_by_signed_value() -> None:
    assert select(0.5) == [[1, 0, 0], [1, 1, 0]]


def test_absolute_order_counts_what_speaks_against_too() -> None:
    assert select(1 / 3, order="absolute") == [[1, 1, 0], [0, 0, 0]]


def test_channels_and_frames_go_as_wholes_by_their_mean() -> None:
    assert select(0.5, grouping="channel") == [[0, 0, 0], [1, 1, 1]]
    assert select(1 / 3, grouping="frame") == [[1, 0, 0], [1, 0, 0]]


def test_blocks_at_the_edge_may_be_smaller() -> None:
    # Block means: (5 + 2 - 9 + 3) / 4 = 0.25 and (1 + 0) / 2 = 0.5.
    assert select(0.5, grouping="block:2x2") == [[0, 0, 1], [0, 0, 1]]


def test_ties_are_broken_by_chance_and_not_by_position() -> None:
    flat = torch.zeros(1, 1000)
    chosen = torch.tensor(select(0.1, flat))[0]
    assert chosen.sum() == 100
    assert 20 < int(chosen[:500].sum()) < 80
    assert select(0.1, flat) == select(0.1, flat)
    assert select(0.1, flat) != select(0.1, flat, seed=1)


@given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 1), st.sampled_from(GROUPINGS))
def test_a_larger_ratio_selects_everything_a_smaller_one_does(
    channels: int, frames: int, ratio: float, grouping: str
) -> None:
    generator = torch.Generator().manual_seed(1)
    rank = Selection(grouping).rank(torch.randn(channels, frames, generator=generator), generator)
    small, large = top(rank, ratio / 2), top(rank, ratio)
    assert not (small & ~large).any()
    assert top(rank, 1).all() and not top(rank, 0).any()
    if grouping == "element":
        assert int(large.sum()) == round(ratio * channels * frames)


def test_names_and_ratios_that_do_not_exist_are_refused() -> None:
    with pytest.raises(XplainError, match="did you mean 'frame'"):
        Selection("frames")
    with pytest.raises(XplainError, match="did you mean 'signed'"):
        Selection(order="sined")
    with pytest.raises(XplainError, match="between 0 and 1"):
        select(10)
