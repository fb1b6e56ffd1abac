"""Rules for groupings: what groups() returns, and what it must not change."""

from __future__ import annotations

import random
from functools import cache

import numpy as np
import torch

from xplain.errors import PluginError
from xplain.interfaces import Clip, Groups
from xplain_devkit.rules import parameters as configuration
from xplain_devkit.rules.replacements import chance
from xplain_devkit.rules.rule import Broken, NotApplicable, Rule, Subject, demand
from xplain_devkit.rules.state import changed, copied, leaves_grad_mode
from xplain_devkit.toys.models import RATE, Frames, noise, tone

LONGEST = 80
"""Characters of a name."""


def clip_of(seconds: float = 1.0, seed: int = 0) -> Clip:
    """Noise in which a tone begins and ends, with frequencies as channels."""
    samples = round(seconds * RATE)
    sound = 0.1 * noise(samples, seed) + tone(700, samples, RATE, 0.3, 0.6)
    synthesizer = Frames(RATE)
    synthesizer.frequencies = [k * RATE / 16 for k in range(8)]
    latents = synthesizer.encode(sound[None])
    return Clip(synthesizer, sound, latents, torch.Generator().manual_seed(seed), f"clip-{seed}")


@cache
def refused(subject: Subject) -> str:
    """Why it refuses the clip; empty where it does not."""
    try:
        subject.make().groups(clip_of())
    except PluginError as error:
        return str(error)
    except Exception:  # a fault, that the rules are going to find
        return ""
    return ""


def grouped(subject: Subject, clip: Clip | None = None) -> Groups:
    """What a new instance gives; NotApplicable for a clip that it refuses."""
    if reason := refused(subject):
        raise NotApplicable(f"it refuses a clip: {reason}")
    found = subject.make().groups(clip or clip_of())
    if not isinstance(found, Groups):
        raise NotApplicable("it does not give xplain.Groups")
    return found


def groups_every_element(subject: Subject) -> None:
    """It returns xplain.Groups whose numbers are (channels, frames), also of a short clip."""
    if reason := refused(subject):
        raise NotApplicable(f"it refuses a clip: {reason}")
    for seconds in (1.0, 0.5, 2.0):
        clip = clip_of(seconds)
        found = subject.make().groups(clip)
        demand(isinstance(found, Groups), f"{type(found).__name__}.")
        shape = tuple(found.numbers.shape)
        demand(shape == clip.shape, f"numbers {shape} for latents {clip.shape}.")


def gives_names_that_can_be_read(subject: Subject) -> None:
    """Names are printable, not blank, and of at most 80 characters."""
    for name in grouped(subject).names or ():
        fits = isinstance(name, str) and name.isprintable() and name == name.strip() and name
        demand(bool(fits) and len(name) <= LONGEST, f"{name!r:.90}.")


def is_the_same_again(subject: Subject) -> None:
    """Two new instances group a clip in the same way."""
    demand(alike(grouped(subject), grouped(subject)), "other groups.")


def remembers_no_clip(subject: Subject) -> None:
    """Groups do not depend on the clips grouped before."""
    if not alike(alone := grouped(subject), grouped(subject)):
        raise NotApplicable("it does not give the same twice, even alone")
    made = subject.make()
    made.groups(clip_of(2.0, seed=7))
    demand(alike(alone, made.groups(clip_of())), "other groups after another clip.")


def changes_no_input(subject: Subject) -> None:
    """It does not change the clip's waveform, latents or context."""
    clip = clip_of()
    waveform, values = clip.waveform.clone(), clip.latents.values.clone()
    context = copied(clip.context)
    grouped(subject, clip)
    demand(torch.equal(clip.waveform, waveform), "another waveform.")
    demand(torch.equal(clip.latents.values, values), "other latents.")
    demand(not changed(context, clip.context), "another context.")


def draws_from_the_clips_generator_alone(subject: Subject) -> None:
    """It draws from the clip's generator only, and neither uses nor seeds a global one."""
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        before = chance()
        found.append(grouped(subject))
        if chance() != before:
            raise Broken("a global generator that has moved.")
    demand(alike(*found), "other groups for the same state of the generator.")


def leaves_grad_mode_as_it_was(subject: Subject) -> None:
    """It restores torch's gradient mode."""
    leaves_grad_mode(lambda: grouped(subject))


def alike(one: Groups, other: Groups) -> bool:
    """Whether two groupings are the same."""
    return one.names == other.names and torch.equal(one.numbers, other.numbers)


RULES = (
    *configuration.RULES,
    *(
        Rule(function)
        for function in (
            groups_every_element,
            gives_names_that_can_be_read,
            is_the_same_again,
            remembers_no_clip,
            changes_no_input,
            draws_from_the_clips_generator_alone,
            leaves_grad_mode_as_it_was,
        )
    ),
)
