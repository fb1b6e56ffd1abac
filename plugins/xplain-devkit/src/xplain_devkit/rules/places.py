"""Rules for explainers about places: the attribution lies where the score looks."""

from __future__ import annotations

import torch
from torch import Tensor

from xplain.borrowing import seeded
from xplain.errors import XplainError
from xplain.explaining import explain
from xplain.registry import Unfit
from xplain_devkit.rules.questions import Question, readable, toy
from xplain_devkit.rules.rule import Broken, NotApplicable, Rule, Subject, demand
from xplain_devkit.toys.models import RATE, Frames, Levels, Nothing, OfOneElement
from xplain_evaluation.planted.backgrounds import BACKGROUNDS
from xplain_evaluation.planted.planted import CUES, planted, planted_model

ABOVE_CHANCE = 0.7
"""Mean area under the ROC curve that the frames of planted cues have to reach; random
attributions reach 0.5, with a standard deviation of 0.05 over the three clips."""


DECIDING = ((1, 2), (5, 6), (6, 1))
"""Channel and frame of elements that a flip or a transpose moves."""

ROUNDING = 1e-5
"""Relative tolerance of values that should be equal."""


def puts_the_element_that_decides_in_its_place(subject: Subject) -> None:
    """If the score depends on one element alone, none has a larger absolute attribution."""
    for element in DECIDING:
        asked, got = decided_by(element, subject)
        if got.shape != asked.latents.shape:
            raise NotApplicable("its attribution has not the latents' shape")
        sizes = torch.nan_to_num(got.detach()).abs()
        largest = float(sizes.max())
        # Equal is enough, for methods that give all elements of a group one value.
        kept = float(sizes[element]) >= largest * (1 - ROUNDING)
        channel, frame = divmod(int(sizes.argmax()), sizes.shape[1])
        found = (
            f"{float(sizes[element]):.3g} at channel {element[0]}, frame {element[1]}, which "
            f"decides, and {largest:.3g} at channel {channel}, frame {frame}, which does not."
        )
        demand(kept, found)


def attributes_the_last_tenth(subject: Subject) -> None:
    """If the score depends on one of the last frames alone, none has twice its attribution."""
    try:
        puts_the_element_that_decides_in_its_place(subject)
    except Broken as error:
        raise NotApplicable("it does not put elements in their places") from error
    frames = 95  # no multiple of any window's size
    if not decided_by((3, 40), subject, frames)[1].any():
        raise NotApplicable("it says nothing of a linear network")
    for back in (1, 4, 8):
        asked, got = decided_by((3, frames - back), subject, frames)
        if got.shape != asked.latents.shape:
            raise NotApplicable("its attribution has not the latents' shape")
        sizes = torch.nan_to_num(got.detach()).abs()
        there, largest = float(sizes[3, frames - back]), float(sizes.max())
        found = f"{there:.3g} in frame {frames - back} of {frames}, and {largest:.3g} elsewhere."
        demand(there >= largest / 2 and there > 0, found)


def finds_a_planted_cue(subject: Subject) -> None:
    """Frames with a planted cue have larger attributions than the other frames."""
    _toys_alone(subject)
    if readable(subject) != "sound":
        raise NotApplicable("it takes no model that reads a waveform")
    try:
        reached = [localised(subject, *pair) for pair in zip(BACKGROUNDS, CUES, strict=True)]
    except XplainError as error:
        if error.__cause__ is None or isinstance(error.__cause__, XplainError | Unfit):
            raise NotApplicable(f"it refuses the model, or is refused: {error}") from error
        raise  # an error that the pipeline has wrapped
    mean = sum(reached) / len(reached)
    demand(mean >= ABOVE_CHANCE, f"an ROC-AUC of {mean:.2f} (random 0.5, required {ABOVE_CHANCE}).")


def decided_by(
    element: tuple[int, int], subject: Subject, frames: int = 12
) -> tuple[Question, Tensor]:
    """Explain, with a new instance, a score that depends on one element (channel, frame).

    frames: not as many as channels, so that a transpose is seen.
    """
    refusal: XplainError | None = None
    _toys_alone(subject)
    samples = frames * Frames.size
    for rectified in (False, True):
        with seeded(0, torch.device("cpu")):  # a layer draws weights before they are set
            module = OfOneElement(element, frames, rectified=rectified)
        asked = Question(toy("latents", module, samples))
        # Far from the baseline and positive in every element, so that a ReLU lets it pass.
        asked.latents = asked.latents.abs() + 0.1
        try:
            return asked, asked.put_to(subject.make())
        except XplainError as error:
            refusal = error
    raise NotApplicable(f"it refuses a linear network: {refusal}")


def _toys_alone(subject: Subject) -> None:
    """NotApplicable for a method that explains one model alone."""
    if subject.case is not None:
        raise NotApplicable("it is tested on a model of which nobody knows what decides")


def localised(subject: Subject, background: str, label: str) -> float:
    """ROC-AUC of the frames' attributions against a planted cue."""
    clip = planted(0, background=background, label=label, sample_rate=RATE, seconds=1)
    explanation = explain(
        clip.waveform,
        planted_model(RATE),
        sample_rate=RATE,
        synthesizer=Levels(),
        explainer=subject.make(),
        replacement=Nothing(),
        target=label,
    )
    frames = explanation.attribution.sum(dim=0)
    inside = clip.event(len(frames))
    # The share of pairs, one frame in the cue and one outside, that are in the right order.
    higher = frames[inside][:, None] - frames[~inside][None]
    return float(((higher > 0) + 0.5 * (higher == 0)).float().mean())


RULES = tuple(
    Rule(function)
    for function in (
        puts_the_element_that_decides_in_its_place,
        attributes_the_last_tenth,
        finds_a_planted_cue,
    )
)
