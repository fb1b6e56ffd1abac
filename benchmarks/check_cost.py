"""What a check costs beside the evaluations of the model that it makes, on clips of zoo:digits.

    python benchmarks/check_cost.py [--clips 20] [--rounds 3] [--explainer NAME]…

Each clip is explained and checked; then the same variants are scored again, by themselves, and the
clip is explained by integrated gradients of 50 steps. Processor time on one thread, alternately;
the median over the clips, for each round.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from statistics import median
from unittest.mock import patch

import torch
from recordings import recordings
from torch import Tensor

import xplain
from xplain.check import check
from xplain.interfaces import Attribution
from xplain.live import LiveClip

scores = LiveClip.scores


def main() -> None:
    """Measure and print, a line for each round and method."""
    options = argparse.ArgumentParser(description="what a check costs")
    options.add_argument("--clips", type=int, default=20)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--explainer", action="append")
    asked = options.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", xplain.XplainWarning)
    model = xplain.load_model("zoo:digits")
    clips = [clip.path for clip in recordings("fsdd", "test")][:: 200 // asked.clips]
    for name in asked.explainer or ("integrated-gradients", "feature-ablation"):
        some = [xplain.explain(clip, model, explainer=name) for clip in clips[: asked.clips]]
        for _ in range(asked.rounds):
            shares, costs, counts = zip(*map(measured, some), strict=True)
            print(
                f"{name}: {median(counts):.0f} evaluations, beside them {median(shares):.2f} of "
                f"their time, together {median(costs):.2f} of 50 steps"
            )


def measured(e: xplain.Explanation) -> tuple[float, float, int]:
    """Arithmetic over evaluations, a check over 50 steps, and its evaluations."""
    live, claim = e.live, Attribution(e.attribution)
    made: list[tuple[LiveClip, Tensor]] = []

    def kept(self: LiveClip, keeps: Tensor) -> Tensor:
        made.append((self, keeps))
        return scores(self, keeps)

    with patch.object(LiveClip, "scores", kept):
        verdict = check(live, claim)
    whole = timed(lambda: check(live, claim))
    alone = timed(lambda: [scores(one, keeps) for one, keeps in made])
    fifty = live.by(live.job.by("integrated-gradients", {"steps": 50}))
    return whole / alone - 1, whole / timed(fifty.attribute), verdict.evaluations


def timed(work: Callable[[], object]) -> float:
    """Processor seconds."""
    started = time.process_time()
    work()
    return time.process_time() - started


if __name__ == "__main__":
    main()
