"""A fresh explanation's line to its model: rendered, traced over ratios, put to the test."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from xplain.borrowing import borrowed, seeded
from xplain.curves import Curves
from xplain.editing import Editor
from xplain.interfaces import Explainer, Replacement, Score
from xplain.outcomes import Attribute, Kind, Rendering
from xplain.prediction import Prediction, parts, predict
from xplain.score import ClipScore
from xplain.selection import Selection, blocks, top
from xplain.targets import ResolvedTarget
from xplain.verdict import Trial, Verdict, judge

BLOCKS = (256, 64)
"""About as many blocks are there to remove at the coarser scales."""
FEWEST = 8
"""Parts to remove under which a correlation is not worth computing."""
CHANCES = 10
"""Orders by chance that the attribution's is compared with."""
TRIED = (0.05, 0.2)
"""Ratios at which orders are compared."""
NEGLIGIBLE = 1e-6
"""A difference of scores under which there is nothing that could be attributed."""


@dataclass(frozen=True, eq=False)
class Workbench:
    """One clip, and the means to ask the model about changes of it by an attribution (D, N).

    ends: scores (1 + S,) of the latents and of each draw of the baseline. round_trip:
    whether the unchanged latents keep the decision.
    """

    editor: Editor
    explainer: Explainer
    target: ResolvedTarget
    selection: Selection
    replacement: Replacement
    baseline: Tensor
    probabilities: Tensor
    ends: Tensor
    round_trip: bool

    @property
    def hears(self) -> bool:
        """Whether variants come to the model as audio: what it says is what is heard again."""
        return not self.editor.route.direct

    def render(self, attribution: Tensor, wanted: Sequence[tuple[Kind, float]]) -> list[Rendering]:
        """Audio and outcome of every ratio wanted."""
        return self.editor.render(
            attribution, self.target, self.selection, self.replacement, wanted
        )

    def curves(self, attribution: Tensor, ratios: Sequence[float], heard: bool) -> Curves:
        """What the model says at every ratio; one evaluation for each different variant."""
        rank = self._rank(attribution)
        kept = torch.stack([top(rank, ratio) for ratio in ratios])
        keeps = torch.cat([kept, ~kept, torch.ones_like(kept[:1])])
        # Keeping nothing is removing everything, and the other way round.
        firsts, which = _distinct(keeps)
        logits = self.editor.logits(self.replacement, keeps[firsts], heard=heard)
        said = self.editor.said(logits, self.target)[which].cpu()
        return Curves(
            ratios=torch.tensor(ratios, dtype=torch.float64),
            probabilities=self.probabilities,
            unchanged=said[-1],
            kept=said[: len(ratios)],
            removed=said[len(ratios) : -1],
            label=self.target.index,
            multilabel=self.editor.route.model.multilabel,
        )

    @contextmanager
    def asking(self) -> Iterator[tuple[Score, Attribute]]:
        """The score and the method, ready to be called, while the model is borrowed."""
        editor = self.editor
        score = ClipScore(editor.route, editor.latents.context, self.target, editor.max_batch)

        def attribute(latents: Tensor) -> Tensor:
            with torch.set_grad_enabled(self.explainer.uses_gradients):
                return self.explainer.attribute(score, latents.clone(), self.baseline.clone())

        with borrowed(editor.route, editor.device), seeded(editor.seed, editor.device):
            yield score, attribute

    def completeness_error(self, attribution: Tensor) -> float | None:
        """|Σ attribution − (score(latents) − score(baseline))|, relative to that difference.

        None where the method makes no such claim, or nothing is to be explained.
        """
        difference = self._difference()
        if self.explainer.completeness_tolerance is None or abs(difference) < NEGLIGIBLE:
            return None
        return abs(float(attribution.sum(dtype=torch.float64)) - difference) / abs(difference)

    def check(self, attribution: Tensor) -> Verdict:
        """Try on the model what the attribution claims; see xplain.verdict."""
        generator = torch.Generator().manual_seed(self.editor.seed)
        attribution = attribution.double().cpu()
        constant = bool((attribution == attribution[0, 0]).all())
        predictions: list[Prediction] = []
        for group in [] if constant else self._scales(*attribution.shape):
            predictions += self._predicted(attribution, group, generator)
            if predictions and predictions[-1].holds_beyond:
                break  # borne out; coarser scales are for what is coarse itself
        rank = self._rank(attribution)
        chances = [self._by_chance(attribution, rank, generator) for _ in range(CHANCES)]
        tops = torch.stack([top(r, ratio) for r in (rank, *chances) for ratio in TRIED])
        kept, left = self._scores(torch.cat([tops, ~tops])).view(2, 1 + CHANCES, -1).mean(dim=2)
        return judge(
            Trial(
                constant=constant,
                silent=abs(self._difference()) < NEGLIGIBLE,
                predictions=tuple(predictions),
                order=float(kept[0] - left[0]),
                chance=(kept - left)[1:],
                complete=self.completeness_error(attribution),
                tolerance=self.explainer.completeness_tolerance,
                round_trip=self.round_trip,
            )
        )

    def _scales(self, channels: int, frames: int) -> list[Tensor]:
        """Groups to remove: what is ranked, then blocks, for methods that are coarser."""
        own = self.selection.groups(channels, frames)
        if self.selection.granularity != "element":
            return [own]
        coarse = [blocks(channels, frames, count) for count in BLOCKS]
        return [own, *(group for group in coarse if int(group.max()) < int(own.max()))]

    def _predicted(
        self, attribution: Tensor, group: Tensor, generator: torch.Generator
    ) -> list[Prediction]:
        """What removing parts of groups does; nothing where there are too few of them."""
        removed = parts(int(group.max()) + 1, generator)
        if len(removed) < FEWEST:
            return []
        nothing = self.baseline if self.baseline.ndim == 2 else self.baseline.mean(dim=0)
        loudness = (self.editor.latents.values[0] - nothing).abs().double().cpu()
        sums = torch.zeros(2, removed.shape[1], dtype=torch.float64)
        sums.index_add_(1, group.flatten(), torch.stack([attribution, loudness]).flatten(1))
        drops = float(self.ends[0]) - self._scores(~removed[:, group])
        return [predict(sums[0], sums[1], removed, drops, generator)]

    def _scores(self, keeps: Tensor) -> Tensor:
        """Score of the clip with only ``keeps``, bool (n, D, N), left: (n,)."""
        logits = self.editor.logits(self.replacement, keeps)
        self.editor.said(logits, self.target)  # raises where they are not finite
        return self.target.score(logits).double().cpu()

    def _difference(self) -> float:
        """How much more the latents score than the baseline."""
        return float(self.ends[0] - self.ends[1:].mean())

    def _rank(self, attribution: Tensor) -> Tensor:
        return self.selection.rank(attribution, torch.Generator().manual_seed(self.editor.seed))

    def _by_chance(self, attribution: Tensor, rank: Tensor, generator: torch.Generator) -> Tensor:
        """An order that knows nothing of the model.

        It has the same sizes with signs drawn by chance, since sizes follow the loudness
        of the clip, and what is loud matters to most models. Where sizes alone are
        ranked, the ranks are dealt out anew.
        """
        group = self.selection.groups(*attribution.shape)
        count = int(group.max()) + 1
        if self.selection.order == "absolute":
            return torch.randperm(count, generator=generator)[rank]
        signs = torch.randint(0, 2, (count,), generator=generator) * 2 - 1
        return self._rank(attribution * signs[group])


def _distinct(keeps: Tensor) -> tuple[list[int], list[int]]:
    """Where each different one of n masks is first, and which of those each mask is."""
    # By their bytes: torch.unique would sort whole masks, and take longer than the model.
    numbers: dict[bytes, int] = {}
    firsts: list[int] = []
    which: list[int] = []
    for place, keep in enumerate(keeps):
        number = numbers.setdefault(keep.numpy().tobytes(), len(numbers))
        if number == len(firsts):
            firsts.append(place)
        which.append(number)
    return firsts, which
