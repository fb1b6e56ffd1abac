"""What a metric must not notice, and must notice, whatever it is given."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import assume
from hypothesis import strategies as st
from scipy import integrate, stats
from torch import Tensor

from xplain.metric import Metric
from xplain_evaluation import metrics
from xplain_evaluation.ranking import mid_ranks, rank_correlation


def given(*strategies: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Hypothesis' given without a time limit: a machine that has more to do is no fault."""
    return lambda test: hypothesis.settings(deadline=None)(hypothesis.given(*strategies)(test))


PROBABILITY = st.floats(0, 1, width=32)
INNER = st.floats(0.01, 0.99)
WHOLE = st.integers(-20, 20)
"""Attributions in whole numbers: ties are many, and scaling by two is exact."""
SEED = st.integers(0, 1000)


@st.composite
def attributions(draw: st.DrawFn) -> Tensor:
    """(D, N), in whole numbers, not zero everywhere."""
    channels, frames = draw(st.integers(1, 4)), draw(st.integers(2, 8))
    row = st.lists(WHOLE, min_size=frames, max_size=frames)
    values = torch.tensor(draw(st.lists(row, min_size=channels, max_size=channels)))
    assume(bool(values.any()))
    return values.to(torch.float32)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Two (D, N), neither of them constant in time."""
    channels, frames = draw(st.integers(1, 4)), draw(st.integers(2, 8))
    row = st.lists(WHOLE, min_size=frames, max_size=frames)
    rows = st.lists(row, min_size=channels, max_size=channels)
    one, other = (torch.tensor(draw(rows), dtype=torch.float32) for _ in range(2))
    assume(all(bool((values != values[:, :1]).any()) for values in (one, other)))
    return one, other


@st.composite
def curves(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Probabilities and ratios from 0 to 1, (R,) each."""
    inner = draw(st.lists(st.integers(1, 99), max_size=6, unique=True))
    ratios = torch.tensor([0, *sorted(inner), 100]) / 100
    points = draw(st.lists(PROBABILITY, min_size=len(ratios), max_size=len(ratios)))
    return torch.tensor(points), ratios


@st.composite
def distributions(draw: st.DrawFn) -> tuple[Tensor, Tensor, int]:
    """Probabilities of labels that exclude each other before and after, (L,), and a label."""
    count = draw(st.integers(2, 6))
    whole = st.lists(st.integers(1, 5), min_size=count, max_size=count)
    before, after = (torch.tensor(draw(whole), dtype=torch.float32) for _ in range(2))
    return before / before.sum(), after / after.sum(), draw(st.integers(0, count - 1))


@st.composite
def masks(draw: st.DrawFn, rows: int) -> list[Tensor]:
    """Bool (frames,), several of the same length."""
    frames = draw(st.integers(1, 12))
    row = st.lists(st.booleans(), min_size=frames, max_size=frames)
    return [torch.tensor(draw(row)) for _ in range(rows)]


def shuffled(values: Tensor, seed: int) -> Tensor:
    """The same elements (D, N) in other places."""
    order = torch.randperm(values.numel(), generator=torch.Generator().manual_seed(seed))
    return values.flatten()[order].view_as(values)


def in_range(metric: Metric, value: float) -> bool:
    low, high = metric.range
    return low <= value <= high


# Probabilities


@given(INNER, INNER, st.floats(0.1, 1))
def test_what_is_relative_to_p_does_not_notice_a_scale(p: float, o: float, scale: float) -> None:
    assume(abs(p - o) > 1e-9)
    for metric in (metrics.average_drop, metrics.average_increase):
        assert in_range(metric, metric(p, o))
        assert metric(scale * p, scale * o) == pytest.approx(metric(p, o))


@given(INNER, INNER)
def test_a_gain_is_the_drop_of_the_opposite(p: float, o: float) -> None:
    value = metrics.average_gain(p, o)
    assert in_range(metrics.average_gain, value)
    assert value == pytest.approx(metrics.average_drop(1 - p, 1 - o))


@given(INNER, INNER)
def test_faithfulness_turns_its_sign_with_its_arguments(p: float, u: float) -> None:
    assert in_range(metrics.faithfulness, metrics.faithfulness(p, u))
    for space in ("probability", "logit"):
        metric = metrics.faithfulness.configured(space=space)
        assert metric(p, u) == pytest.approx(-metric(u, p))


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_faithfulness_in_logits_is_their_difference(one: float, other: float) -> None:
    metric = metrics.faithfulness.configured(space="logit")
    p, u = (1 / (1 + math.exp(-logit)) for logit in (one, other))
    assert metric(p, u) == pytest.approx(one - other, abs=1e-5)


# Decisions


DECISIONS = (
    metrics.fidelity,
    metrics.removal,
    metrics.reencoded_fidelity,
    metrics.reencoded_removal,
    metrics.round_trip,
)


@given(distributions(), SEED)
def test_decisions_do_not_notice_in_which_order_labels_stand(
    said: tuple[Tensor, Tensor, int], seed: int
) -> None:
    before, after, label = said
    order = torch.randperm(len(before), generator=torch.Generator().manual_seed(seed))
    moved = int((order == label).nonzero())
    for multilabel in (False, True):
        one = metrics.input_fidelity(after, label, multilabel)
        assert in_range(metrics.input_fidelity, one)
        assert one == metrics.input_fidelity(after[order], moved, multilabel)
        for metric in DECISIONS:
            value = metric(before, after, label, multilabel)
            assert in_range(metric, value)
            assert value == metric(before[order], after[order], moved, multilabel)


@given(distributions())
def test_a_decision_agrees_with_itself(said: tuple[Tensor, Tensor, int]) -> None:
    before, _, label = said
    for metric in DECISIONS:
        assert metric(before, before, label, False) == metric(before, before, label, True) == 1


# Curves


@given(PROBABILITY, curves())
def test_the_mean_fall_does_not_notice_in_which_order_the_curve_runs(
    p: float, curve: tuple[Tensor, Tensor]
) -> None:
    points, ratios = curve
    value = metrics.comprehensiveness(p, points, ratios)
    assert in_range(metrics.comprehensiveness, value)
    assert value == pytest.approx(p - sum(points.tolist()) / len(points), abs=1e-6)
    assert value == pytest.approx(metrics.comprehensiveness(p, points.flip(0), ratios))
    assert value == metrics.sufficiency(p, points, ratios)


@given(curves())
def test_an_area_and_the_area_above_it_are_the_whole(curve: tuple[Tensor, Tensor]) -> None:
    points, ratios = curve
    for metric in (metrics.insertion_auc, metrics.deletion_auc):
        value = metric(points, ratios)
        assert in_range(metric, value)
        assert value + metric(1 - points, ratios) == pytest.approx(1, abs=1e-6)
        assert value == pytest.approx(integrate.trapezoid(points.numpy(), ratios.numpy()), abs=1e-6)


# Attributions


@given(attributions(), st.sampled_from([0.25, 2.0, 1024.0]), SEED)
def test_concentration_notices_neither_scale_nor_place_nor_sign(
    attribution: Tensor, scale: float, seed: int
) -> None:
    signs = torch.randn(attribution.shape, generator=torch.Generator().manual_seed(seed)).sign()
    for metric in (metrics.sparseness, metrics.complexity):
        value = metric(attribution)
        assert in_range(metric, value)
        for same in (scale * attribution, shuffled(attribution, seed), signs * attribution):
            assert metric(same) == pytest.approx(value)


@given(attributions())
def test_concentration_stays_within_what_the_number_of_elements_allows(
    attribution: Tensor,
) -> None:
    n = attribution.numel()
    assert metrics.sparseness(attribution) <= 1 - 1 / n + 1e-12
    assert metrics.complexity(attribution) <= math.log(n) + 1e-12


@given(attributions())
def test_complexity_is_the_entropy_of_scipy(attribution: Tensor) -> None:
    expected = stats.entropy(attribution.abs().double().flatten().numpy())
    assert metrics.complexity(attribution) == pytest.approx(float(expected), abs=1e-9)


@given(attributions(), st.floats(-50, 50), st.floats(-50, 50), st.floats(0.1, 10))
def test_completeness_does_not_notice_the_unit_of_the_logits(
    attribution: Tensor, score: float, baseline_score: float, unit: float
) -> None:
    assume(abs(score - baseline_score) > 1e-3)
    value = metrics.completeness_error(attribution, score, baseline_score)
    assert in_range(metrics.completeness_error, value)
    scaled = metrics.completeness_error(
        unit * attribution.double(), unit * score, unit * baseline_score
    )
    assert scaled == pytest.approx(value, rel=1e-6, abs=1e-6)


@given(attributions(), SEED)
def test_time_localisation_is_the_u_statistic_and_notices_ranks_alone(
    attribution: Tensor, seed: int
) -> None:
    frames = attribution.shape[1]
    event = torch.rand(frames, generator=torch.Generator().manual_seed(seed)) < 0.5
    assume(0 < int(event.sum()) < frames)
    value = metrics.time_localisation_auc(attribution, event)
    assert in_range(metrics.time_localisation_auc, value)
    sums = attribution.sum(0)
    u = stats.mannwhitneyu(sums[event].numpy(), sums[~event].numpy()).statistic
    assert value == pytest.approx(u / (int(event.sum()) * int((~event).sum())))
    monotone = (sums / 50).exp()[None]
    assert metrics.time_localisation_auc(monotone, event) == pytest.approx(value)
    for opposite in ((-attribution, event), (attribution, ~event)):
        assert metrics.time_localisation_auc(*opposite) == pytest.approx(1 - value)


@given(attributions(), SEED)
def test_what_is_not_inside_the_region_is_outside(attribution: Tensor, seed: int) -> None:
    region = torch.rand(attribution.shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    assume(bool(region.any()) and not bool(region.all()) and bool((attribution > 0).any()))
    for metric in (metrics.relevance_mass, metrics.pointing_game):
        value = metric(attribution, region)
        assert in_range(metric, value)
        assert value + metric(attribution, ~region) == pytest.approx(1)
        assert metric(0.25 * attribution.clamp(min=0), region) == pytest.approx(value)


@given(pairs())
def test_randomisation_is_spearmans_correlation_and_notices_ranks_alone(
    pair: tuple[Tensor, Tensor],
) -> None:
    one, other = pair
    value = metrics.randomisation(one, other[None])
    assert in_range(metrics.randomisation, value)
    assert value == pytest.approx(stats.spearmanr(one.flatten(), other.flatten()).statistic)
    assert metrics.randomisation(one.pow(3), (other / 20).exp()[None]) == pytest.approx(value)
    assert metrics.randomisation(one, -other[None]) == pytest.approx(-value)
    assert metrics.randomisation(one, torch.stack([other, one])) == pytest.approx((value + 1) / 2)


@given(st.lists(WHOLE, min_size=2, max_size=40), SEED)
def test_ranks_with_ties_are_those_of_scipy(values: list[int], seed: int) -> None:
    one = torch.tensor(values, dtype=torch.float32)
    assert mid_ranks(one).tolist() == stats.rankdata(values).tolist()
    other = torch.randn(len(one), generator=torch.Generator().manual_seed(seed)).round()
    expected = None
    if len(set(values)) > 1 and len(set(other.tolist())) > 1:
        expected = pytest.approx(stats.spearmanr(one, other).statistic)
    assert rank_correlation(one, other) == expected


# Proxies


@given(masks(rows=3), SEED)
def test_proxies_do_not_notice_in_which_order_frames_stand(rows: list[Tensor], seed: int) -> None:
    truth, one, other = rows
    assume(bool(truth.any()))
    order = torch.randperm(len(truth), generator=torch.Generator().manual_seed(seed))
    for metric in (metrics.f1_gap, metrics.necessity_f1):
        value = metric(truth, one, other)
        assert in_range(metric, value)
        assert value == metric(truth[order], one[order], other[order])
        assert value == -metric(truth, other, one)
    agreement = metrics.proxy_fidelity(one, other)
    assert in_range(metrics.proxy_fidelity, agreement)
    assert agreement == metrics.proxy_fidelity(one[order], other[order])
    assert agreement == metrics.proxy_fidelity(~one, ~other)


@given(attributions(), WHOLE)
def test_necessity_does_not_notice_a_bias(logits: Tensor, bias: int) -> None:
    one, other = logits[0], logits[-1]
    value = metrics.necessity(one, other)
    assert value == metrics.necessity(one + bias, other + bias) == -metrics.necessity(other, one)


@given(pairs(), st.sampled_from([0.25, 2.0, 1024.0]), WHOLE)
def test_reconstruction_does_not_notice_scale_nor_offset_and_its_error_no_scale(
    pair: tuple[Tensor, Tensor], scale: float, offset: int
) -> None:
    spectrum, reconstruction = pair
    value = metrics.reconstruction(spectrum, reconstruction)
    assert in_range(metrics.reconstruction, value)
    assert metrics.reconstruction(scale * spectrum, scale * reconstruction) == pytest.approx(value)
    assert metrics.reconstruction(spectrum + offset, reconstruction + offset) == pytest.approx(
        value, abs=1e-9
    )
    error = metrics.relative_reconstruction_error(spectrum, reconstruction)
    assert in_range(metrics.relative_reconstruction_error, error)
    assert error == pytest.approx(
        metrics.relative_reconstruction_error(scale * spectrum, scale * reconstruction)
    )


@given(attributions(), SEED)
def test_active_share_notices_neither_place_nor_size(activations: Tensor, seed: int) -> None:
    value = metrics.active_share(activations.abs())
    assert in_range(metrics.active_share, value)
    assert value == metrics.active_share(shuffled(5 * activations.abs(), seed))
    assert value == pytest.approx(float((activations != 0).double().mean()))


def test_every_metric_is_in_a_property() -> None:
    source = Path(__file__).read_text("utf-8")
    functions = {name for name in metrics.__all__ if isinstance(getattr(metrics, name), Metric)}
    assert {name for name in functions if f"metrics.{name}" not in source} == set()
