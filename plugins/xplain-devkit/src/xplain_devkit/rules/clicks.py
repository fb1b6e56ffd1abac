"""Rules for synthesizers about time and gains: where a click lies, what a gain of zero is."""

from __future__ import annotations

import torch

from xplain_devkit.rules.rule import NotApplicable, Rule, Subject, demand
from xplain_devkit.toys.models import noise

PLACES = (0.2, 0.45, 0.8)
"""Shares of the clip at which clicks are."""
FEWEST = 8
"""Frames under which a click has no frame of its own."""
NEAR = 0.05
"""Share of the clip by which the frame of a click may be off; at least two frames."""
SHOWN = 0.5
"""Of the largest change of a frame, what shows at the click; a norm may spread the rest."""
ROUNDING = 1e-3


def moves_the_frame_of_a_click(subject: Subject) -> None:
    """A click changes the latents at its time, hardly less than anywhere: frames lie evenly in
    order. What is normalised around a frame, or quantised coarsely, may change elsewhere too, or
    not at all."""
    made = subject.make()
    if made.values_are_gains:
        raise NotApplicable("its latents are gains, which are 1 of any sound")
    samples = made.sample_rate
    plain = 0.1 * noise(samples)
    heard = False
    for place in PLACES:
        clicking = plain.clone()
        first = round(place * samples)
        clicking[first : first + samples // 100] += 0.5
        with torch.no_grad():
            both = made.encode(torch.stack([plain, clicking])).values
        frames = both.shape[2]
        if frames < FEWEST:
            raise NotApplicable(f"it gives {frames} frames a second")
        change = (both[1] - both[0]).norm(dim=0).cpu()
        if not change.any():
            continue
        heard = True
        off = ((torch.arange(frames) + 0.5) / frames - place - 0.005).abs()
        shown = float(change[off <= max(NEAR, 2.5 / frames)].max() / change.max())
        demand(
            shown >= SHOWN,
            f"frame {int(change.argmax())} of {frames} changes most for a click at {place:.0%} of "
            f"the clip, and the frames there {shown:.0%} as much.",
        )
    if not heard:
        raise NotApplicable("its latents are the same with a click")


def gains_are_factors_of_parts(subject: Subject) -> None:
    """With values_are_gains, latents are 1; zeros decode to silence, and parts add up."""
    made = subject.make()
    if not made.values_are_gains:
        raise NotApplicable("its latents are no gains")
    clip = noise(made.sample_rate)
    with torch.no_grad():
        latents = made.encode(clip[None])
        demand(bool((latents.values == 1).all()), "latents of a clip that are not 1.")
        silent = made.decode(torch.zeros_like(latents.values), latents.context)
        demand(not silent.any(), f"{float(silent.abs().max()):.2g} where all gains are zero.")
        alone = torch.eye(latents.values.shape[1])[:, :, None].expand(
            -1, -1, latents.values.shape[2]
        )
        together = made.decode(alone, latents.context).sum(dim=0)
        off = float((together - clip).abs().max())
    demand(off <= ROUNDING, f"parts whose sum is {off:.2g} off the clip.")


RULES = (Rule(moves_the_frame_of_a_click), Rule(gains_are_factors_of_parts))
