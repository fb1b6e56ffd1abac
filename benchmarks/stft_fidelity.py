"""Are the explanations of zoo:digits over stft faithful? Agreement at every ratio.

For each test clip of FSDD: the share of clips whose decision stays the model's own when
only the top ρ of the elements is kept, and when the top ρ is removed, by integrated
gradients, saliency and a random order; and beside integrated gradients the controls that take as
much energy as they do: random elements, the same mask rolled in frequency or with its frames
shuffled, the runner-up's mask, a plain gain, the loudest. 95 % intervals by bootstrap over clips.

    python benchmarks/stft_fidelity.py [--split test] [--every N] [--out CSV]
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from recordings import digits
from rich.console import Console
from rich.table import Table
from torch import Tensor

import xplain
from xplain.clips import Failure
from xplain.explaining import explain_each
from xplain.progress import track
from xplain_evaluation.structured import structured

RATIOS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
DRAWS = 2000


class Random(xplain.Explainer):
    """The control: an order by chance."""

    def attribute(self, score: xplain.Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Noise (D, N)."""
        return torch.randn_like(latents)


METHODS: dict[str, str | xplain.Explainer] = {
    "integrated-gradients": "integrated-gradients",
    "saliency": "saliency",
    "random": Random(),
}
AGAINST_CONTROLS = "integrated-gradients"
"""The method whose energy the controls take."""


@dataclass(frozen=True)
class Agreement:
    """Share of clips that stay with the model's own decision, with its interval."""

    method: str
    kind: str
    ratio: float
    share: float
    low: float
    high: float
    clips: int


def main() -> None:
    """Measure, print and write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--split", default="test")
    arguments.add_argument("--every", type=int, default=1, help="only every so-manieth clip")
    arguments.add_argument("--out", type=Path, default=Path("out/stft_fidelity.csv"))
    arguments.add_argument("--seed", type=int, default=0)
    options = arguments.parse_args()
    clips = digits(options.split)[:: options.every]
    model = xplain.load_model("zoo:digits")
    rows: list[Agreement] = []
    for method, explainer in METHODS.items():
        rows += measure(method, explainer, clips, model, options.seed)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(Agreement.__annotations__))
        writer.writeheader()
        writer.writerows(vars(row) for row in rows)
    show(rows)
    print(f"{len(clips)} clips, seed {options.seed}, xplain {xplain.__version__}, {options.out}")


def measure(
    method: str,
    explainer: str | xplain.Explainer,
    clips: Sequence[Path],
    model: xplain.Model,
    seed: int,
) -> list[Agreement]:
    """Explain every clip and ask at every ratio."""
    agrees: dict[str, list[list[bool]]] = defaultdict(list)
    errors: list[float] = []
    results = explain_each(
        clips, model, explainer=explainer, synthesizer="stft", baseline="silence", seed=seed
    )
    for result in track(results, len(clips), method):
        if isinstance(result, Failure):
            raise result.error
        agrees[method].append([o.agrees for o in result.scores(keep=RATIOS, remove=RATIOS)])
        for control, curves in structured(result, RATIOS) if method == AGAINST_CONTROLS else ():
            said = torch.cat([curves.kept, curves.removed])
            agrees[f"as much energy: {control}"].append(curves.agrees(said).tolist())
        if result.completeness_error is not None:
            errors.append(result.completeness_error)
    if errors:
        high = np.quantile(errors, 0.95)
        print(f"{method}: completeness error median {np.median(errors):.4f}, 95th {high:.4f}")
    return [row for name, some in agrees.items() for row in _shares(name, some, seed)]


def _shares(name: str, agrees: Sequence[Sequence[bool]], seed: int) -> list[Agreement]:
    """Over the clips, for keeping and then removing each ratio."""
    table = np.array(agrees, dtype=float)
    drawn = np.random.default_rng(seed).integers(len(table), size=(DRAWS, len(table)))
    low, high = np.quantile(table[drawn].mean(axis=1), [0.025, 0.975], axis=0)
    columns = [(kind, ratio) for kind in ("keep", "remove") for ratio in RATIOS]
    return [
        Agreement(
            name,
            kind,
            ratio,
            float(table[:, i].mean()),
            float(low[i]),
            float(high[i]),
            len(table),
        )
        for i, (kind, ratio) in enumerate(columns)
    ]


def show(rows: Sequence[Agreement]) -> None:
    """Print one line per method and kind."""
    table = Table("method", "", *(f"{ratio:.0%}" for ratio in RATIOS), box=None)
    for method in dict.fromkeys(row.method for row in rows):
        for kind in ("keep", "remove"):
            cells = [r for r in rows if (r.method, r.kind) == (method, kind)]
            table.add_row(
                method, kind, *(f"{r.share:.3f} [{r.low:.2f}, {r.high:.2f}]" for r in cells)
            )
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
