"""Synthetic evidence for testing metrics, with all numbers consistent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from xplain.interfaces import Score
from xplain.metric import Evidence

CHANNELS, FRAMES, LABELS, RATIOS = 6, 20, 4, 11


class Linear(Score):
    """Σ weight · variant: its attribution is known, weight · (latents − baseline)."""

    def __init__(self, weight: Tensor) -> None:
        """Weigh each element (D, N)."""
        super().__init__()
        self.weight = weight
        self.max_batch = 8

    def forward(self, variants: Tensor) -> Tensor:
        """Score variants (n, D, N): (n,)."""
        return (self.weight * variants).sum(dim=(1, 2))


def evidence(seed: int = 0) -> Evidence:
    """Complete random evidence of one clip, from a seed."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    def spread() -> Tensor:
        return torch.softmax(2 * drawn(LABELS), dim=0)

    said, kept, removed = spread(), spread(), spread()
    label = int(said.argmax())
    score = Linear(drawn(CHANNELS, FRAMES))
    latents, baseline = drawn(CHANNELS, FRAMES), 0.1 * drawn(CHANNELS, FRAMES)
    ends = score(torch.stack([latents, baseline]))
    event = torch.zeros(FRAMES, dtype=torch.bool)
    event[5 + seed % 5 : 12] = True
    activations = drawn(3, FRAMES).clamp(min=0)
    parts = drawn(8, 3).abs()
    logits = drawn(FRAMES)
    return Evidence(
        label=label,
        multilabel=False,
        probabilities=said,
        p=float(said[label]),
        score=float(ends[0]),
        baseline_score=float(ends[1]),
        attribution=score.weight * (latents - baseline),
        latents=latents,
        baseline=baseline,
        randomised=drawn(3, CHANNELS, FRAMES),
        ask=score,
        attribute=lambda other: score.weight * (other - baseline),
        ratios=torch.linspace(0, 1, RATIOS),
        keep_curve=torch.rand(RATIOS, generator=generator),
        remove_curve=torch.rand(RATIOS, generator=generator),
        kept=kept,
        removed=removed,
        o=float(kept[label]),
        u=float(removed[label]),
        reencoded_kept=spread(),
        reencoded_removed=spread(),
        round_trip=spread(),
        event=event,
        region=event & (torch.arange(CHANNELS) < 3)[:, None],
        given={
            "truth": drawn(FRAMES) > 0,
            "teacher": logits + 0.5 * drawn(FRAMES) > 0,
            "proxy": logits > 0,
            "proxy_without": logits > 1,
            "logits": logits,
            "logits_without": logits - 1,
            "spectrum": parts @ activations + 0.1 * drawn(8, FRAMES).abs(),
            "reconstruction": parts @ activations,
            "activations": activations,
        },
    )


def extremes() -> Iterator[tuple[str, Evidence]]:
    """Edge cases of evidence, by name, where a division by zero is near."""
    usual = evidence()
    certain = torch.zeros(LABELS)
    certain[usual.label or 0] = 1
    flat = torch.zeros(CHANNELS, FRAMES)

    def other(**given: Tensor) -> Evidence:
        return replace(usual, given={**usual.given, **given})

    never, always = torch.zeros(FRAMES, dtype=torch.bool), torch.ones(FRAMES, dtype=torch.bool)
    yield "an attribution of zeros", replace(usual, attribution=flat)
    yield "an attribution that is the same everywhere", replace(usual, attribution=flat + 0.5)
    yield "a label without doubt", replace(usual, probabilities=certain, p=1.0, o=1.0, u=1.0)
    yield "a label without a chance", replace(usual, p=0.0, o=0.0, u=0.0)
    yield (
        "a baseline that is the clip",
        replace(usual, baseline=usual.latents, baseline_score=usual.score),
    )
    yield "an event that is nowhere", replace(usual, event=never, region=flat.bool())
    yield "an event that is everywhere", replace(usual, event=always, region=~flat.bool())
    yield (
        "a label that is never there",
        other(**dict.fromkeys(("truth", "teacher", "proxy", "proxy_without"), never)),
    )
    yield (
        "nothing to hear",
        other(
            spectrum=torch.zeros(8, FRAMES),
            reconstruction=torch.zeros(8, FRAMES),
            activations=torch.zeros(3, FRAMES),
        ),
    )
