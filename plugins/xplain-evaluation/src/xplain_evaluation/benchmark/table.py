"""Aggregate measurements of clips: means, intervals, differences, ranking."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar

from xplain.intervals import share
from xplain.metric import Metric
from xplain.views import Viewable
from xplain_evaluation.benchmark.config import Config
from xplain_evaluation.benchmark.journal import Key, Record
from xplain_evaluation.intervals import Difference, difference, holm, interval
from xplain_evaluation.structured import JUDGE, STRUCTURED

if TYPE_CHECKING:
    from pandas import DataFrame

SIGNIFICANT = 0.05

Group = tuple[str, str, str]
"""Model, data, synthesizer: methods are compared within a group."""


@dataclass(frozen=True)
class Row:
    """One metric of one method: the mean over clips.

    ratio: None for a metric with one value per clip, and for the summary of one with a
    value at each ratio, which is the mean over the ratios between 0 and 1. clips: that have
    a value; undefined: that have none; failed: that could not be explained.
    """

    group: Group
    explainer: str
    metric: str
    ratio: float | None
    better: str
    clips: int
    undefined: int
    failed: int
    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Comparison:
    """Two methods by one metric's summary: one − other on the clips both have a value for.

    p: corrected for the number of pairs (Holm).
    """

    group: Group
    metric: str
    one: str
    other: str
    difference: Difference
    p: float | None


@dataclass(frozen=True)
class Against:
    """A method against a control that takes as much energy, by one metric's summary.

    control: of xplain_evaluation.structured; its mean over the clips, with the interval.
    hardest: whether it comes nearest to the method, or beats it by most, of its kind: of the
    structured ones. difference: method − control, paired by clip; p: corrected for the number
    of methods and controls (Holm).
    """

    group: Group
    metric: str
    explainer: str
    control: str
    mean: float | None
    low: float | None
    high: float | None
    hardest: bool
    difference: Difference
    p: float | None


@dataclass(frozen=True)
class Results(Viewable):
    """The table of a benchmark.

    rows: summaries and ratios. comparisons: of every pair of methods. against: of every method
    with controls of equal energy. order: per group, the
    methods from best to worst by ``rank_by``. reasons: why values are undefined, counted.
    failures: clips that could not be explained: group, method, clip, reason. warnings: what
    has to be known of some that could, in the same way. verdicts:
    how often check() said what. findings: of the sanity checks.
    """

    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]
    order: Mapping[Group, tuple[str, ...]]
    rank_by: str
    reasons: Mapping[str, int]
    failures: tuple[tuple[Group, str, str, str], ...]
    warnings: tuple[tuple[Group, str, str, str], ...]
    verdicts: Mapping[tuple[Group, str], Mapping[str, int]]
    findings: Sequence[Mapping[str, Any]]
    provenance: Mapping[str, Any]
    against: tuple[Against, ...] = ()
    page: ClassVar[str] = "xplain_evaluation.benchmark.page:page"
    figure: ClassVar[str] = "xplain_evaluation.benchmark.plots:results_figure"

    def to_dataframe(self) -> DataFrame:
        """A row for each method and metric, of all clips and of each ratio."""
        from pandas import DataFrame

        rows = [{"model": r.group[0], "data": r.group[1], **vars(r)} for r in self.rows]
        return DataFrame(rows).drop(columns="group")

    def row(self, group: Group, explainer: str, metric: str, ratio: float | None = None) -> Row:
        """The row of a group, method and metric."""
        wanted = (group, explainer, metric, ratio)
        return next(r for r in self.rows if (r.group, r.explainer, r.metric, r.ratio) == wanted)


def tabulate(
    config: Config,
    records: Mapping[Key, Record],
    provenance: Mapping[str, Any],
    findings: Sequence[Mapping[str, Any]],
) -> Results:
    """Aggregate records; the result does not depend on their order."""
    groups = [
        (model, data.name, representation.label)
        for model in config.models
        for data in config.data
        for representation in config.representations
    ]
    clips = {data.name: len(data.items) for data in config.data}
    rows: list[Row] = []
    comparisons: list[Comparison] = []
    against: list[Against] = []
    order: dict[Group, tuple[str, ...]] = {}
    reasons: Counter[str] = Counter()
    failures: list[tuple[Group, str, str, str]] = []
    warnings: list[tuple[Group, str, str, str]] = []
    verdicts: dict[tuple[Group, str], dict[str, int]] = {}
    for group in groups:
        summaries: dict[str, dict[str, list[float | None]]] = {}
        equal: dict[str, dict[tuple[str, str], list[float | None]]] = {}
        for method in config.explainers:
            done = [records[(*group, method.label, place)] for place in range(clips[group[1]])]
            failures += [(group, method.label, r.clip, r.error) for r in done if r.error]
            warnings += [(group, method.label, r.clip, w) for r in done for w in r.warnings]
            reasons.update(v.reason for r in done for v in r.values if v.reason)
            if config.check:
                counted = Counter(r.verdict for r in done if r.verdict)
                verdicts[group, method.label] = dict(sorted(counted.items()))
            for metric in config.metrics:
                values = _values(done, metric.label)
                ratios: list[float | None] = [*config.ratios] if metric.at_a_ratio else [None]
                summary = _summary(values, ratios)
                for control in (*config.controls, JUDGE):
                    beside = _summary(_values(done, metric.label, control), ratios)
                    if any(value is not None for value in beside):
                        equal.setdefault(metric.label, {})[method.label, control] = beside
                summaries.setdefault(metric.label, {})[method.label] = summary
                columns: list[tuple[float | None, list[float | None]]] = [(None, summary)]
                if metric.at_a_ratio:
                    columns += [(r, [at.get(r) for at in values]) for r in ratios]
                failed = sum(r.error is not None for r in done)
                rows += [
                    _row(config, group, method.label, metric, ratio, column, failed)
                    for ratio, column in columns
                ]
        for metric in config.metrics:
            own = summaries[metric.label]
            comparisons += _compared(config, group, metric, own)
            against += _against(config, group, metric, own, equal.get(metric.label, {}))
        order[group] = _ordered(config, group, rows)
    return Results(
        rows=tuple(rows),
        comparisons=tuple(comparisons),
        against=tuple(against),
        order=order,
        rank_by=config.rank_by,
        reasons=dict(sorted(reasons.items())),
        failures=tuple(failures),
        warnings=tuple(warnings),
        verdicts=verdicts,
        findings=findings,
        provenance=provenance,
    )


def _values(
    done: Sequence[Record], label: str, control: str | None = None
) -> list[dict[float | None, float | None]]:
    """Each clip's values of a metric by ratio; empty for a clip that failed."""
    asked = (label, control)
    return [{v.ratio: v.value for v in r.values if (v.name, v.control) == asked} for r in done]


def _summary(
    values: Sequence[Mapping[float | None, float | None]], ratios: Sequence[float | None]
) -> list[float | None]:
    """One value per clip: the mean over ratios between 0 and 1, where methods can differ."""
    inner = [r for r in ratios if r is None or 0 < r < 1] or list(ratios)
    summary: list[float | None] = []
    for at in values:
        asked = [at.get(ratio) for ratio in inner]
        known = [value for value in asked if value is not None]
        summary.append(sum(known) / len(known) if known and len(known) == len(asked) else None)
    return summary


def _row(
    config: Config,
    group: Group,
    explainer: str,
    metric: Metric,
    ratio: float | None,
    column: Sequence[float | None],
    failed: int,
) -> Row:
    known = [value for value in column if value is not None]
    # A mean over ratios is no share of clips, and its interval narrower; but of clips that are
    # all the same no bootstrap can say how far others may be off.
    decisions = ratio is not None or not metric.at_a_ratio or len(set(known)) == 1
    if metric.whole is not None and decisions:
        over = share(known, metric.whole)
    else:
        over = interval(known, config.seed, config.draws)
    return Row(
        group=group,
        explainer=explainer,
        metric=metric.label,
        ratio=ratio,
        better=metric.better,
        clips=len(known),
        undefined=len(column) - len(known) - failed,
        failed=failed,
        mean=over.mean,
        low=over.low,
        high=over.high,
    )


def _compared(
    config: Config, group: Group, metric: Metric, by_method: Mapping[str, Sequence[float | None]]
) -> list[Comparison]:
    pairs = list(combinations(by_method, 2))
    # So many that the least p, times the pairs, can be called significant.
    draws = max(config.draws, 2 * round(len(pairs) / SIGNIFICANT))
    found = [
        difference(by_method[one], by_method[other], config.seed, draws, whole=metric.whole)
        for one, other in pairs
    ]
    corrected = holm([d.p for d in found])
    return [
        Comparison(group, metric.label, one, other, d, p)
        for (one, other), d, p in zip(pairs, found, corrected, strict=True)
    ]


def _against(
    config: Config,
    group: Group,
    metric: Metric,
    own: Mapping[str, Sequence[float | None]],
    equal: Mapping[tuple[str, str], Sequence[float | None]],
) -> list[Against]:
    """Compare each method with its controls of equal energy."""
    draws = max(config.draws, 2 * round(len(equal) / SIGNIFICANT))
    found = {
        (method, control): difference(own[method], values, config.seed, draws, whole=metric.whole)
        for (method, control), values in equal.items()
    }
    tested = [None if control == JUDGE else d.p for (_, control), d in found.items()]
    corrected = dict(zip(found, holm(tested), strict=True))
    sign = 1 if metric.better == "higher" else -1
    hardest: dict[str, str] = {}
    for method in own:
        least = {
            control: sign * d.mean
            for (one, control), d in found.items()
            if one == method and control in STRUCTURED and d.mean is not None
        }
        if least:
            hardest[method] = min(least, key=lambda control: least[control])
    lines = []
    for (method, control), d in found.items():
        known = [value for value in equal[method, control] if value is not None]
        over = interval(known, config.seed, config.draws)
        if metric.whole is not None and len(set(known)) == 1:
            over = share(known, metric.whole)
        lines.append(
            Against(
                *(group, metric.label, method, control, over.mean, over.low, over.high),
                hardest=hardest.get(method) == control,
                difference=d,
                p=corrected[method, control],
            )
        )
    return lines


def _ordered(config: Config, group: Group, rows: Sequence[Row]) -> tuple[str, ...]:
    """Methods from best to worst; those without a value come last."""
    known = [
        row for row in rows if (row.group, row.metric, row.ratio) == (group, config.rank_by, None)
    ]
    sign = -1 if known[0].better == "higher" else 1

    def place(row: Row) -> tuple[bool, float]:
        return row.mean is None, sign * (row.mean or 0.0)

    return tuple(row.explainer for row in sorted(known, key=place))
