"""What explain() costs beside the Captum calls it makes: a ratio, side by side in one run.

32 clips of one second, zoo:digits, integrated gradients with 50 steps over stft. The bare
calls are written out by hand below: Captum on a plain function of the same latents.

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
from xplain.pipeline import explain_each
from xplain.score import default_max_batch

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
    times: list[tuple[float, float]] = []
    for _ in range(rounds + 1):
        by_hand, start = 0.0, time.perf_counter()
        each = explain_each(clips, model)
        explained = time.perf_counter() - start
        for clip in clips:
            start = time.perf_counter()
            expected = bare(clip, model)
            middle = time.perf_counter()
            result = next(each)
            end = time.perf_counter()
            assert isinstance(result, xplain.Explanation)
            worst = max(worst, float((result.attribution - expected).abs().max()))
            by_hand, explained = by_hand + middle - start, explained + end - middle
        times.append((by_hand, explained))
    ratios = [explained / by_hand for by_hand, explained in times[1:]]  # the first warms up
    for by_hand, explained in times[1:]:
        print(f"bare {by_hand:.2f} s, explain {explained:.2f} s, ratio {explained / by_hand:.3f}")
    print(
        f"explain / bare Captum calls, {CLIPS} clips: median {statistics.median(ratios):.3f} "
        f"(min {min(ratios):.3f}, max {max(ratios):.3f}) over {rounds} rounds; "
        f"largest difference of an attribution {worst:.1e}"
    )


def bare(clip: Tensor, model: xplain.Model) -> Tensor:
    """Captum by hand: no reading, checking, ranking, provenance or completeness."""
    module = model.module.eval().requires_grad_(False)
    window = torch.hann_window(SIZE)
    spectrum = torch.stft(clip, SIZE, HOP, window=window, pad_mode="constant", return_complex=True)
    phase = torch.exp(1j * spectrum.angle())
    with torch.no_grad():
        label = int(module(clip[None]).argmax())

    def score(root: Tensor) -> Tensor:
        audio = torch.istft(root.square() * phase, SIZE, HOP, window=window, length=len(clip))
        return module(audio)[:, label]  # type: ignore[no-any-return]

    attribution: Tensor = captum.attr.IntegratedGradients(score).attribute(
        spectrum.abs().sqrt()[None],
        n_steps=STEPS,
        internal_batch_size=default_max_batch(len(clip)),
    )
    return attribution[0]


if __name__ == "__main__":
    main()
