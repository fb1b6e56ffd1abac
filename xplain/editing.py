"""One clip's latents with elements kept and removed: filled, decoded, and asked about."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from xplain.audio import from_pcm16, to_pcm16
from xplain.errors import PluginError
from xplain.explanation import Heard, Kind, Outcome, Rendering
from xplain.interfaces import Clip, Latents, Replacement
from xplain.registry import registry
from xplain.score import Route, borrowed, in_batches
from xplain.selection import Selection, top
from xplain.targets import ResolvedTarget, clip_logits, probabilities


class Editor:
    """What it takes to keep and remove elements of one clip, and to hear the result."""

    attribution: Tensor
    """(D, N); set when it is known."""

    def __init__(
        self,
        route: Route,
        latents: Latents,
        samples: int,
        target: ResolvedTarget,
        replacement: Replacement,
        selection: Selection,
        *,
        seed: int,
        max_batch: int,
    ) -> None:
        """Edit latents of one clip, (1, D, N), of a waveform of ``samples`` samples."""
        self.route, self.latents, self.samples, self.target = route, latents, samples, target
        self.replacement, self.selection = replacement, selection
        self.seed, self.max_batch = seed, max_batch
        self.device = latents.values.device

    @cached_property
    def rank(self) -> Tensor:
        """Which elements go first, (D, N) int64; only ever needed to render."""
        return self.selection.rank(self.attribution, torch.Generator().manual_seed(self.seed))

    def fill(self, replacement: Replacement, keep: Tensor) -> Tensor:
        """The latents (D, N) with what is not kept replaced."""
        values = self.latents.values[0]
        clip = Clip(
            synthesizer=self.route.synthesizer,
            samples=self.samples,
            context=self.latents.context,
            generator=torch.Generator().manual_seed(self.seed),
        )
        filled = replacement.fill(values.clone(), keep.clone(), clip)
        if filled.shape != values.shape:
            name = registry().describe("replacement", replacement)["name"]
            raise PluginError(
                f"replacement {name!r} gave {tuple(filled.shape)} for latents "
                f"{tuple(values.shape)}; it has to give their shape"
            )
        return torch.where(keep, values, filled.to(values))

    def render(self, wanted: Sequence[tuple[Kind, float]]) -> list[Rendering]:
        """Decode and ask the model about every ratio wanted."""
        with borrowed(self.route, self.device), torch.no_grad():
            selected = [top(self.rank, ratio).to(self.device) for _, ratio in wanted]
            keeps = [s if w[0] == "keep" else ~s for w, s in zip(wanted, selected, strict=True)]
            variants = torch.stack([self.fill(self.replacement, keep) for keep in keeps])
            audible = in_batches(self._decode, variants, self.max_batch).cpu()
            files = [to_pcm16(waveform) for waveform in audible]
            written = torch.stack([from_pcm16(samples) for samples, _ in files])
            logits = self.logits(variants)
            heard = self.decisions(in_batches(self._hear, written.to(self.device), self.max_batch))
        model = self.route.model
        said = probabilities(clip_logits(logits, self.target.frames), model.multilabel)
        decisions = self.decisions(logits)
        return [
            Rendering(
                waveform,
                Outcome(
                    kind,
                    ratio,
                    probability=decision.probability,
                    label=decision.label,
                    agrees=decision.agrees,
                    heard=heard_again,
                    gain=gain,
                    probabilities=dict(zip(model.labels, row.tolist(), strict=True)),
                ),
            )
            for (kind, ratio), waveform, (_, gain), decision, heard_again, row in zip(
                wanted, audible, files, decisions, heard, said, strict=True
            )
        ]

    def logits(self, variants: Tensor) -> Tensor:
        """What the model says of variants (n, D, N), asked within the budget."""
        return in_batches(
            lambda part: self.route(part, self.latents.context), variants, self.max_batch
        )

    def decisions(self, logits: Tensor) -> list[Heard]:
        """Logits as decisions about the target."""
        model = self.route.model
        said = probabilities(clip_logits(logits, self.target.frames), model.multilabel)
        return [
            Heard(
                probability=float(row[self.target.index]),
                label=model.labels[int(row.argmax())],
                agrees=self._agrees(row),
            )
            for row in said
        ]

    def _agrees(self, probability: Tensor) -> bool:
        """Whether the label is decided for; independent labels by a threshold of 0.5."""
        if self.route.model.multilabel:
            return bool(probability[self.target.index] >= 0.5)
        return int(probability.argmax()) == self.target.index

    def _decode(self, variants: Tensor) -> Tensor:
        return self.route.synthesizer.decode(variants, self.latents.context)

    def _hear(self, waveforms: Tensor) -> Tensor:
        return self.route.hear(waveforms, self.route.synthesizer.sample_rate)
