"""What each method costs by default, and its peak memory beside Captum called by hand.

Latents of 257 × 130 and a small network of convolutions that reads them; Captum with the same
internal batch. Each call runs in a process of its own, on one thread; memory is how far the
resident memory of that process rises above where it was. Linux.

    python plugins/xplain-captum/benchmarks/cost.py [--max-batch 32] [--rounds 3]
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import captum.attr
import torch
from captum._utils.models.linear_model import SkLearnRidge
from captum.attr._utils.lrp_rules import EpsilonRule
from torch import Tensor, nn

import xplain
from xplain_captum.ablation import ABLATED_GROUPS, OCCLUDING_WINDOWS, FeatureAblation, Occlusion
from xplain_captum.coalitions import GROUPS, KernelShap, Lime, ShapleySampling, enough_samples
from xplain_captum.deep_lift import DeepLift
from xplain_captum.gradients import InputXGradient, IntegratedGradients, Saliency
from xplain_captum.groups import grid, groups
from xplain_captum.lrp import Lrp
from xplain_captum.rectifiers import Deconvolution, GuidedBackprop
from xplain_captum.sampling import GradientShap, SmoothGrad, VarGrad

SHAPE = (257, 130)


class Network(xplain.Score):
    """Convolutions over channels and frames: variants (n, D, N) → (n,)."""

    def __init__(self, max_batch: int) -> None:
        """Draw the weights."""
        super().__init__()
        torch.manual_seed(0)
        self.max_batch = max_batch
        self.asked = 0
        self.layers = nn.Sequential(
            nn.Unflatten(1, (1, SHAPE[0])),
            nn.Conv2d(1, 16, 3, stride=2),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.Conv2d(16, 16, 3, stride=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(16, 4),
        ).eval()

    def forward(self, variants: Tensor) -> Tensor:
        """Score variants, and count them."""
        self.asked += len(variants)
        scores: Tensor = self.layers(variants)[:, 0]
        return scores


def by_hand(name: str, score: Network, x: Tensor, b: Tensor) -> None:
    """Captum, called for one clip (1, D, N) as its documentation does."""
    batch = score.max_batch
    mask = partial(groups, x[0], None)
    masked = {"baselines": b, "perturbations_per_eval": batch}
    samples = enough_samples(mask(GROUPS))
    high, wide = grid(*SHAPE, OCCLUDING_WINDOWS)
    deviation = 0.1 * float(x.max() - x.min())
    tunnel = captum.attr.NoiseTunnel(captum.attr.Saliency(score))
    noisy = {"nt_samples": 50, "nt_samples_batch_size": batch, "stdevs": deviation, "abs": False}
    calls: dict[str, Callable[[], Any]] = {
        "integrated-gradients": lambda: captum.attr.IntegratedGradients(score).attribute(
            x, baselines=b, n_steps=50, internal_batch_size=batch
        ),
        "saliency": lambda: captum.attr.Saliency(score).attribute(x),
        "input-x-gradient": lambda: captum.attr.InputXGradient(score).attribute(x),
        "gradient-shap": lambda: [  # it has no internal batch: as many calls as it takes
            captum.attr.GradientShap(score).attribute(x, baselines=b, n_samples=batch)
            for _ in range(256 // batch)
        ],
        "smooth-grad": lambda: tunnel.attribute(x, nt_type="smoothgrad", **noisy),
        "var-grad": lambda: tunnel.attribute(x, nt_type="vargrad", **noisy),
        "deep-lift": lambda: captum.attr.DeepLift(score).attribute(x, baselines=b),
        "lrp": lambda: captum.attr.LRP(score).attribute(x),
        "guided-backprop": lambda: captum.attr.GuidedBackprop(score).attribute(x),
        "deconvolution": lambda: captum.attr.Deconvolution(score).attribute(x),
        "feature-ablation": lambda: captum.attr.FeatureAblation(score).attribute(
            x, feature_mask=mask(ABLATED_GROUPS)[None], **masked
        ),
        "occlusion": lambda: captum.attr.Occlusion(score).attribute(
            x, (high, wide), strides=(-(-high // 2), -(-wide // 2)), **masked
        ),
        "shapley-sampling": lambda: captum.attr.ShapleyValueSampling(score).attribute(
            x, feature_mask=mask(GROUPS)[None], n_samples=10, **masked
        ),
        "kernel-shap": lambda: captum.attr.KernelShap(score).attribute(
            x, feature_mask=mask(GROUPS)[None], n_samples=samples, **masked
        ),
        "lime": lambda: captum.attr.Lime(score, SkLearnRidge(alpha=1.0)).attribute(
            x, feature_mask=mask(GROUPS)[None], n_samples=samples, **masked
        ),
    }
    for layer in score.layers:
        if isinstance(layer, nn.Flatten | nn.Unflatten):
            layer.rule = EpsilonRule()  # without which Captum's LRP takes no such layer
    calls[name.partition(",")[0]]()


OURS: dict[str, Callable[[], xplain.Explainer]] = {
    "integrated-gradients": IntegratedGradients,
    "integrated-gradients, adaptive": partial(IntegratedGradients, "adaptive", 0.001),
    "saliency": Saliency,
    "input-x-gradient": InputXGradient,
    "gradient-shap": GradientShap,
    "smooth-grad": SmoothGrad,
    "var-grad": VarGrad,
    "deep-lift": DeepLift,
    "lrp": Lrp,
    "guided-backprop": GuidedBackprop,
    "deconvolution": Deconvolution,
    "feature-ablation": FeatureAblation,
    "occlusion": Occlusion,
    "shapley-sampling": ShapleySampling,
    "kernel-shap": KernelShap,
    "lime": Lime,
}


@dataclass(frozen=True)
class Cost:
    """Of one call. memory: MiB at the peak."""

    memory: float
    seconds: float
    variants: int


def cost(name: str, ours: bool, max_batch: int) -> Cost:
    """Make one call in this process, which has to be a fresh one."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    torch.manual_seed(1)
    score, latents = Network(max_batch), torch.randn(SHAPE)
    baseline = torch.zeros(SHAPE)
    explainer = OURS[name]()
    with torch.set_grad_enabled(explainer.uses_gradients):
        score(latents[None].requires_grad_())  # what torch loads at its first call
        Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
        score.asked, before, start = 0, resident("VmRSS"), time.perf_counter()
        if ours:
            explainer.attribute(score, latents, baseline)
        else:
            by_hand(name, score, latents[None].requires_grad_(), baseline[None])
    seconds = time.perf_counter() - start
    return Cost(resident("VmHWM") - before, seconds, score.asked)


def resident(which: str) -> float:
    """MiB, of VmRSS (now) or VmHWM (the peak); Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(which)) / 1024


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--max-batch", type=int, default=32)
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    context = multiprocessing.get_context("spawn")
    print(f"{'method':32s} variants  seconds      MiB   Captum  ratio   (medians)")
    with context.Pool(1, maxtasksperchild=1) as pool:
        for name in OURS:
            mine, theirs = (
                [pool.apply(cost, (name, ours, options.max_batch)) for _ in range(options.rounds)]
                for ours in (True, False)
            )
            memory, by_captum = (
                statistics.median(c.memory for c in costs) for costs in (mine, theirs)
            )
            seconds = statistics.median(c.seconds for c in mine)
            print(
                f"{name:32s} {mine[0].variants:8d} {seconds:8.2f} {memory:8.1f} "
                f"{by_captum:8.1f}  {memory / by_captum:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
