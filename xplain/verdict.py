"""What trying an explanation on its model means: faithful, partly, unfaithful or inconclusive."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, get_args

Kind = Literal["faithful", "partly", "unfaithful", "inconclusive"]

BOUNDS: Mapping[str, tuple[float, float]] = {
    "contrast": (0.1, 0.4),
    "contrast of groups": (-0.6, -0.35),
    "contrasts on average": (0.45, 0.65),
    "unimportant": (-0.2, -0.1),
    "complete": (-0.5, 0.0),
    "five": (0.75, 0.95),
    "ten": (0.75, 0.9),
    "parts": (0.5, 0.945),
    "parts of groups": (0.4, 0.88),
}
"""To what a figure refutes an attribution, and from what it speaks for it; between them neither."""
FEWEST = 3
"""Groups to remove under which nothing can be told."""
EXACT = 0.998
"""Cosine from which what single groups cost is what an attribution says."""
FEW = 10
"""Groups up to which it is measured what each of them costs."""
MANY = 200
"""Groups from which a single contrast tells."""
UNDECIDED = 0.1
"""Difference of two probabilities under which a model has not decided between them."""
UNSURE = 0.6
"""Probability under which a faithful explanation is of a decision that is not sure."""
WORST_FIRST: tuple[Kind, ...] = ("unfaithful", "partly", "faithful")
WORDS = {kind: "partly faithful" if kind == "partly" else kind for kind in get_args(Kind)}


@dataclass(frozen=True)
class Verdict:
    """What checking an explanation has shown.

    kind: "faithful": where it and any of its alternatives disagree, the model is with it.
    "unfaithful": the model is with an alternative, or hangs on what it calls unimportant.
    "partly": neither is clear. "inconclusive": nothing can be told. reasons: in words, the
    decisive first. figures: the measurements they rest on. evaluations: of the model, what it
    cost. notices: what has to be known whatever the kind, such as that the model is not sure.
    """

    kind: Kind
    reasons: tuple[str, ...]
    figures: Mapping[str, float | None]
    evaluations: int = 0
    notices: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """What people read for the kind."""
        return WORDS[self.kind]

    @property
    def badge(self) -> str:
        """Its kind; "noticed" for a faithful one of which something else has to be known."""
        return "noticed" if self.kind == "faithful" and self.notices else self.kind

    def __str__(self) -> str:
        """One line."""
        return f"{self.word}: {'; '.join((*self.reasons, *self.notices))}"


@dataclass(frozen=True)
class Contrast:
    """Where an attribution and an alternative disagree most.

    name: of the alternative. own, other: how much the score falls without what only the
    attribution points to, and without what only the alternative does. expected: their difference
    relative to their sum, as the attribution says and as the alternative does.
    """

    name: str
    own: float
    other: float
    expected: tuple[float, float] = (1.0, -1.0)

    @property
    def worth(self) -> float:
        """With whom the model is: from 1, with the attribution, to −1, with the alternative."""
        size, (mine, theirs) = abs(self.own) + abs(self.other), self.expected
        # What changes nothing on either side is with neither.
        found = (self.own - self.other) / size if size > 0 else (mine + theirs) / 2
        return max(-1.0, min(1.0, (2 * found - mine - theirs) / (mine - theirs)))

    def __str__(self) -> str:
        """The falls of the score."""
        return f"{self.own:.3g} and {self.other:.3g}"


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What was tried on the model.

    groups: that can be removed; fine: whether they are single elements. constant: whether the
    attribution says the same of all. flat: whether nothing that was removed changes the score.
    contrasts: with its alternatives. rest: what the score loses without all that it calls
    unimportant, beyond what it says of it, as a share of what it can lose. costs: how alike what it
    says is to what each group costs alone, and on average; of many groups, to what parts cost of
    which it says as much each. single: of larger groups, to what some of them cost alone. halved:
    whether the contrasts were tried in half of the clip. complete: the completeness error where
    completeness is claimed, as a share of what the score can lose; tolerance: up to which it is
    called converged. round_trip: whether the unchanged latents keep the decision. margin,
    probability: how sure the model is, where it has probabilities. doubts: why its answers may not
    be what they are taken for.
    """

    groups: int
    fine: bool = True
    constant: bool = False
    flat: bool = False
    contrasts: tuple[Contrast, ...] = ()
    rest: float | None = None
    costs: Sequence[float] | None = None
    single: float | None = None
    halved: bool = False
    complete: float | None = None
    tolerance: float | None = None
    round_trip: bool = True
    margin: float | None = None
    probability: float | None = None
    doubts: tuple[str, ...] = ()
    evaluations: int = 0

    @property
    def alike(self) -> int:
        """Whether what groups or parts cost refutes it (−1), speaks for it (1), or neither.

        What each of a few groups costs alone can be said exactly; on average it is an estimate.
        """
        if self.costs is None:
            return 0
        few, fine = self.groups <= FEW, self.fine
        small = "five" if self.groups <= 5 else "ten"
        bad, good = BOUNDS[small if few else "parts" if fine else "parts of groups"]
        alone, average = self.costs
        if max(self.costs) <= bad:
            return -1
        return int(average >= good or alone >= (EXACT if few else good))


def judge(trial: Trial) -> Verdict:
    """Say what a trial shows: the decisive reasons first."""
    worst = min(trial.contrasts, key=lambda c: c.worth, default=None)
    figures = {
        "groups": float(trial.groups),
        "hardest_contrast": None if worst is None else worst.worth,
        "mean_contrast": None if worst is None else fmean(c.worth for c in trial.contrasts),
        "unimportant_share": trial.rest,
        "like_each_alone": None if trial.costs is None else trial.costs[0],
        "like_each_on_average": None if trial.costs is None else trial.costs[1],
        "like_single": trial.single,
        "within_half": float(trial.halved),
        "completeness_error": trial.complete,
    }
    notices: tuple[str, ...] = ()
    if trial.probability is not None and trial.probability < UNSURE:
        notices = (f"the model is not sure of this label ({trial.probability:.0%})",)
    kind: Kind = "inconclusive"
    reasons = _nothing(trial)
    if not reasons:
        found = sorted(_findings(trial, worst), key=lambda finding: finding[0])
        least = found[0][0] if found else 0
        kind = "unfaithful" if least < 0 else "faithful" if least > 0 else "partly"
        reasons = tuple(text for state, text in found if state == least or least >= 0)
        if trial.halved and least >= 0:
            reasons += ("this holds in half of the clip, and not of single parts of the whole",)
    return Verdict(kind, reasons, figures, trial.evaluations, notices)


def _nothing(trial: Trial) -> tuple[str, ...]:
    """Why nothing can be told."""
    if trial.doubts:
        return trial.doubts
    if trial.groups < FEWEST:
        return (f"there are too few parts to remove ({trial.groups})",)
    if trial.constant:
        return ("the attribution is the same for every element, so it says nothing to test",)
    if trial.flat:
        return ("the score is the same whatever is removed: nothing to explain",)
    if trial.margin is not None and trial.margin < UNDECIDED:
        return (f"the model is undecided (probabilities {trial.margin:.0%} apart)",)
    return ()


def _findings(trial: Trial, worst: Contrast | None) -> Iterator[tuple[int, str]]:
    """What was found, each with −1 where it refutes, 1 where it speaks for it, else 0."""
    exact = trial.single is not None and trial.single >= EXACT
    if exact:
        yield 1, f"what single groups cost is what it says (cosine {trial.single:.2f})"
    elif worst is not None:
        average = fmean(contrast.worth for contrast in trial.contrasts)
        mean = 1 if trial.fine else _state("contrasts on average", average)
        name = "contrast" if trial.fine else "contrast of groups"
        state = min(mean, _state(name, worst.worth) if trial.fine or trial.groups >= MANY else 1)
        if not trial.fine and trial.alike > 0:  # a neighbour of a larger group shares its sound
            state = max(state, 0)
        falls = f"(the score falls by {worst} where they differ)"
        nearest = f"of {len(trial.contrasts)} alternatives, {worst.name} comes nearest {falls}"
        yield state, nearest if state >= 0 else f"the model is rather with {worst.name} {falls}"
    if trial.rest is not None and (state := _state("unimportant", -abs(trial.rest))) < 1:
        share = f"{abs(trial.rest):.0%} of the score hang on what it calls unimportant"
        yield max(state, exact - 1), share
    if trial.costs is not None and not exact:
        state, like = trial.alike, f"(cosine {max(trial.costs):.2f})"
        how = "alone" if trial.costs[0] >= trial.costs[1] else "on average"
        what = "groups" if trial.groups <= FEW else "equal shares of it"
        is_like = ("unlike", "not quite like", "like")[1 + state]
        yield state, f"what {what} cost {how} is {is_like} what it says {like}"
    if trial.complete is not None:
        state = _state("complete", (trial.tolerance or 0) - trial.complete)
        holds = ("does not hold", "has not converged", "holds")[1 + state]
        yield state, f"completeness {holds} (error {trial.complete:.2%})"
    if not trial.round_trip:
        yield 0, "the representation alone already changes the decision"


def _state(name: str, value: float) -> int:
    """Whether a figure refutes (−1), speaks for it (1), or neither."""
    bad, good = BOUNDS[name]
    return -1 if value <= bad else int(value >= good)
