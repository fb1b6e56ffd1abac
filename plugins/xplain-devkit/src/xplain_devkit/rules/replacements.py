"""Rules for replacements: what fill() returns, and what it must not change."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xplain.errors import PluginError
from xplain.interfaces import Clip, Replacement, Synthesizer
from xplain_devkit.rules import parameters as configuration
from xplain_devkit.rules.rule import Broken, NotApplicable, Rule, Subject, demand
from xplain_devkit.rules.state import changed, close, copied
from xplain_devkit.toys.models import RATE, Frames, noise

SAMPLES = 1500
LEAK = 0.15
"""Correlation with what was removed; of noise 0 ± 0.04."""
LAGS = 4
"""Frames before and after which what was removed may not come back."""


@dataclass(frozen=True)
class ReplacementSubject(Subject):
    """A replacement, and the synthesizer whose latents it fills."""

    synthesizer: Synthesizer | None = None
    """At RATE Hz; None stands for Frames."""


@dataclass(frozen=True)
class Gap:
    """Latents (D, N), which of them are kept, and the clip they belong to."""

    latents: Tensor
    keep: Tensor
    clip: Clip

    def filled(self, replacement: Replacement) -> Tensor:
        """What a replacement gives; NotApplicable where it is for other latents than these."""
        try:
            return replacement.fill(self.latents, self.keep, self.clip)
        except PluginError as refusal:
            raise NotApplicable(f"it refuses these latents: {refusal}") from refusal


def gap(subject: Subject, *, kept: bool = False, seed: int = 0, device: str = "cpu") -> Gap:
    """A gap to fill: all of a clip, or with ``kept`` every other element of it."""
    chosen = subject.synthesizer if isinstance(subject, ReplacementSubject) else None
    synthesizer = chosen or Frames(RATE)
    waveform = noise(SAMPLES, seed)[None].to(device)
    with torch.no_grad():
        encoded = synthesizer.encode(waveform)
    latents = encoded.values[0].clone()
    # Every other one of all elements, or none.
    keep = (torch.arange(latents.numel(), device=device) % 2 == 0).reshape(latents.shape) & kept
    generator = torch.Generator().manual_seed(seed + 1000)  # or it would draw the clip again
    return Gap(latents, keep, Clip(synthesizer, waveform[0], encoded, generator))


def gives_the_latents_shape(subject: Subject) -> None:
    """It returns (D, N), or draws (S, D, N)."""
    for kept in (True, False):
        asked = gap(subject, kept=kept)
        got = asked.filled(subject.make())
        demand(isinstance(got, Tensor), f"{type(got).__name__}.")
        shape, wanted = tuple(got.shape), tuple(asked.latents.shape)
        fits = shape == wanted or (len(shape) == 3 and shape[1:] == wanted)
        demand(fits, f"{shape} for latents {wanted} with {'some' if kept else 'none'} kept.")


def replaces_something(subject: Subject) -> None:
    """Where no element is kept, fill() does not return the latents."""
    asked = gap(subject)
    before = asked.latents.clone()
    got = asked.filled(subject.make())
    if got.shape[-2:] != before.shape:
        raise NotApplicable("it does not give the latents' shape")
    if asked.clip.synthesizer.values_are_gains:
        raise NotApplicable("the latents are gains, which are 1 of any sound")
    demand(bool((got != before).any()), "the latents, element by element.")


def leaks_nothing_of_what_was_removed(subject: Subject) -> None:
    """What is filled in does not follow what was there: no correlation over a channel's frames,
    nor, where nothing is kept, with frames or channels beside them or in reverse."""
    for kept in (True, False):
        asked = gap(subject, kept=kept)
        got = asked.filled(subject.make())
        if got.shape[-2:] != asked.latents.shape:
            raise NotApplicable("it does not give the latents' shape")
        got = got.reshape(-1, *asked.latents.shape)[0]
        if kept and torch.equal(got, asked.latents):
            raise NotApplicable("it gives the latents back")
        gone = ~asked.keep
        places = {"in its place": asked.latents}
        if not kept:
            places |= {f"{n} frames off": asked.latents.roll(n, 1) for n in range(-LAGS, LAGS + 1)}
            places |= {"in a channel beside": asked.latents.roll(1, 0)}
            places |= {"of channels in reverse": asked.latents.flip(0)}
            places |= {"in reverse": asked.latents.flip(1)}
        for where, there in places.items():
            # Without each channel's mean and level, which may be known of the clip.
            both = [_centred(values, gone)[gone].double() for values in (there, got)]
            size = both[0].norm() * both[1].norm()
            leak = float((both[0] @ both[1]).abs() / size) if size > 0 else 0.0
            demand(leak <= LEAK, f"a correlation of {leak:.2f} with what was removed, {where}.")


def _centred(values: Tensor, where: Tensor) -> Tensor:
    count = where.sum(dim=1, keepdim=True).clamp(min=1)
    return values - (values * where).sum(dim=1, keepdim=True) / count


def gives_float32(subject: Subject) -> None:
    """It returns float32 for float32 latents."""
    got = gap(subject).filled(subject.make())
    demand(got.dtype == torch.float32, f"{got.dtype}.")


def gives_finite_values(subject: Subject) -> None:
    """Replaced elements are finite: no NaN, no infinity."""
    for kept in (True, False):
        asked = gap(subject, kept=kept)
        got = asked.filled(subject.make())
        if got.shape[-2:] != asked.latents.shape:
            raise NotApplicable("it does not give the latents' shape")
        bad = int((~torch.isfinite(got[..., ~asked.keep])).sum())
        demand(bad == 0, f"{bad} values that are NaN or infinite.")


def answers_on_the_device_it_is_asked_on(subject: Subject) -> None:
    """It returns a tensor on the device of the latents."""
    if not torch.cuda.is_available():
        raise NotApplicable("there is no accelerator here")
    got = gap(subject, device="cuda").filled(subject.make())
    demand(got.is_cuda, f"values on {got.device}.")


def changes_no_input(subject: Subject) -> None:
    """It does not change the latents, the mask or the clip's context."""
    asked = gap(subject, kept=True)
    before = Gap(asked.latents.clone(), asked.keep.clone(), asked.clip)
    context = copied(asked.clip.context)
    asked.filled(subject.make())
    demand(torch.equal(asked.latents, before.latents), "other latents.")
    demand(torch.equal(asked.keep, before.keep), "other elements that are kept.")
    other = changed(context, asked.clip.context)
    demand(not other, f"another {' and '.join(other)} in the context.")


def draws_from_the_clips_generator_alone(subject: Subject) -> None:
    """It draws from the clip's generator only, and neither uses nor seeds a global one."""
    filled = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        before = chance()
        filled.append(gap(subject).filled(subject.make()))
        if chance() != before:
            raise Broken("a global generator that has moved.")
    demand(close(filled[0], filled[1], 0), "other values for the same state of the generator.")


def remembers_no_clip(subject: Subject) -> None:
    """It does not depend on the clips filled before."""
    alone, again = (gap(subject).filled(subject.make()) for _ in range(2))
    if not close(alone, again, 0):
        raise NotApplicable("it does not give the same twice, even alone")
    replacement = subject.make()
    gap(subject, seed=7).filled(replacement)
    after = gap(subject).filled(replacement)
    demand(close(alone, after, 0), "other values after another clip.")


def depends_on_what_is_kept_only_where_it_says_so(subject: Subject) -> None:
    """With depends_on_keep = False, fill() returns the same for every mask."""
    made = subject.make()
    if made.depends_on_keep:
        raise NotApplicable("it declares depends_on_keep")
    some, none = gap(subject, kept=True).filled(made), gap(subject).filled(made)
    demand(close(some, none, 0), "other values where half of the elements are kept.")


def leaves_grad_mode_as_it_was(subject: Subject) -> None:
    """It restores torch's gradient mode."""
    for on in (True, False):
        with torch.set_grad_enabled(on):
            gap(subject).filled(subject.make())
            after = torch.is_grad_enabled()
        demand(after == on, f"on={after} after on={on}.")


def chance() -> tuple[bytes, bytes, int]:
    """The state of every global generator, as something that can be compared."""
    numpy_state = np.random.get_state(legacy=False)
    assert isinstance(numpy_state, dict)
    return (
        torch.get_rng_state().numpy().tobytes(),
        repr(numpy_state["state"]).encode() + numpy_state["state"]["key"].tobytes(),
        hash(random.getstate()),
    )


RULES = (
    *configuration.RULES,
    *(
        Rule(function)
        for function in (
            gives_the_latents_shape,
            replaces_something,
            leaks_nothing_of_what_was_removed,
            gives_float32,
            gives_finite_values,
            answers_on_the_device_it_is_asked_on,
            changes_no_input,
            draws_from_the_clips_generator_alone,
            remembers_no_clip,
            depends_on_what_is_kept_only_where_it_says_so,
            leaves_grad_mode_as_it_was,
        )
    ),
)
