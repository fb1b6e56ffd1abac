"""What a benchmark costs beside the model calls it cannot do without.

Five methods × 250 clips of FSDD × 8 ratios on zoo:digits over stft:
``xplain_evaluation.benchmark.run``,
against the bare calls for the same numbers, written by hand: each clip encoded once, Captum's
attributions, and one evaluation for each different variant. Ranking, intervals, tables, journal
and page are what the difference pays for. Both are run in turns.

    python benchmarks/benchmark_overhead.py [--clips 250] [--rounds 3]
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from pathlib import Path

import captum.attr
import torch
from recordings import digits
from torch import Tensor

import xplain
from xplain.audio import read, resample
from xplain.curves import RATIOS
from xplain.models import make_synthesizer
from xplain_evaluation.benchmark import Config, Data, Item, Method, run

METHODS = ("integrated-gradients", "saliency", "input-x-gradient")
"""With random and loudness, which every benchmark holds, five."""


def main() -> None:
    """Measure in turns and print the ratio of each round, and of all."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--clips", type=int, default=250)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    clips = [*digits("test"), *digits("train")][: options.clips]
    model = xplain.load_model("zoo:digits")
    bare(clips[:2], model)
    benchmark(clips[:2])
    totals = [0.0, 0.0]
    for number in range(options.rounds):
        seconds = [bare(clips, model), benchmark(clips)]
        totals = [a + b for a, b in zip(totals, seconds, strict=True)]
        print(
            f"round {number + 1}: bare {seconds[0]:.1f} s, "
            f"benchmark {seconds[1]:.1f} s, ratio {seconds[1] / seconds[0]:.3f}"
        )
    print(
        f"{len(clips)} clips × {len(METHODS) + 2} methods × {len(RATIOS)} ratios: bare "
        f"{totals[0]:.1f} s, benchmark {totals[1]:.1f} s, ratio {totals[1] / totals[0]:.3f}"
    )


def benchmark(clips: list[Path]) -> float:
    """Seconds that the benchmark takes."""
    config = Config(
        models=("zoo:digits",),
        data=(Data("fsdd", tuple(Item(clip) for clip in clips)),),
        explainers=tuple(Method(name, name) for name in METHODS),
        controls=(),
        settings={"baseline": "silence"},
    )
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        run(config, folder)
        return time.perf_counter() - started


def bare(clips: list[Path], model: xplain.Model) -> float:
    """Seconds that the calls of the model alone take."""
    synthesizer = make_synthesizer("stft", model.sample_rate)
    module = model.module.eval()
    spent = 0.0
    for clip in clips:
        waveform = resample(read(clip), model.sample_rate).waveform[None]
        started = time.perf_counter()
        with torch.no_grad():
            latents = synthesizer.encode(waveform)
            baseline = synthesizer.encode(torch.zeros_like(waveform)).values
            said = module(waveform)
        context, values = latents.context, latents.values
        target = int(said.argmax())

        def score(variants: Tensor, context: object = context, target: int = target) -> Tensor:
            return module(synthesizer.decode(variants, context))[:, target]  # type: ignore[arg-type]

        attributions = [
            captum.attr.IntegratedGradients(score).attribute(
                values, baseline, n_steps=50, internal_batch_size=64
            ),
            captum.attr.Saliency(score).attribute(values.clone().requires_grad_()),
            captum.attr.InputXGradient(score).attribute(values.clone().requires_grad_()),
            torch.randn_like(values),
            (values - baseline).abs(),
        ]
        inner = [ratio for ratio in RATIOS if 0 < ratio < 1]
        count = values.numel()
        with torch.no_grad():
            for attribution in attributions:
                spent += time.perf_counter() - started
                order = attribution.flatten().argsort(descending=True)
                keeps = torch.zeros(len(inner), count, dtype=torch.bool)
                for keep, ratio in zip(keeps, inner, strict=True):
                    keep[order[: round(ratio * count)]] = True
                keeps = keeps.view(-1, *values.shape[1:])
                started = time.perf_counter()
                # Kept and removed, and both ends.
                variants = torch.cat(
                    [
                        torch.where(torch.cat([keeps, ~keeps]), values, baseline),
                        values,
                        baseline,
                    ]
                )
                module(synthesizer.decode(variants, context))
        spent += time.perf_counter() - started
    return spent


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main()
