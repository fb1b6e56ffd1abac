"""The baseline and the replacement where nobody says: silence, or noise where silence is none."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from xplain.live import NEGLIGIBLE, LiveClip

FAINT, LEFT = 0.1, 0.5
"""Silence is none to a model that 20 dB fainter still says over half of what it says above it: .77
or more on Silero, a speaker encoder, zoo:digits (chosen on these); .32 of a root of amplitude."""


def chosen(live: LiveClip, waveform: Tensor) -> LiveClip:
    """The clip with another baseline and replacement where "auto" finds silence to be none.

    waveform: (samples,) at the synthesizer's rate. What a model hears nearly as well when it is
    faint is not gone where it is made fainter: from silence, all that the score changes it
    changes near the start. One evaluation.
    """
    if not live.job.instead or abs(live.difference) < NEGLIGIBLE:
        return live
    with live.on_loan(), torch.no_grad():
        faint = live.job.route.encoded(FAINT * waveform.to(live.job.device)[None]).values
        score = float(live.target.score(live.job.route(faint, live.latents.context)))
    left = 1 - (float(live.ends[0]) - score) / live.difference
    if not LEFT < left < 2 - LEFT:
        return live
    job = live.job.otherwise(f"silence is none to the model: 20 dB fainter, {left:.0%} is left")
    with live.on_loan(), torch.no_grad():
        none = torch.zeros_like(live.latents.values[0], dtype=torch.bool)
        nothing = job.route.fill(job.baseline, live.clip, none, live.seed)
        variants = torch.split(nothing, live.max_batch)
        logits = torch.cat([job.route(part, live.latents.context) for part in variants])
    ends = torch.cat([live.ends[:1], live.target.score(logits).cpu()])
    target = replace(live.target, tolerance=job.route.model.tolerance)
    return replace(
        live,
        job=job,
        target=target.moving(float(ends[0] - ends[1:].mean())),
        baseline=nothing[0] if len(nothing) == 1 else nothing,
        ends=ends,
        _nothing={job.baseline: nothing},
    )
