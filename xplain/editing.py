"""One clip's latents with elements kept and removed: filled, decoded, and asked about."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from xplain.audio import from_pcm16, to_pcm16
from xplain.borrowing import borrowed, seeded
from xplain.errors import ModelError, PluginError, XplainWarning
from xplain.interfaces import Clip, Latents, Replacement
from xplain.outcomes import Heard, Kind, Outcome, Rendering
from xplain.registry import registry
from xplain.score import Route
from xplain.selection import Selection, top
from xplain.targets import ResolvedTarget, clip_logits, probabilities


class Editor:
    """What it takes to keep and remove elements of one clip, and to hear the result."""

    def __init__(
        self,
        route: Route,
        latents: Latents,
        samples: int,
        *,
        seed: int,
        max_batch: int,
    ) -> None:
        """Edit latents of one clip, (1, D, N), of a waveform of ``samples`` samples."""
        self.route, self.latents, self.samples = route, latents, samples
        self.seed, self.max_batch = seed, max_batch
        self.device = latents.values.device
        self._nothing: dict[Replacement, Tensor] = {}

    def nothing(self, replacement: Replacement) -> Tensor:
        """What a replacement gives where nothing is kept: (D, N), or draws (S, D, N)."""
        if replacement not in self._nothing:
            none = torch.zeros_like(self.latents.values[0], dtype=torch.bool)
            self._nothing[replacement] = self.fill(replacement, none)
        return self._nothing[replacement]

    def fill(self, replacement: Replacement, keep: Tensor) -> Tensor:
        """What a replacement gives for the places that are not kept: (D, N), or draws."""
        values = self.latents.values[0]
        clip = Clip(
            synthesizer=self.route.synthesizer,
            samples=self.samples,
            context=self.latents.context,
            generator=torch.Generator().manual_seed(self.seed),
        )
        filled = replacement.fill(values.clone(), keep.clone(), clip)
        if filled.shape[-2:] != values.shape or not torch.isfinite(filled).all():
            name = registry().describe("replacement", replacement)["name"]
            raise PluginError(
                f"replacement {name!r} gave {tuple(filled.shape)} for latents "
                f"{tuple(values.shape)}, or values that are not finite; "
                "it has to give their shape and numbers"
            )
        return filled.to(values)

    def variants(self, replacement: Replacement, keeps: Tensor) -> Tensor:
        """The latents with what is not kept replaced: keeps bool (n, D, N) → (n, D, N)."""
        values, keeps = self.latents.values[0], keeps.to(self.device)
        if replacement.depends_on_keep:
            filled = torch.stack([_one(self.fill(replacement, keep)) for keep in keeps])
        else:
            filled = _one(self.nothing(replacement))
        return torch.where(keeps, values, filled)

    def logits(self, replacement: Replacement, keeps: Tensor, *, heard: bool = False) -> Tensor:
        """What the model says when only ``keeps``, bool (n, D, N), is left, within the budget.

        heard: of the audio made from it, whatever the model reads.
        """
        route, context = self.route, self.latents.context
        said = []
        with borrowed(route, self.device), seeded(self.seed, self.device), torch.no_grad():
            for part in torch.split(keeps, self.max_batch):
                variants = self.variants(replacement, part)
                said.append(
                    route.hear(route.audible(variants, context))
                    if heard
                    else route(variants, context)
                )
        return torch.cat(said)

    def render(
        self,
        attribution: Tensor,
        target: ResolvedTarget,
        selection: Selection,
        replacement: Replacement,
        wanted: Sequence[tuple[Kind, float]],
    ) -> list[Rendering]:
        """Decode and ask the model about every ratio wanted, a batch at a time."""
        rank = selection.rank(attribution, torch.Generator().manual_seed(self.seed))
        self._warn_of_empty(selection, rank, wanted)
        renderings: list[Rendering] = []
        with borrowed(self.route, self.device), seeded(self.seed, self.device), torch.no_grad():
            for start in range(0, len(wanted), self.max_batch):
                part = wanted[start : start + self.max_batch]
                keeps = [top(rank, r) if kind == "keep" else ~top(rank, r) for kind, r in part]
                renderings += self._render_batch(target, replacement, keeps, part)
        return renderings

    def ask(self, original: Tensor, variants: Tensor) -> tuple[Tensor, Tensor]:
        """What the model says of the clip (1, samples) at its own rate, and of variants (n, D, N).

        Within the budget, and in one batch where both come to the model as audio. The first
        variant is the clip's latents: where the model reads these, what it says of them is what
        it says of the clip.
        """
        route, context = self.route, self.latents.context
        parts = torch.split(variants, self.max_batch)
        if route.direct:
            logits = torch.cat([route(part, context) for part in parts])
            return logits[:1], logits
        audible = torch.cat([route.audible(part, context) for part in parts])
        if audible.shape[1:] != original.shape[1:]:
            heard = torch.split(audible, self.max_batch)
            return route.hear(original), torch.cat([route.hear(part) for part in heard])
        asked = torch.split(torch.cat([original, audible]), self.max_batch)
        logits = torch.cat([route.hear(part) for part in asked])
        return logits[:1], logits[1:]

    def decisions(self, logits: Tensor, target: ResolvedTarget) -> list[Heard]:
        """Logits as decisions about the target."""
        model = self.route.model
        return [
            Heard(
                probability=float(row[target.index]),
                label=model.labels[int(row.argmax())],
                # Independent labels are decided for by a threshold.
                agrees=bool(row[target.index] >= 0.5)
                if model.multilabel
                else int(row.argmax()) == target.index,
            )
            for row in self.said(logits, target)
        ]

    def said(self, logits: Tensor, target: ResolvedTarget) -> Tensor:
        """Probabilities (n, L) of logits; ModelError where they are not finite."""
        model = self.route.model
        said = probabilities(clip_logits(logits, target.frames), model.multilabel)
        if not torch.isfinite(said).all():
            raise ModelError(
                f"{model.name}: the model gave logits that are NaN or infinite; "
                "mend it, or leave this clip out"
            )
        return said

    def _render_batch(
        self,
        target: ResolvedTarget,
        replacement: Replacement,
        keeps: Sequence[Tensor],
        wanted: Sequence[tuple[Kind, float]],
    ) -> list[Rendering]:
        route = self.route
        variants = self.variants(replacement, torch.stack(list(keeps)))
        audible = route.synthesizer.decode(variants, self.latents.context)
        if audible.shape != (len(variants), self.samples) or not torch.isfinite(audible).all():
            name = registry().describe("synthesizer", route.synthesizer)["name"]
            raise PluginError(
                f"synthesizer {name!r} decoded {len(variants)} variants to "
                f"{tuple(audible.shape)}, or to values that are not finite; it has to give "
                f"({len(variants)}, {self.samples}), the length that went in"
            )
        files = [to_pcm16(waveform) for waveform in audible]
        written = torch.stack([from_pcm16(samples) for samples, _ in files]).to(self.device)
        # Where the model reads audio, what it says of the variants it says of their audio.
        logits = route.model(variants) if route.direct else route.hear(route.at_model(audible))
        heard = self.decisions(route.hear(route.at_model(written)), target)
        rows, decisions = self.said(logits, target).tolist(), self.decisions(logits, target)
        return [
            Rendering(
                audible[place].cpu(),
                Outcome(
                    kind,
                    ratio,
                    probability=decisions[place].probability,
                    label=decisions[place].label,
                    agrees=decisions[place].agrees,
                    heard=heard[place],
                    gain=files[place][1],
                    probabilities=dict(zip(route.model.labels, rows[place], strict=True)),
                ),
            )
            for place, (kind, ratio) in enumerate(wanted)
        ]

    @staticmethod
    def _warn_of_empty(
        selection: Selection, rank: Tensor, wanted: Sequence[tuple[Kind, float]]
    ) -> None:
        for _, ratio in wanted:
            chosen = int(top(rank, ratio).sum())
            if 0 < ratio < 1 and chosen in (0, rank.numel()):
                warnings.warn(
                    f"a ratio of {ratio:g} selects {'nothing' if chosen == 0 else 'everything'}: "
                    f"there are only {int(rank.max()) + 1} to choose from by "
                    f"{selection.granularity}; take a finer granularity",
                    XplainWarning,
                    stacklevel=2,
                )


def _one(filled: Tensor) -> Tensor:
    """What is filled in, (D, N); of draws, which stand for one another, the first."""
    return filled if filled.ndim == 2 else filled[0]
