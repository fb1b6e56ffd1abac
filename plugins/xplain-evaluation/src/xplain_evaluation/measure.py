"""Measure an explanation by metrics; the evidence that they need is gathered once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain

from torch import Tensor

from xplain.curves import RATIOS, Curves
from xplain.errors import XplainError
from xplain.explanation import Explanation
from xplain.metric import Evidence, Metric
from xplain.models import Model
from xplain.registry import registry
from xplain_evaluation.event import Event
from xplain_evaluation.structured import JUDGE, claimed, structured

CURVES = {"ratios", "keep_curve", "remove_curve", "kept", "removed", "o", "u"}
REENCODED = {"reencoded_kept", "reencoded_removed", "round_trip"}
PLACED = {"event", "region"}
ASKING = {"ask", "attribute"}


@dataclass(frozen=True)
class Measurement:
    """One value of a metric for one clip.

    name: the metric's, with its parameters. ratio: None for a metric that has one value for
    the clip. value: None where it is undefined, for the reason given. control: what was kept
    and removed in the explanation's place, see xplain_evaluation.structured.
    """

    name: str
    ratio: float | None
    value: float | None
    reason: str | None = None
    control: str | None = None


def measure(
    explanation: Explanation,
    metrics: Sequence[str | Metric],
    ratios: Sequence[float] = RATIOS,
    *,
    event: Event | None = None,
    randomised: Tensor | None = None,
    controls: Sequence[str] = (),
    judge: Model | None = None,
) -> list[Measurement]:
    """Measure a fresh explanation.

    metrics: registered names, or metrics (a name's with parameters: registry().create).
    ratios: of the curves. event: annotated in the clip. randomised: (K, D, N), see
    Evidence. controls: names of xplain_evaluation.structured, by which what is kept and removed
    is measured too. judge: another model, of which the same is measured. A metric without a
    value is in the list with the reason. Raises ArtifactError for an explanation that was loaded.
    """
    asked = [registry().create("metric", m, {}) if isinstance(m, str) else m for m in metrics]
    needs = {need for metric in asked for need in metric.needs}
    labels = bool(explanation.probabilities)  # a task without labels has none
    clip = Evidence(
        label=explanation.target.index if labels else None,
        multilabel=bool(explanation.provenance["model"]["multilabel"]) if labels else None,
        p=explanation.target.probability,
        score=explanation.score,
        baseline_score=explanation.baseline_score,
        attribution=explanation.attribution,
        latents=explanation.latents,
        baseline=explanation.baseline,
        randomised=randomised,
        probabilities=explanation.live.answers if labels else None,
    )
    unplaced = None
    if event is not None and needs & PLACED:
        samples, rate = len(explanation.waveform), explanation.sample_rate
        shape = explanation.attribution.shape
        try:
            clip = replace(
                clip,
                event=event.frames(shape[1], samples, rate),
                region=event.region(shape, samples, rate, explanation.frequencies),
            )
        except XplainError as error:
            unplaced = str(error)
    curves, reencoded = _curves(explanation, ratios, needs)
    clip = _with_curves(clip, curves, reencoded)
    with explanation.live.asking() if needs & ASKING else nullcontext((None, None)) as calls:
        ask, attribute = calls
        clip = replace(clip, ask=ask)
        if attribute is not None:
            clip = replace(clip, attribute=lambda latents: attribute(latents).values)
        at = []
        if any(metric.at_a_ratio for metric in asked):
            at = [_at(clip, curves, reencoded, place) for place in range(len(ratios))]
        values = []
        for metric in asked:
            one = partial(_one, metric, cache(partial(_gathered, metric, explanation)))
            if metric.at_a_ratio:
                values += [one(e, r) for e, r in zip(at, ratios, strict=True)]
            elif unplaced is not None and not PLACED.isdisjoint(metric.needs):
                values.append(Measurement(metric.label, None, None, unplaced))
            else:
                values.append(one(clip, None))
    changed = [m for m in asked if CURVES.intersection(m.needs) and ASKING.isdisjoint(m.needs)]
    others = structured(explanation, ratios, controls) if changed and controls else iter(())
    if judge is not None and changed:
        heard = explanation.live.heard_by(judge)
        others = chain(others, [(JUDGE, heard.curves(claimed(explanation), ratios, True))])
    for name, curves in others:
        if name == JUDGE:
            known = curves.target
            clip = replace(
                clip, label=known.index, p=known.probability, probabilities=curves.answers
            )
        clip = _with_curves(clip, curves, None)
        at = [_at(clip, curves, None, place) for place in range(len(ratios))]
        for metric in changed:
            one = partial(_one, metric, cache(partial(_gathered, metric, explanation)))
            those = zip(at, ratios, strict=True) if metric.at_a_ratio else [(clip, None)]
            values += [replace(one(e, r), control=name) for e, r in those]
    return values


def _curves(
    explanation: Explanation, ratios: Sequence[float], needs: set[str]
) -> tuple[Curves | None, Curves | None]:
    """Curves of the variants and of their re-encoded audio, each computed if needed."""
    if not explanation.live.job.route.direct:
        curves = explanation.curves(ratios) if needs & (CURVES | REENCODED) else None
        return curves, curves
    curves = explanation.curves(ratios) if needs & CURVES else None
    if needs & REENCODED == {"round_trip"}:
        return curves, explanation.curves((1.0,), reencoded=True)
    return curves, explanation.curves(ratios, reencoded=True) if needs & REENCODED else None


def _with_curves(clip: Evidence, curves: Curves | None, reencoded: Curves | None) -> Evidence:
    if curves is not None and clip.p is not None:
        clip = replace(
            clip,
            ratios=curves.ratios,
            keep_curve=curves.of(curves.kept),
            remove_curve=curves.of(curves.removed),
        )
    return (
        clip
        if reencoded is None or clip.label is None
        else replace(clip, round_trip=reencoded.unchanged)
    )


def _at(clip: Evidence, curves: Curves | None, reencoded: Curves | None, place: int) -> Evidence:
    if curves is not None and clip.p is not None:
        o, u = (float(curves.of(said)[place]) for said in (curves.kept, curves.removed))
        clip = replace(clip, o=o, u=u)
    if curves is not None and clip.label is not None:
        clip = replace(clip, kept=curves.kept[place], removed=curves.removed[place])
    if reencoded is not None and clip.label is not None and place < len(reencoded.kept):
        clip = replace(
            clip, reencoded_kept=reencoded.kept[place], reencoded_removed=reencoded.removed[place]
        )
    return clip


def _gathered(metric: Metric, explanation: Explanation) -> Mapping[str, object]:
    return {name: gather(explanation) for name, gather in metric.evidence.items()}


def _one(
    metric: Metric,
    gathered: Callable[[], Mapping[str, object]],
    evidence: Evidence,
    ratio: float | None,
) -> Measurement:
    try:
        known = replace(evidence, given=gathered())
        return Measurement(metric.label, ratio, metric.measure(known))
    except XplainError as error:
        return Measurement(metric.label, ratio, None, str(error))
    except Exception as error:  # a stranger's metric takes nothing else down
        failed = f"{metric.name} failed with {type(error).__name__}: {error}"
        return Measurement(metric.label, ratio, None, failed)
