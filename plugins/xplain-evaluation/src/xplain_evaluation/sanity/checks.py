"""Sanity checks of a method on a model: does the explanation change when its cause does?

Each check computes several explanations of a clip. Explanation.check() verifies what a single
explanation claims.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from typing_extensions import Unpack

from xplain.clips import AudioLike
from xplain.errors import XplainError
from xplain.explaining import explain
from xplain.explanation import Explanation
from xplain.interfaces import Explainer
from xplain.job import Settings
from xplain.metric import Undefined
from xplain.models import Model
from xplain_evaluation.controls import Chance, Loudness
from xplain_evaluation.metrics.localisation import relevance_mass, time_localisation_auc
from xplain_evaluation.planted.planted import planted_clips, planted_model
from xplain_evaluation.ranking import rank_correlation
from xplain_evaluation.sanity.randomisation import STAGES, cascade

UNRELATED = 0.3
"""Rank correlation below which two attributions count as unrelated."""
AGREEING = 0.9
"""Rank correlation from which two attributions count as equal."""
ROUNDING = 1e-5
"""Largest relative difference of attributions that rounding explains."""
CUES = 6
"""Clips with a planted cue: two of each background."""
LOCALISED, MASS = 0.95, 0.8
"""Required of a method on planted cues: ROC-AUC over time, relevance mass."""


@dataclass(frozen=True)
class Finding:
    """Result of a check. passed: None where it does not apply; message says why."""

    check: str
    passed: bool | None
    figures: tuple[float, ...]
    message: str


def examine(
    clips: Sequence[AudioLike], model: Model, **settings: Unpack[Settings]
) -> list[Finding]:
    """Run every check that needs nothing but clips: on the first of them, and on all of them.

    A check that cannot be run on this model or with this method says why.
    """
    first = clips[0]
    checks: dict[str, Callable[[], Finding]] = {
        "parameter-randomisation": lambda: parameter_randomisation(first, model, **settings),
        "random-control": lambda: random_control(first, model, **settings),
        "seed-agreement": lambda: seed_agreement(first, model, **settings),
        "alone-among-others": lambda: alone_among_others(clips, model, **settings),
        "round-trip": lambda: round_trip(first, model, **settings),
        "planted-cue": lambda: planted_cue(**settings),
    }
    findings = []
    for name, check in checks.items():
        try:
            findings.append(check())
        except XplainError as error:
            findings.append(Finding(name, None, (), f"cannot be run: {error}"))
    return findings


def parameter_randomisation(
    clip: AudioLike, model: Model, *, stages: int = STAGES, **settings: Unpack[Settings]
) -> Finding:
    """Does the attribution change when layers are randomised? Signed: absolute values hide it."""
    own = explain(clip, model, **settings)
    settings = _asking(settings, own)
    seed = settings.get("seed", 0)
    figures = tuple(
        _correlation(own.attribution, explain(clip, copied, **settings).attribution)
        for copied in cascade(model, stages=stages, seed=seed)
    )
    return Finding(
        "parameter-randomisation",
        abs(figures[-1]) < UNRELATED,
        figures,
        f"rank correlation {' → '.join(f'{f:.2f}' for f in figures)} as layers are randomised; "
        f"required with all of them: under {UNRELATED:g}",
    )


def label_randomisation(
    clip: AudioLike, model: Model, relabelled: Model, **settings: Unpack[Settings]
) -> Finding:
    """Does a model that was trained on shuffled labels get another explanation?

    Adebayo et al. (2018), sec. 5. relabelled: of the same architecture, trained in the same
    way on the same clips with their labels shuffled.
    """
    own = explain(clip, model, **settings)
    other = explain(clip, relabelled, **_asking(settings, own))
    value = _correlation(own.attribution, other.attribution)
    return Finding(
        "label-randomisation",
        abs(value) < UNRELATED,
        (value,),
        f"rank correlation {value:.2f} with a model trained on shuffled labels; "
        f"required: under {UNRELATED:g}",
    )


def random_control(clip: AudioLike, model: Model, **settings: Unpack[Settings]) -> Finding:
    """Do top-ranked elements matter more for the score than elements ranked at random?"""
    own = explain(clip, model, **settings)
    by_chance = explain(clip, model, **_by(settings, Chance()))
    values = tuple(
        float((c.of(c.kept) - c.of(c.removed)).mean()) for c in (own.curves(), by_chance.curves())
    )
    return Finding(
        "random-control",
        values[0] > values[1],
        values,
        f"probability with the top kept less that with it removed: {values[0]:.2f}, "
        f"of random orders {values[1]:.2f}",
    )


def seed_agreement(clip: AudioLike, model: Model, **settings: Unpack[Settings]) -> Finding:
    """Does the method give the same attribution with another random seed?"""
    seed = settings.get("seed", 0)
    other: Settings = {**settings, "seed": seed + 1}
    own, again = (explain(clip, model, **s).attribution for s in (settings, other))
    value = _correlation(own, again)
    return Finding(
        "seed-agreement",
        value >= AGREEING,
        (value,),
        f"rank correlation {value:.2f} between two seeds; required: at least {AGREEING:g}",
    )


def alone_among_others(
    clips: Sequence[AudioLike], model: Model, **settings: Unpack[Settings]
) -> Finding:
    """Is a clip explained in a list exactly as it is alone?"""
    worst = 0.0
    for clip, among in zip(clips, explain(list(clips), model, **settings), strict=True):
        alone = explain(clip, model, **settings).attribution
        difference = (alone - among.attribution).abs().max() / alone.abs().max().clamp_min(1e-30)
        worst = max(worst, float(difference))
    return Finding(
        "alone-among-others",
        worst <= ROUNDING,
        (worst,),
        f"largest difference of an attribution {worst:.1g} of its maximum; "
        f"required: at most {ROUNDING:g}",
    )


def round_trip(clip: AudioLike, model: Model, **settings: Unpack[Settings]) -> Finding:
    """Does the decision survive decoding and re-encoding the unchanged latents?"""
    own = explain(clip, model, **_by(settings, Loudness()))
    curves = own.curves((1.0,), reencoded=True)
    said = torch.stack([curves.answers, curves.unchanged])
    (before, after), (decided, again) = curves.of(said).tolist(), curves.agrees(said).tolist()
    what = "probability" if own.target.value is None else "value"
    return Finding(
        "round-trip",
        decided == again,
        (before, after),
        f"{what} {before:.3f} of the clip, {after:.3f} after decoding and re-encoding; "
        "required: the same decision",
    )


def planted_cue(**settings: Unpack[Settings]) -> Finding:
    """Does the method find the cue in a model that decides by a planted cue alone?"""
    model = planted_model()
    asked: Settings = {**settings, "target": None, "versus": None}
    aucs, masses = [], []
    for clip in planted_clips(CUES, seed=settings.get("seed", 0)):
        asked["sample_rate"] = clip.sample_rate
        e = explain(clip.waveform, model, **asked)
        region = clip.region(e.attribution.shape, e.frequencies)
        try:
            aucs.append(time_localisation_auc(e.attribution, clip.event(e.attribution.shape[1])))
            masses.append(relevance_mass(e.attribution, region))
        except Undefined as reason:
            return Finding("planted-cue", False, (), str(reason))
    auc, mass = sum(aucs) / CUES, sum(masses) / CUES
    return Finding(
        "planted-cue",
        auc >= LOCALISED and mass >= MASS,
        (auc, mass),
        f"time-localisation AUC {auc:.2f}, relevance mass {mass:.2f}; required: "
        f"at least {LOCALISED:g} and {MASS:g}",
    )


def _asking(settings: Settings, own: Explanation) -> Settings:
    """The settings with the resolved target, whatever another model predicts."""
    asked = own.target.question
    return settings if asked is None else {**settings, "target": asked, "versus": None}


def _by(settings: Settings, explainer: Explainer) -> Settings:
    """The settings with another method, whose parameters are its own."""
    others: Settings = {**settings, "explainer": explainer}
    others.pop("params", None)
    return others


def _correlation(one: Tensor, other: Tensor) -> float:
    """Rank correlation; 0 with a constant attribution."""
    return rank_correlation(one.flatten(), other.flatten()) or 0.0
