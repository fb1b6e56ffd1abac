"""Training for explanations that hold after re-encoding: the top is enough, and needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from xplain import Synthesizer
from xplain.borrowing import borrowed
from xplain_codecs.fit.heads import Head
from xplain_codecs.fit.latents import LatentClip

WHOLE = 0.15
"""Of the edited clips, the share that loses nothing and only goes through the codec again."""
KEPT = 0.35
"""Of the others, the share that keeps the most important elements alone; the rest lose them."""
KEEP = (0.03, 0.15)
REMOVE = (0.008, 0.06)
"""Least and greatest share of a clip's elements that count as the most important."""
STEPS = 2
"""Gradients on the path from silence, at stratified random points."""


@dataclass(frozen=True)
class Emphasis:
    """Edits some clips of each batch by the current head's own attribution.

    After L-MAC (Paissan et al. 2024), which asks of a mask that what is masked in keeps the
    decision and what is masked out loses it; here the head is asked, with integrated gradients
    from the latents of silence. Of a clip that lost what counts, any other label is the target.
    share: of a batch's clips that are edited. reencoded: of those, how many are decoded and encoded
    again: the head then learns what the codec makes of latents that no sound has.
    """

    synthesizer: Synthesizer
    share: float
    reencoded: float

    def apply(
        self, head: Head, clips: Sequence[LatentClip], latents: Tensor, truth: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Latents (B, D, N) and targets (B, L) with the edits in them; draws from torch's chance.

        latents: of the clips, filled up to N frames. truth: (B, L), one for the clip's label.
        """
        count = round(self.share * len(clips))
        if count == 0:
            return latents, truth
        rows = torch.randperm(len(clips))[:count].tolist()
        silence = torch.zeros_like(latents)
        for row in rows:
            silence[row, :, : clips[row].frames] = clips[row].edges().silence.to(latents)
        lengths = torch.tensor([clips[row].frames for row in rows], device=latents.device)
        counts = importance(head, latents[rows], silence[rows], truth[rows], lengths)
        latents, truth = latents.clone(), truth.clone()
        for place, row in enumerate(rows):
            clip, size = clips[row], clips[row].frames
            whole, nothing = latents[row, :, :size], silence[row, :, :size]
            fate, reencoded = (place + 0.5) / count, float(torch.rand(())) < self.reencoded
            if fate < WHOLE:
                edited, reencoded = whole, True
            elif fate < WHOLE + (1 - WHOLE) * KEPT:
                edited = torch.where(_top(counts[place, :, :size], KEEP), whole, nothing)
            else:
                edited = torch.where(_top(counts[place, :, :size], REMOVE), nothing, whole)
                truth[row] = (1 - truth[row]) / (truth.shape[1] - 1)
            latents[row, :, :size] = self._again(edited, clip) if reencoded else edited
        return latents, truth

    @torch.no_grad()
    def _again(self, values: Tensor, clip: LatentClip) -> Tensor:
        """Latents (D, N) of the sound that latents (D, N) are decoded to."""
        edges = clip.edges()
        context = {name: tensor.to(values.device) for name, tensor in edges.context.items()}
        sound = self.synthesizer.decode(values[None], context)
        return self.synthesizer.encode(sound).values[0]


def importance(
    head: Head, latents: Tensor, silence: Tensor, truth: Tensor, lengths: Tensor
) -> Tensor:
    """Integrated gradients (B, D, N) of the labels' logits from silence, by few steps at chance."""
    total = torch.zeros_like(latents)
    with borrowed(head, latents.device):  # without dropout, and with no trace in its gradients
        for step in range(STEPS):
            share = (step + torch.rand(len(latents), 1, 1).to(latents)) / STEPS
            between = (silence + share * (latents - silence)).requires_grad_()
            score = (head(between, lengths) * truth).sum()
            total += torch.autograd.grad(score, between)[0]
    return total * (latents - silence) / STEPS


def _top(counts: Tensor, between: tuple[float, float]) -> Tensor:
    """The most important elements of (D, N), bool, by a ratio that is drawn."""
    low, high = map(math.log, between)
    ratio = math.exp(low + (high - low) * float(torch.rand(())))
    order = counts.flatten()
    chosen = torch.zeros(len(order), dtype=torch.bool, device=counts.device)
    chosen[order.topk(max(1, round(ratio * len(order)))).indices] = True
    return chosen.view(counts.shape)
