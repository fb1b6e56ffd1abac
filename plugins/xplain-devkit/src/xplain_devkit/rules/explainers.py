"""Rules for explainers: what attribute() returns, and what it must not change."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from xplain.errors import XplainError
from xplain.interfaces import Explainer
from xplain_devkit.rules import draws, places
from xplain_devkit.rules import parameters as configuration
from xplain_devkit.rules.questions import Interrupted, Question, answer, question
from xplain_devkit.rules.rule import Broken, NotApplicable, Rule, Subject, demand
from xplain_devkit.rules.state import hooks_of

SETTINGS: dict[str, Callable[[], Any]] = {
    "threads": torch.get_num_threads,
    "deterministic algorithms": torch.are_deterministic_algorithms_enabled,
    "anomaly detection": torch.is_anomaly_enabled,
}
"""What holds for the whole process."""


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


def follows_the_target(subject: Subject) -> None:
    """Another label gives another attribution, or is refused with an XplainError."""
    usual, asked = answer(subject, question(subject)), question(subject)
    asked.ask_another()
    try:
        other = answer(subject, asked)
    except XplainError as refusal:
        raise NotApplicable(f"it refuses another label: {refusal}") from refusal
    demand(not same(usual, other), "the same for another label; explain the score, not the model.")


def holds_on_to_no_clip(subject: Subject) -> None:
    """Once it has answered, nothing of the clip stays in memory."""
    asked, explainer = question(subject), subject.make()
    held: dict[str, weakref.ref[Any]] = {
        "score": weakref.ref(asked.score),
        "latents": weakref.ref(asked.latents),
    }
    asked.put_to(explainer)
    del asked
    gc.collect()
    left = [name for name, there in held.items() if there() is not None]
    demand(not left, f"the {' and the '.join(left)} of a clip that is over.")


def leaves_torchs_settings_as_they_were(subject: Subject) -> None:
    """It restores what holds for the whole process: threads, determinism, anomalies."""
    before = {name: setting() for name, setting in SETTINGS.items()}
    try:
        question(subject).put_to(subject.make())
        after = {name: setting() for name, setting in SETTINGS.items()}
    finally:
        torch.set_num_threads(before["threads"])
        torch.use_deterministic_algorithms(before["deterministic algorithms"])
        torch.autograd.set_detect_anomaly(before["anomaly detection"])
    other = [f"{n}: {after[n]} after {before[n]}" for n in before if after[n] != before[n]]
    demand(not other, f"{', '.join(other)}.")


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


RULES = (
    *configuration.RULES,
    *draws.RULES,
    *places.RULES,
    *(
        Rule(function)
        for function in (
            gives_the_latents_shape,
            gives_float32,
            gives_finite_values,
            says_something,
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
            follows_the_target,
            holds_on_to_no_clip,
            leaves_torchs_settings_as_they_were,
            keeps_the_memory_budget,
            adds_up_where_it_says_so,
            refuses_text_for_a_number,
        )
    ),
)
