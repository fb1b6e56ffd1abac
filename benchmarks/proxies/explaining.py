"""Which components explain a label: fixed on training scenes, never on those that are scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from proxies.scenes import Scene
from xplain_nmf.model import NmfProxy
from xplain_nmf.training.teachers import Teacher

NECESSARY = 0.1
"""Share of the components that are zeroed to see whether they are necessary."""
COVERED = 0.9
"""Share of the positive relevance that the explanation of a proxy without classes covers."""


@dataclass(frozen=True)
class Explanations:
    """By label: relevance (L, K), the most relevant tenth of K, and the explanation's members."""

    relevance: Tensor
    top: list[Tensor]
    members: list[Tensor]


@torch.no_grad()
def explanations(proxy: NmfProxy, teacher: Teacher, scenes: Sequence[Scene]) -> Explanations:
    """Relevance θ · mean h over the frames in which the teacher decides for the label.

    The explanation's components are the label's own in a class-wise dictionary, and otherwise
    the most relevant ones that cover nine tenths of the positive relevance.
    """
    labels, weight = proxy.config.labels, proxy.theta.weight
    onsets = torch.tensor([t.onset for t in proxy.config.make_thresholds().values()])
    total, frames = torch.zeros_like(weight), torch.zeros(len(labels))
    for scene in scenes:
        h = proxy.spread(proxy.activations(scene.waveform[None]))[0]
        there = (teacher(scene.waveform[None])[0].sigmoid() >= onsets).float()
        total += weight * (h @ there).T
        frames += there.sum(0)
    relevance = total / frames.clamp_min(1)[:, None]
    count = max(1, round(NECESSARY * proxy.config.components))
    members = []
    for row, label in zip(relevance, labels, strict=True):
        own = proxy.config.own_components(label)
        members.append(torch.tensor(own) if own else covering(row))
    return Explanations(relevance, [row.topk(count).indices for row in relevance], members)


def covering(relevance: Tensor) -> Tensor:
    """The fewest components that make nine tenths of the positive relevance (K,)."""
    values, order = relevance.clamp_min(0).sort(descending=True)
    reached = values.cumsum(0) < COVERED * values.sum()
    return order[: int(reached.sum()) + 1]


@torch.no_grad()
def distinctness(proxy: NmfProxy, relevance: Tensor) -> float:
    """Mean cosine between two labels' prototypes W r̄, of positive relevance: low is distinct."""
    spectra = torch.nn.functional.normalize(proxy.dictionary @ relevance.clamp_min(0).T, dim=0)
    cosines = spectra.T @ spectra
    count = len(cosines)
    return float((cosines.sum() - cosines.trace()) / (count * (count - 1)))
