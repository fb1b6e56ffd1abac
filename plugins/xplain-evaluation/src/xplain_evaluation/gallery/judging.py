"""What check() says of wrong attributions and of right ones, on one's own model and clips."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice

import torch
from torch import Tensor
from typing_extensions import Unpack

from xplain.check import check
from xplain.clips import AudioLike, Failure
from xplain.errors import XplainError
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

BASE = "integrated-gradients"
"""The method whose attribution is made wrong."""
RIGHT: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "integrated gradients": (BASE, {}),
    "GradientSHAP": ("gradient-shap", {}),
    "Shapley values of blocks": ("shapley-sampling", {}),
    "occlusion": ("occlusion", {}),
    "ablation of blocks": ("feature-ablation", {}),
}
"""Right attributions: methods, with parameters. Those that are not installed are left out."""
DECIDED = 0.6
"""Probability of the label from which a model counts as decided."""
CONTAINED = 0.2
"""Share of the most important elements that the wrong baseline contains."""


@dataclass(frozen=True)
class Judgement:
    """What check() said of one attribution of one clip.

    right: whether it is one. decided: whether the model is sure of its label, as far as it has
    probabilities. mild: see Way.
    """

    clip: str
    way: str
    right: bool
    mild: bool
    decided: bool
    verdict: Verdict


@dataclass(frozen=True)
class Line:
    """A line of the table: of so many judgements, how many said what.

    evaluations: of the model, the median of a check.
    """

    way: str
    right: bool
    mild: bool
    clips: int
    counts: Mapping[str, int]
    evaluations: int

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
    attribution is that of the clip before. A Failure for a clip that cannot be explained.
    """
    known = {p.name for p in registry().plugins if p.kind == "explainer"}
    right = {label: method for label, method in right.items() if method[0] in known}
    job = Job.prepare(model, {**settings, "explainer": BASE})
    jobs = [job, *(job.by(*method) for method in right.values())]
    copy = randomised(model, seed=settings.get("seed", 0))
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
    for label, explanation in right.items():
        yield Judgement(own.name, label, True, False, decided, explanation.check())
    for way in ways:
        if way.needs is None or way.needs in materials.others:
            wrong = way.make(own.attribution, materials)
            verdict = check(claiming_nothing(own.live, wrong), Attribution(wrong))
            yield Judgement(own.name, way.name, False, way.mild, decided, verdict)


def claiming_nothing(live: LiveClip, attribution: Tensor) -> LiveClip:
    """The clip as if a method that claims no completeness had given the attribution."""
    return replace(live, job=replace(live.job, explainer=Given(attribution)))


def confusion(judgements: Sequence[Judgement]) -> list[Line]:
    """Count by way, right ones first; with Wilson's intervals."""

    def key(one: Judgement) -> tuple[bool, bool, str]:
        return not one.right, one.mild, one.way

    lines = []
    for (wrong, mild, way), group in groupby(sorted(judgements, key=key), key):
        verdicts = [one.verdict for one in group]
        counts = Counter(str(verdict.kind) for verdict in verdicts)
        spent = sorted(verdict.evaluations for verdict in verdicts)
        median = spent[len(spent) // 2]
        lines.append(Line(way, not wrong, mild, len(verdicts), counts, median))
    return lines


def _materials(
    own: Explanation,
    before: Tensor | None,
    clip: AudioLike,
    model: Model,
    copy: Model,
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
    try:
        asked["target"] = own.target.label
        others["model"] = explain(clip, copy, **asked).attribution
    except XplainError:  # a copy that answers with NaN explains nothing
        pass
    if any((p.kind, p.name) == ("explainer", "saliency") for p in registry().plugins):
        asked["explainer"] = "saliency"
        others["saliency"] = explain(clip, model, **asked).attribution
    return Materials(
        loudness=(own.latents - nothing).abs().cpu(),
        generator=torch.Generator().manual_seed(live.seed),
        others=others,
    )
