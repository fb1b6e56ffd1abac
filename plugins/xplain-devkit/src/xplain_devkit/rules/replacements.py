"""Rules for replacements: what fill() returns, and what it must not change."""

from __future__ import annotations

import random
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xplain.borrowing import seeded
from xplain.errors import PluginError
from xplain.interfaces import Clip, Latents, Replacement, Synthesizer
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
    """None stands for Frames at RATE Hz."""


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

    def draws(self, replacement: Replacement) -> Tensor:
        """What a replacement gives, as draws (S, D, N); NotApplicable for another shape."""
        got = self.filled(replacement)
        if got.shape[-2:] != self.latents.shape:
            raise NotApplicable("it does not give the latents' shape")
        return got.reshape(-1, *self.latents.shape)

    def of_another_clip(self, other: Gap) -> Gap:
        """The same where it is kept, and ``other`` in all else: what is removed, the recording."""
        latents = torch.where(self.keep, self.latents, other.latents)
        encoded = Latents(latents[None].clone(), other.clip.latents.context)
        generator = torch.Generator()
        generator.set_state(self.clip.generator.get_state())
        clip = Clip(other.clip.synthesizer, other.clip.waveform, encoded, generator)
        return Gap(latents, self.keep.clone(), clip)


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
    """What is filled in may follow what is kept, where it depends_on_keep, or the clip's colour
    and level, where it does not; never what was removed."""
    made = subject.make()
    for kept in (True, False):
        asked = gap(subject, kept=kept)
        if made.depends_on_keep:
            _is_the_same_of_another_clip(asked, gap(subject, kept=kept, seed=5), made)
        else:
            _does_not_correlate(asked, made)


def _is_the_same_of_another_clip(asked: Gap, other: Gap, made: Replacement) -> None:
    """What goes on with what is kept resembles what was there, and yet has not seen it.

    So the removed latents, and the recording they were made from, are changed, and nothing else.
    """
    given, draws = asked.latents.clone(), []
    for of in (asked.of_another_clip(other), asked):
        # Seeded alike: that it draws from a global generator is another rule's.
        with seeded(0, given.device):
            draws.append(of.draws(made))
    one, two = draws
    if torch.equal(two, given.expand_as(two)):
        raise NotApplicable("it gives the latents back")
    if one.shape != two.shape:
        raise Broken(f"{len(one)} draws, and {len(two)} where only what was removed is another.")
    gone = ~asked.keep
    size = float(one[:, gone].abs().max()) if bool(gone.any()) else 0.0
    moved = float((one - two)[:, gone].abs().max()) if bool(gone.any()) else 0.0
    demand(
        moved <= 1e-5 * max(size, 1.0),
        f"values that move by {moved:.2g} where only what was removed is another; one that speaks "
        "of the clip as a whole, as a mean does, sets depends_on_keep = False.",
    )


def _does_not_correlate(asked: Gap, made: Replacement) -> None:
    """No draw follows what was there over a channel's frames, nor what was beside it."""
    gone, kept = ~asked.keep, bool(asked.keep.any())
    places = {"in its place": asked.latents}
    if not kept:
        places |= {f"{n} frames off": asked.latents.roll(n, 1) for n in range(-LAGS, LAGS + 1)}
        places |= {"in a channel beside": asked.latents.roll(1, 0)}
        places |= {"of channels in reverse": asked.latents.flip(0)}
        places |= {"in reverse": asked.latents.flip(1)}
    for got in asked.draws(made):
        if kept and torch.equal(got, asked.latents):
            raise NotApplicable("it gives the latents back")
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
