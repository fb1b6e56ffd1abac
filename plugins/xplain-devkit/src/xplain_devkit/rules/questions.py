"""One clip and an instrumented score over its variants, as an explainer sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from xplain.borrowing import borrowed, seeded
from xplain.errors import XplainError
from xplain.interfaces import Attribution, Clip, Explainer, Groups
from xplain.models import wrap
from xplain.score import ClipScore, Route
from xplain.targets import Target
from xplain.tasks import LiveTarget, resolve
from xplain_devkit.rules.rule import Broken, Case, NotApplicable, Subject
from xplain_devkit.toys.models import RATE, Frames, LinearlyOfLatents, OfLatents, OfSound, noise

Reads: TypeAlias = Literal["sound", "latents", "latents, linearly"]
"""What the model of a question reads: the route is model(decode(z)) or head(z); the last is for
methods that explain linear heads only."""

NETWORKS: Mapping[Reads, type[nn.Module]] = {
    "sound": OfSound,
    "latents": OfLatents,
    "latents, linearly": LinearlyOfLatents,
}
SEED = 1


class Interrupted(Exception):
    """Raised by a score that is set to fail."""


class Watched(ClipScore):
    """A score that records its batch sizes, and can be set to fail.

    fails_at: the number of the call, from 1, at which it raises Interrupted.
    """

    def __init__(
        self,
        route: Route,
        clip: Clip,
        target: LiveTarget,
        max_batch: int,
        groups: Groups | None = None,
        masked: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Score variants of one clip by a route."""
        super().__init__(route, clip, target, max_batch, groups, masked)
        self.sizes: list[int] = []
        self.fails_at: int | None = None

    def forward(self, variants: Tensor) -> Tensor:
        """Score variants (n, D, N): (n,)."""
        self.sizes.append(len(variants))
        if self.fails_at == len(self.sizes):
            raise Interrupted("the score failed, as this rule wants it to")
        return super().forward(variants)


class Question:
    """A case, with its score, which watches how it is asked."""

    def __init__(
        self, case: Case, *, max_batch: int = 16, draws: int = 0, device: str = "cpu"
    ) -> None:
        """Make the latents (D, N), the baseline (D, N) or (draws, D, N), and the score.

        Raises XplainError for a clip that the synthesizer or the model refuses.
        """
        self.device = torch.device(device)
        self.module = case.model.module
        synthesizer, route = case.synthesizer, Route(case.model, case.synthesizer)
        waveform = case.waveform.to(self.device)
        with borrowed(route, self.device), torch.no_grad():
            encoded, silent = (
                synthesizer.encode(each[None]) for each in (waveform, torch.zeros_like(waveform))
            )
            said = route(encoded.values, encoded.context)
        clip = Clip(synthesizer, waveform, encoded, torch.Generator().manual_seed(SEED))
        self._said, asked = said, Target(case.label) if case.label else None
        self.score = Watched(route, clip, resolve(asked, said, case.model), max_batch)
        self.latents = encoded.values[0]
        gains = synthesizer.values_are_gains
        self.baseline = torch.zeros_like(self.latents) if gains else silent.values[0]
        if draws:
            shape = (draws, *self.latents.shape)
            drawn = noise(self.latents.numel() * draws, seed=99).reshape(shape)
            self.baseline = self.baseline + 0.1 * drawn.to(self.device)

    def ask_another(self) -> None:
        """Ask about another label; NotApplicable where there is none."""
        model, usual = self.score.route.model, self.score.question
        if not model.classifies or len(model.labels) < 2:
            raise NotApplicable("the model has no other label")
        label = model.labels[(usual.index + 1) % len(model.labels)]
        self.score.question = resolve(Target(label), self._said, model)
        self.score.target = label

    @contextmanager
    def posed(self, explainer: Explainer, seed: int = SEED) -> Iterator[None]:
        """Lend the model as the pipeline does: evaluation mode, seeded, gradients if used."""
        with (
            borrowed(self.score, self.device),
            seeded(seed, self.device),
            torch.set_grad_enabled(explainer.uses_gradients),
        ):
            yield

    def put_to(self, explainer: Explainer, seed: int = SEED) -> Tensor:
        """The explainer's attribution, unchecked."""
        with self.posed(explainer, seed):
            given = explainer.attribute(self.score, self.latents, self.baseline)
        return given.values if isinstance(given, Attribution) else given


def toy(
    reads: Reads,
    module: nn.Module | None = None,
    samples: int = 64,
    seed: int = 0,
    level: float = 1,
) -> Case:
    """A clip of noise, an untrained network (or another of three labels), and its second label."""
    synthesizer = Frames()
    with seeded(0, torch.device("cpu")):
        usual: nn.Module = NETWORKS[reads]()
    read = "waveform" if reads == "sound" else synthesizer
    model = wrap(module or usual, sample_rate=RATE, labels=("a", "b", "c"), reads=read)
    return Case(model, synthesizer, level * noise(samples, seed), "b")


@cache
def readable(subject: Subject) -> Reads:
    """What the model must read for a method to accept it: sound, unless it refuses that."""
    refusal: XplainError | None = None
    for reads in NETWORKS:
        try:
            Question(toy(reads)).put_to(subject.make())
        except XplainError as error:
            refusal = error
        except Exception:  # a fault, that the rules are going to find
            return reads
        else:
            return reads
    raise Broken(f"it refuses networks of convolutions, of two layers and of one: {refusal}.")


def question(
    subject: Subject,
    *,
    samples: int = 64,
    seed: int = 0,
    level: float = 1,
    max_batch: int = 16,
    draws: int = 0,
    device: str = "cpu",
) -> Question:
    """Make a question that the method accepts: of its case, if it has one.

    samples, seed, level: of a toy's noise; of a case as long a part of 64, begun elsewhere, as
    much louder.
    """
    if (case := subject.case) is None:
        case = toy(readable(subject), None, samples, seed, level)
    else:
        whole = len(case.waveform)
        length = max(1, whole * samples // 64)
        moved = case.waveform.roll(-seed * whole // 10).repeat(2)
        case = replace(case, waveform=level * moved[:length])
    return Question(case, max_batch=max_batch, draws=draws, device=device)


def answer(subject: Subject, asked: Question, seed: int = SEED) -> Tensor:
    """A new instance's attribution; NotApplicable if its shape is wrong."""
    got = asked.put_to(subject.make(), seed)
    if not isinstance(got, Tensor) or got.shape != asked.latents.shape:
        raise NotApplicable("its attribution has not the latents' shape")
    return got.detach()
