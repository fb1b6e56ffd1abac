"""Integrated gradients by adaptive quadrature.

A score changes mostly on a small part of the path from baseline to clip, which fixed points may
miss. Completeness holds on every panel [a, b] of the path: the integral of the slope is
score(b) − score(a), and each gradient gives its point's score for free. The error of every panel
is therefore known, and the panels with the largest errors are halved. Simpson's rule reuses all
points after halving (adaptive Simpson, Kuncir 1962, with known instead of estimated errors).

Models of sound hear loudness by its logarithm, so that a score changes mostly near a quiet
baseline. The path's places are therefore squares, t = u², with panels that are even in u: the
integral of the gradient over t is that of 2 u times the gradient over u.

The refinement stops when the sum of the errors, the completeness error, is within the tolerance
of the score difference, and the sum of their absolute values is within SLACK times that. The
second condition refuses sums that are right because large errors cancel.

It gives up where that is not to be had: at a jump, or on a path so rough that each panel has
errors of its own, which fall as slowly as the panels become more. How they fell from half as many
gradients to now says what the most gradients would leave.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import log
from time import monotonic

import torch
from torch import Tensor

from xplain import Score, XplainWarning
from xplain.progress import say

MOST_GRADIENTS = 201
"""Limit on gradients: of 114 clips of four models no path that needed more came to its end."""

FEW_GRADIENTS = 65
"""So many are spent before it gives up; all but two of those paths were at their end by then."""

HOPE = 4.0
"""It gives up where the errors would stay as many times above their limit with MOST_GRADIENTS."""

SLACK = 5.0
"""Limit on the sum of absolute errors, in tolerances. With 1, no errors cancel, at twice the
gradients on a network of ReLUs."""

FIRST_PANELS = 4
"""Panels at the start. A rise and fall between two of their points goes unseen."""

PATIENCE = 10.0
"""Seconds after which it says how far it is, again and again."""

ROUNDING = 1e-6
"""Relative error of a score in float32: the smallest error that can be reached."""


@dataclass(frozen=True)
class Point:
    """Score and gradient at one place of the path from the baseline (0) to the latents (1).

    root: of the place. slope: derivative of the score by the root. gradient: (D, N), by latents.
    """

    root: float
    score: float
    slope: float
    gradient: Tensor


@dataclass(frozen=True)
class Panel:
    """A part of the path, with its ends and its middle."""

    start: Point
    middle: Point
    end: Point

    @property
    def width(self) -> float:
        """In roots."""
        return self.end.root - self.start.root

    @property
    def excess(self) -> float:
        """Error of Simpson's rule on this panel: its integral less the score difference."""
        slope = (self.start.slope + 4 * self.middle.slope + self.end.slope) / 6
        return self.width * slope - (self.end.score - self.start.score)

    @property
    def integral(self) -> Tensor:
        """Simpson's rule on the gradients: (D, N)."""
        start, middle, end = self.start, self.middle, self.end
        gradient = start.root * start.gradient + end.root * end.gradient
        return (gradient + 4 * middle.root * middle.gradient) * (self.width / 3)


def adaptive_path_integral(
    score: Score, latents: Tensor, baseline: Tensor, *, tolerance: float
) -> Tensor:
    """Integrated gradients (D, N) of latents (D, N) from one baseline (D, N).

    tolerance: of the completeness error, relative to the score difference. Stops at
    MOST_GRADIENTS where they do not reach it, which whoever compares the sum with the
    difference sees; warns (XplainWarning) where they reach it only since errors along the path
    that are more than SLACK times as large cancel.
    """
    halves, said = 2 * FIRST_PANELS, monotonic()
    first = _points(score, latents, baseline, [step / halves for step in range(halves + 1)])
    panels = [Panel(*first[step : step + 3]) for step in range(0, halves, 2)]
    unreachable = ROUNDING * max(abs(point.score) for point in first)
    allowed = max(tolerance * abs(first[-1].score - first[0].score), unreachable)
    course: list[tuple[int, float]] = []
    while not _converged(panels, allowed):
        room = (MOST_GRADIENTS - 1) // 2 - len(panels)
        error, apart = abs(sum(p.excess for p in panels)), sum(abs(p.excess) for p in panels)
        course.append((2 * len(panels) + 1, apart))
        if monotonic() > said + PATIENCE:
            said = monotonic()
            say(
                f"{course[-1][0]} gradients (at most {MOST_GRADIENTS}), error {error:.2g} "
                f"({allowed:.2g} asked for), {apart:.2g} along the path ({SLACK * allowed:.2g})"
            )
        if room < 1 or _left(course) > HOPE * SLACK * allowed:
            if error <= allowed:
                warnings.warn(
                    f"integrated gradients stopped after {2 * len(panels) + 1} gradients, with "
                    f"errors of {apart:.2g} along the path (asked for: {SLACK * allowed:.2g}) that "
                    "cancel in its sum; allow a larger tolerance, or take a baseline nearer to the "
                    "clip",
                    XplainWarning,
                    stacklevel=2,
                )
            break
        panels.sort(key=lambda panel: abs(panel.excess))
        count = min(_too_many(panels, SLACK * allowed), room)
        panels, worst = panels[:-count], panels[-count:]
        panels += _halves(worst, score, latents, baseline)
    return (latents - baseline) * torch.stack([p.integral for p in panels]).sum(dim=0)


def _converged(panels: Sequence[Panel], allowed: float) -> bool:
    """Whether the sum of the errors, and of their absolute values, is small enough."""
    excess = [panel.excess for panel in panels]
    return abs(sum(excess)) <= allowed and sum(map(abs, excess)) <= SLACK * allowed


def _left(course: Sequence[tuple[int, float]]) -> float:
    """Errors that MOST_GRADIENTS would leave, if they fall on as they fell since half as many.

    course: how many gradients left which sum of absolute errors. 0 while it is too early to tell.
    """
    now, error = course[-1]
    before = [pair for pair in course if 2 * pair[0] <= now]
    if now < FEW_GRADIENTS or not before:
        return 0.0
    many, errors = before[-1]
    pace = log(errors / error) / log(now / many)
    return float(error * (now / MOST_GRADIENTS) ** pace)


def _too_many(panels: Sequence[Panel], allowed: float) -> int:
    """Count the panels, sorted by error, to halve so that the others stay within ``allowed``.

    Halving them at once costs no more gradients than one after another. At least 1, since
    rounding may leave none.
    """
    left = accumulate(abs(panel.excess) for panel in panels)
    return max(1, sum(error > allowed for error in left))


def _halves(
    panels: Sequence[Panel], score: Score, latents: Tensor, baseline: Tensor
) -> list[Panel]:
    """Both halves of each panel."""
    roots = [p.start.root + share * p.width for p in panels for share in (0.25, 0.75)]
    quarters = iter(_points(score, latents, baseline, roots))
    halves = []
    for panel, left, right in zip(panels, quarters, quarters, strict=True):
        halves += [Panel(panel.start, left, panel.middle), Panel(panel.middle, right, panel.end)]
    return halves


def _points(score: Score, latents: Tensor, baseline: Tensor, roots: Sequence[float]) -> list[Point]:
    """Gradients and scores at the squares of some roots, within the memory budget."""
    difference = latents - baseline
    points: list[Point] = []
    for first in range(0, len(roots), score.max_batch):
        batch = roots[first : first + score.max_batch]
        shares = torch.tensor(batch, dtype=latents.dtype, device=latents.device)
        variants = baseline + shares.square()[:, None, None] * difference
        with torch.enable_grad():
            variants.requires_grad_()
            scores = score(variants)
            (gradients,) = torch.autograd.grad(scores.sum(), variants)
        slopes = (gradients * difference).sum(dim=(1, 2), dtype=torch.float64)
        points += [
            Point(root, value, 2 * root * slope, gradient)
            for root, value, slope, gradient in zip(
                batch, scores.tolist(), slopes.tolist(), gradients, strict=True
            )
        ]
    return points
