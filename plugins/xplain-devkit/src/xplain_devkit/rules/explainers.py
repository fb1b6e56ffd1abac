"""Rules for explainers: what attribute() returns, and what it must not change."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from xplain.borrowing import seeded
from xplain.errors import XplainError
from xplain.explaining import explain
from xplain.interfaces import Explainer
from xplain.registry import Unfit
from xplain_devkit.rules import draws
from xplain_devkit.rules import parameters as configuration
from xplain_devkit.rules.questions import Interrupted, Question, answer, question, readable, toy
from xplain_devkit.rules.rule import Broken, NotApplicable, Rule, Subject, demand
from xplain_devkit.rules.state import hooks_of
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


def gives_the_latents_shape(subject: Subject) -> None:
    """An attribution is a tensor of the latents' shape (D, N)."""
    asked = question(subject)
    got = asked.put_to(subject.make())
    demand(isinstance(got, Tensor), f"{type(got).__name__}.")
    shape, wanted = tuple(got.shape), tuple(asked.latents.shape)
    demand(shape == wanted, f"{shape} for latents {wanted}.")


def gives_float32(subject: Subject) -> None:
    """An attribution of float32 latents is float32."""
    got = answer(subject, question(subject))
    demand(got.dtype == torch.float32, f"{got.dtype}.")


def gives_finite_values(subject: Subject) -> None:
    """An attribution is finite: no NaN, no infinity."""
    got = answer(subject, question(subject))
    bad = int((~torch.isfinite(got)).sum())
    demand(bad == 0, f"{bad} of {got.numel()} values that are NaN or infinite.")


def says_something(subject: Subject) -> None:
    """An attribution is not all zeros where the score depends on the latents."""
    demand(bool(answer(subject, question(subject)).count_nonzero()), "zeros only.")


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


def explains_the_shortest_clip(subject: Subject) -> None:
    """A clip of one frame, (D, 1), is explained, or refused with an XplainError."""
    asked = question(subject, samples=1)
    try:
        got = asked.put_to(subject.make())
    except XplainError as refusal:
        raise NotApplicable(f"it refuses so short a clip: {refusal}") from refusal
    if got.ndim != 2 or got.shape[0] != asked.latents.shape[0]:
        raise NotApplicable("its attribution has not the latents' shape")
    shape, wanted = tuple(got.shape), tuple(asked.latents.shape)
    demand(shape == wanted, f"{shape} for latents {wanted}.")


def takes_draws_of_the_baseline(subject: Subject) -> None:
    """A baseline of several draws (S, D, N) gives one attribution (D, N)."""
    answer(subject, question(subject))
    asked = question(subject, draws=3)
    shape = tuple(asked.put_to(subject.make()).shape)
    wanted = tuple(asked.latents.shape)
    demand(shape == wanted, f"{shape} for latents {wanted} and three draws.")


def answers_on_the_device_it_is_asked_on(subject: Subject) -> None:
    """The attribution is on the device of the latents."""
    if not torch.cuda.is_available():
        raise NotApplicable("there is no accelerator here")
    got = answer(subject, question(subject, device="cuda"))
    demand(got.device.type == "cuda", f"an attribution on {got.device}.")


def changes_neither_latents_nor_baseline(subject: Subject) -> None:
    """It does not change the latents or the baseline."""
    asked = question(subject)
    latents, baseline = asked.latents.clone(), asked.baseline.clone()
    asked.put_to(subject.make())
    demand(torch.equal(asked.latents, latents), "other latents.")
    demand(torch.equal(asked.baseline, baseline), "another baseline.")
    demand(not asked.latents.requires_grad, "latents that require gradients.")


def leaves_no_hook(subject: Subject) -> None:
    """It removes the hooks that it registered on the score and the model."""
    asked, explainer = question(subject), subject.make()
    with asked.posed(explainer):
        before = hooks_of(asked.score)
        explainer.attribute(asked.score, asked.latents, asked.baseline)
        left = hooks_of(asked.score) - before
    demand(not left, f"{len(left)} hooks more.")


def leaves_weights_and_gradients_alone(subject: Subject) -> None:
    """It does not change weights or buffers and leaves no gradients in them."""
    asked, explainer = question(subject), subject.make()
    with asked.posed(explainer):
        before = {name: t.clone() for name, t in asked.module.state_dict().items()}
        explainer.attribute(asked.score, asked.latents, asked.baseline)
        for name, tensor in asked.module.state_dict().items():
            demand(torch.equal(tensor, before[name]), f"other values in {name}.")
        for name, parameter in asked.module.named_parameters():
            demand(parameter.grad is None, f"a gradient in {name}.")
            demand(not parameter.requires_grad, f"{name} requires gradients.")


def leaves_the_mode_as_it_was(subject: Subject) -> None:
    """It leaves every submodule in evaluation mode."""
    asked, explainer = question(subject), subject.make()
    with asked.posed(explainer):
        explainer.attribute(asked.score, asked.latents, asked.baseline)
        training = [name or "the score" for name, m in asked.score.named_modules() if m.training]
    demand(not training, f"training mode in {', '.join(training)}.")


def leaves_grad_mode_as_it_was(subject: Subject) -> None:
    """It restores torch's gradient mode."""
    asked, explainer = question(subject), subject.make()
    with asked.posed(explainer):
        before = torch.is_grad_enabled()
        explainer.attribute(asked.score, asked.latents, asked.baseline)
        after = torch.is_grad_enabled()
    demand(after == before, f"on={after} after on={before}.")


def tidies_up_when_the_score_fails(subject: Subject) -> None:
    """An error of the score is raised, with hooks, modes and gradient mode restored."""
    asked, explainer = question(subject), subject.make()
    usual = traces(asked, explainer)
    if usual:
        raise NotApplicable(f"it leaves {usual} without an error, too")
    if not (calls := len(asked.score.sizes)):
        raise NotApplicable("it never asks the score")
    asked = question(subject)
    asked.score.fails_at = max(1, calls // 2)
    left = traces(asked, explainer)
    demand(not left, f"{left} left behind.")


def is_the_same_again_for_a_seed(subject: Subject) -> None:
    """With the same seed, two new instances give the same attribution."""
    one, other = (answer(subject, question(subject)) for _ in range(2))
    demand(same(one, other), f"values that differ by up to {difference(one, other):.2g}.")


def remembers_no_clip(subject: Subject) -> None:
    """An attribution does not depend on the clips explained before or after it."""
    alone, again = (answer(subject, question(subject)) for _ in range(2))
    if not same(alone, again):
        raise NotApplicable("it does not give the same twice, even alone")
    explainer = subject.make()
    for level in (0.1, 10):  # since what is remembered may be the quietest, or the loudest
        question(subject, seed=7, samples=96, level=level).put_to(explainer)
    given = question(subject).put_to(explainer).detach()
    after = given.clone()
    demand(after.shape == alone.shape, f"the shape {tuple(after.shape)} after another clip.")
    demand(same(alone, after), f"values that differ by up to {difference(alone, after):.2g}.")
    question(subject, seed=8).put_to(explainer)
    demand(same(given, after), "an attribution that the next clip overwrites.")


def keeps_the_memory_budget(subject: Subject) -> None:
    """The score is never called with more than score.max_batch variants at once; a method that
    has to compare two may refuse a budget of one."""
    for budget in (1, 3):
        asked = question(subject, max_batch=budget)
        try:
            asked.put_to(subject.make())
        except XplainError:
            demand(budget == 1, f"a budget of {budget} variants is refused.")
        largest = max(asked.score.sizes, default=0)
        demand(largest <= budget, f"{largest} variants at once, where {budget} are allowed.")


def adds_up_where_it_says_so(subject: Subject) -> None:
    """Completeness holds within the declared completeness_tolerance: the attribution sums to
    score(latents) − score(baseline)."""
    tolerance = configuration.promises_of(subject.make())
    if tolerance is None:
        raise NotApplicable("it declares no completeness_tolerance")
    asked = question(subject)
    total = float(answer(subject, asked).double().sum())
    if total != total:
        raise NotApplicable("it gives NaN")
    with asked.posed(subject.make()), torch.no_grad():
        ends = asked.score(torch.stack([asked.latents, asked.baseline])).double()
    wanted = float(ends[0] - ends[1])
    kept = abs(total - wanted) <= tolerance * abs(wanted)
    demand(kept, f"a sum of {total:.4g}, expected {wanted:.4g} ± {tolerance:.0%}.")


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


def refuses_text_for_a_number(subject: Subject) -> None:
    """Text for a numeric parameter is refused, at the latest by attribute()."""
    made = subject.make()
    numbers = [
        name
        for name, value in subject.parameters(made).items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]
    if not numbers:
        raise NotApplicable("it has no numbers to set")
    for name in numbers:
        try:
            wrong = subject.make_with({**subject.parameters(made), name: "nonsense"})
            configuration.promises_of(wrong)
            question(subject).put_to(wrong)
        except (XplainError, ValueError, TypeError, Broken):
            continue
        raise Broken(f"{name}='nonsense' gave an attribution.")


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


def traces(asked: Question, explainer: Explainer) -> str:
    """What an attempt leaves behind, in words; empty if nothing."""
    with asked.posed(explainer):
        hooks, grad = hooks_of(asked.score), torch.is_grad_enabled()
        try:
            explainer.attribute(asked.score, asked.latents, asked.baseline)
        except Exception as error:
            if not any(isinstance(e, Interrupted) for e in chain(error)):
                raise
        else:
            if asked.score.fails_at is not None:
                return "no error"
        left = []
        if hooks_of(asked.score) - hooks:
            left.append("hooks")
        if any(part.training for part in asked.score.modules()):
            left.append("training mode")
        if torch.is_grad_enabled() != grad:
            left.append("grad mode")
    return " and ".join(left)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two attributions are bitwise equal; NaN equals NaN."""
    return torch.equal(torch.isnan(one), torch.isnan(other)) and torch.equal(
        torch.nan_to_num(one), torch.nan_to_num(other)
    )


def difference(one: Tensor, other: Tensor) -> float:
    """The largest difference of two attributions."""
    return float((one - other).abs().max())


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


RULES = (
    *configuration.RULES,
    *draws.RULES,
    *(
        Rule(function)
        for function in (
            gives_the_latents_shape,
            gives_float32,
            gives_finite_values,
            says_something,
            puts_the_element_that_decides_in_its_place,
            attributes_the_last_tenth,
            explains_the_shortest_clip,
            takes_draws_of_the_baseline,
            answers_on_the_device_it_is_asked_on,
            changes_neither_latents_nor_baseline,
            leaves_no_hook,
            leaves_weights_and_gradients_alone,
            leaves_the_mode_as_it_was,
            leaves_grad_mode_as_it_was,
            tidies_up_when_the_score_fails,
            is_the_same_again_for_a_seed,
            remembers_no_clip,
            keeps_the_memory_budget,
            adds_up_where_it_says_so,
            finds_a_planted_cue,
            refuses_text_for_a_number,
        )
    ),
)
