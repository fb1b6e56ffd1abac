"""Can check() be believed? How often it calls true explanations sound, and false ones broken.

For each clip of FSDD, zoo:digits over stft: explanations of the model itself, which should
be called sound, and attributions that are not of this model, which should be called broken:
those of a copy with all its weights drawn anew, chance, and the model's own with its
elements shuffled. A copy's explanation checked against the copy itself is true of it.

    python benchmarks/check_calibration.py [--split test] [--every N] [--out CSV]
"""

from __future__ import annotations

import argparse
import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from recordings import digits
from rich.console import Console
from rich.table import Table
from torch import Tensor

import xplain
from xplain.progress import track
from xplain_evaluation.sanity import randomised

METHODS = ("integrated-gradients", "input-x-gradient", "smooth-grad", "saliency")


class Given(xplain.Explainer):
    """An attribution made elsewhere, with the claim that its method makes."""

    def __init__(self, attribution: Tensor, tolerance: float | None) -> None:
        """Hand on ``attribution`` (D, N)."""
        self.attribution = attribution
        self.completeness_tolerance = tolerance

    def attribute(self, score: xplain.Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """The attribution given."""
        return self.attribution.clone()


def main() -> None:
    """Measure, print and write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--split", default="test")
    arguments.add_argument("--every", type=int, default=1, help="only every so-manieth clip")
    arguments.add_argument("--out", type=Path, default=Path("out/check_calibration.csv"))
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    clips = digits(options.split)[:: options.every]
    model = xplain.load_model("zoo:digits")
    rows = []
    for number, clip in enumerate(track(clips, len(clips), "checking")):
        for case, verdict in cases(clip, model, options.seed + number):
            rows.append({"clip": clip.name, "case": case, "kind": verdict.kind, **verdict.figures})
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    show(rows, len(clips))
    print(f"{len(clips)} clips, seed {options.seed}, xplain {xplain.__version__}, {options.out}")


def cases(clip: Path, model: xplain.Model, seed: int) -> Iterator[tuple[str, xplain.Verdict]]:
    """Every explanation of one clip that is put to the test, and what check() says of it."""
    made = {
        name: xplain.explain(clip, model, synthesizer="stft", explainer=name) for name in METHODS
    }
    for name, explanation in made.items():
        yield f"true: {name}", explanation.check()
    own = made["integrated-gradients"]
    copy = randomised(model, seed=seed)
    label = own.target.label
    generator = torch.Generator().manual_seed(seed)

    def against(attribution: Tensor, tolerance: float | None) -> xplain.Verdict:
        given = Given(attribution, tolerance)
        return xplain.explain(clip, model, synthesizer="stft", explainer=given).check()

    for name in METHODS:
        theirs = xplain.explain(clip, copy, synthesizer="stft", explainer=name, target=label)
        if name == "integrated-gradients":
            yield f"copy's own: {name}", theirs.check()
            yield f"copy: {name}", against(theirs.attribution, 0.05)
            yield f"copy: {name}, claiming nothing", against(theirs.attribution, None)
        else:
            yield f"copy: {name}", against(theirs.attribution, None)
    yield "random", against(torch.randn(own.attribution.shape, generator=generator), None)
    flat = own.attribution.flatten()
    shuffled = flat[torch.randperm(len(flat), generator=generator)].view_as(own.attribution)
    yield "shuffled", against(shuffled, 0.05)


def show(rows: list[dict[str, object]], clips: int) -> None:
    """Print the share of each verdict in each case."""
    table = Table("case", "sound", "weak", "broken", box=None)
    for case in dict.fromkeys(str(row["case"]) for row in rows):
        counted = Counter(row["kind"] for row in rows if row["case"] == case)
        table.add_row(case, *(f"{counted[k] / clips:.3f}" for k in ("sound", "weak", "broken")))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
