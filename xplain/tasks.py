"""Tasks: what a model's score is, and when its decision has changed.

| task | the model gives | score | the decision has changed |
|---|---|---|---|
| classification | logits (n, L) or (n, frames, L) | a label's logit | another is likelier |
| multilabel | the same | a label's logit | across one half |
| regression | values (n, V) or (n, frames, V) | a value, in its unit | by the tolerance |
| embedding | (n, E) | cosine with a reference | across the threshold, or as above |
| ctc | logits (n, frames, V) | log-probability of a text | another is likelier |
| seq2seq | logits (n, T, V) of T given tokens | the same | another token is likelier |
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xplain.errors import ModelError, TargetError, nearest
from xplain.models import Model
from xplain.targets import (
    COSINE,
    LOGARITHM,
    TEXT,
    Asked,
    Output,
    ResolvedTarget,
    Share,
    SimilarTo,
    Target,
    Token,
    Word,
    clip_logits,
    frames_of,
    label_index,
)

Texts = Callable[[Tensor], tuple[list[str], Tensor]]
"""What a recogniser writes in place of the text asked about, n texts, and whether it is that."""


@dataclass(frozen=True)
class Reference:
    """What a clip is compared with: an embedding (E,) of unit length."""

    label: str
    embedding: Tensor
    threshold: float | None


@dataclass(frozen=True)
class Decision:
    """The model's decision: its label or text, and what it says of the explained one.

    probability: None where the task has none. value: the score, where that is no logit.
    agrees: whether it is the explained decision.
    """

    label: str
    agrees: bool
    probability: Share | None = None
    value: float | None = None


@dataclass(frozen=True, eq=False)
class LiveTarget(ResolvedTarget):
    """A resolved target with what it takes to ask the model again.

    labels: of the model. picks: a score of the model's own, in place of a label's. reads: for
    a recogniser.
    """

    labels: tuple[str, ...] = ()
    model: str = "model"
    picks: Output | None = None
    reads: Texts | None = None

    @property
    def record(self) -> ResolvedTarget:
        """What is kept of it."""
        return ResolvedTarget(**{f.name: getattr(self, f.name) for f in fields(ResolvedTarget)})

    def score(self, output: Tensor) -> Tensor:
        """Score what the model gave for n inputs: (n,)."""
        if self.picks is not None:
            score = self.picks(output)
            if not isinstance(score, Tensor) or score.shape != output.shape[:1]:
                given = tuple(score.shape) if isinstance(score, Tensor) else type(score).__name__
                raise TargetError(
                    f"the target {self.label} gave {given} for {len(output)} inputs; it has to "
                    f"give a tensor ({len(output)},), one score for each"
                )
            return score
        picked = clip_logits(output, self.frames)
        score = picked[:, self.index]
        return score if self.versus_index is None else score - picked[:, self.versus_index]

    def moving(self, difference: float) -> LiveTarget:
        """Take half the way to the baseline as the tolerance of a value that was given none."""
        if self.value is None or self.reads or self.threshold is not None:
            return self
        half = abs(difference) / 2
        return replace(self, tolerance=half if self.tolerance is None else self.tolerance)

    def answers(self, output: Tensor) -> Tensor:
        """What the model says, (n, K), finite, as ``agrees`` and pages read it.

        The probabilities of all labels, all values, or the score; of a recogniser the
        log-probability of the text, and 1 where that is what it writes, else 0.
        """
        if self.reads is not None:
            asked, (_, same) = self.score(output), self.reads(output)
            said = torch.stack([asked, same.to(asked)], dim=1)
        elif self.picks is not None:
            said = self.score(output)[:, None]
        else:
            said = clip_logits(output, self.frames)
            if self.task == "classification":
                said = said.softmax(dim=-1)
            elif self.task == "multilabel":
                said = said.sigmoid()
        if not torch.isfinite(said).all():
            raise ModelError(
                f"{self.model}: the model gave {'values' if self.probability is None else 'logits'}"
                " that are NaN or infinite; mend it, or leave this clip out"
            )
        return said

    def named(self, said: Tensor) -> dict[str, float]:
        """The probability of each label, of answers (K,); nothing where the task has none."""
        if self.task not in ("classification", "multilabel"):
            return {}
        return dict(zip(self.labels, said.tolist(), strict=True))

    def decisions(self, output: Tensor) -> list[Decision]:
        """What the model decides, n times."""
        said = self.answers(output)
        agreed, own = self.agrees(said).tolist(), said[:, self.index].tolist()
        if self.reads is not None:
            texts, _ = self.reads(output)
            return [
                Decision(self.label if same else text, same, _share(value), value)
                for text, same, value in zip(texts, agreed, own, strict=True)
            ]
        if self.probability is None:
            return [Decision(self.label, a, None, v) for a, v in zip(agreed, own, strict=True)]
        likeliest = [self.labels[int(place)] for place in said.argmax(dim=1)]
        return [Decision(*each) for each in zip(likeliest, agreed, own, strict=True)]


def _share(logarithm: float) -> float:
    return min(1.0, float(torch.tensor(logarithm, dtype=torch.float64).exp()))


class Forced(nn.Module):
    """A sequence-to-sequence recogniser that is told the text: waveforms → (n, T, V).

    The module gives ``module(waveform, tokens)``, tokens (n, T), the logits of each token given
    those before it.
    """

    def __init__(self, module: nn.Module, tokens: Tensor) -> None:
        """Tell it tokens (T,)."""
        super().__init__()
        self.module = module
        self.tokens = tokens

    def forward(self, waveform: Tensor) -> object:
        """Waveforms (n, samples) → logits (n, T, V), or an output that has them."""
        tokens = self.tokens.to(waveform.device)
        return self.module(waveform, tokens.expand(len(waveform), -1))


def told(model: Model, waveform: Tensor) -> Model:
    """A recogniser that is told, of each variant, what it writes of the clip (1, samples).

    Any other model as it is. Raises TargetError where it writes nothing.
    """
    if model.task != "seq2seq":
        return model
    transcribe = cast(Any, model.module).transcribe
    tokens = torch.as_tensor(transcribe(waveform.clone()), dtype=torch.int64).flatten()
    if not len(tokens):
        raise TargetError(f"{model.name} writes nothing for this clip: there is no text to explain")
    return replace(model, module=Forced(model.module, tokens))


def check(asked: Asked | Reference | None, model: Model) -> None:
    """Refuse what this model can answer for no clip; TargetError."""
    if callable(asked):
        return
    wanted: dict[str, tuple[type, ...]] = {
        "embedding": (Reference, SimilarTo),
        "ctc": (Word, Token),
        "seq2seq": (Word, Token),
    }
    kinds = wanted.get(model.task, (Target,))
    if model.task in TEXT and asked is None:
        return
    if not isinstance(asked, kinds):
        ask = dict.fromkeys(TEXT, "give a word of what it writes, xplain.Word or xplain.Token")
        ask["embedding"] = "give target=xplain.SimilarTo(RECORDING), or --similar-to FILE"
        what = "needs a target" if asked is None else f"{asked!r} cannot be asked of it"
        raise TargetError(
            f"{model.name} is a model for {model.task}, and {what}; "
            f"{ask.get(model.task, 'give a label or a Target')}"
        )
    if isinstance(asked, Target):
        asked.check(model.labels, model.frame_step)


def resolve(asked: Asked | Reference | None, output: Tensor, model: Model) -> LiveTarget:
    """Turn a question into one that can be asked again, of what the model gave for the clip.

    output: (1, …). Raises TargetError for a label the model does not have, a span outside the
    clip, a word that was not written.
    """
    if model.task == "classification" and asked is None:
        asked = Target()
    check(asked, model)
    if callable(asked):
        name = getattr(asked, "__name__", type(asked).__name__)
        target = _live(name, 0, model, task="function", picks=asked)
    elif isinstance(asked, Reference):
        towards = asked.embedding
        target = _live(
            asked.label,
            0,
            model,
            picks=lambda given: F.normalize(given, dim=1) @ towards.to(given),
            unit=COSINE,
            threshold=asked.threshold,
        )
    elif isinstance(asked, Target):
        return _label(asked, output, model)
    else:
        return _text(cast(Word | Token | None, asked), output, model)
    return replace(target, value=float(target.score(output)))


def _live(label: str, index: int, model: Model, **more: Any) -> LiveTarget:
    given: dict[str, Any] = {"probability": None, "task": model.task, "unit": None, **more}
    return LiveTarget(label, index, labels=model.labels, model=model.name, **given)


def _label(target: Target, output: Tensor, model: Model) -> LiveTarget:
    frames = frames_of(target, output.shape[1], model.frame_step)
    own = int(clip_logits(output, frames)[0].argmax()) if model.task != "regression" else 0
    index = own if target.label is None else label_index(target.label, model.labels)
    label = model.labels[index]
    replace(target, label=label).check(model.labels, model.frame_step)
    times = target.times
    asked = _live(
        label,
        index,
        model,
        versus=target.versus,
        versus_index=None if target.versus is None else label_index(target.versus, model.labels),
        start=times[0][0] if times else None,
        end=times[-1][1] if times else None,
        spans=times if len(times) > 1 else (),
        frames=frames,
    )
    said = float(asked.answers(output)[0, index])
    if model.task == "regression":
        return replace(asked, value=said, unit=model.unit, tolerance=model.tolerance)
    return replace(asked, probability=said)


@dataclass(frozen=True)
class _Piece:
    """A token that was written, and where: frames, or places among the tokens."""

    token: int
    text: str
    start: int
    end: int


def _text(asked: Word | Token | None, output: Tensor, model: Model) -> LiveTarget:
    """A part of what a recogniser wrote; None for all of it."""
    pieces = list(_written(output[0], model))
    whole = "".join(piece.text for piece in pieces).strip()
    if not whole:
        raise TargetError(f"{model.name} writes nothing for this clip: there is no text to explain")
    if asked is None:
        found = [(0, len(pieces))]
    elif isinstance(asked, Token):
        found = [(n, n + 1) for n, piece in enumerate(pieces) if piece.text == asked.text]
    else:
        owners = [n for n, piece in enumerate(pieces) for _ in piece.text]
        text = "".join(piece.text for piece in pieces)
        found = [
            (owners[match.start()], owners[match.end() - 1] + 1)
            for match in re.finditer(r"\S+", text)
            if match[0] == asked.text
        ]
    (first, last), label = (
        (found[0], whole) if asked is None else (_nth(found, asked, whole), asked.text)
    )
    tokens = torch.tensor([piece.token for piece in pieces[first:last]])
    if model.task == "seq2seq":
        picks, reads = _told(tokens, first, model)
        where: dict[str, Any] = {}
    else:
        # All that lies between the tokens around it is its own.
        start = pieces[first - 1].end if first else 0
        end = pieces[last].start if last < len(pieces) else output.shape[1]
        picks, reads = _aligned(tokens, (start, end), model)
        step, where = model.frame_step or 0.0, {"frames": ((start, end),)}
        where |= {} if asked is None else {"start": start * step, "end": end * step}
    live = _live(label, 0, model, picks=picks, reads=reads, **where)
    value = float(live.score(output))
    return replace(live, value=value, probability=_share(value), unit=LOGARITHM)


def _nth(found: Sequence[tuple[int, int]], asked: Word | Token, whole: str) -> tuple[int, int]:
    if asked.occurrence >= len(found):
        count = f" {len(found)} times" if found else ""
        why = f"is written{count}" if found else "is not written"
        words = nearest(asked.text, whole.split())
        raise TargetError(f"{asked.text!r} {why} in {whole!r}; {words}")
    return found[asked.occurrence]


def _written(output: Tensor, model: Model) -> Iterator[_Piece]:
    """What is written in (frames, V), or was told as (T, V)."""
    if model.task == "seq2seq":
        for place, token in enumerate(cast(Forced, model.module).tokens.tolist()):
            yield _Piece(token, model.labels[token], place, place + 1)
        return
    blank, best = model.labels.index(""), output.argmax(dim=-1).tolist()
    starts = [t for t in range(len(best)) if t == 0 or best[t] != best[t - 1]]
    for start, end in zip(starts, [*starts[1:], len(best)], strict=True):
        if best[start] != blank:
            yield _Piece(best[start], model.labels[best[start]], start, end)


def _told(tokens: Tensor, first: int, model: Model) -> tuple[Output, Texts]:
    places = slice(first, first + len(tokens))

    def picks(output: Tensor) -> Tensor:
        given = tokens.to(output.device).expand(len(output), -1)[..., None]
        return output[:, places].log_softmax(dim=-1).gather(2, given).sum(dim=(1, 2))

    def reads(output: Tensor) -> tuple[list[str], Tensor]:
        best = output[:, places].argmax(dim=-1).cpu()
        texts = ["".join(model.labels[token] for token in row).strip() for row in best.tolist()]
        return texts, (best == tokens).all(dim=1)

    return picks, reads


def _aligned(tokens: Tensor, span: tuple[int, int], model: Model) -> tuple[Output, Texts]:
    blank = model.labels.index("")

    def picks(output: Tensor) -> Tensor:
        """Sum over all paths that spell the text (Graves et al. 2006, eq. 8), as a logarithm."""
        logs = output[:, slice(*span)].log_softmax(dim=-1).transpose(0, 1)
        given = tokens.to(output.device).expand(len(output), -1)
        frames, length = (torch.full((len(output),), n) for n in (len(logs), len(tokens)))
        return -F.ctc_loss(logs, given, frames, length, blank=blank, reduction="none")

    def reads(output: Tensor) -> tuple[list[str], Tensor]:
        found = [[p.token for p in _written(row[slice(*span)], model)] for row in output]
        texts = ["".join(model.labels[token] for token in row).strip() for row in found]
        return texts, torch.tensor([row == tokens.tolist() for row in found])

    return picks, reads
