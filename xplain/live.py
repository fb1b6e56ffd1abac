"""One clip and its line to the model: change its latents, decode them, ask the model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

import torch
from msgspec import Meta
from torch import Tensor

from xplain.audio import from_pcm16, to_pcm16
from xplain.borrowing import borrowed, seeded
from xplain.clips import naming
from xplain.curves import Curves
from xplain.doubts import FAINT, doubts_about
from xplain.errors import ModelError, XplainWarning
from xplain.interfaces import Attribution, Clip, Groups, Latents, Replacement, Score
from xplain.job import Job
from xplain.models import Model
from xplain.score import ClipScore, Route, attributed
from xplain.selection import top
from xplain.targets import Share
from xplain.tasks import Decision, LiveTarget, resolve, told

Kind = Literal["keep", "remove"]
Attribute = Callable[[Tensor], Attribution]
"""The method as it was set: latents (D, N) of the clip → their attribution (D, N)."""

NEGLIGIBLE = 1e-6
"""A difference of scores under which there is nothing to attribute."""


@dataclass(frozen=True)
class Outcome:
    """The model's decision about the clip with a part kept or removed.

    probability: of the explained label, value: of what is explained; see Decision. label: the
    model's decision. agrees: whether that is the explained one. reencoded: the decision about
    the decoded audio, as a 16-bit file holds it. gain: factor that keeps the audio from
    clipping. probabilities: of all labels; none where the task has no labels.
    """

    kind: Kind
    ratio: Share
    probability: Share | None
    label: str
    agrees: bool
    reencoded: Decision
    gain: Annotated[float, Meta(gt=0, le=1)]
    probabilities: Mapping[str, Share]
    value: float | None = None

    @property
    def filename(self) -> str:
        """Name of its audio in the explanation's folder."""
        return f"{self.kind}-{self.ratio:.12g}.wav"


@dataclass(frozen=True)
class Rendering:
    """An outcome and its audio, (samples,)."""

    waveform: Tensor
    outcome: Outcome


@dataclass(frozen=True, eq=False, kw_only=True)
class LiveClip:
    """One clip's latents, the question, and the model that answers it.

    clip: its waveform at the synthesizer's rate and its latents (1, D, N). grouped: its elements,
    as was asked. baseline: (D, N), or draws (S, D, N). answers: (K,), of the model to the clip.
    own: the decision about the clip. reconstruction: about its unchanged latents, the control of
    every change. ends: scores (1 + S,) of the latents and of each draw of the baseline. faint: the
    score of the clip 20 dB fainter. doubts: why the model's answers may not be what they are taken
    for; see doubts_about.
    """

    name: str
    job: Job
    clip: Clip
    grouped: Groups
    seed: int
    max_batch: int
    target: LiveTarget
    baseline: Tensor
    answers: Tensor
    own: Decision
    reconstruction: Decision
    ends: Tensor
    faint: float
    doubts: tuple[str, ...]
    _nothing: dict[Replacement, Tensor] = field(default_factory=dict)

    @classmethod
    def open(cls, name: str, waveform: Tensor, at_model: Tensor, job: Job, seed: int) -> LiveClip:
        """Encode a clip, and ask the model about it, its latents and its baseline.

        waveform: (samples,) at the synthesizer's rate. at_model: (samples,) at the model's.
        """
        route, model, device = job.route, job.route.model, job.device
        with naming(name), borrowed(route, device), seeded(seed, device), torch.no_grad():
            asked = at_model.clone().to(device)[None]
            if (knowing := told(model, asked)) is not model:
                job = replace(job, route=(route := Route(knowing, route.synthesizer)))
            # Copies, since a plugin or a model may write into what it is given.
            latents = route.encoded(waveform.clone().to(device)[None])
            generator = torch.Generator().manual_seed(seed)
            clip = Clip(route.synthesizer, waveform, latents, generator, name)
            values = latents.values[0]
            none = torch.zeros_like(values, dtype=torch.bool)
            nothing = route.fill(job.baseline, clip, none, seed)
            faint = FAINT * latents.values
            if job.instead:
                faint = route.encoded(FAINT * waveform.to(device)[None]).values
            # The faint one beside the loud one, however small the batches are.
            variants, context = torch.cat([values[None], faint, nothing]), latents.context
            ask, needs = job.memory.alone, job.explainer.uses_gradients
            alone = torch.cat([ask(route, clip, needs, v) for v in torch.split(variants[:2], 1)])
            max_batch = job.memory.batch(route, clip, False)
            original, said = job.memory.within(
                max_batch, lambda most: route.ask(asked, variants, context, most)
            )
            grouped = route.grouped(job.grouping, clip)
            doubts = doubts_about(route, latents, original, said, alone)
        if not torch.isfinite(original).all():
            raise ModelError(
                f"{name}: the model {model.name!r} gave logits that are NaN or infinite, "
                "so there is nothing to explain; mend the model, or leave this clip out"
            )
        target = resolve(job.target, original, route.model)
        scores = target.score(said).cpu()
        target = target.moving(float(scores[0] - scores[2:].mean()))
        (own,) = target.decisions(original)
        (reconstruction,) = target.decisions(said[:1])
        return cls(
            name=name,
            job=job,
            clip=clip,
            grouped=grouped,
            seed=seed,
            max_batch=max_batch,
            target=target,
            baseline=nothing[0] if len(nothing) == 1 else nothing,
            answers=target.answers(original)[0].cpu(),
            own=own,
            reconstruction=reconstruction,
            ends=torch.cat([scores[:1], scores[2:]]),
            faint=float(scores[1]),
            doubts=doubts,
            _nothing={job.baseline: nothing},
        )

    def by(self, job: Job) -> LiveClip:
        """This clip by the method of another job of the same call."""
        record = {**self.job.provenance, "explainer": job.provenance["explainer"]}
        return replace(self, job=replace(self.job, explainer=job.explainer, provenance=record))

    def heard_by(self, model: Model) -> LiveClip:
        """This clip and the same question, asked of another model: an independent judge."""
        same = model.fingerprint() == self.job.route.model.fingerprint()
        if same or self.target.question is None:
            raise ModelError(f"{model.name} is no judge: give another model, and explain a label")
        route = Route(model, self.job.route.synthesizer)
        job = replace(self.job, route=route, target=self.target.question)
        waveform = self.clip.waveform
        return LiveClip.open(self.name, waveform, route.at_model(waveform[None])[0], job, self.seed)

    @property
    def latents(self) -> Latents:
        """Its latents (1, D, N)."""
        return self.clip.latents

    @property
    def probabilities(self) -> dict[str, float]:
        """The probability of each label; nothing where the task has none."""
        return self.target.named(self.answers)

    @property
    def difference(self) -> float:
        """How much more the latents score than the baseline, over draws of it on average."""
        return float(self.ends[0] - self.ends[1:].mean())

    def groups(self, attribution: Attribution | None = None) -> Groups:
        """The groups that were asked for; for single elements, those an attribution speaks of."""
        own = None if attribution is None else attribution.groups
        return self.grouped if self._coarse or own is None else own

    @property
    def _coarse(self) -> bool:
        return self.job.selection.grouping != "element"

    def attribute(self) -> Attribution:
        """Attribute the clip's score to its latents: (D, N) float32, finite."""
        with self.asking() as (_, attribute):
            return attribute(self.latents.values[0])

    @contextmanager
    def asking(self) -> Iterator[tuple[Score, Attribute]]:
        """The score and the method, ready to be called, while the model is borrowed."""
        explainer = self.job.explainer
        score = ClipScore(
            self.job.route,
            self.clip,
            self.target,
            self.max_batch,
            self.grouped if self._coarse else None,
            lambda keep: self.scores(keep).to(self.latents.values),
        )

        def attribute(latents: Tensor) -> Attribution:
            def within(batch: int) -> Attribution:
                score.max_batch = batch
                return attributed(explainer, score, latents.clone(), self.baseline.clone())

            with torch.set_grad_enabled(explainer.uses_gradients):
                return self.job.memory.within(score.max_batch, within)

        with self.on_loan(again=True):
            score.max_batch = self.batch
            yield score, attribute

    @property
    def batch(self) -> int:
        """Variants that the method may ask about at once."""
        return self.job.memory.batch(self.job.route, self.clip, self.job.explainer.uses_gradients)

    def completeness_error(self, attribution: Attribution) -> float | None:
        """|Σ attribution − (score(latents) − score(baseline))|, relative to that difference.

        None where the method makes no such claim, or nothing is to be explained.
        """
        if self.job.explainer.completeness_tolerance is None or abs(self.difference) < NEGLIGIBLE:
            return None
        total = float(attribution.values.sum(dtype=torch.float64))
        return abs(total - self.difference) / abs(self.difference)

    def converged(self, attribution: Attribution) -> bool | None:
        """Whether the error is within the method's tolerance; None where there is none."""
        error = self.completeness_error(attribution)
        return None if error is None else error <= (self.job.explainer.completeness_tolerance or 0)

    def rank(self, attribution: Attribution) -> Tensor:
        """Rank every element of an attribution (D, N): (D, N) int64, 0 is the most important."""
        generator = torch.Generator().manual_seed(self.seed)
        return self.job.selection.rank(attribution.values, self.groups(attribution), generator)

    def render(
        self, attribution: Attribution, wanted: Sequence[tuple[Kind, float]]
    ) -> list[Rendering]:
        """Decode and ask the model about every ratio wanted, a batch at a time."""
        rank = self.rank(attribution)
        self._warn_of_everything(rank, wanted)

        def rendered(batch: int) -> list[Rendering]:
            found: list[Rendering] = []
            for start in range(0, len(wanted), batch):
                part = wanted[start : start + batch]
                keeps = [top(rank, r) if kind == "keep" else ~top(rank, r) for kind, r in part]
                found += self._render_batch(torch.stack(keeps), part)
            return found

        with self.on_loan(), torch.no_grad():
            return self.job.memory.within(self.max_batch, rendered)

    def curves(self, attribution: Attribution, ratios: Sequence[float], reencoded: bool) -> Curves:
        """The model's answers at every ratio; each different variant is asked once."""
        rank = self.rank(attribution)
        kept = torch.stack([top(rank, ratio) for ratio in ratios])
        keeps = torch.cat([kept, ~kept, torch.ones_like(kept[:1])])
        # Keeping nothing is removing everything, and the other way round.
        firsts, which = _distinct(keeps)
        said = self.asked(keeps[firsts], self.target.answers, reencoded)[which].cpu()
        return Curves(
            ratios=torch.tensor(ratios),
            answers=self.answers,
            unchanged=said[-1],
            kept=said[: len(ratios)],
            removed=said[len(ratios) : -1],
            target=self.target,
        )

    def scores(self, keeps: Tensor) -> Tensor:
        """Score the clip with only ``keeps``, bool (n, D, N), left: (n,) float64, finite.

        Over draws of the replacement, the mean score.
        """

        def read(logits: Tensor) -> Tensor:
            self.target.answers(logits)  # raises where it is not finite
            return self.target.score(logits).double()

        return self.asked(keeps, read).cpu()

    def asked(
        self, keeps: Tensor, read: Callable[[Tensor], Tensor], reencoded: bool = False
    ) -> Tensor:
        """What is read of the logits with only ``keeps`` left: (n, …), the mean over draws.

        reencoded: of the audio decoded from it, whatever the model reads.
        """
        route, context = self.job.route, self.latents.context

        def asked(batch: int) -> Tensor:
            found = []
            for part in torch.split(keeps, batch):
                for variants in torch.split(self.draws(part).flatten(0, 1), batch):
                    given = route.audible(variants, context) if reencoded else variants
                    found.append(read(route.hear(given) if reencoded else route(given, context)))
            return torch.cat(found)

        with self.on_loan(), torch.no_grad():
            said = self.job.memory.within(self.max_batch, asked)
        return said.view(len(keeps), -1, *said.shape[1:]).mean(dim=1)

    def draws(self, keeps: Tensor) -> Tensor:
        """The latents with what is not kept, bool (n, D, N), replaced: draws (n, S, D, N)."""
        values, keeps = self.latents.values[0], keeps.to(self.job.device)
        if self.job.replacement.depends_on_keep:
            filled = torch.stack([self._fill(keep) for keep in keeps])
        else:
            if self.job.replacement not in self._nothing:
                self._nothing[self.job.replacement] = self._fill(torch.zeros_like(keeps[0]))
            filled = self._nothing[self.job.replacement]
        return torch.where(keeps[:, None], values, filled)

    @contextmanager
    def on_loan(self, again: bool = False) -> Iterator[None]:
        """Borrow the model, seed the generators, and name the clip in what goes wrong.

        again: whether a model that is on loan is put back after this, too; see borrowed.
        """
        route, device = self.job.route, self.job.device
        with naming(self.name), borrowed(route, device, again=again), seeded(self.seed, device):
            yield

    def _fill(self, keep: Tensor) -> Tensor:
        return self.job.route.fill(self.job.replacement, self.clip, keep, self.seed)

    def _render_batch(self, keeps: Tensor, wanted: Sequence[tuple[Kind, float]]) -> list[Rendering]:
        route, target = self.job.route, self.target
        variants = self.draws(keeps)[:, 0]  # one draw, to listen to
        audible = route.decoded(variants, self.latents.context, self.clip.samples)
        files = [to_pcm16(waveform) for waveform in audible]
        written = torch.stack([from_pcm16(samples) for samples, _ in files]).to(self.job.device)
        # A model that reads audio gets the variants as audio anyway: a batch with the files.
        given = route.at_model(written if route.direct else torch.cat([audible, written]))
        most = min(self.max_batch, self.job.memory.most)
        heard = torch.cat([route.hear(part) for part in torch.split(given, most)])
        logits = route.model(variants) if route.direct else heard[: len(written)]
        reencoded = target.decisions(heard[-len(written) :])
        decisions, said = target.decisions(logits), target.answers(logits)
        return [
            Rendering(
                audible[place].cpu(),
                Outcome(
                    kind,
                    ratio,
                    **vars(decisions[place]),
                    reencoded=reencoded[place],
                    gain=files[place][1],
                    probabilities=target.named(said[place]),
                ),
            )
            for place, (kind, ratio) in enumerate(wanted)
        ]

    def _warn_of_everything(self, rank: Tensor, wanted: Sequence[tuple[Kind, float]]) -> None:
        for _, ratio in wanted:
            if 0 < ratio < 1 and bool(top(rank, ratio).all()):
                warnings.warn(
                    f"a ratio of {ratio:g} selects everything: there are only "
                    f"{int(rank.max()) + 1} to choose from by {self.job.selection.grouping}; take "
                    "a finer grouping",
                    XplainWarning,
                    stacklevel=2,
                )


def _distinct(keeps: Tensor) -> tuple[list[int], list[int]]:
    """Where each different one of n masks is first, and which of those each mask is."""
    # By their bytes: torch.unique would sort whole masks, and take longer than the model.
    numbers: dict[bytes, int] = {}
    which = [numbers.setdefault(keep.numpy().tobytes(), len(numbers)) for keep in keeps]
    return [which.index(number) for number in range(len(numbers))], which
