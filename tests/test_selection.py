"""Which elements are selected, by hand."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from xplain import Groups, XplainError
from xplain.selection import GROUPINGS, Selection, built_in, listed, top

ATTRIBUTION = torch.tensor([[5.0, -9.0, 1.0], [2.0, 3.0, 0.0]])


def ranked(
    attribution: Tensor, groups: str | Groups = "element", seed: int = 0, order: str = "signed"
) -> Tensor:
    if isinstance(groups, str):
        block = built_in(groups)
        assert block is not None
        groups = Groups(block.of(*attribution.shape))
    generator = torch.Generator().manual_seed(seed)
    return Selection(order=order).rank(attribution, groups, generator)


def select(ratio: float, attribution: Tensor = ATTRIBUTION, **settings: object) -> list[list[int]]:
    return top(ranked(attribution, **settings), ratio).int().tolist()  # type: ignore[arg-type]


def test_elements_are_selected_by_signed_value() -> None:
    assert select(0.5) == [[1, 0, 0], [1, 1, 0]]


def test_absolute_order_counts_what_speaks_against_too() -> None:
    assert select(1 / 3, order="absolute") == [[1, 1, 0], [0, 0, 0]]


def test_channels_and_frames_go_as_wholes_by_their_mean() -> None:
    assert select(0.5, groups="channel") == [[0, 0, 0], [1, 1, 1]]
    assert select(1 / 3, groups="frame") == [[1, 0, 0], [1, 0, 0]]


def test_blocks_at_the_edge_may_be_smaller() -> None:
    # Block means: (5 + 2 - 9 + 3) / 4 = 0.25 and (1 + 0) / 2 = 0.5.
    assert select(0.5, groups="block:2x2") == [[0, 0, 1], [0, 0, 1]]


def test_a_named_group_is_ranked_by_the_sum_of_its_evidence() -> None:
    # Sums: 5 + 2 + 3 + 0 = 10 and -9 + 1 = -8; means 2.5 and -4.
    numbers = torch.tensor([[0, 1, 1], [0, 0, 0]])
    words = Groups(numbers, ("yes", "no"))
    assert ranked(ATTRIBUTION, words).tolist() == [[0, 1, 1], [0, 0, 0]]
    # Of three words, one of a high mean is short: 5 against 2 + 3 + 1.
    long = Groups(torch.tensor([[0, 2, 1], [1, 1, 2]]), ("short", "long", "other"))
    assert ranked(ATTRIBUTION, long)[1, 0] == 0
    # By size, -8 counts as 8, and not as 9 + 1.
    assert ranked(ATTRIBUTION, words, order="absolute")[0, 0] == 0


def test_a_small_ratio_selects_the_first_of_few_groups() -> None:
    words = Groups(torch.tensor([[0, 1, 1], [0, 0, 0]]), ("yes", "no"))
    assert select(0.1, groups=words) == [[1, 0, 0], [1, 1, 1]]
    assert select(0.0, groups=words) == [[0, 0, 0], [0, 0, 0]]


def test_named_groups_are_listed_with_their_times_and_evidence() -> None:
    numbers = torch.tensor([[0, 1, 1], [0, 0, 0]])
    yes, no = listed(Groups(numbers, ("yes", "no")), ATTRIBUTION, 3.0) or ()
    assert (yes.name, yes.start, yes.end, yes.evidence) == ("yes", 0.0, 3.0, 10.0)
    assert (no.name, no.start, no.end, no.evidence) == ("no", 1.0, 3.0, -8.0)
    assert listed(Groups(numbers), ATTRIBUTION, 3.0) is None


@pytest.mark.parametrize(
    ("numbers", "names", "wrong"),
    [
        (torch.tensor([0, 1]), None, "channels, frames"),
        (torch.tensor([[0.0, 1.0]]), None, "int64"),
        (torch.tensor([[0, 2]]), None, "each has an element"),
        (torch.tensor([[-1, 0]]), None, "from 0"),
        (torch.tensor([[0, 1]]), ("a",), "2 groups"),
        (torch.tensor([[0, 1]]), ("a", "a"), "different names"),
    ],
)
def test_numbers_and_names_that_do_not_fit_are_refused(
    numbers: Tensor, names: tuple[str, ...] | None, wrong: str
) -> None:
    with pytest.raises(XplainError, match=wrong):
        Groups(numbers, names)


def test_ties_are_broken_by_chance_and_not_by_position() -> None:
    flat = torch.zeros(1, 1000)
    chosen = torch.tensor(select(0.1, flat))[0]
    assert chosen.sum() == 100
    assert 20 < int(chosen[:500].sum()) < 80
    assert select(0.1, flat) == select(0.1, flat)
    assert select(0.1, flat) != select(0.1, flat, seed=1)


@given(st.integers(1, 12), st.integers(1, 12), st.floats(0, 1), st.sampled_from(list(GROUPINGS)))
def test_a_larger_ratio_selects_everything_a_smaller_one_does(
    channels: int, frames: int, ratio: float, grouping: str
) -> None:
    generator = torch.Generator().manual_seed(1)
    rank = ranked(torch.randn(channels, frames, generator=generator), grouping, 1)
    small, large = top(rank, ratio / 2), top(rank, ratio)
    assert not (small & ~large).any()
    assert top(rank, 1).all() and not top(rank, 0).any()
    if grouping == "element":
        assert int(large.sum()) == max(round(ratio * channels * frames), ratio > 0)


def test_names_and_ratios_that_do_not_exist_are_refused() -> None:
    assert built_in("frames") is None and built_in("block:0x2") is None
    with pytest.raises(XplainError, match="did you mean 'signed'"):
        Selection(order="sined")
    with pytest.raises(XplainError, match="between 0 and 1"):
        select(10)
