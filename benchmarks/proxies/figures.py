"""What counts of recordings add up to, and how sure that is: SciPy's bootstrap over recordings."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from scipy import stats

from proxies.controls import KINDS
from proxies.measuring import DRAWS, Counts
from xplain.intervals import Interval

RESAMPLES = 999
Table = Mapping[str, npt.NDArray[np.float64]]
"""Counts by name, (recordings,); NaN where a recording has none."""
Figure = Callable[[Table], float]

WHOLE = ("R2", "active", "prototype cosine")
OF_LABEL = (
    "F1 teacher", "F1 proxy", "F1 gap", "agreement", "necessity", "necessity random",
    "necessity beyond random", "recall audio", "recall explanation",
    *(f"recall {kind}" for kind in KINDS), "lost beyond hardest", "recall alone",
    "false audio", "false alone", "SI-SDR",
)  # fmt: skip


def figures(recordings: Sequence[Counts], labels: Sequence[str]) -> Iterator[tuple[str, Interval]]:
    """Each figure by name, "name" or "name label", with its 95 % interval over recordings."""
    names = dict.fromkeys(name for counts in recordings for name in counts)
    table = {n: np.array([c.get(n, math.nan) for c in recordings], float) for n in names}
    for name in WHOLE:
        yield name, bootstrapped(partial(_whole, name), table)
    for label in labels:
        own = {
            name.removesuffix(f" {label}"): v
            for name, v in table.items()
            if name.endswith(f" {label}")
        }
        hardest = min(KINDS, key=lambda kind: _nan_last(_recall(own, kind)))
        for name in OF_LABEL:
            found = bootstrapped(partial(_of_label, name, hardest), own)
            if found.mean is not None:
                yield f"{name} {label}", found


def bootstrapped(figure: Figure, table: Table, seed: int = 0) -> Interval:
    """A figure of all recordings with the BCa interval over them, percentile where BCa fails.

    Recordings are drawn whole, with all their counts; those that say nothing of the figure are not
    drawn. None where the figure is not defined, and no interval of a single recording.
    """
    value, count = figure(table), len(next(iter(table.values()), ()))
    if not math.isfinite(value):
        return Interval(None, None, None)

    def drawn(places: npt.NDArray[np.int64]) -> float:
        return figure(_Drawn(table, places))

    every = np.arange(count)
    telling = np.array([n for n in every if math.isfinite(drawn(every[n : n + 1]))])
    if len(telling) == 0 or not math.isclose(drawn(telling), value):
        telling = every  # the others' false alarms count
    for method in ("BCa", "percentile") if len(telling) > 1 else ():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of figures that are all the same, or nearly
            found = stats.bootstrap(
                (telling,),
                drawn,
                n_resamples=RESAMPLES,
                vectorized=False,
                method=method,
                rng=np.random.default_rng(seed),
            )
        ends = found.confidence_interval
        if method == "percentile":  # of the draws in which it is defined
            ends = np.nanpercentile(found.bootstrap_distribution, [2.5, 97.5])
        if all(map(math.isfinite, ends)):
            return Interval(value, float(ends[0]), float(ends[1]))
    return Interval(value, None, None)


class _Drawn(Mapping[str, npt.NDArray[np.float64]]):
    """A table of the recordings in some places, of which only what is asked for is drawn."""

    def __init__(self, table: Table, places: npt.NDArray[np.int64]) -> None:
        self.table, self.places = table, places

    def __getitem__(self, name: str) -> npt.NDArray[np.float64]:
        return self.table[name][self.places]

    def __iter__(self) -> Iterator[str]:
        return iter(self.table)

    def __len__(self) -> int:
        return len(self.table)


def _whole(name: str, table: Table) -> float:
    if name == "R2":
        return 1 - _ratio(table, "error", "variance")
    return float(np.mean(table[name]))


def _of_label(name: str, hardest: str, table: Table) -> float:
    """F1s are means over the recordings in which the label is; shares are of all their frames."""
    if name.startswith("F1"):
        gap = _each_f1(table, "teacher") - _each_f1(table, "proxy")
        each = {"F1 teacher": _each_f1(table, "teacher"), "F1 proxy": _each_f1(table, "proxy")}
        return _mean(each.get(name, gap))
    if name == "agreement":
        return _ratio(table, "agree", "frames")
    if name.startswith("necessity"):
        top = _f1(table, "proxy") - _f1(table, "without")
        others = [_f1(table, "proxy") - _f1(table, f"random {n}") for n in range(DRAWS)]
        random = float(np.mean(others))
        return {"necessity": top, "necessity random": random}.get(name, top - random)
    if name == "lost beyond hardest":
        return _recall(table, hardest) - _recall(table, "explanation")
    if name.startswith("recall"):
        return _recall(table, name.removeprefix("recall "))
    if name.startswith("false"):
        return _ratio(table, name, "absent")
    return _median(table.get("SI-SDR"))


def _recall(table: Table, what: str) -> float:
    return _ratio(table, f"heard {what}", "there")


def _ratio(table: Table, part: str, whole: str) -> float:
    """Of sums over the recordings that have both; NaN where there is nothing to divide by."""
    if part not in table or whole not in table:
        return math.nan
    both = np.isfinite(table[part]) & np.isfinite(table[whole])
    sums = table[part][both].sum(), table[whole][both].sum()
    return float(sums[0] / sums[1]) if sums[1] else math.nan


def _f1(table: Table, who: str) -> float:
    if "truth" not in table or not np.nansum(table["truth"]):
        return math.nan
    sums = (np.nansum(table[n]) for n in (f"hit {who}", f"said {who}", "truth"))
    hit, said, truth = sums
    return float(2 * hit / (said + truth))


def _each_f1(table: Table, who: str) -> npt.NDArray[np.float64]:
    """F1 in each recording that has the label; NaN in others."""
    if "truth" not in table:
        return np.array([math.nan])
    truth = np.where(table["truth"] > 0, table["truth"], math.nan)
    found: npt.NDArray[np.float64] = 2 * table[f"hit {who}"] / (table[f"said {who}"] + truth)
    return found


def _mean(values: npt.NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else math.nan


def _median(values: npt.NDArray[np.float64] | None) -> float:
    known = np.array([]) if values is None else values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else math.nan


def _nan_last(value: float) -> float:
    return value if math.isfinite(value) else math.inf
