"""Is it the estimate or the question? Exact Shapley values of few blocks, beside estimates.

A digit over ``stft`` is cut into twelve blocks, and zoo:digits is asked about each of the 4,096
ways to leave some of them out. From these answers come the exact Shapley values (Shapley 1953),
estimates from 25 orders as the gallery has them, and what each block costs by itself (ablation).
check() judges all three; correlations are with the exact values, and with what the removal of a
block takes.

    python benchmarks/groups/exact_shapley.py [--clips N] [--out CSV]
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections import Counter
from pathlib import Path

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))

from recordings import recordings
from rows import add

import xplain
from xplain.check import check
from xplain.interfaces import Attribution

BLOCKS = "block:43x{}"
ORDERS = 25
COLUMNS = ("clip", "probability", "what", "with_exact", "with_ablation", "verdict", "mean_contrast")


def main() -> None:
    """Print how often which verdict is given, and the median correlations."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--clips", type=int, default=10)
    arguments.add_argument("--out", type=Path, default=Path("out/exact_shapley.csv"))
    options = arguments.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    model = xplain.load_model("zoo:digits")
    found: list[tuple[str, float | None, str, float, float, str, float | None]] = []
    for clip in random.Random(7).sample(recordings("fsdd", "test"), options.clips):
        frames = xplain.explain(clip.path, model, synthesizer="stft").attribution.shape[1]
        e = xplain.explain(
            *(clip.path, model),
            synthesizer="stft",
            explainer="feature-ablation",
            grouping=BLOCKS.format(-(-frames // 4)),
        )
        numbers = e.live.grouped.numbers
        count = int(numbers.max()) + 1
        bits = torch.arange(2**count)[:, None] >> torch.arange(count) & 1
        scores = torch.cat([e.live.scores(b.bool()[:, numbers]) for b in bits.split(256)])
        alone = scores[-1] - scores[(2**count - 1) ^ (1 << torch.arange(count))]
        said = {
            "exact Shapley values": (exact := shapley(scores, count)),
            f"of {ORDERS} orders": sampled(scores, count, torch.Generator().manual_seed(0)),
            "ablation": alone,
        }
        sizes = numbers.flatten().bincount()
        for what, values in said.items():
            verdict = check(e.live, Attribution((values / sizes)[numbers].float()))
            like = [
                round(float(torch.corrcoef(torch.stack([values, v]))[0, 1]), 3)
                for v in (exact, alone)
            ]
            contrast, sure = verdict.figures["mean_contrast"], e.target.probability
            row = (clip.path.stem, sure, what, like[0], like[1], verdict.kind, contrast)
            found.append(row)
            add(options.out, COLUMNS, dict(zip(COLUMNS, row, strict=True)))
    for what in dict.fromkeys(row[2] for row in found):
        own = [row for row in found if row[2] == what]
        exactly = sorted(row[3] for row in own)[len(own) // 2]
        removal = sorted(row[4] for row in own)[len(own) // 2]
        print(
            f"{what}: {dict(Counter(row[5] for row in own))}, correlation with exact values "
            f"{exactly:.2f}, with what the removal of a block takes {removal:.2f} (medians)"
        )


def shapley(scores: Tensor, count: int) -> Tensor:
    """Exact values of each group, of the scores (2^G,) of all subsets by their bits: (G,)."""
    subsets = torch.arange(2**count)
    held = (subsets[:, None] >> torch.arange(count) & 1).sum(1)
    weights = torch.tensor(
        [1 / (count * math.comb(count - 1, size)) for size in range(count)], dtype=torch.float64
    )
    values = []
    for n in range(count):
        without = subsets[(subsets >> n) & 1 == 0]
        gains = scores[without | (1 << n)] - scores[without]
        values.append((weights[held[without]] * gains).sum())
    return torch.stack(values)


def sampled(scores: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """The mean of what each group adds over some orders drawn by chance: (G,)."""
    values = torch.zeros(count, dtype=torch.float64)
    for _ in range(ORDERS):
        here = 0
        for n in torch.randperm(count, generator=generator).tolist():
            values[n] += scores[here | 1 << n] - scores[here]
            here |= 1 << n
    return values / ORDERS


if __name__ == "__main__":
    main()
