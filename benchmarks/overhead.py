"""What explain() costs beside the Captum calls it makes: a ratio, side by side in one run.

32 clips of one second, zoo:digits, integrated gradients with 50 steps over stft. The bare
calls are written out by hand below: the decision, and Captum on a plain function of the same
latents. With its convergence delta they give what explain() gives, which measures completeness.

    python benchmarks/overhead.py [--rounds 9]
"""

from __future__ import annotations

import argparse
import statistics
import time

import captum.attr
import torch
from torch import Tensor

import xplain
from xplain.explaining import explain_each
from xplain.memory import MOST

CLIPS, STEPS, SIZE, HOP = 32, 50, 256, 64


def main() -> None:
    """Time both clip by clip in turn, so that both see the same machine."""
    arguments = argparse.ArgumentParser(description="framework time around the Captum calls")
    arguments.add_argument("--rounds", type=int, default=9)
    rounds = arguments.parse_args().rounds
    model = xplain.load_model("zoo:digits")
    generator = torch.Generator().manual_seed(0)
    clips = [0.1 * torch.randn(model.sample_rate, generator=generator) for _ in range(CLIPS)]
    worst = 0.0
    ratios: dict[bool, list[float]] = {True: [], False: []}
    for number in range(rounds + 1):
        by_hand, start = {True: 0.0, False: 0.0}, time.perf_counter()
        each = explain_each(clips, model, baseline="silence")
        explained = time.perf_counter() - start
        for clip in clips:
            for delta in by_hand:
                start = time.perf_counter()
                expected = bare(clip, model, delta)
                by_hand[delta] += time.perf_counter() - start
            start = time.perf_counter()
            result = next(each)
            explained += time.perf_counter() - start
            assert isinstance(result, xplain.Explanation)
            worst = max(worst, float((result.attribution - expected).abs().max()))
        if number:  # the first round warms up
            for delta in by_hand:
                ratios[delta].append(explained / by_hand[delta])
    for delta, each_ratio in ratios.items():
        print(
            f"explain / bare Captum calls {'with' if delta else 'without'} convergence delta, "
            f"{CLIPS} clips: median {statistics.median(each_ratio):.3f} "
            f"(min {min(each_ratio):.3f}, max {max(each_ratio):.3f}) over {rounds} rounds"
        )
    print(f"largest difference of an attribution {worst:.1e}")


def bare(clip: Tensor, model: xplain.Model, delta: bool) -> Tensor:
    """Captum by hand, with or without what explain() reports as completeness error.

    No reading, checking, ranking or provenance, and the model is not given back as it was.
    """
    module = model.module.eval().requires_grad_(False)
    window = torch.hann_window(SIZE)
    spectrum = torch.stft(clip, SIZE, HOP, window=window, pad_mode="constant", return_complex=True)
    phase = torch.exp(1j * spectrum.angle())
    with torch.no_grad():
        label = int(module(clip[None]).argmax())

    def score(root: Tensor) -> Tensor:
        audio = torch.istft(root.square() * phase, SIZE, HOP, window=window, length=len(clip))
        return module(audio)[:, label]  # type: ignore[no-any-return]

    answer = captum.attr.IntegratedGradients(score).attribute(
        spectrum.abs().sqrt()[None],
        n_steps=STEPS,
        internal_batch_size=MOST,
        return_convergence_delta=delta,
    )
    attribution: Tensor = answer[0] if delta else answer
    return attribution[0]


if __name__ == "__main__":
    main()
