"""Is an explanation true of its model? The verdict, from what trying it out has shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from xplain.prediction import Prediction

Kind = Literal["sound", "weak", "broken"]

GROSS = 0.5
"""A completeness error, relative, from which an attribution claims what is not so."""


@dataclass(frozen=True)
class Verdict:
    """What checking an explanation has shown.

    kind: "sound": its numbers predict what the model does without parts of the clip, its
    order says what matters, and it adds up where it says so. "broken": it is not true of
    this model: it predicts nothing, or does not add up at all. "weak": anything between, such
    as one that predicts no more than how loud each part is. reasons: for this verdict, in
    words. figures: the measurements they rest on.
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
    predictions: at each scale that was tried, fine ones first; none where there are too few
    parts to remove. order: how much more what is put first does than what is left, in units
    of the score. chance: (C,), the same for orders by chance. complete: the completeness
    error, None where none is claimed; tolerance: up to which it is called converged.
    round_trip: whether the unchanged latents keep the decision.
    """

    constant: bool
    silent: bool
    predictions: tuple[Prediction, ...]
    order: float
    chance: Tensor
    complete: float | None
    tolerance: float | None
    round_trip: bool


def judge(trial: Trial) -> Verdict:
    """Say what a trial shows."""
    best = _telling(trial.predictions)
    figures = {
        "groups": None if best is None else best.groups,
        "correlation": None if best is None else best.correlation,
        "correlation_by_chance": None if best is None else best.chance,
        "beyond_loudness": None if best is None else best.beyond,
        "beyond_loudness_by_chance": None if best is None else best.beyond_chance,
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
    if best is not None and not best.holds:
        nothing = (
            "it does not predict what removing parts does "
            f"(correlation {best.correlation:.2f}, by chance up to {best.chance:.2f})"
        )
        return Verdict("broken", (nothing,), figures)
    shown, lacking = _prediction(best)
    beaten = int((trial.order > trial.chance).sum())
    if beaten < len(trial.chance):
        lacking.append(
            f"its order does no better than {len(trial.chance) - beaten} of "
            f"{len(trial.chance)} by chance"
        )
    elif trial.order <= 0:
        lacking.append("what it leaves does more than what it puts first")
    else:
        shown.append("what it puts first does more than what is left and than chance")
    if trial.complete is not None and trial.complete > (trial.tolerance or 0):
        lacking.append(f"it did not converge (completeness error {trial.complete:.1%})")
    elif trial.complete is not None:
        shown.append(f"it adds up (completeness error {trial.complete:.2%})")
    if not trial.round_trip:
        lacking.append("the representation alone already changes the decision")
    return Verdict("weak" if lacking else "sound", (*lacking, *shown), figures)


def _telling(predictions: tuple[Prediction, ...]) -> Prediction | None:
    """The scale that speaks for the attribution most: first beyond loudness, then at all."""
    for prediction in predictions:
        if prediction.holds_beyond:
            return prediction
    for prediction in predictions:
        if prediction.holds:
            return prediction
    return predictions[0] if predictions else None


def _prediction(best: Prediction | None) -> tuple[list[str], list[str]]:
    """What the prediction shows, and what it lacks."""
    if best is None:
        return [], ["there are too few parts to see whether it predicts their removal"]
    if best.holds_beyond:
        said = f"correlation {best.beyond:.2f} beyond loudness, by chance up to "
        return [f"it predicts what removing parts does ({said}{best.beyond_chance:.2f})"], []
    return [], [
        "it predicts what removing parts does no better than their loudness does "
        f"(correlation {best.correlation:.2f}, beyond loudness {best.beyond:.2f})"
    ]
