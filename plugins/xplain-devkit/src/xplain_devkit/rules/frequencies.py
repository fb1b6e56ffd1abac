"""Rules for a synthesizer's frequencies and spectra."""

from __future__ import annotations

import torch

from xplain.registry import constructor_parameters
from xplain_devkit.rules.rule import NotApplicable, Subject, demand
from xplain_devkit.toys.models import half_a_second, noise, tone

TONES = (0.1, 0.3, 0.5, 0.8)
"""Shares of half the sample rate, at which tones sound."""


def names_one_frequency_per_channel_or_none(subject: Subject) -> None:
    """Its frequencies, if given, hold one frequency in Hz per channel, up to half the rate."""
    made = subject.make()
    if made.frequencies is None:
        raise NotApplicable("its channels are no frequencies")
    channels = made.encode(noise(half_a_second(made))[None]).values.shape[1]
    found = list(made.frequencies)
    demand(len(found) == channels, f"{len(found)} frequencies for {channels} channels.")
    inside = all(0 <= hertz <= made.sample_rate / 2 for hertz in found)
    demand(inside, f"frequencies beyond 0 … {made.sample_rate / 2:g} Hz.")


def names_the_frequency_of_a_tone(subject: Subject) -> None:
    """The channel that a tone changes most is within two channels of the tone's frequency."""
    made = subject.make()
    if made.frequencies is None:
        raise NotApplicable("its channels are no frequencies")
    samples = half_a_second(made)
    silent = made.encode(torch.zeros(1, samples)).values
    named = torch.tensor(list(made.frequencies))
    if len(named) != silent.shape[1]:
        raise NotApplicable("it has not one frequency for each channel")
    several = torch.tensor(sorted(set(named.tolist())))  # channels may share a frequency
    for share in TONES:
        hertz = share * made.sample_rate / 2
        sound = made.encode(tone(hertz, samples, made.sample_rate)[None]).values
        # Against silence, so that the logarithm of a power can be compared, too.
        loudest = named[int((sound - silent)[0].abs().mean(dim=1).argmax())]
        off = int((several - loudest).abs().argmin()) - int((several - hertz).abs().argmin())
        demand(abs(off) <= 2, f"a channel named {float(loudest):g} Hz for a tone of {hertz:g} Hz.")


def says_where_each_channel_lies_or_nothing(subject: Subject) -> None:
    """Its spectra, if given, hold one finite, nonnegative spectrum per channel."""
    made = subject.make()
    if made.spectra is None:
        raise NotApplicable("it does not say where its channels lie")
    channels = made.encode(noise(half_a_second(made))[None]).values.shape[1]
    spectra, hertz = made.spectra
    wanted = (channels, len(hertz))
    demand(tuple(spectra.shape) == wanted, f"spectra {tuple(spectra.shape)}, not {wanted}.")
    good = bool((torch.isfinite(spectra) & (spectra >= 0)).all())
    demand(good, "spectra that are negative, NaN or infinite.")
    inside = all(0 <= float(f) <= made.sample_rate / 2 for f in hertz)
    demand(inside, f"frequencies beyond 0 … {made.sample_rate / 2:g} Hz.")


def works_at_the_rate_it_is_given(subject: Subject) -> None:
    """Made with another sample_rate it has that one, and its frequencies end below half of it."""
    made = subject.make()
    if "sample_rate" not in constructor_parameters(type(made)):
        raise NotApplicable("it has a rate of its own")
    rate = 2 * made.sample_rate
    other = subject.make_with({**subject.parameters(made), "sample_rate": rate})
    demand(other.sample_rate == rate, f"{other.sample_rate} Hz, where {rate} Hz are asked for.")
    if made.frequencies is not None and other.frequencies is not None:
        highest, higher = max(made.frequencies), max(other.frequencies)
        kept = higher <= rate / 2 and (higher > highest or highest < made.sample_rate / 4)
        demand(
            kept, f"frequencies to {higher:.0f} Hz at {rate} Hz, {highest:.0f} Hz at half of it."
        )
