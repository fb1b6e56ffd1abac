"""The baseline and the replacement where nobody says: silence, or noise where silence is none."""

from __future__ import annotations

import warnings
from dataclasses import replace

import torch
from torch import Tensor

from xplain.interfaces import Attribution
from xplain.live import NEGLIGIBLE, LiveClip

FAINT, UNCHANGED = 0.01, 0.05
"""A model takes loudness out where a clip 40 dB fainter has lost no more than this share of what
it scores above silence: 0 on models built to do so, .05 to .7 on zoo:digits, .2 to .6 on Silero."""


def chosen(live: LiveClip, waveform: Tensor) -> LiveClip:
    """The clip with another baseline and replacement where "auto" finds silence to be none.

    waveform: (samples,) at the synthesizer's rate. A model that takes loudness out scores a
    clip the same however faint it is, so that all that its score changes on the way from
    silence it changes at its very start. One evaluation.
    """
    if not live.job.instead or abs(live.difference) < NEGLIGIBLE:
        return live
    with live.on_loan(), torch.no_grad():
        faint = live.job.route.encoded(FAINT * waveform.to(live.job.device)[None]).values
        lost = live.ends[0] - live.target.score(live.job.route(faint, live.latents.context))
    if abs(float(lost)) > UNCHANGED * abs(live.difference):
        return live
    return otherwise(live, "the model takes loudness out: 40 dB less leave the score as it is")


def otherwise(live: LiveClip, reason: str) -> LiveClip:
    """The clip with the baseline and replacement that take the place of silence."""
    job = live.job.otherwise(reason)
    other = replace(live, job=job, _nothing={})
    with other.on_loan(), torch.no_grad():
        none = torch.zeros_like(live.latents.values[0], dtype=torch.bool)
        nothing = job.route.fill(job.baseline, live.clip, none, live.seed)
        variants = torch.split(nothing, live.max_batch)
        logits = torch.cat([job.route(part, live.latents.context) for part in variants])
    ends = torch.cat([live.ends[:1], live.target.score(logits).cpu()])
    target = replace(live.target, tolerance=job.route.model.tolerance)
    return replace(
        other,
        target=target.moving(float(ends[0] - ends[1:].mean())),
        baseline=nothing[0] if len(nothing) == 1 else nothing,
        ends=ends,
        _nothing={job.baseline: nothing},
    )


def attributed(live: LiveClip) -> tuple[LiveClip, Attribution]:
    """A clip and its attribution, against what takes the place of silence where that is better.

    It is tried where the baseline is "auto", and the attribution against silence is not as
    complete as the method means it to be.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        attribution = live.attribute()
        first = live.completeness_error(attribution)
    if live.converged(attribution) is False and live.job.instead and first is not None:
        other = otherwise(live, f"from silence the method does not converge (error {first:.1%})")
        better = other.attribute()
        if (other.completeness_error(better) or 0) < first:
            return other, better
    for warning in caught:
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return live, attribution
