"""What check() says of wrong attributions and of right ones, on one's own model and clips."""

from __future__ import annotations

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, islice
from statistics import median
from typing import TypeVar

import torch
from torch import Tensor
from typing_extensions import Unpack

from xplain.check import ALIKE, check
from xplain.clips import AudioLike, Failure
from xplain.errors import ModelError, XplainError
from xplain.explaining import compare_each, explain
from xplain.explanation import Explanation
from xplain.interfaces import Attribution
from xplain.intervals import Interval, share
from xplain.job import Job, Settings
from xplain.live import LiveClip
from xplain.models import Model
from xplain.registry import registry
from xplain.verdict import Verdict
from xplain_evaluation.controls import Given
from xplain_evaluation.gallery.ways import WAYS, Materials, Need, Way
from xplain_evaluation.sanity.randomisation import randomised

T = TypeVar("T")

BASE = "integrated-gradients"
"""The method whose attribution is made wrong."""
BLOCKS = "ablation of blocks"
"""The right one that is made wrong block by block, too."""
RIGHT: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "integrated gradients": (BASE, {}),
    "GradientSHAP": ("gradient-shap", {}),
    "Shapley values of blocks": ("shapley-sampling", {}),
    "occlusion": ("occlusion", {}),
    BLOCKS: ("feature-ablation", {}),
}
"""Right attributions: methods, with parameters. Those that are not installed are left out."""
STEPS = 50
"""Steps of integrated gradients that the time of a check is compared with."""
DECIDED = 0.6
"""Probability of the label from which a model counts as decided."""
CONTAINED = 0.2
"""Share of the most important elements that the wrong baseline contains."""


@dataclass(frozen=True)
class Judgement:
    """What check() said of one attribution of one clip.

    right: whether it is one. decided: whether the model is sure of its label, as far as it has
    probabilities. mild: see Way. seconds: of the processor that the check took; gradients: that
    integrated gradients of the clip take, with as many steps as STEPS.
    """

    clip: str
    way: str
    right: bool
    mild: bool
    decided: bool
    verdict: Verdict
    seconds: float = 0.0
    gradients: float = 0.0


@dataclass(frozen=True)
class Line:
    """A line of the table: of so many judgements, how many said what.

    evaluations: of the model, the median of a check. cost: its time, relative to integrated
    gradients with as many steps as STEPS, the median too; None where that was not measured.
    """

    way: str
    right: bool
    mild: bool
    decided: bool
    clips: int
    counts: Mapping[str, int]
    evaluations: int
    cost: float | None

    def share(self, kind: str) -> Interval:
        """Share of a kind, with Wilson's interval."""
        count = self.counts.get(kind, 0)
        return share([1.0] * count + [0.0] * (self.clips - count))


def judged(
    clips: Sequence[AudioLike],
    model: Model,
    *,
    ways: Sequence[Way] = WAYS,
    right: Mapping[str, tuple[str, Mapping[str, object]]] = RIGHT,
    **settings: Unpack[Settings],
) -> Iterator[Judgement | Failure]:
    """Check right attributions of every clip, and each way to be wrong about it.

    Wrong ones claim no completeness, which would give many of them away. Another clip's
    attribution is that of the clip before. Where a grouping with names is set, attributions are
    made wrong group by group alone. A Failure for a clip that cannot be explained.
    """
    known = {p.name for p in registry().plugins if p.kind == "explainer"}
    right = {label: method for label, method in right.items() if method[0] in known}
    job = Job.prepare(model, {**settings, "explainer": BASE})
    jobs = [job, *(job.by(*method) for method in right.values())]
    try:
        copy = randomised(model, seed=settings.get("seed", 0))
    except ModelError:  # one without weights has no copy with other ones
        copy = None
    results, before = compare_each(clips, jobs), None
    for clip in clips:
        several = list(islice(results, len(jobs)))
        if failures := [one for one in several if isinstance(one, Failure)]:
            yield failures[0]
            continue
        own, *others = (one for one in several if isinstance(one, Explanation))
        materials = _materials(own, before, clip, model, copy, settings)
        yield from _judged(own, dict(zip(right, others, strict=True)), materials, ways)
        before = own.attribution


def _judged(
    own: Explanation, right: Mapping[str, Explanation], materials: Materials, ways: Sequence[Way]
) -> Iterator[Judgement]:
    """Check what is said of one clip."""
    decided = (own.target.probability or 1.0) >= DECIDED
    fifty = own.live.by(own.live.job.by(BASE, {"steps": STEPS}))
    _, gradients = _timed(fifty.attribute)
    for label, explanation in right.items():
        verdict, seconds = _timed(explanation.check)
        yield Judgement(own.name, label, True, False, decided, verdict, seconds, gradients)
    wrong = [
        (way.name, way.mild, way.make(own.attribution, materials))
        for way in ways
        if (own.groups is None if way.needs is None else way.needs in materials.others)
    ]
    if BLOCKS in right:
        wrong += _by_groups(right[BLOCKS], materials, ways)
    for name, mild, attribution in wrong:
        claimed = claiming_nothing(own.live, attribution)
        verdict, seconds = _timed(partial(check, claimed, Attribution(attribution)))
        yield Judgement(own.name, name, False, mild, decided, verdict, seconds, gradients)


def _by_groups(
    own: Explanation, materials: Materials, ways: Sequence[Way]
) -> Iterator[tuple[str, bool, Tensor]]:
    """Wrong attributions that say one thing of every group: names, whether mild, (D, N).

    Of blocks the means make a small picture; of named groups the sums, one after the other, and
    what comes out as it was (a shift of what is everywhere alike, say) is left out.
    """
    values = own.attribution
    if own.groups is not None and own.numbers is not None:
        unit, number, shape = "groups", own.numbers, (1, len(own.groups))
    else:
        rows, columns = (
            torch.unique_consecutive(lines, dim=0, return_inverse=True)[1]
            for lines in (values, values.T)
        )
        shape = int(rows.max()) + 1, int(columns.max()) + 1
        unit, number = "blocks", rows[:, None] * shape[1] + columns
    sizes = number.flatten().bincount()
    counted = torch.ones_like(sizes) if own.groups is None else sizes

    def coarse(fine: Tensor) -> Tensor:
        sums = number.flatten().bincount(fine.flatten().double())
        return (sums / sizes * counted).float().view(*shape)

    said, loud = coarse(values), replace(materials, loudness=coarse(materials.loudness))
    for way in ways:
        if way.blocks:
            made = way.make(said, loud)
            same = torch.cosine_similarity(made.flatten(), said.flatten(), dim=0) >= ALIKE
            if own.groups is None or not same:
                yield f"{way.name} ({unit})", way.mild, (made.flatten() / counted)[number]


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    """What some work gives, and the seconds of the processor it took."""
    started = time.process_time()
    return work(), time.process_time() - started


def claiming_nothing(live: LiveClip, attribution: Tensor) -> LiveClip:
    """The clip as if a method that claims no completeness had given the attribution."""
    return replace(live, job=replace(live.job, explainer=Given(attribution)))


def confusion(judgements: Sequence[Judgement]) -> list[Line]:
    """Count by way: of decided models first, right ones first."""

    def key(one: Judgement) -> tuple[bool, bool, bool, str]:
        return not one.decided, not one.right, one.mild, one.way

    ordered = sorted(judgements, key=key)
    return [_line(way, list(group)) for (*_, way), group in groupby(ordered, key)]


def summary(judgements: Sequence[Judgement]) -> list[Line]:
    """Count right, wrong and mildly wrong ones together, of decided models and of others."""

    def key(one: Judgement) -> tuple[bool, bool, bool]:
        return not one.decided, not one.right, one.mild

    lines = []
    for (unsure, wrong, mild), group in groupby(sorted(judgements, key=key), key):
        name = ("mildly wrong" if mild else "wrong") if wrong else "right"
        lines.append(_line(f"{name}, model not sure" if unsure else name, list(group)))
    return lines


def _line(name: str, group: Sequence[Judgement]) -> Line:
    first = group[0]
    costs = [one.seconds / one.gradients for one in group if one.gradients]
    return Line(
        way=name,
        right=first.right,
        mild=first.mild,
        decided=first.decided,
        clips=len(group),
        counts=Counter(str(one.verdict.kind) for one in group),
        evaluations=round(median(one.verdict.evaluations for one in group)),
        cost=median(costs) if costs else None,
    )


def _materials(
    own: Explanation,
    before: Tensor | None,
    clip: AudioLike,
    model: Model,
    copy: Model | None,
    settings: Settings,
) -> Materials:
    """What the wrong attributions of a clip are made from; before: another clip's attribution."""
    asked: Settings = {**settings, "explainer": BASE}
    ordered = sorted(own.probabilities, key=lambda label: -own.probabilities[label])
    ordered.remove(own.target.label)
    live = own.live
    order = own.attribution.flatten().topk(max(1, int(CONTAINED * own.attribution.numel())))
    top = torch.zeros(own.attribution.numel(), dtype=torch.bool)
    top = top.index_fill(0, order.indices, True).view_as(own.attribution)
    nothing = live.baseline if live.baseline.ndim == 2 else live.baseline.mean(dim=0)
    contained = replace(live, baseline=torch.where(top.to(nothing.device), own.latents, nothing))
    others: dict[Need, Tensor] = {"contained": contained.attribute().values.cpu()}
    wide = own.attribution.shape[1]
    if before is not None:
        others["clip"] = before.repeat(1, -(-wide // before.shape[1]))[:, :wide]
    if ordered:
        asked["target"] = ordered[0]
        others["runner-up"] = explain(clip, model, **asked).attribution
    if len(ordered) > 1:
        asked["target"] = ordered[-1]
        others["last"] = explain(clip, model, **asked).attribution
    asked["target"] = own.target.label
    if copy is not None:
        with contextlib.suppress(XplainError):  # a copy that answers with NaN explains nothing
            others["model"] = explain(clip, copy, **asked).attribution
    if any((p.kind, p.name) == ("explainer", "saliency") for p in registry().plugins):
        asked["explainer"] = "saliency"
        others["saliency"] = explain(clip, model, **asked).attribution
    return Materials(
        loudness=(own.latents - nothing).abs().cpu(),
        generator=torch.Generator().manual_seed(live.seed),
        others=others,
    )
