"""Every metric of the core on cases worked out by hand, where it is undefined, what it refuses."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from xplain import XplainError
from xplain.metric import Metric, Undefined
from xplain_evaluation import metrics


def t(*values: object) -> Tensor:
    """A tensor of its arguments: numbers, or rows of them."""
    return torch.tensor(values)


def yes(text: str) -> Tensor:
    """Decisions or a mask: "x.x" is True, False, True; rows are separated by spaces."""
    rows = [[letter == "x" for letter in row] for row in text.split(" ")]
    return torch.tensor(rows if len(rows) > 1 else rows[0], dtype=torch.bool)


SPREAD = t([0.0, 4.0, 2.0, 0.0], [0.0, 1.0, -1.0, 0.0])
"""Absolute values 4, 2, 1, 1 and four zeros, which sum to 8."""
ONE = t([0.0, 3.0], [0.0, 0.0])
EVEN = t([1.0, -1.0], [1.0, 1.0])

BY_HAND: list[tuple[Metric, tuple[Any, ...], float]] = [
    (metrics.average_increase, (0.8, 0.9), 100),
    (metrics.average_increase, (0.8, 0.8), 0),
    (metrics.average_increase, (0.8, 0.1), 0),
    (metrics.average_drop, (0.8, 0.2), 75),
    (metrics.average_drop, (0.8, 0.9), 0),
    (metrics.average_drop, (0.4, 0.0), 100),
    (metrics.average_gain, (0.8, 0.9), 50),
    (metrics.average_gain, (0.8, 0.2), 0),
    (metrics.average_gain, (0.0, 0.3), 30),
    (metrics.faithfulness, (0.8, 0.2), 0.6),
    (metrics.faithfulness, (0.2, 0.8), -0.6),
    (metrics.faithfulness.configured(space="logit"), (0.8, 0.2), math.log(4) - math.log(1 / 4)),
    (metrics.faithfulness.configured(space="logit"), (0.5, 0.75), -math.log(3)),
    (metrics.input_fidelity, (t(0.1, 0.7, 0.2), 1, False), 1),
    (metrics.input_fidelity, (t(0.1, 0.7, 0.2), 2, False), 0),
    (metrics.input_fidelity, (t(0.4, 0.2, 0.4), 2, False), 1 / 2),
    (metrics.input_fidelity, (t(0.9, 0.6), 1, True), 1),
    (metrics.input_fidelity, (t(0.9, 0.4), 1, True), 0),
    (metrics.input_fidelity, (t(0.9, 0.5), 1, True), 1),
    (metrics.fidelity, (t(0.7, 0.3), t(0.6, 0.4), 1, False), 1),  # against f(x), not the label
    (metrics.fidelity, (t(0.7, 0.3), t(0.4, 0.6), 0, False), 0),
    (metrics.fidelity, (t(0.7, 0.3), t(0.5, 0.5), 0, False), 1 / 2),
    (metrics.fidelity, (t(0.9, 0.2), t(0.4, 0.3), 1, True), 1),  # still not decided for
    (metrics.fidelity, (t(0.9, 0.2), t(0.4, 0.3), 0, True), 0),
    (metrics.fidelity, (t(0.5, 0.2), t(0.9, 0.3), 0, True), 1),
    (metrics.fidelity, (t(0.9, 0.2), t(0.5, 0.3), 0, True), 1),
    (metrics.removal, (t(0.7, 0.3), t(0.6, 0.4), 0, False), 1),
    (metrics.removal, (t(0.7, 0.3), t(0.4, 0.6), 0, False), 0),
    (metrics.reencoded_fidelity, (t(0.7, 0.3), t(0.6, 0.4), 0, False), 1),
    (metrics.reencoded_fidelity, (t(0.7, 0.3), t(0.4, 0.6), 0, False), 0),
    (metrics.reencoded_removal, (t(0.7, 0.3), t(0.6, 0.4), 0, False), 1),
    (metrics.reencoded_removal, (t(0.7, 0.3), t(0.4, 0.6), 0, False), 0),
    (metrics.round_trip, (t(0.7, 0.3), t(0.6, 0.4), 0, False), 1),
    (metrics.round_trip, (t(0.7, 0.3), t(0.4, 0.6), 0, False), 0),
    (metrics.comprehensiveness, (0.8, t(0.3, 0.1), t(0.1, 0.5)), 0.6),
    (metrics.comprehensiveness, (0.5, t(0.7), t(0.2)), -0.2),
    (metrics.sufficiency, (0.8, t(0.6, 0.9), t(0.1, 0.5)), 0.05),
    (metrics.sufficiency, (0.8, t(0.0, 0.0), t(0.1, 0.5)), 0.8),
    (metrics.insertion_auc, (t(0.0, 1.0), t(0.0, 1.0)), 0.5),
    (metrics.insertion_auc, (t(0.1, 0.6, 0.9, 0.8), t(0.0, 0.25, 0.5, 1.0)), 0.7),
    (metrics.deletion_auc, (t(1.0, 0.0, 0.0), t(0.0, 0.1, 1.0)), 0.05),
    (metrics.deletion_auc, (t(0.8, 0.3, 0.2, 0.1), t(0.0, 0.25, 0.5, 1.0)), 0.275),
    (metrics.completeness_error, (SPREAD, 5.0, -2.0), 1 / 7),
    (metrics.completeness_error, (SPREAD, 5.0, -1.0), 0),
    (metrics.completeness_error, (-SPREAD, -1.0, 2.0), 1),
    (metrics.sparseness, (SPREAD,), (1 * 1 + 3 * 1 + 5 * 2 + 7 * 4) / (8 * 8)),
    (metrics.sparseness, (ONE,), 3 / 4),
    (metrics.sparseness, (EVEN,), 0),
    (metrics.complexity, (SPREAD,), 1.75 * math.log(2)),
    (metrics.complexity, (ONE,), 0),
    (metrics.complexity, (EVEN,), math.log(4)),
    (metrics.time_localisation_auc, (SPREAD, yes(".xx.")), 1),
    (metrics.time_localisation_auc, (SPREAD, yes(".xxx")), 2.5 / 3),  # frames 0, 5, 1, 0
    (metrics.time_localisation_auc, (torch.zeros(3, 4), yes("x...")), 1 / 2),
    (metrics.relevance_mass, (SPREAD, yes(".xx. ....")), 6 / 7),
    (metrics.relevance_mass, (SPREAD, yes("x..x x..x")), 0),
    (metrics.relevance_mass, (SPREAD, yes("xxxx xxxx")), 1),
    (metrics.pointing_game, (SPREAD, yes(".x.. ....")), 1),
    (metrics.pointing_game, (SPREAD, yes("..x. .xx.")), 0),
    (metrics.pointing_game, (EVEN, yes("x. x.")), 2 / 3),
    (metrics.randomisation, (SPREAD, SPREAD[None]), 1),
    (metrics.randomisation, (SPREAD, torch.stack([SPREAD, SPREAD, -SPREAD])), 1 / 3),
    # Mid-ranks less their mean: −1 3.5 2.5 −1 −1 1.5 −3.5 −1, and the rows the other way round.
    (metrics.randomisation, (SPREAD, SPREAD.flip(0)[None]), -3 / 37),
    (metrics.f1_gap, (yes("xxx.."), yes("xxxx."), yes("xx.x.")), 6 / 7 - 4 / 6),
    (metrics.f1_gap, (yes("xx.."), yes("..xx"), yes("xx..")), -1),
    (metrics.proxy_fidelity, (yes("xxxx."), yes("xx.x.")), 4 / 5),
    (metrics.proxy_fidelity, (yes("xx"), yes("..")), 0),
    (metrics.necessity, (t(2.0, 1.0), t(-1.0, 0.0)), 2),
    (metrics.necessity, (t(2.0), t(3.5)), -1.5),
    (metrics.necessity_f1, (yes("xxx.."), yes("xx.x."), yes("...x.")), 4 / 6),
    (metrics.necessity_f1, (yes("xx.."), yes("xx.."), yes("xx..")), 0),
    (metrics.reconstruction, (t([1.0, 3.0], [2.0, 2.0]), t([1.0, 2.0], [2.0, 2.0])), 1 / 2),
    (metrics.reconstruction, (t([1.0, 3.0], [5.0, 7.0]), t([2.0, 2.0], [6.0, 6.0])), 0),
    (metrics.reconstruction, (t([1.0, 3.0], [5.0, 7.0]), t([1.0, 3.0], [5.0, 7.0])), 1),
    (metrics.reconstruction, (t([1.0, 3.0]), t([3.0, 1.0])), -3),
    (metrics.relative_reconstruction_error, (t([1.0, 3.0]), t([1.0, 2.0])), 1 / 10),
    (metrics.relative_reconstruction_error, (t([3.0, 4.0]), t([0.0, 0.0])), 1),
    (metrics.relative_reconstruction_error, (t([0.0, 4.0]), t([3.0, 4.0])), 9 / 16),
    (metrics.active_share, (t([0.0, 0.5], [1e-9, 2.0]),), 1 / 2),
    (metrics.active_share, (t([0.1, 0.5, 0.0, 3.0]),), 3 / 4),
    (metrics.active_share, (torch.tensor([[1e-8, 2e-8]], dtype=torch.float64),), 1 / 2),
]


@pytest.mark.parametrize(
    ("metric", "evidence", "expected"),
    BY_HAND,
    ids=[f"{m.name}-{i}" for i, (m, _, _) in enumerate(BY_HAND)],
)
def test_a_case_worked_out_by_hand(
    metric: Metric, evidence: tuple[Any, ...], expected: float
) -> None:
    assert metric(*evidence) == pytest.approx(expected, abs=1e-6)


def test_every_metric_has_two_cases_worked_out_by_hand() -> None:
    for name in metrics.__all__:
        declared = getattr(metrics, name)
        if isinstance(declared, Metric):
            assert sum(m.name == declared.name for m, _, _ in BY_HAND) >= 2, name


def test_values_do_not_depend_on_precision_below_what_is_measured() -> None:
    generator = torch.Generator().manual_seed(0)
    attribution = torch.randn(257, 130, generator=generator)
    for metric in (metrics.sparseness, metrics.complexity):
        assert metric(attribution) == pytest.approx(metric(attribution.double()), rel=1e-12)
        assert metric(1e30 * attribution) == pytest.approx(metric(attribution), rel=1e-6)
    largest = torch.full((2, 3), torch.finfo(torch.float64).max, dtype=torch.float64)
    assert metrics.sparseness(largest) == 0
    assert metrics.complexity(largest) == pytest.approx(math.log(6))
    assert metrics.relevance_mass(largest, yes("x.. ...")) == pytest.approx(1 / 6)
    smallest = 1e-200 * t([1.0, -3.0]).double()
    assert metrics.reconstruction(smallest, 0 * smallest) == pytest.approx(1 - 10 / 8)
    assert metrics.relative_reconstruction_error(smallest, 0 * smallest) == pytest.approx(1)


# Where there is no value


@pytest.mark.parametrize(
    ("metric", "evidence", "why"),
    [
        (metrics.average_drop, (0.0, 0.3), "divides by p, which is 0"),
        (metrics.average_gain, (1.0, 0.3), "p is 1"),
        (metrics.faithfulness.configured(space="logit"), (1.0, 0.3), "p is 1"),
        (metrics.faithfulness.configured(space="logit"), (0.5, 0.0), "u is 0"),
        (metrics.sparseness, (torch.zeros(2, 3),), "zero everywhere"),
        (metrics.complexity, (torch.zeros(2, 3),), "zero everywhere"),
        (metrics.completeness_error, (SPREAD, 1.5, 1.5), "same score"),
        (metrics.time_localisation_auc, (SPREAD, yes("....")), "covers no frame"),
        (metrics.time_localisation_auc, (SPREAD, yes("xxxx")), "covers every frame"),
        (metrics.relevance_mass, (-ONE, yes("x. x.")), "no attribution is positive"),
        (metrics.relevance_mass, (ONE, yes(".. ..")), "region is empty"),
        (metrics.pointing_game, (torch.zeros(2, 2), yes("x. x.")), "no attribution is positive"),
        (metrics.pointing_game, (ONE, yes(".. ..")), "region is empty"),
        (metrics.randomisation, (torch.ones(2, 4), SPREAD[None]), "the same everywhere"),
        (metrics.randomisation, (SPREAD, torch.stack([SPREAD, 0 * SPREAD])), "copy 2"),
        (metrics.f1_gap, (yes(".."), yes("x."), yes("..")), "proxy never decides"),
        (metrics.f1_gap, (yes(".."), yes(".."), yes("x.")), "teacher never decides"),
        (metrics.necessity_f1, (yes(".."), yes("x."), yes("..")), "proxy_without never decides"),
        (metrics.reconstruction, (t([2.0, 2.0], [3.0, 3.0]), torch.ones(2, 2)), "every frame"),
        (metrics.relative_reconstruction_error, (torch.zeros(2, 2), ONE), "zero everywhere"),
    ],
)
def test_undefined_where_there_is_no_value(
    metric: Metric, evidence: tuple[Any, ...], why: str
) -> None:
    with pytest.raises(Undefined, match=why):
        metric(*evidence)


# What is refused


@pytest.mark.parametrize(
    ("metric", "evidence", "why"),
    [
        (metrics.average_drop, (3.2, 0.1), "p is 3.2, which is not a probability"),
        (metrics.average_drop, (0.5, -1.0), "o is -1, which is not a probability"),
        (metrics.average_gain, (float("nan"), 0.5), "p is nan"),
        (metrics.faithfulness, (0.5, 4.0), "u is 4"),
        (metrics.faithfulness.configured(space="logits"), (0.5, 0.4), "did you mean 'logit'"),
        (metrics.input_fidelity, (t(0.5, 3.0), 0, True), "an entry of kept is 3"),
        (metrics.input_fidelity, (t(0.5, -3.0), 0, True), "an entry of kept is -3"),
        (metrics.comprehensiveness, (0.5, t(0.2, 7.0), t(0.1, 0.2)), "of remove_curve is 7"),
        (metrics.comprehensiveness, (0.5, t(0.2, -7.0), t(0.1, 0.2)), "of remove_curve is -7"),
        (metrics.sufficiency, (0.5, t(0.5, 0.1), t(0.1)), r"keep_curve is \(2,\) and ratios \(1,"),
        (metrics.sufficiency, (0.5, t(0.5, 0.1), t(0.5, 0.1)), "have to ascend"),
        (metrics.sufficiency, (0.5, t(0.5, 0.1), t(0.1, 0.1)), "have to ascend"),
        (metrics.sufficiency, (0.5, t(0.5, 0.1), t(10.0, 20.0)), "within 0 to 1"),
        (metrics.insertion_auc, (t(0.5, 0.1), t(0.1, 1.0)), "begin with 0 and end with 1"),
        (metrics.deletion_auc, (t(0.5, 0.1), t(0.0, 0.5)), "begin with 0 and end with 1"),
        (metrics.completeness_error, (SPREAD, math.inf, 0.0), "score is inf"),
        (
            metrics.time_localisation_auc,
            (SPREAD, t(0, 1, 1, 0)),
            r"int64 \(4,\); it has to be bool",
        ),
        (metrics.time_localisation_auc, (SPREAD, yes("x.")), r"bool \(2,\); it has to be bool \(4"),
        (metrics.relevance_mass, (SPREAD, yes("x...")), r"has to be bool \(2, 4\)"),
        (metrics.randomisation, (SPREAD, SPREAD), "with 3 axes"),
        (metrics.randomisation, (SPREAD, ONE[None]), r"is \(2, 2\) and attribution \(2, 4\)"),
        (metrics.proxy_fidelity, (yes("x."), t(0.2, 0.9)), "has to be bool"),
        (metrics.proxy_fidelity, (yes("x. .x"), yes("x. .x")), r"teacher is bool \(2, 2\)"),
        (metrics.proxy_fidelity, (yes(""), yes("")), r"teacher is bool \(0,\)"),
        (metrics.f1_gap, (yes("x."), yes("x."), yes("x..")), r"bool \(3,\)"),
        (metrics.necessity, (t(1.0), t(1.0, 2.0)), "belong together"),
        (metrics.reconstruction, (ONE, SPREAD), "belong together"),
        (metrics.active_share, (torch.zeros(0, 3),), r"float32 \(0, 3\)"),
    ],
)
def test_wrong_evidence_is_refused_with_what_is_wrong(
    metric: Metric, evidence: tuple[Any, ...], why: str
) -> None:
    with pytest.raises(XplainError, match=why) as caught:
        metric(*evidence)
    assert not isinstance(caught.value, Undefined)


# The traps of published code


def test_a_complete_collapse_among_fifty_labels_is_a_drop_of_100_percent() -> None:
    certain, collapsed = torch.eye(50)[0], torch.eye(50)[1]
    assert metrics.average_drop(float(certain[0]), float(collapsed[0])) == 100
    # What a second softmax would make of it: 1/(e + 49) in place of e/(e + 49).
    p, o = (float(f.softmax(0)[0]) for f in (certain, collapsed))
    assert (p, o) == pytest.approx((math.e / (math.e + 49), 1 / (math.e + 49)))
    assert metrics.average_drop(p, o) == pytest.approx(100 * (1 - 1 / math.e))  # 63.2


@pytest.mark.parametrize("labels", [torch.tensor([7]), torch.tensor(7), torch.tensor([7.0])])
@pytest.mark.parametrize("multilabel", [False, True])
def test_the_label_decided_for_is_not_taken_for_probabilities(
    labels: Tensor, multilabel: bool
) -> None:
    # Over an axis of size 1 argmax is 0: label 0 would always, and label 7 never, agree.
    for label in (0, 7):
        with pytest.raises(XplainError, match=r"labels|probability"):
            metrics.input_fidelity(labels, label, multilabel)


def test_one_probability_is_no_decision_among_labels_that_exclude_each_other() -> None:
    with pytest.raises(XplainError, match="every decision would be for label 0"):
        metrics.input_fidelity(t(0.9), 0, False)
    assert metrics.input_fidelity(t(0.9), 0, True) == 1


def test_logits_that_could_be_probabilities_are_told_by_their_sum() -> None:
    with pytest.raises(XplainError, match=r"sums to 1\.5"):
        metrics.fidelity(t(0.9, 0.6), t(0.9, 0.1), 0, False)
    assert metrics.fidelity(t(0.9, 0.6), t(0.9, 0.1), 0, True) == 1


def test_a_label_that_is_not_there_is_not_counted_from_the_end() -> None:
    for label in (-1, 2):
        with pytest.raises(XplainError, match=f"2 labels, so there is no label {label}"):
            metrics.input_fidelity(t(0.9, 0.1), label, False)


def test_a_model_that_knows_nothing_agrees_with_every_label_alike() -> None:
    nothing = torch.full((4,), 0.25)
    values = [metrics.input_fidelity(nothing, label, False) for label in range(4)]
    assert values == [0.25, 0.25, 0.25, 0.25]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize(
    "metric",
    [
        metrics.sparseness,
        metrics.complexity,
        lambda a: metrics.time_localisation_auc(a, yes(".xx.")),
        lambda a: metrics.relevance_mass(a, yes(".xx. .xx.")),
        lambda a: metrics.pointing_game(a, yes(".xx. .xx.")),
        lambda a: metrics.randomisation(a, SPREAD[None]),
        lambda a: metrics.randomisation(SPREAD, a[None]),
        lambda a: metrics.completeness_error(a, 1.0, 0.0),
    ],
)
def test_nan_is_refused_and_never_ranked_as_largest(metric: Any, bad: float) -> None:
    attribution = SPREAD.clone()
    attribution[0, 0] = bad
    with pytest.raises(XplainError, match="NaN or infinite"):
        metric(attribution)


def test_ties_are_not_broken_by_position() -> None:
    for event in ("xx..", "..xx", "x..x"):
        assert metrics.time_localisation_auc(torch.ones(2, 4), yes(event)) == 0.5
    for region in ("xx. ...", ".xx ...", "... x.x"):
        assert metrics.pointing_game(torch.ones(2, 3), yes(region)) == pytest.approx(2 / 6)


def test_absolute_values_do_not_hide_that_the_sign_has_turned() -> None:
    assert metrics.randomisation(SPREAD, -SPREAD[None]) == -1
    assert metrics.randomisation(SPREAD.abs(), (-SPREAD).abs()[None]) == 1


def test_each_clip_weighs_the_same_however_they_were_batched() -> None:
    drops = [metrics.average_drop(0.5, o) for o in (0.5, 0.5, 0.05)]
    assert drops == pytest.approx([0, 0, 90])
    assert sum(drops) / 3 == pytest.approx(30)  # 45 as the mean over batches of two and one


def test_a_batch_is_not_taken_for_a_clip() -> None:
    batch = torch.stack([SPREAD, SPREAD])
    for metric in (metrics.sparseness, metrics.complexity):
        with pytest.raises(XplainError, match="2 axes, of one clip"):
            metric(batch)
    with pytest.raises(XplainError, match="one clip's labels"):
        metrics.input_fidelity(torch.full((3, 2), 0.5), 0, False)


def test_a_constant_in_a_compressed_domain_reconstructs_nothing() -> None:
    spectrum = t([1.0, 1.1, 0.9], [2.0, 2.1, 1.9])
    flat = t([1.0, 1.0, 1.0], [2.0, 2.0, 2.0])
    assert metrics.relative_reconstruction_error(spectrum, flat) < 0.003
    assert metrics.reconstruction(spectrum, flat) == pytest.approx(0, abs=1e-6)


def test_rounding_of_float32_is_no_error() -> None:
    assert metrics.average_drop(1 + 1e-7, -1e-7) == 100
    assert metrics.insertion_auc(t(1 + 1e-7, 1 + 1e-7), t(0.0, 1.0)) == 1
