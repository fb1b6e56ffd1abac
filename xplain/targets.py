"""What is asked of a model: a label, over spans of time, a recording to be like, a word."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, get_args

import torch
from msgspec import Meta
from torch import Tensor

from xplain.errors import TargetError, nearest

Task = Literal["classification", "multilabel", "regression", "embedding", "ctc", "seq2seq"]
TASKS: tuple[Task, ...] = get_args(Task)
TEXT = ("ctc", "seq2seq")
"""Tasks whose answer is text."""
COSINE, LOGARITHM = "cosine similarity", "log-probability"
NAMED = (COSINE, LOGARITHM)
"""Units that stand before their values."""
Span = tuple[float, float]
Frames = tuple[tuple[int, int], ...]
Share = Annotated[float, Meta(ge=0, le=1)]
"""A probability, or a part of a whole; checked where it is read from a file."""


@dataclass(frozen=True)
class Target:
    """A question, before a model was asked.

    label: None stands for the model's own prediction; of a regression, the name of a value.
    start, end: seconds, for models that decide per frame. versus: explain the label's logit
    minus this one's. spans: several of (start, end), in place of one.
    """

    label: str | None = None
    start: float | None = None
    end: float | None = None
    versus: str | None = None
    spans: tuple[Span, ...] = ()

    def __post_init__(self) -> None:
        """Refuse spans that hold no time."""
        if (self.start is None) != (self.end is None):
            raise TargetError("a time span needs both its start and its end, in seconds")
        if self.spans and self.start is not None:
            raise TargetError("a target has start and end, or spans; leave one of them out")
        for start, end in self.times:
            if not 0 <= start < end:
                raise TargetError(
                    f"the time span {start:g}-{end:g} s is empty or starts before 0; "
                    "give LABEL@START-END with START < END"
                )

    @property
    def times(self) -> tuple[Span, ...]:
        """The spans, one or several; none for the whole clip."""
        if self.start is None or self.end is None:
            return tuple((float(start), float(end)) for start, end in self.spans)
        return ((self.start, self.end),)

    @classmethod
    def parse(cls, text: str | None, versus: str | None = None) -> Target:
        """Read ``LABEL``, ``LABEL@START-END`` or ``LABEL@START-END,START-END…`` (seconds)."""
        if text is None:
            return cls(versus=versus)
        span = r"[\d.]+-[\d.]+"
        match = re.fullmatch(rf"(?P<label>.+?)(?:@(?P<spans>{span}(?:,{span})*))?", text)
        if match is None:
            raise TargetError("the target is empty; give LABEL or LABEL@START-END")
        try:
            parts = [part.split("-") for part in (match["spans"] or "").split(",") if part]
            spans = tuple((float(start), float(end)) for start, end in parts)
        except ValueError:
            raise TargetError(f"{text!r} is not LABEL@START-END with times in seconds") from None
        if len(spans) == 1:
            return cls(match["label"], *spans[0], versus)
        return cls(match["label"], versus=versus, spans=spans)

    def check(self, labels: Sequence[str], frame_step: float | None) -> None:
        """Refuse what a model of these labels and this frame step (s) can answer for no clip."""
        for label in (self.label, self.versus):
            if label is not None:
                label_index(label, labels)
        if self.label is not None and self.label == self.versus:
            raise TargetError(
                f"the label {self.label!r} cannot be explained against itself; "
                "choose another label to compare with"
            )
        if self.times and frame_step is None:
            raise TargetError(
                "this model decides once per clip, so a time span cannot be asked of it; "
                "leave out @START-END"
            )


@dataclass(frozen=True)
class SimilarTo:
    """How like other recordings a clip is to a model that gives embeddings.

    recordings: a file, an Audio, samples at the model's rate, a pair (samples, rate), or a list
    of these, whose embeddings of unit length are averaged. threshold: the cosine similarity from
    which the model's user takes two for alike.
    """

    recordings: object
    threshold: float | None = None

    def __post_init__(self) -> None:
        """Refuse a threshold that no cosine reaches."""
        if self.threshold is not None and not -1 <= self.threshold <= 1:
            raise TargetError(f"a cosine similarity is between -1 and 1, not {self.threshold}")


@dataclass(frozen=True)
class Word:
    """A word of what a speech recogniser writes. occurrence: 0 for the first that is so."""

    text: str
    occurrence: int = 0


@dataclass(frozen=True)
class Token:
    """A token of what a speech recogniser writes, by its text in the vocabulary."""

    text: str
    occurrence: int = 0


Output = Callable[[Tensor], Tensor]
"""A function of what a model gives, first axis n, to a score (n,)."""
Asked = str | Target | SimilarTo | Word | Token | Output


@dataclass(frozen=True)
class ResolvedTarget:
    """A question that was put to a model about one clip, and the model's answer.

    label: what is explained: a label, the name of a value, what a clip was compared with, or a
    text. index: its place among the model's answers. probability: None where the task has none.
    value: the score of the clip where that is no logit, in ``unit``. tolerance: by how much a
    value may move before the decision has changed. threshold: from which it is decided for.
    frames: (start, end) of each span.
    """

    label: str
    index: int
    probability: Share | None
    versus: str | None = None
    versus_index: int | None = None
    start: float | None = None
    end: float | None = None
    frames: Frames | None = None
    spans: tuple[Span, ...] = ()
    task: Task | Literal["function"] = "classification"
    value: float | None = None
    unit: str | None = None
    tolerance: Annotated[float, Meta(ge=0)] | None = None
    threshold: float | None = None

    @property
    def said(self) -> str:
        """The model's answer, as it is written: a probability, or a value and its unit."""
        return stated(self.probability, self.value, self.unit)

    @property
    def question(self) -> Target | None:
        """What to ask another model for the same; None for what no label names."""
        if self.task not in ("classification", "multilabel", "regression"):
            return None
        one = (None, None) if self.spans else (self.start, self.end)
        return Target(self.label, *one, self.versus, self.spans)

    def agrees(self, answers: Tensor, index: int | None = None) -> Tensor:
        """Whether each of n answers (n, K) is the explained decision: bool (n,).

        The same label as the likeliest; a label of its own from one half; a value from its
        threshold, or within its tolerance; the text that is written. index: of another answer
        than that asked about, such as the annotated label's.
        """
        place = self.index if index is None else index
        asked = answers[:, place]
        if self.task == "multilabel":
            return asked >= 0.5
        if self.task in TEXT:
            return answers[:, 1] >= 0.5
        if self.threshold is not None:
            return asked >= self.threshold
        if self.value is not None:
            return (asked - self.value).abs() <= (self.tolerance or 0.0)
        return answers.argmax(dim=1) == place


def stated(probability: float | None, value: float | None, unit: str | None) -> str:
    """An answer as it is written: a probability, or a value and its unit."""
    if value is None:
        return f"{probability:.1%}"
    return f"{unit} {value:.3g}" if unit in NAMED else f"{value:.4g}{f' {unit}' if unit else ''}"


def clip_logits(logits: Tensor, frames: Frames | None = None) -> Tensor:
    """One logit per label: (n, L) as it is, (n, frames, L) averaged over the spans."""
    if logits.ndim == 2:
        return logits
    if frames is None:
        return logits.mean(dim=1)
    within = sorted({t for start, end in frames for t in range(start, end)})
    if len(within) == within[-1] + 1 - within[0]:
        return logits[:, within[0] : within[-1] + 1].mean(dim=1)
    return logits[:, torch.tensor(within, device=logits.device)].mean(dim=1)


def label_index(label: str, labels: Sequence[str]) -> int:
    """Position of a label; TargetError with the nearest ones where there is none."""
    if label not in labels:
        raise TargetError(f"the model has no label {label!r}; {nearest(label, labels)}")
    return list(labels).index(label)


def frames_of(target: Target, count: int, frame_step: float | None) -> Frames | None:
    """Every frame of ``count`` that the target's spans touch; None for the whole clip."""
    if not target.times or frame_step is None:
        return None
    frames = []
    for begin, finish in target.times:
        # 0.3 / 0.1 is 2.9999999999999996 to a computer.
        start = math.floor(begin / frame_step + 1e-6)
        if start >= count:
            raise TargetError(
                f"the time span starts at {begin:g} s, after the clip's end at "
                f"{count * frame_step:.2f} s"
            )
        frames.append((start, min(count, math.ceil(finish / frame_step - 1e-6))))
    return tuple(frames)
