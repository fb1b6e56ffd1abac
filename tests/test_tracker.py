"""Stretches of time from probabilities, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xplain import Thresholds, XplainError
from xplain.segmentation.tracker import Tracker, stretches


def found(probabilities: list[float], thresholds: Thresholds, step: float = 0.1) -> list:
    return stretches(np.array(probabilities, np.float32), thresholds, step)


@pytest.mark.parametrize(
    ("probabilities", "expected"),
    [
        ([], []),
        ([0.0, 0.0], []),
        ([1.0, 1.0], [(0, 2)]),
        ([0.0, 0.5, 0.49, 0.5], [(1, 2), (3, 4)]),  # from the onset on, at it too
    ],
)
def test_without_more_a_label_holds_where_it_is_likelier_than_not(
    probabilities: list[float], expected: list[tuple[int, int]]
) -> None:
    assert found(probabilities, Thresholds()) == expected


def test_between_the_thresholds_it_stays_as_it_was() -> None:
    thresholds = Thresholds(onset=0.75, offset=0.25)
    #     0    1    2     3    4    5     6    7    8
    p = [0.5, 0.7, 0.75, 0.5, 0.25, 0.24, 0.5, 0.7, 0.8]
    # 0-1 never began; it begins at 2, lasts through 0.5 and 0.25, ends before 0.24;
    # 0.5 and 0.7 do not begin it again, 0.8 does.
    assert found(p, thresholds) == [(2, 5), (8, 9)]


def test_gaps_shorter_than_min_off_are_filled_and_equal_ones_are_not() -> None:
    p = [1, 0, 1, 0, 0, 1]
    assert found(p, Thresholds(min_off=0.2)) == [(0, 3), (5, 6)]
    assert found(p, Thresholds(min_off=0.21)) == [(0, 6)]


def test_what_is_shorter_than_min_on_is_dropped_and_what_is_as_long_is_not() -> None:
    p = [1, 0, 1, 1, 0, 0, 1, 1, 1]
    assert found(p, Thresholds(min_on=0.2)) == [(2, 4), (6, 9)]
    assert found(p, Thresholds(min_on=0.3)) == [(6, 9)]  # 0.3 / 0.1 is below 3 in floats


def test_gaps_are_filled_before_what_is_short_is_dropped() -> None:
    # Each of the two is shorter than min_on; joined they are not.
    p = [1, 1, 0, 1, 1, 0, 0, 0, 1]
    assert found(p, Thresholds(min_on=0.5, min_off=0.2)) == [(0, 5)]
    # The other order would have left nothing to join.
    assert found(p, Thresholds(min_on=0.5)) == []


def test_a_gap_at_the_edge_is_no_gap_between_two() -> None:
    assert found([0, 1, 0], Thresholds(min_off=10.0)) == [(1, 2)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([0.0, 0.4, 0.5, 0.6, 1.0]), max_size=60),
    st.lists(st.integers(0, 60), max_size=5),
    st.sampled_from([0.0, 0.1, 0.3]),
    st.sampled_from([0.0, 0.2, 0.5]),
)
def test_however_the_frames_are_cut_the_stretches_are_the_same(
    probabilities: list[float], cuts: list[int], min_on: float, min_off: float
) -> None:
    thresholds = Thresholds(0.6, 0.5, min_on, min_off)
    whole = np.array(probabilities, np.float32)
    tracker = Tracker(thresholds, 0.1)
    pieces = np.split(whole, sorted(min(cut, len(whole)) for cut in cuts))
    in_pieces = [stretch for piece in pieces for stretch in tracker.feed(piece)]
    assert in_pieces + tracker.finish() == stretches(whole, thresholds, 0.1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"onset": 0.0},
        {"onset": 1.5},
        {"onset": 0.5, "offset": 0.6},
        {"offset": 0.0},
        {"min_on": -1.0},
        {"min_off": float("nan")},
        {"min_off": float("inf")},
    ],
)
def test_thresholds_that_mean_nothing_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(XplainError, match=next(reversed(wrong))):
        Thresholds(**wrong)
