"""Does an attribution predict what the model does without parts of the clip?

If its numbers say what each element adds to the score, its sum over any part says how
the score drops without that part: the two correlate over parts drawn by chance (the
faithfulness correlation of Bhatt, Weller, Moura 2020, eq. 2). Two things correlate without being
right. Loud parts have large attributions and large drops; so what loudness predicts is taken out
of both (partial correlation). And what is loud is little; so a correlation is held against those
of the same sizes with their signs drawn by chance, and not against a formula.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

PARTS = 32
"""Parts that are removed."""
PART = 0.1
"""Share of the groups in each of them."""
CHANCES = 199
"""Draws of signs: that all of them correlate less happens once in 200 times by chance."""
NEAR = 0.9
"""A correlation that is enough by itself: where one group holds nearly everything, half of all
signs are right by chance."""
AT_ONCE = 2**22
"""Numbers held while they are drawn."""


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
    for start in range(0, CHANCES, draws):
        shape = (min(draws, CHANCES - start), len(attribution))
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
