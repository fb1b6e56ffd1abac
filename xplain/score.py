"""From variants of one clip's latents to logits: the route, and the score on it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from xplain.audio import resample_tensor
from xplain.borrowing import own_hooks
from xplain.errors import ModelError, shown
from xplain.interfaces import (
    EXTRA,
    Attribution,
    Clip,
    Context,
    Explainer,
    Grouping,
    Groups,
    Latents,
    Replacement,
    Score,
    Synthesizer,
)
from xplain.models import Model
from xplain.registry import Unfit, called, constructor_parameters
from xplain.tasks import LiveTarget

SAME = 1e-5
"""Two recordings are one where they differ by less than this share of the loudest sample: a third
of a step of a 16-bit file that is as loud as can be."""


class Route(nn.Module):
    """How a model is asked about latents: (n, D, N) of one clip → logits.

    - the model reads these latents: head(z)
    - it reads a waveform: model(decode(z))
    - it reads another synthesizer's latents: head(encode(decode(z)))
    """

    def __init__(self, model: Model, synthesizer: Synthesizer) -> None:
        """Join a model to the representation it is explained in."""
        super().__init__()
        self.model = model
        self.module = model.module  # registered, so that methods find the layers to hook
        self.synthesizer = synthesizer
        self.reads = model.reads
        self.direct = model.reads is not None and same_synthesizer(model.reads, synthesizer)
        asked = "model(decode(z))" if model.reads is None else "head(encode(decode(z)))"
        self.description = "head(z)" if self.direct else asked
        passes = {
            "decode": self.direct or synthesizer.decode_differentiable,
            "encode": self.direct or model.reads is None or model.reads.encode_differentiable,
            "model": model.differentiable,
        }
        self.broken_at = [part for part, does in passes.items() if not does]

    def forward(self, variants: Tensor, context: Context) -> Tensor:
        """Logits (n, L) or (n, frames, L) of variants (n, D, N)."""
        if self.direct:
            return self.model(variants)
        return self.hear(self.audible(variants, context))

    def audible(self, variants: Tensor, context: Context) -> Tensor:
        """Variants (n, D, N) as waveforms (n, samples) at the model's rate."""
        return self.at_model(self.decoded(variants, context))

    def at_model(self, waveform: Tensor) -> Tensor:
        """Waveforms (n, samples) at the synthesizer's rate brought to the model's."""
        return resample_tensor(waveform, self.synthesizer.sample_rate, self.model.sample_rate)

    def hear(self, waveform: Tensor) -> Tensor:
        """Logits of waveforms (n, samples) at the model's rate, as it was made to be asked."""
        if self.reads is None:
            return self.model(waveform)
        with called("synthesizer", self.reads), own_hooks():
            latents = self.reads.encode(waveform).values
        return self.model(latents)

    def ask(
        self, original: Tensor, variants: Tensor, context: Context, max_batch: int
    ) -> tuple[Tensor, Tensor]:
        """Logits of the clip (1, samples) at the model's rate, and of variants (n, D, N).

        Within the budget, and in one batch where both come to the model as audio. The first
        variant is the clip's latents: a model that reads these, or hears the clip itself when they
        are decoded, is asked about them alone.
        """
        parts = torch.split(variants, max_batch)
        if self.direct:
            logits = torch.cat([self(part, context) for part in parts])
            return logits[:1], logits
        audible = torch.cat([self.audible(part, context) for part in parts])
        if audible.shape[1:] != original.shape[1:]:
            parts = torch.split(audible, max_batch)
            return self.hear(original), torch.cat([self.hear(part) for part in parts])
        same = bool((audible[:1] - original).abs().max() <= SAME * original.abs().max())
        asked = audible if same else torch.cat([audible, original])
        logits = torch.cat([self.hear(part) for part in torch.split(asked, max_batch)])
        return logits[:1] if same else logits[-1:], logits[: len(variants)]

    def encoded(self, waveform: Tensor) -> Latents:
        """The latents of one clip (1, samples); PluginError where they are none."""
        with called("synthesizer", self.synthesizer), own_hooks():
            latents = self.synthesizer.encode(waveform)
            if (
                not isinstance(latents, Latents)
                or not isinstance(latents.values, Tensor)
                or latents.values.ndim != 3
                or len(latents.values) != 1
                or not latents.values.numel()
            ):
                raise Unfit(
                    "did not encode one clip to xplain.Latents with values (1, channels, frames); "
                    "report it to its authors"
                )
            if not torch.isfinite(latents.values).all():
                raise Unfit(
                    "gave latents that are NaN or infinite; choose another, or report it to its "
                    "authors"
                )
        return latents

    def decoded(self, variants: Tensor, context: Context, samples: int | None = None) -> Tensor:
        """Variants (n, D, N) as audio (n, samples); given samples, PluginError for any other."""
        with called("synthesizer", self.synthesizer), own_hooks():
            audible = self.synthesizer.decode(variants, context)
            if samples is not None and not _fits(audible, shape := (len(variants), samples)):
                raise Unfit(
                    f"decoded {len(variants)} variants to {shown(audible)}, or to values that are "
                    f"not finite; it has to give {shape}, the length that went in"
                )
        return audible

    def fill(self, replacement: Replacement, clip: Clip, keep: Tensor, seed: int) -> Tensor:
        """Ask a replacement for the places that are not kept, bool (D, N): draws (S, D, N)."""
        values = clip.latents.values[0]
        clip = dataclasses.replace(clip, generator=torch.Generator().manual_seed(seed))
        with called("replacement", replacement):
            filled = replacement.fill(values.clone(), keep.clone(), clip)
            draws = filled if isinstance(filled, Tensor) and filled.ndim == 3 else [filled]
            if not len(draws) or not all(_fits(draw, values.shape) for draw in draws):
                raise Unfit(
                    f"gave {shown(filled)} for latents {shown(values)}, or values that are not "
                    "finite; it has to give their shape and numbers"
                )
        return filled.to(values).reshape(-1, *values.shape)

    def grouped(self, grouping: Grouping, clip: Clip) -> Groups:
        """Ask a grouping about a clip; PluginError where it does not group its elements."""
        with called("grouping", grouping):
            groups = grouping.groups(clip)
            if not isinstance(groups, Groups) or tuple(groups.numbers.shape) != clip.shape:
                raise Unfit(f"has to give xplain.Groups of {clip.shape} channels and frames")
        return dataclasses.replace(groups, numbers=groups.numbers.cpu())

    def check(self, explainer: Explainer, name: str) -> None:
        """Refuse a method that needs gradients where none can pass."""
        if explainer.uses_gradients and self.broken_at:
            parts = {
                "model": f"the model {self.model.name!r}",
                "decode": "the synthesizer's decode",
                "encode": "the encode of the synthesizer that the model reads",
            }
            raise ModelError(
                f"{name} needs gradients, and {' and '.join(parts[p] for p in self.broken_at)} "
                f"cannot be differentiated on the route {self.description}; choose a method "
                "without gradients, such as occlusion"
            )


class ClipScore(Score):
    """The target's logit for variants of one clip, all else closed over."""

    def __init__(
        self,
        route: Route,
        clip: Clip,
        question: LiveTarget,
        max_batch: int,
        groups: Groups | None = None,
        masked: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Ask a route about one clip. masked: scores of masks (n, D, N), for methods that ask."""
        super().__init__()
        self.route, self.clip, self.question = route, clip, question
        self.max_batch, self.groups = max_batch, groups
        self.target, self.duration = question.label, clip.duration
        self.frame_times, self.frequencies = clip.frame_times, clip.frequencies
        self._masked = masked

    def forward(self, variants: Tensor) -> Tensor:
        """Score variants (n, D, N): (n,)."""
        return self.question.score(self.route(variants, self.clip.context))

    def masked(self, keep: Tensor) -> Tensor:
        """Score the clip with only keep, bool (n, D, N), left: (n,)."""
        return super().masked(keep) if self._masked is None else self._masked(keep)


def attributed(
    explainer: Explainer, score: Score, latents: Tensor, baseline: Tensor
) -> Attribution:
    """Call a method: (D, N), finite; PluginError with its name where it gives nothing like it."""
    with called("explainer", explainer, partial(_advice, explainer)):
        given = explainer.attribute(score, latents, baseline)
        given = given if isinstance(given, Attribution) else Attribution(given)
        values = given.values
        if not isinstance(values, Tensor) or values.shape != latents.shape:
            gave = shown(values) if isinstance(values, Tensor) else "no tensor"
            raise Unfit(
                f"gave {gave} for latents {shown(latents)}; an attribution has the latents' shape"
            )
        if bad := int((~torch.isfinite(values)).sum()):
            raise Unfit(
                f"gave {bad} values that are NaN or infinite; try other parameters, or report it "
                "to its authors"
            )
        if given.groups is not None and given.groups.numbers.shape != values.shape:
            raise Unfit(f"gave groups of {shown(given.groups.numbers)} for {shown(latents)}")
        if bad_names := [name for name in given.extras if not re.search(EXTRA, name)]:
            raise Unfit(f"named an extra {bad_names[0]!r}, which is not kebab-case (my-extra)")
    return dataclasses.replace(given, values=values.detach().to(torch.float32).clone())


def _advice(explainer: Explainer, error: Exception) -> str:
    if "does not require grad" in str(error) or "not have been used" in str(error):
        if not explainer.uses_gradients:
            return "; it asks for gradients, so its class has to say uses_gradients = True"
        return (
            "; no gradient passes through the model (no_grad, detach or NumPy in it?): wrap it "
            "with differentiable=False and choose a method without gradients, such as "
            "occlusion"
        )
    return ""


def _fits(given: object, shape: Sequence[int]) -> bool:
    """Whether a plugin gave a tensor of a shape, with finite numbers."""
    shaped = isinstance(given, Tensor) and given.shape == tuple(shape)
    return shaped and bool(cast(Tensor, given).isfinite().all())


def same_synthesizer(one: Synthesizer, other: Synthesizer) -> bool:
    """Whether two make the same latents: of one class, with equal weights and parameters."""
    if one is other or type(one) is not type(other):
        return one is other
    names = constructor_parameters(type(one))
    missing = object()
    mine, theirs = ([getattr(s, name, missing) for name in names] for s in (one, other))
    if any(value is missing for value in (*mine, *theirs)) or not _equal(mine, theirs):
        return False
    return one.fingerprint() == other.fingerprint()


def _equal(one: Any, other: Any) -> bool:
    """Whether two parameters are equal; False where they cannot be compared.

    Tensors and arrays, whose == gives no bool, are equal in type, shape and every value, on
    whatever device; containers and dataclasses where all that they hold is.
    """
    if one is other or type(one) is not type(other):
        return one is other
    if dataclasses.is_dataclass(one):
        one, other = vars(one), vars(other)
    if isinstance(one, Tensor | np.ndarray):
        one, other = torch.as_tensor(one).cpu(), torch.as_tensor(other).cpu()
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    try:
        return bool(one == other)
    except Exception:  # somebody's own type, that compares in a way of its own
        return False
