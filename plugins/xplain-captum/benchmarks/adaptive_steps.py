"""How many gradients adaptive integrated gradients take, beside the best fixed number.

For real recordings (FSDD) and a model, over what it reads or stft, silence as baseline: the
smallest fixed number of Gauss-Legendre points whose completeness error is within the tolerance,
found by trying 1, 2, 3, … up to 200 for every clip (nobody knows it beforehand), and what the
adaptive rule takes to the same tolerance without knowing. Beside it how near each comes to the
attribution itself, that of 400 points: Σ |difference| / Σ |attribution|.

    python plugins/xplain-captum/benchmarks/adaptive_steps.py [--model zoo:digits] [--split test]
        [--every 4] [--tolerance 0.01]
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import captum.attr
import numpy as np
import torch
from torch import Tensor, nn

import xplain
from xplain.clips import Failure
from xplain.explaining import explain_each
from xplain.progress import track
from xplain_captum.gradients import IntegratedGradients

MOST_STEPS, REFERENCE = 200, 400


@dataclass(frozen=True)
class Row:
    """One clip. fixed: smallest number of points that is enough, MOST_STEPS where none is;
    adaptive: gradients taken."""

    fixed: int
    adaptive: int
    adaptive_error: float
    fixed_distance: float
    adaptive_distance: float


class Measured(xplain.Explainer):
    """Adaptive integrated gradients, which are measured on the way."""

    uses_gradients = True

    def __init__(self, tolerance: float) -> None:
        """Measure at a tolerance."""
        self.tolerance = tolerance
        self.rows: list[Row] = []

    def attribute(self, score: xplain.Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N), and add a row."""
        with torch.no_grad():
            ends = score(torch.stack([latents, baseline]))
        difference = float(ends[0] - ends[1])

        def error(attribution: Tensor) -> float:
            return abs(float(attribution.sum(dtype=torch.float64)) - difference) / abs(difference)

        def points(steps: int) -> Tensor:
            found: Tensor = captum.attr.IntegratedGradients(score).attribute(
                latents[None],
                baselines=baseline[None],
                n_steps=steps,
                internal_batch_size=score.max_batch,
            )
            return found[0]

        truth = points(REFERENCE)

        def distance(attribution: Tensor) -> float:
            return float((attribution - truth).abs().sum() / truth.abs().sum())

        fixed, enough = 0, baseline
        while fixed < MOST_STEPS and (not fixed or error(enough) > self.tolerance):
            fixed, enough = fixed + 1, points(fixed + 1)
        taken: list[int] = []

        def count(module: nn.Module, args: tuple[Tensor], output: Tensor) -> None:
            taken.append(len(args[0]))

        handle = score.register_forward_hook(count)
        method = IntegratedGradients(steps="adaptive", tolerance=self.tolerance)
        attribution = method.attribute(score, latents, baseline)
        handle.remove()
        self.rows.append(
            Row(fixed, sum(taken), error(attribution), distance(enough), distance(attribution))
        )
        return attribution


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--model", default="zoo:digits")
    arguments.add_argument("--split", default="test")
    arguments.add_argument("--every", type=int, default=4, help="only every so-manieth clip")
    arguments.add_argument("--tolerance", type=float, default=0.01)
    options = arguments.parse_args()
    torch.set_num_threads(1)
    clips = recordings(options.split)[:: options.every]
    measured = Measured(options.tolerance)
    with warnings.catch_warnings():
        warnings.simplefilter("error", xplain.XplainWarning)  # none may stop unconverged
        results = explain_each(clips, xplain.load_model(options.model), explainer=measured)
        for result in track(results, len(clips), "measuring"):
            if isinstance(result, Failure):
                raise result.error
    print(f"{options.model}, FSDD {options.split}")
    show(measured.rows, options.tolerance)


def recordings(split: str) -> list[Path]:
    """The clips of a split of FSDD, by the manifest."""
    here = Path(__file__).parents[3] / ".." / "shared"
    data = Path(os.environ.get("XPLAIN_SHARED", here)) / "data"
    if not (data / "manifest.csv").is_file():
        sys.exit(f"needs the recordings of {data} (or XPLAIN_SHARED), which are absent")
    with (data / "manifest.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if (r["dataset"], r["split"]) == ("fsdd", split)]
    return [data / row["path"] for row in rows]


def show(rows: list[Row], tolerance: float) -> None:
    """Print medians, with 90th percentiles."""

    def line(name: str, values: list[float], unit: str) -> None:
        middle, high = np.quantile(values, [0.5, 0.9])
        print(f"{name:52s} median {middle:.{unit}}  90th percentile {high:.{unit}}")

    print(f"{len(rows)} clips, tolerance {tolerance:.1%}")
    line("smallest fixed number of Gauss-Legendre points", [r.fixed for r in rows], "1f")
    lost = sum(r.fixed == MOST_STEPS for r in rows)
    print(f"{'clips for which ' + str(MOST_STEPS) + ' points are not enough':52s} {lost}")
    line("adaptive: gradients", [r.adaptive for r in rows], "1f")
    line("adaptive / smallest fixed", [r.adaptive / r.fixed for r in rows], "2f")
    line("adaptive: completeness error", [r.adaptive_error for r in rows], "2%")
    line("smallest fixed: distance from 400 points", [r.fixed_distance for r in rows], "2%")
    line("adaptive: distance from 400 points", [r.adaptive_distance for r in rows], "2%")


if __name__ == "__main__":
    main()
