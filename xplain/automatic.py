"""The baseline and the replacement where nobody says: silence, or noise where silence is none."""

from __future__ import annotations

from dataclasses import replace

import torch

from xplain.live import NEGLIGIBLE, LiveClip

LEFT = 0.5
"""Silence is none to a model that 20 dB fainter still says over half of what it says above it: .77
or more on Silero, a speaker encoder, zoo:digits (chosen on these); .32 of a root of amplitude."""


def chosen(live: LiveClip) -> LiveClip:
    """The clip with another baseline and replacement where "auto" finds silence to be none.

    What a model hears nearly as well when it is faint is not gone where it is made fainter: from
    silence, all that the score changes it changes near the start.
    """
    if not live.job.instead or abs(live.difference) < NEGLIGIBLE:
        return live
    left = 1 - (float(live.ends[0]) - live.faint) / live.difference
    if not LEFT < left < 2 - LEFT:
        return live
    job = live.job.otherwise(f"silence is none to the model: 20 dB fainter, {left:.0%} is left")
    with live.on_loan(), torch.no_grad():
        none = torch.zeros_like(live.latents.values[0], dtype=torch.bool)
        nothing = job.route.fill(job.baseline, live.clip, none, live.seed)
        parts = torch.split(nothing, live.max_batch)
        logits = torch.cat([job.route(part, live.clip.context) for part in parts])
    ends = torch.cat([live.ends[:1], live.target.score(logits).cpu()])
    fresh = replace(live.target, tolerance=job.route.model.tolerance)
    return replace(
        live,
        job=job,
        target=fresh.moving(float(ends[0] - ends[1:].mean())),
        baseline=nothing[0] if len(nothing) == 1 else nothing,
        ends=ends,
        _nothing={job.baseline: nothing},
    )
