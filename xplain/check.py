"""Is an explanation true of its model? Tried on the model; xplain.verdict says what it means.

An attribution is compared with alternatives made of itself: the same picture some frames later
or some channels higher, blurred, without signs, shuffled, or the clip's loudness. Where the two
disagree most, parts are removed: first those to which only the attribution points, then those to
which only the alternative does. A correlation with random parts cannot tell them apart (loud
parts matter in any case, and neighbours are alike); removals chosen where they disagree can, with
few evaluations. Such designs are known from the discrimination of models (Atkinson, Fedorov 1975).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from xplain.interfaces import Attribution
from xplain.live import LiveClip
from xplain.targets import Target
from xplain.verdict import Contrast, Trial, Verdict, hopeless, judge

SHARE, SHARE_COARSE = 0.05, 0.1
"""Share of the elements, or of larger groups, that is removed for each side of a contrast."""
ALIKE = 0.98
"""Cosine from which an alternative says the same."""
APART = 0.1
"""Difference of what the two expect under which they cannot be told apart."""
FIRST, AMONG = 0.02, 0.1
"""The first of what is put on top, against as many at the end of this share."""
MORE = 0.2
"""How much more is said of the first than of the next, of their sum, if they are compared."""
UNIMPORTANT = 0.02
"""Share of all that is said that the least important together may hold."""
ROUNDING = 2e-6
"""A change of the score, relative to the largest, that is rounding."""
FIRST_OF, HALVES = "what is first", "the halves of the evidence"
"""Names of contrasts that are not with an alternative."""


def check(live: LiveClip, attribution: Attribution) -> Verdict:
    """Try on the model what an attribution of the clip claims: some 55 evaluations, or 30."""
    return judge(_Tried(live, attribution).trial())


Sides = tuple[str, Tensor, Tensor, tuple[float, float]]
"""Of a contrast: its name, the groups to remove on each side, and Contrast.expected."""


class _Tried:
    """One attribution: its groups, and what the score loses without some of them."""

    def __init__(self, live: LiveClip, attribution: Attribution) -> None:
        self.live, self.attribution = live, attribution
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
        self.sorted = self.said[self.order]
        self.falls: list[float] = []

    def trial(self) -> Trial:
        """Everything that is tried, in the order in which it tells most."""
        live = self.live
        constant = bool((self.said == self.said[0]).all() if self.count > 1 else True)
        contrasts: list[Contrast] = []
        tried: dict[str, Contrast] = {}
        rest: float | None = None
        if self.count >= 3 and not constant and not live.doubts:
            most, others = self._alternatives()
            sides = self._apart({**most, **others})
            contrasts = self._tried([side for side in sides if side[0] in most])
            if not hopeless(contrasts, self.count):
                sides = [side for side in sides if side[0] in others]
                sides += [*self._first(), *self._spread()]
                least = self._least()
                tried = {contrast.name: contrast for contrast in self._tried(sides, least)}
                contrasts += [c for name, c in tried.items() if name not in (FIRST_OF, HALVES)]
                if least:
                    can = max(abs(live.difference), *map(abs, self.falls[:-1]), 1e-30)
                    rest = self.falls[-1] / can
        margin, probability = _sureness(live)
        return Trial(
            groups=self.count,
            constant=constant,
            flat=max(map(abs, self.falls), default=0.0) <= ROUNDING * float(live.ends.abs().max()),
            contrasts=tuple(contrasts),
            first=tried.get(FIRST_OF),
            fine=self.fine,
            spread=tried.get(HALVES),
            rest=rest,
            complete=live.completeness_error(self.attribution),
            tolerance=live.job.explainer.completeness_tolerance,
            round_trip=live.reconstruction.agrees == live.own.agrees,
            margin=margin,
            probability=probability,
            doubts=live.doubts,
            evaluations=len(self.falls),
        )

    def _alternatives(self) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Alternatives (D, N) by name: those that tell most, then the others."""
        values, (high, wide) = self.values, self.unit
        channels, frames = values.shape
        nothing = self.live.baseline.reshape(-1, channels, frames).mean(dim=0)
        loud = (self.live.latents.values[0] - nothing).abs().float().cpu()
        order = torch.randperm(values.numel(), generator=self.generator)
        first = {
            "the opposite": -values,
            "its sizes without their signs": values.abs(),
            "the clip's loudness": loud,
            "its values shuffled": values.flatten()[order].view_as(values),
        }
        second: dict[str, Tensor] = {}
        if bool((values[1:] == values[:-1]).all() | (values[:, 1:] == values[:, :-1]).all()):
            first["itself where the clip is loud"] = values * loud
        if wide < frames:
            what = "frame" if wide == 1 else "group"
            first["itself blurred over time"] = _blurred(values, wide)
            for way, sign in (("later", 1), ("earlier", -1)):
                first[f"itself 1 {what} {way}"] = values.roll(sign * wide, 1)
                second[f"itself 2 {what}s {way}"] = values.roll(2 * sign * wide, 1)
        if high < channels:
            step, what = (3, "3 channels") if high == 1 else (high, "1 group")
            second |= {f"itself {what} higher": values.roll(step, 0)}
            second |= {f"itself {what} lower": values.roll(-step, 0)}
        return first, second

    def _apart(self, alternatives: dict[str, Tensor]) -> list[Sides]:
        """Where it and each alternative disagree most, on both sides; all of them at once."""
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

    def _first(self) -> Iterator[Sides]:
        """What it puts first against as much of what it puts next, by how much it says so."""
        size = max(1, round(FIRST * self.count))
        end = max(2 * size, round(AMONG * self.count))
        first, following = self.order[:size], self.order[end - size : end]
        (claim,) = _relative(self.said[None], torch.stack([first, following])[:, None]).tolist()
        if claim >= MORE:
            yield FIRST_OF, first, following, (claim, -claim)

    def _spread(self) -> Iterator[Sides]:
        """The many parts that hold half of its evidence against the few with the other half."""
        evidence = self.sorted.clamp_min(0).cumsum(0)
        half = int((evidence < evidence[-1] / 2).sum()) + 1
        end = int((self.sorted > 0).sum())
        if end - half >= 2:
            yield HALVES, self.order[half:end], self.order[:half], (1.0, -1.0)

    def _least(self) -> list[Tensor]:
        """All that is unimportant; nothing where nothing is."""
        order = _ascending(sizes := self.said.abs())
        least = order[sizes[order].cumsum(0) <= UNIMPORTANT * sizes.sum()]
        return [least] if len(least) else []

    def _tried(self, sides: list[Sides], more: Sequence[Tensor] = ()) -> list[Contrast]:
        """Remove both sides, each in two halves where it has some, and then more parts."""
        parts = [part for _, *both, _ in sides for part in both]
        halves = [(part[::2], part[1::2]) if len(part) > 1 else (part,) for part in parts]
        falls = iter(self._removed([*(half for part in halves for half in part), *more]))
        each = [tuple(next(falls) for _ in part) for part in halves]
        return [
            Contrast(name, each[2 * place], each[2 * place + 1], expected)
            for place, (name, _, _, expected) in enumerate(sides)
        ]

    def _sums(self, values: Tensor) -> Tensor:
        """Sums of (D, N) over each group, in their order here: (G,) float32."""
        flat = values.flatten()
        sums = flat if self.fine else torch.zeros(self.count).index_add_(0, self.numbers, flat)
        return sums[self.shuffled]

    def _removed(self, parts: list[Tensor]) -> list[float]:
        """By how much the score falls without each part, some numbers of groups."""
        if not parts:
            return []
        kept = torch.ones(len(parts), self.count, dtype=torch.bool)
        row = torch.arange(len(parts)).repeat_interleave(torch.tensor(list(map(len, parts))))
        kept[row, self.shuffled[torch.cat(parts)]] = False
        keeps = (kept if self.fine else kept[:, self.numbers]).view(-1, *self.values.shape)
        falls: list[float] = (float(self.live.ends[0]) - self.live.scores(keeps)).tolist()
        self.falls += falls
        return falls


def _spoken_of(
    live: LiveClip, attribution: Attribution, values: Tensor
) -> tuple[Tensor, tuple[int, int]]:
    """Numbers (D, N) of the groups it speaks about, and their size in channels and frames.

    Where it says the same of whole rectangles and nobody named groups, these are the groups.
    """
    numbers = live.groups(attribution).numbers.cpu()
    channels, frames = values.shape
    count = int(numbers.max()) + 1
    if count == values.numel():
        rows = _spans(values)
        columns = _spans(values.T)
        numbers = rows[:, None] * (int(columns.max()) + 1) + columns
        return numbers, (channels // (int(rows.max()) + 1), frames // (int(columns.max()) + 1))
    sizes = []
    for axis, length in ((0, channels), (1, frames)):
        places = torch.arange(length).view(-1, 1) if axis == 0 else torch.arange(length)
        flat, group = places.expand(channels, frames).flatten(), numbers.flatten()
        low = torch.full((count,), length).scatter_reduce(0, group, flat, "amin")
        high = torch.zeros(count, dtype=torch.int64).scatter_reduce(0, group, flat, "amax")
        sizes.append(int((high - low + 1).median()))
    return numbers, (sizes[0], sizes[1])


def _spans(values: Tensor) -> Tensor:
    """Number of the run of equal rows to which each row belongs; each alone if all are equal."""
    number: Tensor = torch.unique_consecutive(values, return_inverse=True, dim=0)[1]
    return number if number.any() else torch.arange(len(values))


def _ascending(values: Tensor) -> Tensor:
    """The places of values (…, n) in the order of their sizes: int64."""
    return torch.from_numpy(np.argsort(values.numpy(), axis=-1))


def _relative(values: Tensor, sides: Tensor, chosen: Tensor | bool = True) -> Tensor:
    """How much more values (A, G) say of one side (2, A, n) than of the other, −1 to 1: (A,)."""
    said = values.expand(2, -1, -1).gather(2, sides) * chosen
    return (said[0] - said[1]).sum(1) / said.abs().sum((0, 2)).clamp_min(1e-30)


def _blurred(values: Tensor, wide: int) -> Tensor:
    """The mean over so many more frames to each side."""
    size, reach = (1, 2 * wide + 1), (0, wide)
    return avg_pool2d(values[None], size, 1, reach, count_include_pad=False)[0]


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
