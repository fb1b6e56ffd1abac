"""Is an explanation true of its model? Tried on the model; xplain.verdict says what it means.

An attribution is compared with alternatives made of itself: the same picture some frames later
or some channels higher, blurred, without signs, shuffled, or the clip's loudness. Where the two
disagree most, parts are removed: first those to which only the attribution points, then those to
which only the alternative does. A correlation with random parts cannot tell them apart; such
designs are known from the discrimination of models (Atkinson, Fedorov 1975). Comparisons look at
the extremes alone, which are right in many wrong ones. So what it says is cut in parts that hold
as much each, from what speaks for the label to what speaks against it: they cost alike. Methods
answer two questions: what a part costs alone (ablation), or on average over what else is there
(Shapley values, gradients along a path). So both are measured of the parts, and what fails on the
whole clip is tried once more within a random half of it.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from xplain.interfaces import Attribution
from xplain.live import LiveClip
from xplain.targets import Target
from xplain.verdict import EXACT, FEW, FEWEST, WORST_FIRST, Contrast, Trial, Verdict, judge

SHARE, SHARE_COARSE = 0.05, 0.1
"""Share of the elements, or of larger groups, that is removed for each side of a contrast."""
ALIKE = 0.98
"""Cosine from which an alternative says the same."""
APART = 0.1
"""Difference of what the two expect under which they cannot be told apart."""
UNIMPORTANT = 0.02
"""Share of all that is said that the least important together may hold."""
ROUNDING = 2e-6
"""A change of the score, relative to the largest, that is rounding."""
PARTS, PARTS_COARSE = 8, 16
"""Parts of more elements, or larger groups, of which each holds as much of all that is said."""
DENSITY = 0.35
"""Share of everything else beside which a part is removed, and the rest of it: what gradients along
a path and Shapley values average over. Beside halves a CRNN's gradients fit less well, beside a
fifth and four fifths those of a head on latents."""
AGAIN = 0.65
"""Worth of a contrast under which it is made once more, within half of the clip."""
SINGLE = 12
"""Larger groups that are removed alone, from what it calls most important to the least."""


def check(live: LiveClip, attribution: Attribution) -> Verdict:
    """Try on the model what an attribution of the clip claims: some 65 evaluations, or 75."""
    tried = _Tried(live, attribution)
    verdict = judge(trial := tried.trial())
    if verdict.kind in WORST_FIRST[:2] and trial.groups > FEW and trial.alike > 0:
        tried.half = torch.rand(tried.count, generator=tried.generator) < 0.5
        again = judge(tried.trial())
        verdict = max(verdict, again, key=lambda one: WORST_FIRST.index(one.kind))
        verdict = replace(verdict, evaluations=again.evaluations)
    return verdict


Sides = tuple[str, Tensor, Tensor, tuple[float, float]]
"""Of a contrast: its name, the groups to remove on each side, and Contrast.expected."""


class _Tried:
    """One attribution: its groups, and what the score loses without some of them."""

    def __init__(self, live: LiveClip, attribution: Attribution) -> None:
        # Where noise was chosen for both, the method spoke of the fainter one.
        job = live.job
        nothing = job.baseline if "chosen" in job.provenance["replacement"] else job.replacement
        self.live = replace(live, job=replace(job, replacement=nothing))
        self.attribution = attribution
        self.generator = torch.Generator().manual_seed(live.seed)
        self.values = attribution.values.detach().float().cpu()
        numbers, self.unit = _spoken_of(live, attribution, self.values)
        self.count = int(numbers.max()) + 1
        self.fine = self.count == self.values.numel()
        self.numbers = numbers.flatten()
        # In an order of their own, so that chance chooses among those that are equal.
        self.shuffled = torch.randperm(self.count, generator=self.generator)
        self.said = self._sums(self.values)
        self.order = _ascending(-self.said)
        self.constant = self.count < 2 or bool((self.said == self.said[0]).all())
        self.half: Tensor | None = None
        self.sides: list[Sides] = []
        self.contrasts: list[Contrast] = []
        self.rest: float | None = None
        self.costs: list[float] | None = None
        self.single: float | None = None
        self.evaluations, self.largest = 0, 0.0

    def trial(self) -> Trial:
        """Everything that is tried."""
        possible = self.count >= FEWEST and not self.constant and not self.live.doubts
        if possible and self.count <= FEW:
            self.costs = self._costs()
        elif possible and self.half is None:
            self.sides = self._apart()
            self.contrasts, self.rest = self._contrasts(self.sides)
            self.single = None if self.fine else self._costs_of_single()
            self.costs = None if (self.single or 0) >= EXACT else self._costs_of_parts()
        elif possible:
            failed = [n for n, one in enumerate(self.contrasts) if one.worth < AGAIN]
            again, self.rest = self._contrasts([self.sides[n] for n in failed])
            for n, one in zip(failed, again, strict=True):
                self.contrasts[n] = one
        margin, probability = _sureness(live := self.live)
        if complete := live.completeness_error(self.attribution):
            # Both ends may score the same by chance; then next to nothing is a large share of it.
            complete *= min(1.0, abs(live.difference) / max(self.largest, 1e-30))
        return Trial(
            groups=self.count,
            fine=self.fine,
            constant=self.constant,
            flat=self.largest <= ROUNDING * float(live.ends.abs().max()),
            contrasts=tuple(self.contrasts),
            rest=self.rest,
            costs=self.costs,
            single=self.single,
            halved=self.half is not None,
            complete=complete,
            tolerance=live.job.explainer.completeness_tolerance,
            round_trip=live.reconstruction.agrees == live.own.agrees,
            margin=margin,
            probability=probability,
            doubts=live.doubts,
            evaluations=self.evaluations,
        )

    def _costs(self) -> list[float]:
        """How alike what it says is to what each group costs alone, and on average: cosines.

        The groups in a circle: each is added to either end of every run of its neighbours.
        """
        count, whole = self.count, self.live.ends[0].double()
        place = (torch.arange(count) - torch.arange(count)[:, None]) % count
        runs = place[:, None] < torch.arange(1, count)[:, None]  # by start and length
        found = self._scores(torch.cat([torch.zeros(1, count).bool(), runs.flatten(0, 1)]))
        none, whole = found[0].expand(count, 1), whole.expand(count, 1)
        scores = torch.cat([none, found[1:].view(count, -1), whole], dim=1)
        before = scores[:, 1:] - scores.roll(-1, 0)[:, :-1]
        average = scores.diff().gather(1, place).mean(dim=0) + before.mean(dim=1)
        self.largest = float(before.abs().max())
        return _alike(self.said, before[:, -1], average)

    def _costs_of_parts(self) -> list[float]:
        """The same of parts that hold as much of what it says each, in the order of what they say.

        On average: beside some of everything else, drawn anew for each part, and beside the others.
        """
        said = self.said[self.order].abs().cumsum(0)
        parts = PARTS if self.fine else PARTS_COARSE
        number = (said / said[-1] * parts).ceil().long().clamp(1, parts)
        there = torch.unique_consecutive(number)
        gone = torch.zeros(len(there), self.count, dtype=torch.bool)
        gone[:, self.order] = number == there[:, None]
        some = torch.rand(gone.shape, generator=self.generator) < DENSITY
        beside = torch.stack([some, ~some])
        found = self._scores(torch.cat([~gone[None], beside & ~gone, beside | gone]).flatten(0, 1))
        without, *fewer_more = found.chunk(5)
        fewer, more = torch.stack(fewer_more).view(2, 2, -1).mean(dim=1)
        alone, average = self.live.ends[0].double() - without, more - fewer
        self.largest = max(self.largest, float(torch.stack([alone, average]).abs().max()))
        return _alike(gone.float() @ self.said, alone, average)

    def _costs_of_single(self) -> float:
        """How alike what it says is to what single groups cost alone: a cosine.

        Of those it disputes most with each alternative, and some from the most important on.
        """
        disputed = [part[:1] for _, *both, _ in self.sides for part in both]
        places = torch.linspace(0, self.count - 1, SINGLE).round().long()
        chosen = torch.unique(torch.cat([*disputed, self.order[places]]))
        gone = chosen[:, None] == torch.arange(self.count)
        return _alike(self.said[chosen], self.live.ends[0].double() - self._scores(~gone))[0]

    def _alternatives(self) -> dict[str, Tensor]:
        """Alternatives (D, N) by name."""
        values, (high, wide) = self.values, self.unit
        channels, frames = values.shape
        nothing = self.live.baseline.reshape(-1, channels, frames).mean(dim=0)
        loud = (self.live.latents.values[0] - nothing).abs().float().cpu()
        order = torch.randperm(values.numel(), generator=self.generator)
        found = {
            "the opposite": -values,
            "its sizes without their signs": values.abs(),
            "the clip's loudness": loud,
            "its values shuffled": values.flatten()[order].view_as(values),
        }
        if bool((values[1:] == values[:-1]).all() | (values[:, 1:] == values[:, :-1]).all()):
            found["itself where the clip is loud"] = values * loud
        if wide < frames:
            what = "frame" if wide == 1 else "group"
            size, reach = (1, 2 * wide + 1), (0, wide)
            mean = avg_pool2d(values[None], size, 1, reach, count_include_pad=False)
            found["itself blurred over time"] = mean[0]
            for way, sign in (("later", 1), ("earlier", -1)):
                found[f"itself 1 {what} {way}"] = values.roll(sign * wide, 1)
                found[f"itself 2 {what}s {way}"] = values.roll(2 * sign * wide, 1)
        if high < channels:
            step, what = (3, "3 channels") if high == 1 else (high, "1 group")
            found |= {f"itself {what} higher": values.roll(step, 0)}
            found |= {f"itself {what} lower": values.roll(-step, 0)}
        return found

    def _apart(self) -> list[Sides]:
        """Where it and each alternative disagree most, on both sides; all of them at once."""
        alternatives = self._alternatives()
        size = max(2, round((SHARE if self.fine else SHARE_COARSE) * self.count))
        others = torch.stack([self._sums(values) for values in alternatives.values()])
        others = others / others.abs().sum(1, keepdim=True)  # NaN, and left out, where it is 0
        own = (self.said / self.said.abs().sum()).expand_as(others)
        apart = torch.stack([own - others, others - own])
        # NumPy finds the most, and sorts, in a third of the time.
        most = torch.from_numpy(np.argpartition(-apart.numpy(), size - 1, axis=2)[..., :size])
        most = most.gather(2, _ascending(-apart.gather(2, most)))
        # As many on each side as hold half of what they disagree about, if that is fewer.
        halves = apart.clamp_min_(0).sum(2, keepdim=True) / 2
        enough = 2 + (apart.gather(2, most).cumsum(2) < halves).sum(2).amax(0)
        chosen = most, torch.arange(size) < enough[:, None]
        expected = torch.stack([_relative(own, *chosen), _relative(others, *chosen)])
        alike = torch.cosine_similarity(own, others, dim=1) >= ALIKE
        rows = zip(alternatives, *most, enough, *expected.tolist(), alike, strict=True)
        return [
            (s, a[:n], b[:n], (x, y)) for s, a, b, n, x, y, no in rows if x - y >= APART and not no
        ]

    def _contrasts(self, sides: list[Sides]) -> tuple[list[Contrast], float | None]:
        """Remove both sides of all contrasts, and all that it calls unimportant; see Trial.rest."""
        parts = [part for _, *both, _ in sides for part in both]
        order = _ascending(sizes := self.said.abs())
        least = order[sizes[order].cumsum(0) <= UNIMPORTANT * sizes.sum()]
        *falls, lost = self._removed([*parts, least])
        self.largest = max(self.largest, *map(abs, falls), 0.0)
        # What is said, as the score has it: what removing the parts has cost of what they hold.
        held = sum(abs(float(self.said[part].sum())) for part in parts) or 1.0
        known = float(sizes[least].sum()) * sum(map(abs, falls)) / held
        rest = max(0.0, abs(lost) - known) / max(abs(self.live.difference), self.largest, 1e-30)
        pairs = zip(sides, falls[::2], falls[1::2], strict=True)
        found = [Contrast(s[0], own, other, s[3]) for s, own, other in pairs]
        return found, rest if len(least) else None

    def _sums(self, values: Tensor) -> Tensor:
        """Sums of (D, N) over each group, in their order here: (G,) float32."""
        flat = values.flatten()
        sums = flat if self.fine else torch.zeros(self.count).index_add_(0, self.numbers, flat)
        return sums[self.shuffled]

    def _removed(self, parts: list[Tensor]) -> list[float]:
        """By how much the score falls without each part, some numbers of groups."""
        gone = torch.zeros(len(parts), self.count, dtype=torch.bool)
        for row, part in zip(gone, parts, strict=True):
            row[part] = True
        if self.half is None:
            there, without = self.live.ends[0].double(), self._scores(~gone)
        else:
            kept = torch.cat([self.half | gone, self.half & ~gone])
            there, without = self._scores(kept).chunk(2)
        return [float(fall) for fall in there - without]

    def _scores(self, kept: Tensor) -> Tensor:
        """The scores (n,) where these groups, in their order here, are kept: bool (n, G)."""
        self.evaluations += len(kept)
        kept = torch.empty_like(kept).index_copy_(1, self.shuffled, kept)
        keeps = kept if self.fine else kept[:, self.numbers]
        return self.live.scores(keeps.view(-1, *self.values.shape))


def _spoken_of(
    live: LiveClip, attribution: Attribution, values: Tensor
) -> tuple[Tensor, tuple[int, int]]:
    """Numbers (D, N) of the groups it speaks about, and their size in channels and frames.

    Where it says the same of whole rectangles and nobody named groups, these are the groups.
    """
    numbers = live.groups(attribution).numbers.cpu()
    if int(numbers.max()) + 1 == values.numel():
        rows, columns = _spans(values), _spans(values.T)
        numbers = rows[:, None] * (int(columns.max()) + 1) + columns
    runs = [torch.unique_consecutive(numbers, return_counts=True, dim=axis)[1] for axis in (0, 1)]
    return numbers, (int(runs[0].median()), int(runs[1].median()))


def _spans(values: Tensor) -> Tensor:
    """Number of the run of equal rows to which each row belongs; each alone if all are equal."""
    number: Tensor = torch.unique_consecutive(values, return_inverse=True, dim=0)[1]
    return number if number.any() else torch.arange(len(values))


def _alike(said: Tensor, *costs: Tensor) -> list[float]:
    """Cosines of what is said of some groups with what they cost, (G,) each."""
    found: list[float] = torch.cosine_similarity(said.double(), torch.stack(costs)).tolist()
    return found


def _ascending(values: Tensor) -> Tensor:
    """The places of values (…, n) in the order of their sizes: int64."""
    return torch.from_numpy(np.argsort(values.numpy(), axis=-1))


def _relative(values: Tensor, sides: Tensor, chosen: Tensor) -> Tensor:
    """How much more values (A, G) say of one side (2, A, n) than of the other, −1 to 1: (A,)."""
    said = values.expand(2, -1, -1).gather(2, sides) * chosen
    return (said[0] - said[1]).sum(1) / said.abs().sum((0, 2)).clamp_min(1e-30)


def _sureness(live: LiveClip) -> tuple[float | None, float | None]:
    """How far apart the probabilities are that it decides between, and the label's own.

    None where the task has none; the difference, too, where the label was asked for.
    """
    others = dict(live.probabilities)
    own = others.pop(live.target.label, None)
    if own is None or live.job.target != Target():  # that was asked for need not be decided for
        return None, own
    if live.job.route.model.multilabel:
        return abs(2 * own - 1), own
    return (abs(own - max(others.values())), own) if others else (None, None)
