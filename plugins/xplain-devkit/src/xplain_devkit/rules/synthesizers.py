"""Rules for synthesizers: what encode() and decode() return, and what they must not change."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from xplain.errors import PluginError
from xplain.interfaces import Latents, Synthesizer
from xplain_devkit.rules import clicks, frequencies
from xplain_devkit.rules import parameters as configuration
from xplain_devkit.rules.rule import Broken, NotApplicable, Rule, Subject, demand
from xplain_devkit.rules.state import changed, close, copied, leaves_grad_mode, leaves_weights_alone
from xplain_devkit.toys.models import half_a_second, noise, tone

LENGTHS = (1, 7, 255, 256, 257, 4000, 12345)
"""Lengths in samples; a synthesizer may refuse short ones, but not half a second."""

EXACT = 1e-4
"""Largest error of a sample of a lossless synthesizer."""

LEVELS = (1e-3, 1.0)
"""Peaks of a quiet clip and of a loud one."""

QUIETER = 20
"""dB by which the latents of silence have to attenuate a clip."""

SPECTRA = 0.3
"""Difference of logarithms of power that the parts of a random signal have anyway."""

ROUNDING = 1e-4
"""Rounding error of a sum, relative to the largest value."""


def encodes_a_batch(subject: Subject) -> None:
    """Waveforms (B, samples) become Latents: values (B, D, N) float32, a context batch first."""
    for samples, latents in everywhere(subject, batch=2):
        demand(isinstance(latents, Latents), f"{type(latents).__name__}, not xplain.Latents.")
        shape = tuple(latents.values.shape)
        fits = len(shape) == 3 and shape[0] == 2
        demand(fits, f"values {shape} of two clips of {samples} samples.")
        demand(latents.values.dtype == torch.float32, f"values of {latents.values.dtype}.")
        for name, tensor in latents.context.items():
            first = len(tensor) if tensor.ndim else 0
            demand(first == 2, f"the context's {name!r} has {first} rows for two clips.")


def gives_finite_values(subject: Subject) -> None:
    """Latents and decoded waveforms of noise and of silence are finite."""
    made = subject.make()
    samples = half_a_second(made)
    for waveform in (noise(samples)[None], torch.zeros(1, samples)):
        latents = made.encode(waveform)
        audible = made.decode(latents.values, latents.context)
        what = "silence" if not waveform.any() else "noise"
        demand(bool(torch.isfinite(latents.values).all()), f"latents of {what} that are not.")
        demand(bool(torch.isfinite(audible).all()), f"a waveform of {what} that is not.")


def gives_the_length_back(subject: Subject) -> None:
    """Its decode() returns float32 waveforms (n, samples) of the encoded length."""
    made = subject.make()
    for samples, latents in everywhere(subject, batch=2):
        audible = made.decode(latents.values, latents.context)
        shape = tuple(audible.shape)
        demand(shape == (2, samples), f"{shape} of two clips of {samples} samples.")
        demand(audible.dtype == torch.float32, f"{audible.dtype}.")


def gives_back_what_went_in(subject: Subject) -> None:
    """Decoding unchanged latents returns the waveform; with lossy = True, each of six sounds
    stays the nearest to itself."""
    made = subject.make()
    if made.lossy:
        tells_sounds_apart(made)
        return
    for samples, latents in everywhere(subject, batch=2):
        waveform = torch.stack([noise(samples), noise(samples, 1)])
        audible = decoded(made, latents, samples)
        lost = float((audible - waveform).abs().max())
        found = f"a difference of {lost:.2g} in {samples} samples; a codec says lossy = True."
        demand(lost < EXACT, found)
    for level in LEVELS:
        clip = noise(half_a_second(made))
        clip = level * clip / clip.abs().max()
        lost = float((round_trip(made, clip) - clip).abs().max()) / level
        demand(lost < 10 * EXACT, f"{lost:.2g} of the level of a clip whose peak is {level}.")


def keeps_the_sound_in_the_latents(subject: Subject) -> None:
    """Latents of silence (gains of zero), decoded in a loud clip's context, are at least 20 dB
    quieter."""
    made = subject.make()
    if made.lossy:
        raise NotApplicable("it is lossy, so that its silence may sound")
    clip = noise(half_a_second(made))[None]
    loud = made.encode(clip)
    silent = made.encode(torch.zeros_like(clip)).values
    if made.values_are_gains:
        silent = torch.zeros_like(loud.values)
    audible = decoded(made, Latents(silent, loud.context), clip.shape[1])
    quieter = 20 * math.log10(float(clip.norm()) / max(float(audible.norm()), 1e-12))
    found = f"{quieter:.1f} dB; what the context holds cannot be removed, so keep it in the values."
    demand(quieter >= QUIETER, found)


def hears_the_variants(subject: Subject) -> None:
    """Halving the latents changes the decoded waveform."""
    made = subject.make()
    samples = half_a_second(made)
    latents = made.encode(noise(samples)[None])
    plain = made.decode(latents.values, latents.context)
    halved = made.decode(latents.values * 0.5, latents.context)
    demand(not torch.equal(plain, halved), "the same waveform.")


def serves_many_variants_with_one_context(subject: Subject) -> None:
    """One clip's context decodes n variants at once as it decodes each alone."""
    made = subject.make()
    latents = made.encode(noise(half_a_second(made))[None])
    variants = latents.values * torch.tensor([1.0, 0.5, 0.0])[:, None, None]
    together = made.decode(variants, latents.context)
    for number, variant in enumerate(variants):
        alone = made.decode(variant[None], latents.context)[0]
        same = close(alone, together[number], ROUNDING)
        demand(same, f"variant {number} differs by {gap(alone, together[number]):.2g}.")


def separates_the_clips_of_a_batch(subject: Subject) -> None:
    """Encoding and decoding a clip in a batch gives the same as alone."""
    made = subject.make()
    samples = half_a_second(made)
    clips = torch.stack([noise(samples), noise(samples, 1)])
    both = made.encode(clips)
    audible = made.decode(both.values, both.context)
    for number in range(2):
        alone = made.encode(clips[number : number + 1])
        off = gap(both.values[number], alone.values[0])
        demand(close(both.values[number], alone.values[0], ROUNDING), f"latents off by {off:.2g}.")
        back = made.decode(alone.values, alone.context)[0]
        off = gap(audible[number], back)
        demand(close(audible[number], back, ROUNDING), f"a waveform that is off by {off:.2g}.")


def agrees_with_its_pieces(subject: Subject) -> None:
    """Away from its edges, a part of a clip decodes as within the whole, up to the coding error."""
    made = subject.make()
    quarter = half_a_second(made)
    clip = noise(4 * quarter)
    whole = round_trip(made, clip)
    if made.lossy:  # phases may be anybody's guess: spectra are compared
        middle, inner = slice(quarter, 3 * quarter), slice(quarter // 2, 2 * quarter - quarter // 2)
        piece = round_trip(made, clip[middle])[inner]
        there = whole[middle][inner]
        off = spectrum_gap(piece, there, made.sample_rate)
        lost = spectrum_gap(clip[middle][inner], there, made.sample_rate)
        demand(
            off <= lost + SPECTRA,
            f"spectra {off:.2f} off on average, where encoding itself loses {lost:.2f}.",
        )
        return
    lost = float((whole - clip).abs().mean())
    inner = slice(quarter // 2, 2 * quarter - quarter // 2)
    for start in (0, quarter, 2 * quarter):
        piece = round_trip(made, clip[start : start + 2 * quarter])
        off = float((whole[start : start + 2 * quarter] - piece)[inner].abs().mean())
        found = f"{off:.2g} off on average, where encoding itself loses {lost:.2g}."
        demand(off <= max(EXACT, lost), found)


def is_differentiable_where_it_says_so(subject: Subject) -> None:
    """Where declared differentiable, gradients are finite, also at silence, and not zero."""
    made = subject.make()
    if not made.decode_differentiable and not made.encode_differentiable:
        raise NotApplicable("it declares neither encode nor decode differentiable")
    samples = half_a_second(made)
    for waveform in (noise(samples)[None], torch.zeros(1, samples)):
        where = "noise" if waveform.any() else "silence"
        with torch.no_grad():
            latents = made.encode(waveform)
        if made.decode_differentiable:
            values = latents.values.detach().clone().requires_grad_()
            with torch.enable_grad():
                audible = made.decode(values, latents.context)
                passes(audible.square().sum(), values, f"decode, at {where}", where == "noise")
        if made.encode_differentiable:
            sound = waveform.clone().requires_grad_()
            with torch.enable_grad():
                encoded = made.encode(sound).values
                passes(encoded.sum(), sound, f"encode, at {where}", where == "noise")


def changes_no_input(subject: Subject) -> None:
    """Its encode() and decode() do not change their inputs."""
    made = subject.make()
    waveform = noise(half_a_second(made))[None]
    before = waveform.clone()
    latents = made.encode(waveform)
    demand(torch.equal(waveform, before), "another waveform after encode.")
    # What went in may be what comes out, so that it is changed on a copy.
    values, context = latents.values.clone(), copied(latents.context)
    given = values.clone()
    kept = copied(context)
    made.decode(values, context)
    demand(torch.equal(values, given), "other values after decode.")
    demand(not changed(kept, context), f"another {' and '.join(changed(kept, context))}.")


def answers_on_the_device_it_is_asked_on(subject: Subject) -> None:
    """Latents and decoded waveforms are on the device of the waveform."""
    if not torch.cuda.is_available():
        raise NotApplicable("there is no accelerator here")
    made = subject.make()
    clip = noise(half_a_second(made))[None].cuda()
    if isinstance(made, nn.Module):
        made.cuda()
    latents = made.encode(clip)
    audible = made.decode(latents.values, latents.context)
    demand(latents.values.is_cuda, f"latents on {latents.values.device}.")
    demand(audible.is_cuda, f"a waveform on {audible.device}.")


def leaves_its_weights_alone(subject: Subject) -> None:
    """Its encode() and decode() change no weights, gradients or training modes."""
    made = subject.make()
    leaves_weights_alone(made, lambda: round_trip(made, noise(half_a_second(made))))


def leaves_grad_mode_as_it_was(subject: Subject) -> None:
    """Its encode() and decode() restore torch's gradient mode."""
    made = subject.make()
    leaves_grad_mode(lambda: round_trip(made, noise(half_a_second(made))))


def is_the_same_again(subject: Subject) -> None:
    """Two new instances give the same latents and the same waveform for a clip."""
    made, other = subject.make(), subject.make()
    clip = noise(half_a_second(made))[None]
    one, two = made.encode(clip), other.encode(clip)
    off = gap(one.values, two.values)
    demand(close(one.values, two.values, 0), f"latents that differ by {off:.2g}.")
    audible, again = (s.decode(one.values, one.context) for s in (made, other))
    demand(close(audible, again, 0), f"waveforms that differ by {gap(audible, again):.2g}.")


def remembers_no_clip(subject: Subject) -> None:
    """Results do not depend on the clips encoded or decoded before."""
    made = subject.make()
    clip = noise(half_a_second(made))
    alone, again = round_trip(subject.make(), clip), round_trip(subject.make(), clip)
    if not close(alone, again, 0):
        raise NotApplicable("it does not give the same twice, even alone")
    latents = made.encode(clip[None])
    round_trip(made, noise(2 * len(clip), 7))
    after = made.decode(latents.values, latents.context)[0]
    demand(close(alone, after, ROUNDING), f"off by {gap(alone, after):.2g} when it is decoded.")
    after = round_trip(made, clip)
    demand(close(alone, after, ROUNDING), f"off by {gap(alone, after):.2g}.")


def refuses_what_is_too_short(subject: Subject) -> None:
    """Clips too short to encode raise a PluginError; half a second is encoded."""
    made = subject.make()
    rate = made.sample_rate
    demand(isinstance(rate, int) and rate > 0, f"a sample_rate of {rate!r} Hz.")
    for samples in (*LENGTHS, half_a_second(made)):
        try:
            made.encode(noise(samples)[None])
        except PluginError as error:
            demand(samples < half_a_second(made), f"half a second is refused: {error}.")
            demand(bool(str(error)), "a PluginError without a message.")
        except Exception as error:
            raise Broken(f"{type(error).__name__} of {samples} samples: {error}.") from error


def everywhere(subject: Subject, batch: int) -> list[tuple[int, Latents]]:
    """The latents of noise of each length that is not too short: (samples, latents)."""
    made = subject.make()
    encoded = []
    for samples in (*LENGTHS, half_a_second(made)):
        clips = torch.stack([noise(samples, seed) for seed in range(batch)])
        try:
            encoded.append((samples, made.encode(clips)))
        except PluginError:
            continue
    demand(bool(encoded), "every length is refused.")
    return encoded


def round_trip(made: Synthesizer, clip: Tensor) -> Tensor:
    """A clip (samples,) encoded and decoded; NotApplicable where its length is not kept."""
    return decoded(made, made.encode(clip[None]), len(clip))[0]


def decoded(made: Synthesizer, latents: Latents, samples: int) -> Tensor:
    """The waveforms of latents; NotApplicable where their length is not kept."""
    audible = made.decode(latents.values, latents.context)
    if audible.shape != (len(latents.values), samples):
        raise NotApplicable("it does not give the length back")
    return audible.detach()


def gap(one: Tensor, other: Tensor) -> float:
    """The largest difference of two tensors."""
    return float((one - other).abs().max()) if one.shape == other.shape else float("inf")


def passes(output: Tensor, leaf: Tensor, where: str, asked: bool) -> None:
    """Demand a finite gradient from an output to a leaf; one that is not zero, where asked."""
    demand(output.requires_grad, f"no gradient passes through {where}.")
    (gradient,) = torch.autograd.grad(output, leaf, allow_unused=True)
    if gradient is None:
        raise Broken(f"no gradient passes through {where}.")
    demand(bool(torch.isfinite(gradient).all()), f"a gradient that is not finite: {where}.")
    demand(not asked or bool(gradient.any()), f"a gradient of zeros: {where}.")


def tells_sounds_apart(made: Synthesizer) -> None:
    """Demand that each of six sounds, re-encoded, is nearer to itself than to the others.

    Nearness is the correlation of coarse log spectrograms, which every codec has to keep even
    if it keeps neither phase nor level.
    """
    samples = 2 * half_a_second(made)
    sounds = [
        tone(hertz, samples, made.sample_rate, start, start + 0.5)
        for hertz in (300.0, 800.0, 1800.0)
        for start in (0.0, 0.5)
    ]
    originals = [picture(sound, made.sample_rate) for sound in sounds]
    for number, sound in enumerate(sounds):
        audible = picture(round_trip(made, sound), made.sample_rate)
        likeness = [float(torch.corrcoef(torch.stack([audible, o]))[0, 1]) for o in originals]
        nearest = max(range(len(sounds)), key=likeness.__getitem__)
        demand(nearest == number, f"sound {number} of six comes back as sound {nearest}.")


def spectrum_gap(one: Tensor, other: Tensor, sample_rate: int) -> float:
    """Mean difference of the logarithms of smoothed spectra (32 bands), over time."""
    spectra = []
    for sound in (one, other):
        size = round(0.032 * sample_rate)
        power = torch.stft(
            sound, size, window=torch.hann_window(size), center=False, return_complex=True
        )
        bands = nn.functional.adaptive_avg_pool1d(power.abs().square().mean(1)[None, None], 32)
        spectra.append(bands.clamp(min=1e-12).log())
    return float((spectra[0] - spectra[1]).abs().mean())


def picture(sound: Tensor, sample_rate: int) -> Tensor:
    """A log spectrogram of 32 ms, flat: (frequencies · frames,), to 60 dB below its maximum."""
    size = round(0.032 * sample_rate)
    spectrum = torch.stft(
        sound, size, window=torch.hann_window(size), center=False, return_complex=True
    ).abs()
    return spectrum.clamp(min=1e-3 * float(spectrum.max()) + 1e-12).log().flatten()


RULES = (
    *configuration.RULES,
    *clicks.RULES,
    *(
        Rule(function)
        for function in (
            encodes_a_batch,
            gives_finite_values,
            gives_the_length_back,
            gives_back_what_went_in,
            keeps_the_sound_in_the_latents,
            hears_the_variants,
            serves_many_variants_with_one_context,
            separates_the_clips_of_a_batch,
            agrees_with_its_pieces,
            is_differentiable_where_it_says_so,
            answers_on_the_device_it_is_asked_on,
            changes_no_input,
            leaves_its_weights_alone,
            leaves_grad_mode_as_it_was,
            is_the_same_again,
            remembers_no_clip,
            frequencies.names_one_frequency_per_channel_or_none,
            frequencies.names_the_frequency_of_a_tone,
            frequencies.says_where_each_channel_lies_or_nothing,
            frequencies.works_at_the_rate_it_is_given,
            refuses_what_is_too_short,
        )
    ),
)
