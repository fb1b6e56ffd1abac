"""Methods that take parts away one at a time and see what the score loses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

import captum.attr
import torch
from torch import Tensor

from xplain import Explainer, Score
from xplain_captum.captum_calls import mean_over_draws
from xplain_captum.groups import checked_grouping, grid, groups, shared_out

ABLATED_GROUPS = 512
"""Of the grid that is ablated by default: one evaluation each."""

OCCLUDING_WINDOWS = 256
"""That lie beside each other on the grid; with half a window of stride about four times so
many evaluations."""


class FeatureAblation(Explainer):
    """What the score loses when a group of elements is replaced by the baseline.

    Leave-one-out (Li, Monroe, Jurafsky 2016, "Understanding neural networks through
    representation erasure"), in equal shares to the group's elements. Completeness fails where
    groups stand in for each other: of two that say the same, neither is missed.
    """

    def __init__(self, grouping: str | None = None) -> None:
        """Ablate groups.

        grouping: element, channel, frame, block or block:CxF; None for the groups that are
        ranked, and for single elements about 512 blocks.
        """
        self.grouping = checked_grouping(grouping)

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N); over draws (S, D, N) of the baseline, the mean."""
        numbers = groups(score, latents, self.grouping, ABLATED_GROUPS)
        method = captum.attr.FeatureAblation(score)

        def ablated(draw: Tensor) -> Tensor:
            attribution: Tensor = method.attribute(
                latents[None],
                baselines=draw[None],
                feature_mask=numbers[None],
                perturbations_per_eval=score.max_batch,
            )
            return shared_out(attribution[0], numbers)

        return mean_over_draws(ablated, baseline)


class Occlusion(Explainer):
    """What the score loses behind a window that slides over the latents.

    Zeiler, Fergus (2014), "Visualizing and Understanding Convolutional Networks", sec. 4.2.
    Each element has the mean over the windows that cover it, each divided by the number of its
    elements, so that windows side by side give what feature ablation gives on the same blocks.
    A window that reaches beyond the last channel or frame is cut there. Where groups are ranked
    and no window is given, the groups are the windows. Completeness does not hold.

    Captum divides each element's sum by the number of windows alone, and a window that was cut
    cannot be told from a whole one afterwards; so this one does not call it.
    """

    def __init__(self, window: str | None = None, stride: str | None = None) -> None:
        """Slide a window of CxF (channels × frames) by a stride of CxF.

        window: None for the groups that are ranked, and for single elements about 256 that
        lie side by side. stride: None for half the window.
        """
        self.window = window
        self.stride = stride
        self._window = None if window is None else parse_size("window", window)
        self._stride = None if stride is None else parse_size("stride", stride)
        if self._window and self._stride:
            for size, step in zip(self._window, self._stride, strict=True):
                if step > size:
                    raise ValueError(
                        f"a stride of {stride} leaves gaps between windows of {window}; "
                        "choose one that is at most as large"
                    )

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N); over draws (S, D, N) of the baseline, the mean."""
        if self._window is None and score.groups is not None:
            return FeatureAblation().attribute(score, latents, baseline)
        shape = latents.shape
        wanted = self._window or grid(shape[0], shape[1], OCCLUDING_WINDOWS)
        high, wide = min(wanted[0], shape[0]), min(wanted[1], shape[1])
        down, along = self._stride or (-(-high // 2), -(-wide // 2))
        windows = [
            (rows, columns)
            for rows in spans(shape[0], high, min(down, high))
            for columns in spans(shape[1], wide, min(along, wide))
        ]
        return mean_over_draws(partial(_occluded, score, latents, windows), baseline)


@torch.no_grad()
def _occluded(
    score: Score, latents: Tensor, windows: Sequence[tuple[slice, slice]], baseline: Tensor
) -> Tensor:
    whole = score(latents[None])
    total, covered = torch.zeros_like(latents), torch.zeros_like(latents)
    for first in range(0, len(windows), score.max_batch):
        batch = windows[first : first + score.max_batch]
        variants = latents.repeat(len(batch), 1, 1)
        for variant, window in zip(variants, batch, strict=True):
            variant[window] = baseline[window]
        for window, lost in zip(batch, whole - score(variants), strict=True):
            total[window] += lost / total[window].numel()
            covered[window] += 1
    return total / covered


def spans(length: int, size: int, stride: int) -> list[slice]:
    """Windows of ``size`` along ``length`` places by a stride, until the last place is covered."""
    starts = range(0, length - size + stride, stride)
    return [slice(start, min(start + size, length)) for start in starts]


def parse_size(name: str, size: str) -> tuple[int, int]:
    """Read CxF as channels and frames; ValueError for anything else."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", str(size))
    if match is None:
        raise ValueError(f"{name} is CxF, channels × frames such as 16x8, not {size!r}")
    return int(match[1]), int(match[2])
