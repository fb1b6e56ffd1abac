"""Intervals and differences, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from xplain.intervals import share
from xplain_evaluation.intervals import DRAWS, difference, difference_of_shares, holm, interval

VALUES = st.lists(st.floats(-100, 100), min_size=2, max_size=40)


def test_the_interval_of_a_mean_is_nearly_that_of_student_where_nothing_is_skewed() -> None:
    values = np.random.default_rng(0).normal(size=200)
    ours = interval(values.tolist(), seed=0, draws=20000)
    theirs = stats.ttest_1samp(values, 0).confidence_interval()
    assert ours.mean == pytest.approx(values.mean())
    assert ours.low == pytest.approx(theirs.low, abs=0.01)
    assert ours.high == pytest.approx(theirs.high, abs=0.01)


def test_the_interval_of_a_mean_of_skewed_values_reaches_further_to_the_long_side() -> None:
    ours = interval(np.random.default_rng(0).gamma(0.5, size=40).tolist(), seed=0)
    assert ours.mean is not None and ours.low is not None and ours.high is not None
    assert ours.high - ours.mean > 1.2 * (ours.mean - ours.low)


def test_values_that_are_all_the_same_have_a_mean_without_width() -> None:
    got = interval([0.3, 0.3, 0.3], seed=0)
    assert (got.low, got.mean, got.high) == pytest.approx((0.3, 0.3, 0.3))


def test_wilsons_interval_by_hand() -> None:
    # Of n of n: from n / (n + z²) to 1; z² is 3.8415. None of n is its mirror image.
    whole, none = share([1.0] * 200), share([0.0] * 200)
    assert (whole.mean, whole.low, whole.high) == pytest.approx((1, 200 / 203.8415, 1), abs=1e-6)
    assert (none.mean, none.low, none.high) == pytest.approx((0, 0, 3.8415 / 203.8415), abs=1e-6)
    # 3 of 4: (3 + z²/2 ± z sqrt(3 · 1 / 4 + z²/4)) / (4 + z²)
    part = share([1.0, 0.0, 1.0, 1.0])
    assert (part.low, part.high) == pytest.approx((0.30064, 0.95441), abs=1e-5)


def test_percent_are_shares_of_a_hundred() -> None:
    one, percent = share([1.0, 0.0, 1.0]), share([100.0, 0.0, 100.0], whole=100)
    assert (percent.mean, percent.low, percent.high) == pytest.approx(
        tuple(100 * (value or 0) for value in (one.mean, one.low, one.high))
    )


def test_tied_decisions_widen_the_interval_to_both_ways_of_deciding_them() -> None:
    tied = share([1.0, 0.0, 0.5])
    assert tied.mean == 0.5
    assert tied.low == share([1.0, 0.0, 0.0]).low and tied.high == share([1.0, 0.0, 1.0]).high
    thirds = share([1 / 3, 1 / 3, 1 / 3, 1.0])
    assert (thirds.low, thirds.high) == (share([1.0, 0, 0, 1]).low, share([1.0, 0, 0, 1]).high)


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=2, max_size=60))
def test_a_share_lies_in_an_interval_that_has_a_width(values: list[float]) -> None:
    got = share(values)
    assert got.mean is not None and got.low is not None and got.high is not None
    assert 0 <= got.low <= got.mean + 1e-9 and got.mean - 1e-9 <= got.high <= 1
    assert got.high - got.low > 1 / len(values) / 2


def test_the_interval_of_a_difference_of_shares_by_hand() -> None:
    # Bonett, Price: 10 clips, 3 decided under one method alone, 1 under the other alone.
    paired = [1.0] * 3 + [-1.0] + [0.0] * 6
    first, second = 4 / 12, 2 / 12
    around = 1.959964 * np.sqrt((first + second - (first - second) ** 2) / 12)
    expected = (first - second - around, first - second + around)
    assert difference_of_shares(paired) == pytest.approx(expected, abs=1e-6)
    both = difference([1.0] * 3 + [0.0] + [1.0] * 6, [0.0] * 3 + [1.0] * 7, seed=0, whole=1)
    assert (both.low, both.high) == pytest.approx(expected, abs=1e-6)


def test_methods_that_agree_on_every_clip_may_still_differ_on_others() -> None:
    agreed = difference([1.0] * 50, [1.0] * 50, seed=0, whole=1)
    assert (agreed.mean, agreed.p) == (0, 1)
    assert agreed.low == -(agreed.high or 0) and 0.05 < (agreed.high or 0) < 0.08


def test_how_often_a_share_is_held_is_as_asked() -> None:
    held = []
    for true in (0.02, 0.1, 0.5, 0.9, 0.98):
        for clips in (20, 100):
            ends = [share([1.0] * k + [0.0] * (clips - k)) for k in range(clips + 1)]
            covered = [i.low <= true <= i.high for i in ends]  # type: ignore[operator]
            held.append(float(stats.binom.pmf(np.arange(clips + 1), clips, true)[covered].sum()))
    assert min(held) > 0.9 and np.mean(held) == pytest.approx(0.95, abs=0.015)


def test_one_clip_has_a_mean_and_no_interval_and_none_has_neither() -> None:
    assert (interval([0.4], 0).mean, interval([0.4], 0).low) == (0.4, None)
    assert interval([], 0).mean is None
    alone = difference([0.4], [0.1], 0)
    assert alone.mean == pytest.approx(0.3)
    assert (alone.low, alone.p, alone.clips) == (None, None, 1)


@given(VALUES)
def test_the_interval_holds_the_mean_and_lies_within_the_values(values: list[float]) -> None:
    got = interval(values, seed=3, draws=200)
    assert got.low is not None and got.high is not None and got.mean is not None
    assert min(values) - 1e-9 <= got.low <= got.high <= max(values) + 1e-9
    assert interval(values, seed=3, draws=200) == got


def test_a_difference_is_paired_by_clip() -> None:
    # Clips differ by far more than methods do; paired, the difference is the same for each.
    clips = np.linspace(0, 100, 30)
    got = difference((clips + 1).tolist(), clips.tolist(), seed=0)
    assert (got.mean, got.low, got.high) == pytest.approx((1, 1, 1))
    assert got.p == pytest.approx(2 / (DRAWS + 1))  # the least that so many draws can say


def test_few_clips_cannot_tell_methods_apart() -> None:
    # Of three signs there are eight ways, of which two are as large: p is a quarter.
    assert difference([1.0, 1.0, 1.0], [0.0, 0.0, 0.0], seed=0).p == 0.25


def test_p_of_decisions_is_that_of_the_exact_test_of_mcnemar() -> None:
    # One alone is right for 8 clips, the other alone for 2: a coin's 8 of 10 or more, twice.
    one, other = [1.0] * 8 + [0.0] * 2 + [1.0], [0.0] * 8 + [1.0] * 2 + [1.0]
    assert difference(one, other, seed=0, whole=1, draws=5000).p == pytest.approx(
        stats.binomtest(8, 10, 0.5).pvalue
    )


def test_drawn_signs_give_nearly_the_p_of_all_signs() -> None:
    rng = np.random.default_rng(2)
    one, other = rng.normal(0.4, 1, size=14).tolist(), rng.normal(size=14).tolist()
    drawn, exact = (difference(one, other, seed=0, draws=draws).p for draws in (10000, 2**14))
    assert drawn == pytest.approx(exact, abs=0.01) and drawn != exact


def test_clips_without_a_value_are_left_out_of_a_difference() -> None:
    got = difference([1.0, None, 3.0, 5.0], [0.0, 9.0, None, 4.0], seed=0)
    assert (got.mean, got.clips) == (pytest.approx(1.0), 2)


def test_the_same_values_are_told_apart_by_nothing() -> None:
    values = [0.1, 0.7, 0.3]
    assert difference(values, values, seed=0).p == 1


@pytest.mark.parametrize("clips", [2, 4, 6, 10, 50])
def test_p_is_rarely_small_where_there_is_no_difference(clips: int) -> None:
    rng = np.random.default_rng(1)
    small = [
        (difference(*rng.normal(size=(2, clips)).tolist(), 0, draws=400).p or 0) < 0.05
        for _ in range(400)
    ]
    assert np.mean(small) < 0.08


def test_holm_by_hand() -> None:
    # Ranked .01, .02, .04 of three: times 3, 2, 1, and never falling.
    assert holm([0.02, 0.01, None, 0.04]) == pytest.approx([0.04, 0.03, None, 0.04])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([]) == []
