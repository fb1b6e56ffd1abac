"""Leave-one-out over words, segments or other groups: what the score loses without each."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from xplain import Attribution, Explainer, Groups, Score

SEGMENT = 0.1
"""Seconds of a segment, where no groups are asked for."""


class LeaveOneOut(Explainer):
    """What the score loses without each group of elements, as a table and as a map.

    r(g) = f(x) − f(x without g): the words of Pastor et al. (2024), "Explaining Speech
    Classification Models via Word-Level Audio Segments and Paralinguistic Features", eq. 1, with
    the grouping ``words``; here any groups that are ranked, or else segments of time. What is left
    out goes over to the baseline; over draws of it, the mean. A group's value is shared equally
    among its elements. Completeness is not claimed.
    """

    def __init__(self, segment: float = SEGMENT) -> None:
        """Leave out groups; where each element is by itself, segments of ``segment`` seconds."""
        if not segment > 0:
            raise ValueError(f"segment is in seconds, more than 0, not {segment!r}")
        self.segment = segment

    @torch.no_grad()
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Attribution:
        """Attribute latents (D, N), with a row of the table "groups" for each group."""
        groups = score.groups or self._segments(score, latents)
        numbers = groups.numbers.to(latents.device)
        draws = baseline.reshape(-1, *latents.shape)
        whole = float(score(latents[None]))
        count = int(numbers.max()) + 1
        left = torch.zeros(count, dtype=torch.float64)
        asked = [(group, draw) for group in range(count) for draw in range(len(draws))]
        for first in range(0, len(asked), score.max_batch):
            batch = asked[first : first + score.max_batch]
            variants = torch.stack([torch.where(numbers == g, draws[d], latents) for g, d in batch])
            for (group, _), said in zip(batch, score(variants).tolist(), strict=True):
                left[group] += said / len(draws)
        lost = whole - left
        values = (lost / numbers.flatten().bincount().cpu()).to(latents)[numbers]
        names = groups.names or tuple(f"group {number}" for number in range(count))
        rows = [
            {
                "group": names[number],
                "score without": float(left[number]),
                "lost": float(lost[number]),
            }
            for number in lost.argsort(descending=True, stable=True).tolist()
        ]
        return Attribution(values, groups, {"groups": tuple(rows)})

    def _segments(self, score: Score, latents: Tensor) -> Groups:
        """Frames cut into segments of equal length, called by their seconds."""
        channels, frames = latents.shape
        # A clip whose length is not known has a frame in each.
        seconds = (score.duration or frames * self.segment) / frames
        wide = max(1, round(self.segment / seconds))
        numbers = (torch.arange(frames) // wide).expand(channels, frames).contiguous()
        edges = [min(edge, frames) * seconds for edge in range(0, frames + wide, wide)]
        names = tuple(f"{a:.3f}-{b:.3f} s" for a, b in pairwise(edges))
        return Groups(numbers, names[: int(numbers.max()) + 1])
