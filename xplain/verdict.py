"""Is an explanation true of its model? The verdict, from what trying it out has shown.

Two claims of an attribution are tried on the model itself. That its numbers say what an
element adds to the score: then the sum over any part predicts how the score drops
without that part (the faithfulness correlation of Bhatt, Weller, Moura 2020, eq. 2). That its
order says what matters: then what it puts first does more than what is left, and more
than the same sizes do with their signs drawn by chance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Kind = Literal["sound", "weak", "broken"]

GROSS = 0.5
"""A completeness error, relative, from which an attribution claims what is not so."""
CRITICAL = 2.326
"""Standard deviations that chance exceeds once in a hundred times."""
FEWEST = 8
"""Parts to remove under which a correlation is not worth computing."""


@dataclass(frozen=True)
class Verdict:
    """What checking an explanation has shown.

    kind: "sound": its numbers predict what the model does without parts of the clip, its
    order says what matters, and it adds up where it says so. "broken": it is not true of
    this model: it does not add up at all, or neither numbers nor order are borne out.
    "weak": anything between. reasons: for this verdict, in words. figures: the
    measurements they rest on.
    """

    kind: Kind
    reasons: tuple[str, ...]
    figures: Mapping[str, float | None]

    def __str__(self) -> str:
        """One line."""
        return f"{self.kind}: {'; '.join(self.reasons)}"


@dataclass(frozen=True, eq=False, kw_only=True)
class Trial:
    """What was tried on the model.

    constant: whether the attribution says the same of every element. silent: whether
    the clip's score is that of its baseline, so that nothing is to be explained.
    predicted, measured: (M,), for each part that was removed, the attribution's sum over
    it and the drop of the score. order: how much more what is put first does than what
    is left, in units of the score. chance: (C,), the same for orders by chance. complete:
    the completeness error, None where none is claimed; tolerance: up to which it is
    called converged. round_trip: whether the unchanged latents keep the decision.
    """

    constant: bool
    silent: bool
    predicted: Tensor
    measured: Tensor
    order: float
    chance: Tensor
    complete: float | None
    tolerance: float | None
    round_trip: bool


def judge(trial: Trial) -> Verdict:
    """Say what a trial shows."""
    correlation, critical = _correlation(trial.predicted, trial.measured)
    beaten = int((trial.order > trial.chance).sum())
    figures = {
        "correlation": correlation,
        "correlation_by_chance": critical,
        "order": trial.order,
        "order_by_chance": float(trial.chance.max()),
        "completeness_error": trial.complete,
    }
    if trial.silent:
        return Verdict("weak", ("the clip sounds like what replaces it to the model",), figures)
    if trial.constant:
        return Verdict("broken", ("it says the same of every element",), figures)
    if trial.complete is not None and trial.complete > GROSS:
        missing = f"it does not add up to the change of the score (off by {trial.complete:.0%})"
        return Verdict("broken", (missing,), figures)
    predicts = correlation is not None and critical is not None and correlation > critical
    ranks = beaten == len(trial.chance) and trial.order > 0
    shown, lacking = [], []
    if predicts:
        shown.append(f"it predicts what removing parts does (correlation {correlation:.2f})")
    elif correlation is None:
        lacking.append("there are too few parts to see whether it predicts their removal")
    else:
        lacking.append(
            f"it does not predict what removing parts does (correlation {correlation:.2f}, "
            f"by chance up to {critical:.2f})"
        )
    if ranks:
        shown.append("what it puts first does more than what is left and than chance")
    elif beaten < len(trial.chance):
        lacking.append(
            f"its order does no better than {len(trial.chance) - beaten} of "
            f"{len(trial.chance)} by chance"
        )
    else:
        lacking.append("what it leaves does more than what it puts first")
    if correlation is not None and not predicts and not ranks:
        return Verdict("broken", tuple(lacking), figures)
    if trial.complete is not None and trial.complete > (trial.tolerance or 0):
        lacking.append(f"it did not converge (completeness error {trial.complete:.1%})")
    if not trial.round_trip:
        lacking.append("the representation alone already changes the decision")
    if lacking:
        return Verdict("weak", (*lacking, *shown), figures)
    if trial.complete is not None:
        shown.append(f"it adds up (completeness error {trial.complete:.2%})")
    return Verdict("sound", tuple(shown), figures)


def _correlation(predicted: Tensor, measured: Tensor) -> tuple[float | None, float | None]:
    """Pearson's correlation, and what chance exceeds once in a hundred times (Fisher's z)."""
    if len(predicted) < FEWEST:
        return None, None
    both = torch.stack([predicted, measured]).double()
    if (both.std(dim=1) <= 1e-9 * both.abs().amax(dim=1).clamp_min(1e-30)).any():
        return 0.0, math.tanh(CRITICAL / math.sqrt(len(predicted) - 3))
    correlation = float(torch.corrcoef(both)[0, 1])
    return correlation, math.tanh(CRITICAL / math.sqrt(len(predicted) - 3))
