"""Intervals and differences, against scipy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from xplain.intervals import difference, holm, interval

VALUES = st.lists(st.floats(-100, 100), min_size=2, max_size=40)


def test_the_interval_is_the_percentile_bootstrap_of_scipy() -> None:
    values = np.random.default_rng(0).gamma(2.0, size=60)
    ours = interval(values.tolist(), seed=0, draws=20000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=20000, method="percentile", rng=1)
    assert ours.mean == pytest.approx(values.mean())
    # Two sets of draws agree to their own error.
    assert ours.low == pytest.approx(theirs.confidence_interval.low, abs=0.02)
    assert ours.high == pytest.approx(theirs.confidence_interval.high, abs=0.02)


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
    assert got.p == pytest.approx(1 / 2001)


def test_few_clips_cannot_tell_methods_apart() -> None:
    # Of three signs, two of eight draws are as large: p is about a quarter.
    got = difference([1.0, 1.0, 1.0], [0.0, 0.0, 0.0], seed=0, draws=20000)
    assert got.p == pytest.approx(0.25, abs=0.02)


def test_p_is_that_of_scipys_permutation_test() -> None:
    rng = np.random.default_rng(2)
    one, other = rng.normal(0.4, 1, size=12), rng.normal(size=12)
    ours = difference(one.tolist(), other.tolist(), seed=0, draws=20000)
    theirs = stats.permutation_test(
        (one - other,), np.mean, permutation_type="samples", n_resamples=np.inf
    )
    assert ours.p == pytest.approx(theirs.pvalue, abs=0.01)


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
