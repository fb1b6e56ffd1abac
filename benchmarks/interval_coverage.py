"""How often a 95 % interval holds the true value: of shares, of their differences, of means.

For each share (or pair of shares) the coverage is summed over all outcomes, with no error of
chance; that of the bootstraps of differences and of means is from drawn data sets. Writes a
table; needs nothing but SciPy.

    python benchmarks/interval_coverage.py --out benchmarks/results
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import numpy as np
from scipy import stats

from xplain.intervals import share
from xplain.storage import write_text
from xplain_evaluation.intervals import difference_of_shares

SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)
COUNTS = (10, 20, 50, 100, 200)
PAIRS = ((0.01, 0.0), (0.02, 0.02), (0.05, 0.0), (0.1, 0.02), (0.2, 0.2), (0.5, 0.1))
"""Of clips: decided as asked under one method alone, and under the other alone."""
DRAWS = 2000
SETS = 400
"""Data sets drawn where outcomes cannot be summed."""
MEANS: Mapping[str, tuple[Callable[[np.random.Generator, tuple[int, int]], np.ndarray], float]] = {
    "uniform": (lambda rng, size: rng.random(size), 0.5),
    "skewed (gamma, shape 0.5)": (lambda rng, size: rng.gamma(0.5, size=size), 0.5),
    "near 1 (beta 5, 0.3)": (lambda rng, size: rng.beta(5, 0.3, size=size), 5 / 5.3),
}
Bounds = tuple[np.ndarray, np.ndarray]


def bootstrap(values: np.ndarray, method: str) -> Bounds:
    """Interval of the mean over the last axis; of zero width where all values are the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = stats.bootstrap(
            (values,), np.mean, axis=-1, n_resamples=DRAWS, method=method, batch=100, rng=0
        ).confidence_interval
    mean = values.mean(axis=-1)
    return tuple(np.where(np.isnan(end), mean, end) for end in found)  # type: ignore[return-value]


def of_share(count: int) -> dict[str, Bounds]:
    """By method, the interval for each number of ones among so many clips."""
    outcomes = np.arange(count + 1)
    ones = (np.arange(count)[None] < outcomes[:, None]).astype(float)
    wilson = [share(row.tolist()) for row in ones]
    exact = [stats.binomtest(int(k), count).proportion_ci(method="exact") for k in outcomes]
    return {
        "percentile bootstrap": bootstrap(ones, "percentile"),
        "BCa bootstrap": bootstrap(ones, "BCa"),
        "Clopper-Pearson": (np.array([e.low for e in exact]), np.array([e.high for e in exact])),
        "Wilson": (np.array([i.low for i in wilson]), np.array([i.high for i in wilson])),
    }


def newcombe(one: int, other: int, count: int) -> tuple[float, float]:
    """Newcombe (1998), method 10, where no clip is decided as asked under both methods."""
    first, second = (stats.binomtest(k, count).proportion_ci(method="wilson") for k in (one, other))
    p, q = one / count, other / count
    spread = np.sqrt(one * other * (count - one) * (count - other))
    phi = 0.0 if spread == 0 else -one * other / spread
    below, above = p - first.low, second.high - q
    over, under = first.high - p, q - second.low
    low = p - q - np.sqrt(max(0.0, below**2 - 2 * phi * below * above + above**2))
    high = p - q + np.sqrt(max(0.0, over**2 - 2 * phi * over * under + under**2))
    return low, high


def of_difference(count: int, rates: tuple[float, float]) -> dict[str, tuple[float, float]]:
    """By method: coverage of the difference of two shares, and the mean width."""
    rng = np.random.default_rng(1)
    drawn = rng.multinomial(count, [*rates, 1 - sum(rates)], size=SETS)
    values = np.array([[1.0] * a + [-1.0] * b + [0.0] * c for a, b, c in drawn])
    found: dict[str, Bounds] = {
        f"{method} bootstrap": bootstrap(values, method) for method in ("percentile", "BCa")
    }
    closed = [newcombe(int(a), int(b), count) for a, b, _ in drawn]
    found["Newcombe"] = (np.array([c[0] for c in closed]), np.array([c[1] for c in closed]))
    ours = [difference_of_shares(row.tolist()) for row in values]
    found["Bonett-Price"] = (np.array([i[0] for i in ours]), np.array([i[1] for i in ours]))
    truth = rates[0] - rates[1]
    return {name: (_held(ends, truth), _width(ends)) for name, ends in found.items()}


def of_mean(name: str, count: int) -> dict[str, tuple[float, float]]:
    """By method: coverage of the mean, and the mean width."""
    draw, truth = MEANS[name]
    values = draw(np.random.default_rng(2), (SETS, count))
    return {
        method: (_held(ends, truth), _width(ends))
        for method in ("percentile", "BCa")
        for ends in [bootstrap(values, method)]
    }


def _held(ends: Bounds, truth: float) -> float:
    return float(((ends[0] - 1e-9 <= truth) & (truth <= ends[1] + 1e-9)).mean())


def _width(ends: Bounds) -> float:
    return float((ends[1] - ends[0]).mean())


def report() -> str:
    """All of it in Markdown."""
    lines = [
        "# Coverage of 95 % intervals",
        "",
        f"`python benchmarks/interval_coverage.py`; SciPy's bootstraps with {DRAWS} resamples.",
        "",
        "## Of a share",
        "",
        "Probability that the interval holds the true share, over all outcomes.",
    ]
    lowest: dict[str, list[float]] = {}
    for count in COUNTS:
        methods = of_share(count)
        rows = []
        for true in SHARES:
            weights = stats.binom.pmf(np.arange(count + 1), count, true)
            held = {
                name: float(weights[(low - 1e-9 <= true) & (true <= high + 1e-9)].sum())
                for name, (low, high) in methods.items()
            }
            for name, value in held.items():
                lowest.setdefault(name, []).append(value)
            rows.append([f"{true:g}", *(f"{value:.3f}" for value in held.values())])
        lines += ["", f"{count} clips", "", *_table(["true share", *methods], rows)]
    rows = [[name, f"{min(v):.3f}", f"{np.mean(v):.3f}"] for name, v in lowest.items()]
    lines += ["", "Over all of these", "", *_table(["method", "lowest", "mean"], rows)]
    lines += [
        "",
        "## Of the difference of two shares, paired by clip",
        "",
        f"Coverage and mean width; {SETS} data sets each. One, other: the part of the clips that "
        "are decided as asked under that method alone.",
        "",
    ]
    rows = []
    for count in COUNTS:
        for pair in PAIRS:
            cells = of_difference(count, pair)
            named = [str(count), f"{pair[0]:g}", f"{pair[1]:g}"]
            rows.append([*named, *(f"{held:.3f} ({width:.3f})" for held, width in cells.values())])
    lines += _table(["clips", "one", "other", *cells], rows)
    lines += ["", "## Of a mean", "", f"Coverage and mean width; {SETS} data sets each.", ""]
    rows = []
    for name in MEANS:
        for count in (5, *COUNTS):
            cells = of_mean(name, count)
            values = (f"{held:.3f} ({width:.3f})" for held, width in cells.values())
            rows.append([name, str(count), *values])
    lines += _table(["values", "clips", *cells], rows)
    return "\n".join(lines) + "\n"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    head = list(head)
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows)]


def main() -> None:
    """Print the tables, and write them where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder for interval_coverage.md")
    arguments = parser.parse_args()
    text = report()
    print(text)
    if arguments.out is not None:
        write_text(arguments.out / "interval_coverage.md", text)


if __name__ == "__main__":
    main()
