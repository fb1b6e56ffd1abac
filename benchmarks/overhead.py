"""What explain() costs beside the Captum calls it makes: a ratio, side by side in one run.

32 clips of one second, zoo:digits, integrated gradients with 50 steps over stft. The bare
calls are written out by hand below: Captum on a plain function of the same latents.

    python benchmarks/overhead.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import statistics
import time

import captum.attr
import torch
from torch import Tensor

import xplain
from xplain.score import default_max_batch

CLIPS, STEPS, SIZE, HOP = 32, 50, 256, 64


def main() -> None:
    """Time both in turn, round by round."""
    arguments = argparse.ArgumentParser(description="framework time around the Captum calls")
    arguments.add_argument("--rounds", type=int, default=5)
    rounds = arguments.parse_args().rounds
    model = xplain.load_model("zoo:digits")
    generator = torch.Generator().manual_seed(0)
    clips = [0.1 * torch.randn(model.sample_rate, generator=generator) for _ in range(CLIPS)]
    explained = [e.attribution for e in xplain.explain(clips, model, seed=0)]
    by_hand = bare(clips, model)
    worst = max(float((a - b).abs().max()) for a, b in zip(explained, by_hand, strict=True))
    ratios = []
    for number in range(rounds):
        start = time.perf_counter()
        bare(clips, model)
        middle = time.perf_counter()
        xplain.explain(clips, model, seed=0)
        end = time.perf_counter()
        ratios.append((end - middle) / (middle - start))
        print(f"round {number}: bare {middle - start:.2f} s, explain {end - middle:.2f} s")
    print(
        f"explain / bare Captum calls: median {statistics.median(ratios):.3f} "
        f"(min {min(ratios):.3f}, max {max(ratios):.3f}) over {rounds} rounds; "
        f"largest difference of an attribution {worst:.1e}"
    )


def bare(clips: list[Tensor], model: xplain.Model) -> list[Tensor]:
    """Captum by hand: no reading, checking, ranking, provenance or completeness."""
    module = model.module.eval().requires_grad_(False)
    window = torch.hann_window(SIZE)
    attributions = []
    for clip in clips:
        spectrum = torch.stft(
            clip, SIZE, HOP, window=window, pad_mode="constant", return_complex=True
        )
        phase = torch.exp(1j * spectrum.angle())
        with torch.no_grad():
            label = int(module(clip[None]).argmax())

        def score(root: Tensor, phase: Tensor = phase, label: int = label) -> Tensor:
            audio = torch.istft(
                root.square() * phase, SIZE, HOP, window=window, length=model.sample_rate
            )
            return module(audio)[:, label]  # type: ignore[no-any-return]

        attributions.append(
            captum.attr.IntegratedGradients(score).attribute(
                spectrum.abs().sqrt()[None],
                n_steps=STEPS,
                internal_batch_size=default_max_batch(len(clip)),
            )[0]
        )
    return attributions


if __name__ == "__main__":
    main()
