"""Training for explanations that hold: what counts most is enough, and is needed."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor

from training.precision import halved
from xplain_zoo.digits import DigitClassifier


@dataclass(frozen=True)
class Emphasis:
    """How many clips of a batch are treated, and how.

    After L-MAC (Paissan et al. 2024), which asks of a mask that what is masked in keeps
    the decision and what is masked out loses it. Here the classifier itself is asked,
    with the gradient times the input of its compressed bands for what counts.
    """

    share: float = 0.3  # of the clips of a batch
    kept: float = 0.35  # of those: only what counts is left; the others lose it
    least: float = 0.05  # of a clip's elements that count as the most important
    most: float = 0.2

    def apply(
        self, model: DigitClassifier, bands: Tensor, targets: Tensor, order: random.Random
    ) -> tuple[Tensor, Tensor]:
        """Changed copies of bands (batch, bands, frames) and targets (batch, labels).

        A clip without what counts has every label alike as its target.
        """
        count = int(self.share * len(bands))
        if count == 0:
            return bands, targets
        rows = order.sample(range(len(bands)), count)
        counts = importance(model, bands[rows], targets[rows]).flatten(1)
        bands, targets = bands.clone(), targets.clone()
        for place, row in enumerate(rows):
            size = max(1, int(counts.shape[1] * order.uniform(self.least, self.most)))
            top = torch.zeros(counts.shape[1], dtype=torch.bool)
            top[counts[place].topk(size).indices] = True
            keep = place < self.kept * count
            bands[row] *= (top if keep else ~top).view(bands.shape[1:])
            if not keep:
                targets[row] = 1 / targets.shape[1]
        return bands, targets


def importance(model: DigitClassifier, bands: Tensor, targets: Tensor) -> Tensor:
    """Gradient of the targets' logits times the bands, (batch, bands, frames)."""
    inputs = bands.detach().requires_grad_()
    training = model.training
    model.eval()
    with halved():
        score = (model.classify(inputs).float() * targets).sum()
    (slope,) = torch.autograd.grad(score, inputs)
    model.train(training)
    return (slope * inputs).detach()
