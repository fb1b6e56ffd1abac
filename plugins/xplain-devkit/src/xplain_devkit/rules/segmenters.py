"""Rules for segmenters: what logits() returns, and what it must not change."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

import xplain
from xplain.errors import XplainError
from xplain.interfaces import AdditiveSegmenter, Segmenter
from xplain_devkit.rules import parameters as configuration
from xplain_devkit.rules.rule import Broken, NotApplicable, Rule, Subject, demand
from xplain_devkit.rules.state import close, leaves_grad_mode, leaves_weights_alone
from xplain_devkit.toys.models import noise, tone

ROUNDING = 1e-4
"""Rounding error of a sum, relative to the largest logit."""

IN_STEP = 0.1
"""Tolerance in seconds between the frames' total duration and the recording's."""

AGREEMENT = 0.05
"""Largest mean difference of probabilities between a window and the whole recording."""

BORDER = 0.25
"""Seconds on each side of a window border that are compared."""

REACTION = 0.25
"""Seconds by which the middle of a reaction may be off for any segmenter that smooths."""

LEAST_CHANGE = 1.0
"""Change of a logit that is a reaction."""

UNREST = 5.0
"""Standard deviations of a logit, while nothing changes, that a reaction is above."""

TOO_SHORT = (1, 7, 255)
"""Lengths in samples that a segmenter may refuse."""


def says_what_it_decides(subject: Subject) -> None:
    """It has a sample rate in Hz, a frame step in seconds and distinct labels."""
    made = subject.make()
    rate, step, labels = made.sample_rate, made.frame_step, made.labels
    demand(isinstance(rate, int) and rate > 0, f"sample_rate = {rate!r}.")
    demand(isinstance(step, float) and 0 < step < 1, f"frame_step = {step!r}.")
    demand(isinstance(labels, tuple) and bool(labels), f"labels = {labels!r}, not a tuple of them.")
    demand(len(set(labels)) == len(labels), f"labels = {labels!r}.")


def gives_logits_per_frame_and_label(subject: Subject) -> None:
    """Its logits() returns a float32 tensor (B, frames, labels) for waveforms (B, samples)."""
    made = subject.make()
    got = made.logits(scenes(made))
    demand(isinstance(got, Tensor), f"{type(got).__name__}.")
    shape = tuple(got.shape)
    fits = len(shape) == 3 and shape[0] == len(scenes(made)) and shape[2] == len(made.labels)
    demand(fits, f"{shape} for {len(scenes(made))} clips and {len(made.labels)} labels.")
    demand(got.dtype == torch.float32, f"{got.dtype}.")


def keeps_step_with_time(subject: Subject) -> None:
    """The number of frames grows with the duration as frame_step says."""
    made = subject.make()
    counts = {}
    for seconds in (1, 2, 4):
        waveform = noise(seconds * made.sample_rate)[None]
        frames = counts[seconds] = logits(made, waveform).shape[1]
        off = abs(frames * made.frame_step - seconds)
        found = f"{frames} frames of {made.frame_step:g} s for {seconds} s."
        demand(off <= max(IN_STEP, made.frame_step) + 1e-9, found)
    more = counts[4] - counts[2]
    found = f"{more} frames of {made.frame_step:g} s more for 2 s more."
    demand(abs(more - 2 / made.frame_step) <= 1, found)


def gives_finite_logits(subject: Subject) -> None:
    """Logits of noise, tones, silence and full-scale audio are finite."""
    made = subject.make()
    for name, waveform in {
        "noise and tones": scenes(made),
        "silence": torch.zeros(1, made.sample_rate),
        "full scale": noise(made.sample_rate).sign()[None],
    }.items():
        bad = int((~torch.isfinite(logits(made, waveform))).sum())
        demand(bad == 0, f"{bad} values that are NaN or infinite, of {name}.")


def gives_logits_not_probabilities(subject: Subject) -> None:
    """For silence, noise and tones some values lie outside 0 … 1: logits, not probabilities."""
    made = subject.make()
    silence = torch.zeros(1, made.sample_rate)
    values = torch.cat([logits(made, w).flatten() for w in (scenes(made), silence)])
    outside = bool(((values < 0) | (values > 1)).any())
    demand(outside, f"values from {float(values.min()):.2g} to {float(values.max()):.2g} alone.")


def agrees_with_its_windows(subject: Subject) -> None:
    """Away from its edges, a window gives the probabilities of the whole recording."""
    made = subject.make()
    rate = made.sample_rate
    # A loud end, so that whatever is normalised by the whole recording shows.
    recording = torch.cat([0.3 * scenes(made)[0], 3 * scenes(made)[1]])
    step = made.frame_step * rate
    first = round(rate / step)
    start = round(first * step)
    whole = torch.sigmoid(logits(made, recording[None])[0])
    window = torch.sigmoid(logits(made, recording[None, start : start + 2 * rate])[0])
    edge = len(window) // 4
    inner = window[edge:-edge]
    there = whole[first + edge : first + edge + len(inner)]
    if inner.shape != there.shape or not bool(torch.isfinite(there).all()):
        raise NotApplicable("its logits cannot be compared: see the other rules")
    off = float((inner - there).abs().mean())
    demand(off <= AGREEMENT, f"probabilities that differ by {off:.2f} on average.")


def segments_a_recording(subject: Subject) -> None:
    """Its segment() returns the logits' probabilities, and segments within the recording."""
    only_where(subject, *BEFORE_SEGMENTS)
    made = subject.make()
    clip = scenes(made)[1]
    expected = torch.sigmoid(logits(made, clip[None])[0])
    found = xplain.segment(clip, made)
    frames = found.frames
    # segment() leaves out a frame that begins after the recording's end.
    fits = close(expected[: len(frames)], frames, ROUNDING) and len(expected) - len(frames) <= 1
    demand(fits, f"other probabilities, {tuple(frames.shape)} for {tuple(expected.shape)}.")
    beyond = [s for s in found.segments if not 0 <= s.start < s.end <= found.duration]
    demand(not beyond, f"segments outside of {found.duration:g} s: {beyond[:2]}.")


def leaves_no_seam_between_windows(subject: Subject) -> None:
    """With the declared context, one-second windows agree with the whole at their borders."""
    only_where(subject, *BEFORE_SEGMENTS, segments_a_recording, agrees_with_its_windows)
    made = subject.make()
    recording = torch.cat([scenes(made)[1], scenes(made)[0], scenes(made)[1]])
    whole = torch.sigmoid(logits(made, recording[None])[0])
    made.window = 1.0
    made.fade = min(made.fade, 0.5)
    found = xplain.segment(recording, made).frames
    near = max(1, round(BORDER / made.frame_step))
    step = max(1, round(1 / made.frame_step))
    borders = range(step, min(len(found), len(whole)) - near, step)
    differs = (found - whole[: len(found)]).abs()
    off = max(float(differs[b - near : b + near].mean()) for b in borders)
    demand(off <= AGREEMENT, f"probabilities that differ by {off:.2f} around a border.")


def reacts_within_its_latency(subject: Subject) -> None:
    """Logits react to an onset and to an offset when they happen, up to the declared latency."""
    only_where(subject, *BEFORE_SEGMENTS)
    made = subject.make()
    rate, step = made.sample_rate, made.frame_step
    for before, after in ((1e-3, 0.3), (0.3, 1e-3)):
        what = "onset" if after > before else "offset"
        level = torch.cat([torch.full((2 * rate,), v) for v in (before, after)])
        given = logits(made, (10 * level * noise(4 * rate, 3))[None])[0]
        half = len(given) // 2
        before_it = given[round(0.5 / step) : half - round(0.5 / step)]
        after_it = given[half + round(1 / step) :]
        first = before_it.mean(dim=0)
        changes = after_it.mean(dim=0) - first
        unrest = torch.maximum(before_it.std(dim=0), after_it.std(dim=0))
        clear = changes.abs() - (UNREST * unrest).clamp_min(LEAST_CHANGE)
        label = int(clear.argmax())
        change = float(changes[label])
        if float(clear[label]) < 0:
            raise NotApplicable(f"its logits do not tell an {what} of noise")
        # Until half of the change is there for good: the first frame after the last one below.
        reached = (given[:, label] - first[label]) / change >= 0.5
        since = int((~reached).nonzero().max()) + 1
        off = since * step - 2.0
        fits = -REACTION - step <= off <= made.latency + REACTION + step
        demand(fits, f"{off:+.2f} s after an {what}, with a latency of {made.latency:g} s.")


def says_what_its_parts_are(subject: Subject) -> None:
    """An additive segmenter has weights (L, K), bias (L,), spectra (K, F) ≥ 0, frequencies (F,)."""
    made = additive(subject)
    weights, spectra, frequencies = made.weights, made.spectra, made.frequencies
    labels, parts, bins = len(made.labels), weights.shape[-1], frequencies.shape[-1]
    shapes = [tuple(t.shape) for t in (weights, made.bias, spectra, frequencies)]
    fit = shapes == [(labels, parts), (labels,), (parts, bins), (bins,)]
    demand(fit, f"weights, bias, spectra, frequencies of shapes {shapes}.")
    demand(bool((spectra >= 0).all()), f"spectra down to {float(spectra.min()):.2g}.")
    demand(bool((frequencies.diff() > 0).all()), "frequencies that do not ascend.")
    inside = bool(((frequencies >= 0) & (frequencies <= made.sample_rate / 2)).all())
    demand(inside, f"frequencies from {frequencies[0]:g} to {frequencies[-1]:g} Hz.")


def adds_up_its_parts(subject: Subject) -> None:
    """An additive segmenter's parts (B, K, frames) are ≥ 0 and, weighted, sum to the logits."""
    made = additive(subject)
    clips = scenes(made)
    with torch.no_grad():
        parts = made.parts(clips)
        demand(bool((parts >= 0).all()), f"parts down to {float(parts.min()):.2g}.")
        added = torch.einsum("ck,bkt->btc", made.weights, parts) + made.bias
    found = float((added - logits(made, clips)).abs().max())
    demand(close(added, logits(made, clips), ROUNDING), f"logits that are off by {found:.2g}.")


def separates_the_clips_of_a_batch(subject: Subject) -> None:
    """The logits of a clip in a batch are the same as alone."""
    made = subject.make()
    clips = scenes(made)
    both = logits(made, clips)
    for number in range(len(clips)):
        alone = logits(made, clips[number : number + 1])[0]
        demand(close(alone, both[number], ROUNDING), f"other logits of clip {number}.")


def answers_on_the_device_it_is_asked_on(subject: Subject) -> None:
    """The logits are on the device of the waveform."""
    if not torch.cuda.is_available():
        raise NotApplicable("there is no accelerator here")
    made = subject.make()
    if isinstance(made, nn.Module):
        made.cuda()
    got = made.logits(scenes(made).cuda())
    demand(got.is_cuda, f"logits on {got.device}.")


def changes_no_input(subject: Subject) -> None:
    """Its logits() does not change the waveform."""
    made = subject.make()
    clips = scenes(made)
    made.logits(clips)
    demand(torch.equal(clips, scenes(made)), "another waveform.")


def leaves_its_weights_alone(subject: Subject) -> None:
    """Its logits() changes no weights, gradients or training modes."""
    made = subject.make()
    leaves_weights_alone(made, lambda: made.logits(scenes(made)))


def leaves_grad_mode_as_it_was(subject: Subject) -> None:
    """Its logits() restores torch's gradient mode."""
    made = subject.make()
    leaves_grad_mode(lambda: made.logits(scenes(made)))


def is_the_same_again(subject: Subject) -> None:
    """Two new instances give the same logits for a clip."""
    one, other = (logits(made, scenes(made)) for made in (subject.make(), subject.make()))
    demand(close(one, other, 0), "other logits.")


def remembers_no_clip(subject: Subject) -> None:
    """The logits do not depend on the clips before."""
    made = subject.make()
    alone, again = (logits(each, scenes(each)) for each in (subject.make(), subject.make()))
    if not close(alone, again, 0):
        raise NotApplicable("it does not give the same twice, even alone")
    logits(made, noise(made.sample_rate, 7)[None])
    demand(close(alone, logits(made, scenes(made)), ROUNDING), "other logits after another clip.")


def refuses_what_is_too_short(subject: Subject) -> None:
    """Clips that are too short raise an XplainError; one second is accepted."""
    made = subject.make()
    for samples in (*TOO_SHORT, made.sample_rate):
        try:
            made.logits(noise(samples)[None])
        except XplainError as error:
            demand(samples < made.sample_rate, f"a second is refused: {error}.")
            demand(bool(str(error)), "an XplainError without a message.")
        except Exception as error:
            raise Broken(f"{type(error).__name__} of {samples} samples: {error}.") from error


def additive(subject: Subject) -> AdditiveSegmenter:
    """The subject; NotApplicable if it is no additive segmenter."""
    made = subject.make()
    if not isinstance(made, AdditiveSegmenter):
        raise NotApplicable("it is no xplain.AdditiveSegmenter")
    return made


def only_where(subject: Subject, *rules: Callable[[Subject], None]) -> None:
    """Raise NotApplicable if other rules are broken, so that each fault is reported once."""
    for rule in rules:
        try:
            rule(subject)
        except NotApplicable:
            continue
        except Exception as error:
            name = rule.__name__.replace("_", "-")
            raise NotApplicable(f"it does not keep {name}") from error


def scenes(made: Segmenter) -> Tensor:
    """Two clips of four seconds (2, samples): noise, and a tone that comes and goes."""
    samples = 4 * made.sample_rate
    coming = tone(440, samples, made.sample_rate, 0.2, 0.4)
    again = tone(880, samples, made.sample_rate, 0.6, 0.7)
    return torch.stack([noise(samples), coming + again + 0.01 * noise(samples, 1)])


def logits(made: Segmenter, waveform: Tensor) -> Tensor:
    """The logits (B, frames, labels) of waveforms; NotApplicable if they have another shape."""
    with torch.no_grad():
        got = made.logits(waveform)
    if got.ndim != 3 or len(got) != len(waveform):
        raise NotApplicable("its logits are not (batch, frames, labels)")
    return got


BEFORE_SEGMENTS = (keeps_step_with_time, gives_finite_logits, adds_up_its_parts)
"""Rules that every segmentation depends on."""

RULES = (
    *configuration.RULES,
    *(
        Rule(function)
        for function in (
            says_what_it_decides,
            gives_logits_per_frame_and_label,
            keeps_step_with_time,
            gives_finite_logits,
            gives_logits_not_probabilities,
            agrees_with_its_windows,
            segments_a_recording,
            leaves_no_seam_between_windows,
            reacts_within_its_latency,
            says_what_its_parts_are,
            adds_up_its_parts,
            separates_the_clips_of_a_batch,
            answers_on_the_device_it_is_asked_on,
            changes_no_input,
            leaves_its_weights_alone,
            leaves_grad_mode_as_it_was,
            is_the_same_again,
            remembers_no_clip,
            refuses_what_is_too_short,
        )
    ),
)
