"""Rules for explainers about chance and budgets: draws of the baseline, batches, own noise."""

from __future__ import annotations

import torch
from torch import Tensor

from xplain.errors import XplainError
from xplain_devkit.rules.parameters import promises_of
from xplain_devkit.rules.questions import SEED, Question, answer, question
from xplain_devkit.rules.rule import NotApplicable, Rule, Subject, demand

DRAWS = 2
BUDGETS = (1, 3)
"""Variants per batch, beside the usual 16."""
NEAR = 1e-3
"""Difference, relative to the largest value, of sums in another order."""
SPREADS = 4.0
"""Times the difference between two seeds that a method may differ between budgets."""
ALIKE = 0.3
"""Correlation that attributions of two seeds have to have; of chance alone 0 ± 0.13."""


def follows_the_baseline_or_says_not(subject: Subject) -> None:
    """Another baseline gives another attribution; with uses_baseline = False, the same."""
    answers = []
    for level in (0.0, 0.5):
        asked = question(subject)
        asked.baseline = asked.baseline + level * asked.latents.flip(0).abs()
        answers.append(given(subject, asked))
    differ = apart(*answers) > NEAR
    says = subject.make().uses_baseline
    demand(differ == says, f"uses_baseline = {says}, and {'another' if differ else 'the same'}.")


def counts_every_draw(subject: Subject) -> None:
    """Of several draws of the baseline each one counts: another one changes the attribution."""
    if not subject.make().uses_baseline:
        raise NotApplicable("it declares uses_baseline = False")
    usual = given(subject, question(subject, draws=DRAWS))
    for number in range(DRAWS):
        asked = question(subject, draws=DRAWS)
        asked.baseline[number] += asked.latents.flip(0)
        changed = apart(usual, given(subject, asked)) > NEAR
        demand(changed, f"the same with another draw {number} of {DRAWS}.")


def adds_up_over_draws_where_it_says_so(subject: Subject) -> None:
    """Where completeness is declared, the sum is score(latents) − the mean score of the draws."""
    tolerance = promises_of(subject.make())
    if tolerance is None:
        raise NotApplicable("it declares no completeness_tolerance")
    asked = question(subject, draws=DRAWS)
    asked.baseline = 5 * asked.baseline
    total, draws = float(given(subject, asked).sum()), asked.baseline
    asked.baseline = draws[0]
    alone, asked.baseline = float(given(subject, asked).sum()), draws
    with asked.posed(subject.make()), torch.no_grad():
        ends = asked.score(torch.cat([asked.latents[None], asked.baseline])).double()
    wanted = float(ends[0] - ends[1:].mean())
    # Draws differ from each other: what one of them adds may cancel what another one does.
    scale = float((ends[0] - ends[1:]).abs().mean())
    if abs(alone - float(ends[0] - ends[1])) > tolerance * scale:
        raise NotApplicable("it does not add up with one draw")
    kept = abs(total - wanted) <= tolerance * scale
    demand(kept, f"a sum of {total:.4g}, expected {wanted:.4g} over {DRAWS} draws.")


def is_the_same_for_every_budget(subject: Subject) -> None:
    """Another max_batch gives the same attribution, up to the spread between two seeds."""
    usual, other = (given(subject, question(subject), seed) for seed in (SEED, SEED + 1))
    allowed = max(NEAR, SPREADS * apart(usual, other))
    for budget in BUDGETS:
        try:
            got = given(subject, question(subject, max_batch=budget))
        except XplainError:  # it may need more than one
            continue
        off = apart(usual, got)
        demand(off <= allowed, f"values that are {off:.1%} off with max_batch = {budget}.")


def has_little_noise_of_its_own(subject: Subject) -> None:
    """Attributions by two seeds are alike: they correlate."""
    one, other = (given(subject, question(subject), seed) for seed in (SEED, SEED + 1))
    both = torch.stack([one.flatten(), other.flatten()]).double()
    if not bool((both.std(dim=1) > 0).all()):
        raise NotApplicable("its attribution is the same everywhere")
    alike = float(torch.corrcoef(both)[0, 1])
    demand(alike >= ALIKE, f"a correlation of {alike:.2f}; draw more, or less at random.")


def given(subject: Subject, asked: Question, seed: int = SEED) -> Tensor:
    """A new instance's attribution by a seed; NotApplicable where it is none."""
    found = answer(subject, asked, seed).double()
    if not bool(torch.isfinite(found).all()):
        raise NotApplicable("it gives NaN or infinity")
    return found


def apart(one: Tensor, other: Tensor) -> float:
    """The largest difference, relative to the largest value."""
    scale = max(float(one.abs().max()), float(other.abs().max()), 1e-12)
    return float((one - other).abs().max()) / scale


RULES = tuple(
    Rule(function)
    for function in (
        follows_the_baseline_or_says_not,
        counts_every_draw,
        adds_up_over_draws_where_it_says_so,
        is_the_same_for_every_budget,
        has_little_noise_of_its_own,
    )
)
