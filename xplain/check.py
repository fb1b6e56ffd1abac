"""Is an explanation true of its model? Tried on the model, and judged: the verdict.

If an attribution says what each element adds to the score, its sum over any part predicts how
much the score drops without that part: the two correlate over random parts (the
faithfulness correlation of Bhatt, Weller, Moura 2020, eq. 2). Two things correlate without being
right. Loud parts have large attributions and large drops, so what loudness predicts is taken out
of both (partial correlation). And a clip has few loud parts, so a correlation is compared with
those of the same sizes with random signs, and not with a formula.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from xplain.interfaces import Attribution
from xplain.live import NEGLIGIBLE, LiveClip
from xplain.selection import blocks, top

Kind = Literal["sound", "weak", "broken"]

BLOCKS = (256, 64)
"""About as many blocks are there to remove at the coarser scales."""
PARTS = 32
"""Parts that are removed."""
PART = 0.1
"""Share of the groups in each of them."""
FEWEST = 8
"""Parts to remove under which a correlation is not worth computing."""
DRAWS = 199
"""Draws of random signs; a random attribution beats all of them once in 200 times."""
NEAR = 0.9
"""A correlation that is enough by itself: where one group holds nearly everything, half of all
signs are right by chance."""
AT_ONCE = 2**22
"""Numbers held while they are drawn."""
ORDERS = 10
"""Random orders that the attribution's is compared with."""
TRIED = (0.05, 0.2)
"""Ratios at which orders are compared."""
GROSS = 0.5
"""A completeness error, relative, from which an attribution claims what is not so."""


FAITHFUL: Mapping[Kind, str] = {
    "sound": "faithful",
    "weak": "partly faithful",
    "broken": "unfaithful",
}
"""What people read for a verdict's kind."""


@dataclass(frozen=True)
class Verdict:
    """What checking an explanation has shown.

    kind: "sound" (faithful): the attribution predicts how the score drops without parts of the
    clip, its top-ranked elements matter most, and completeness holds where it is claimed.
    "broken" (unfaithful): it predicts nothing, or is far from complete. "weak" (partly
    faithful): anything between, such as one that predicts no more than the parts' loudness
    does. reasons: in words. figures: the measurements they rest on.
    """

    kind: Kind
    reasons: tuple[str, ...]
    figures: Mapping[str, float | None]

    @property
    def word(self) -> str:
        """What people read for the kind."""
        return FAITHFUL[self.kind]

    def __str__(self) -> str:
        """One line."""
        return f"{self.word}: {'; '.join(self.reasons)}"


@dataclass(frozen=True)
class Prediction:
    """How well drops of the score were predicted at one scale.

    groups: how many there are to make parts of. correlation: with the drops; chance: the
    largest by chance. beyond, beyond_chance: the same with what loudness predicts taken out.
    """

    groups: int
    correlation: float
    chance: float
    beyond: float
    beyond_chance: float

    @property
    def holds(self) -> bool:
        """Whether it predicts better than chance, whatever loudness does."""
        return _more(self.correlation, self.chance)

    @property
    def holds_beyond(self) -> bool:
        """Whether it predicts, and what loudness does not."""
        return self.holds and _more(self.beyond, self.beyond_chance)


@dataclass(frozen=True, eq=False, kw_only=True)
class Trial:
    """What was tried on the model.

    constant: whether the attribution says the same of every element. silent: whether
    the clip's score is that of its baseline, so that nothing is to be explained.
    predictions: at each scale that was tried, fine ones first; none where there are too few
    parts to remove. order: how much more what is put first does than what is left, in units
    of the score. chance: (C,), the same for orders by chance. complete: the completeness
    error, None where none is claimed; tolerance: up to which it is called converged.
    round_trip: whether the unchanged latents keep the decision. doubts: why the model's answers
    may not be what they are taken for.
    """

    constant: bool
    silent: bool
    predictions: tuple[Prediction, ...]
    order: float
    chance: Tensor
    complete: float | None
    tolerance: float | None
    round_trip: bool
    doubts: tuple[str, ...] = ()


def check(live: LiveClip, attribution: Attribution) -> Verdict:
    """Try on the model what an attribution of the clip claims.

    Random parts are removed, and the order is compared with random ones: 76 evaluations, up to
    140 where blocks are tried too.
    """
    generator = torch.Generator().manual_seed(live.seed)
    values = attribution.values.double().cpu()
    constant = bool((values == values[0, 0]).all())
    predictions: list[Prediction] = []
    for group in [] if constant else _scales(live, attribution):
        predictions += _predicted(live, values, group, generator)
        if predictions and predictions[-1].holds_beyond:
            break  # borne out; coarser scales are for what is coarse itself
    rank = live.rank(attribution)
    randomised = [_random_order(live, attribution, rank, generator) for _ in range(ORDERS)]
    tops = torch.stack([top(r, ratio) for r in (rank, *randomised) for ratio in TRIED])
    kept, left = live.scores(torch.cat([tops, ~tops])).view(2, 1 + ORDERS, -1).mean(dim=2)
    return judge(
        Trial(
            constant=constant,
            silent=abs(live.difference) < NEGLIGIBLE,
            predictions=tuple(predictions),
            order=float(kept[0] - left[0]),
            chance=(kept - left)[1:],
            complete=live.completeness_error(attribution),
            tolerance=live.job.explainer.completeness_tolerance,
            round_trip=live.reconstruction.agrees == live.own.agrees,
            doubts=live.doubts,
        )
    )


def _scales(live: LiveClip, attribution: Attribution) -> list[Tensor]:
    """Groups to remove: what is ranked, then blocks, for methods that are coarser."""
    channels, frames = attribution.values.shape
    own = live.groups(attribution).numbers
    if int(own.max()) + 1 < own.numel():
        return [own]
    coarse = [blocks(channels, frames, count) for count in BLOCKS]
    return [own, *(group for group in coarse if int(group.max()) < int(own.max()))]


def _predicted(
    live: LiveClip, attribution: Tensor, group: Tensor, generator: torch.Generator
) -> list[Prediction]:
    """How well the drops are predicted at one scale; nothing where there are too few groups."""
    removed = parts(int(group.max()) + 1, generator)
    if len(removed) < FEWEST:
        return []
    nothing = live.baseline if live.baseline.ndim == 2 else live.baseline.mean(dim=0)
    loudness = (live.latents.values[0] - nothing).abs().double().cpu()
    sums = torch.zeros(2, removed.shape[1], dtype=torch.float64)
    sums.index_add_(1, group.flatten(), torch.stack([attribution, loudness]).flatten(1))
    drops = float(live.ends[0]) - live.scores(~removed[:, group])
    return [predict(sums[0], sums[1], removed, drops, generator)]


def _random_order(
    live: LiveClip, attribution: Attribution, rank: Tensor, generator: torch.Generator
) -> Tensor:
    """An order that knows nothing of the model.

    It has the same sizes with random signs, since sizes follow the loudness of the clip, and
    what is loud matters to most models. Where sizes alone are ranked, the ranks are shuffled.
    """
    group = live.groups(attribution).numbers
    count = int(group.max()) + 1
    if live.job.selection.order == "absolute":
        return torch.randperm(count, generator=generator)[rank]
    signs = torch.randint(0, 2, (count,), generator=generator) * 2 - 1
    return live.rank(replace(attribution, values=attribution.values.cpu() * signs[group]))


def parts(groups: int, generator: torch.Generator) -> Tensor:
    """Draw parts of a number of groups, all different: bool (at most PARTS, groups)."""
    size = max(1, round(PART * groups))
    drawn = torch.rand(PARTS, groups, generator=generator).argsort(dim=1) < size
    different = {part.numpy().tobytes(): part for part in drawn}
    return torch.stack(list(different.values()))


def predict(
    attribution: Tensor, loudness: Tensor, parts: Tensor, drops: Tensor, generator: torch.Generator
) -> Prediction:
    """Compare sums over parts with the drops of the score.

    attribution, loudness: (G,), sums over each group. parts: bool (M, G). drops: (M,).
    """
    removed, measured = parts.double(), drops.double()
    loud = removed @ loudness.double()
    rest = _without(measured[None], loud)[0]
    own = (removed @ attribution.double())[None]
    correlation, beyond = _correlation(own, measured), _correlation(_without(own, loud), rest)
    chances, chances_beyond = [], []
    draws = max(1, AT_ONCE // len(attribution))
    for start in range(0, DRAWS, draws):
        shape = (min(draws, DRAWS - start), len(attribution))
        signs = torch.randint(0, 2, shape, generator=generator, dtype=torch.int8) * 2 - 1
        sums = (signs * attribution.double()) @ removed.T
        chances.append(_correlation(sums, measured))
        chances_beyond.append(_correlation(_without(sums, loud), rest))
    return Prediction(
        groups=len(attribution),
        correlation=float(correlation),
        chance=float(torch.cat(chances).max()),
        beyond=float(beyond),
        beyond_chance=float(torch.cat(chances_beyond).max()),
    )


def _more(correlation: float, chance: float) -> bool:
    return correlation > max(chance, 0) or correlation >= NEAR


def _without(sums: Tensor, loud: Tensor) -> Tensor:
    """What of (n, M) is not linear in (M,)."""
    centred, regressor = sums - sums.mean(dim=1, keepdim=True), loud - loud.mean()
    square = regressor.square().sum()
    if square == 0:
        return centred
    rest = centred - (centred @ regressor / square)[:, None] * regressor
    # All of it was: what is left is rounding.
    nothing = rest.norm(dim=1) <= 1e-9 * centred.norm(dim=1)
    return torch.where(nothing[:, None], 0.0, rest)


def _correlation(several: Tensor, one: Tensor) -> Tensor:
    """Pearson's, of each of (n, M) with (M,): (n,); 0 with what is constant."""
    a, b = several - several.mean(dim=1, keepdim=True), one - one.mean()
    scale = a.norm(dim=1) * b.norm()
    constant = (a.norm(dim=1) <= 1e-12 * several.abs().amax(dim=1)) | (
        b.norm() <= 1e-12 * one.abs().max()
    )
    return torch.where(constant, 0.0, (a @ b) / scale.clamp_min(1e-300))


def judge(trial: Trial) -> Verdict:
    """Say what a trial shows; doubts about the model's answers stand before its reasons."""
    verdict = _judged(trial)
    if not trial.doubts:
        return verdict
    kind: Kind = "broken" if verdict.kind == "broken" else "weak"
    return Verdict(kind, (*trial.doubts, *verdict.reasons), verdict.figures)


def _judged(trial: Trial) -> Verdict:
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
        return Verdict(
            "weak",
            ("the model scores the clip as it scores the baseline: nothing to explain",),
            figures,
        )
    if trial.constant:
        return Verdict("broken", ("the attribution is the same for every element",), figures)
    if trial.complete is not None and trial.complete > GROSS:
        missing = f"completeness does not hold (error {trial.complete:.0%})"
        return Verdict("broken", (missing,), figures)
    if best is not None and not best.holds:
        nothing = (
            "it does not predict how the score drops when parts are removed "
            f"(correlation {best.correlation:.2f}, random signs: at most {best.chance:.2f})"
        )
        return Verdict("broken", (nothing,), figures)
    shown, lacking = _prediction(best)
    beaten = int((trial.order > trial.chance).sum())
    if beaten < len(trial.chance):
        lacking.append(
            f"{len(trial.chance) - beaten} of {len(trial.chance)} random orders did as well "
            "or better"
        )
    elif trial.order <= 0:
        lacking.append("the rest matters more than top-ranked elements")
    else:
        shown.append(
            "top-ranked elements matter more than the rest, and than those of random orders"
        )
    if trial.complete is not None and trial.complete > (trial.tolerance or 0):
        lacking.append(f"it did not converge (completeness error {trial.complete:.1%})")
    elif trial.complete is not None:
        shown.append(f"completeness holds (error {trial.complete:.2%})")
    if not trial.round_trip:
        lacking.append("the representation alone already changes the decision")
    return Verdict("weak" if lacking else "sound", (*lacking, *shown), figures)


def _telling(predictions: tuple[Prediction, ...]) -> Prediction | None:
    """The scale of the best prediction: first one beyond loudness, then any."""
    by_worth = sorted(predictions, key=lambda p: (p.holds_beyond, p.holds), reverse=True)
    return by_worth[0] if by_worth else None


def _prediction(best: Prediction | None) -> tuple[list[str], list[str]]:
    """What the prediction shows, and what it lacks."""
    if best is None:
        return [], ["there are too few parts to test whether it predicts their removal"]
    if best.holds_beyond:
        said = f"correlation {best.beyond:.2f} beyond loudness, random signs: at most "
        removed = f"({said}{best.beyond_chance:.2f})"
        return [f"it predicts how the score drops when parts are removed {removed}"], []
    return [], [
        "it predicts the drops of the score no better than the parts' loudness does "
        f"(correlation {best.correlation:.2f}, beyond loudness {best.beyond:.2f})"
    ]
