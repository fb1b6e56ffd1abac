"""What is asked of a model: a label, a label against another, a label over a time span."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from msgspec import Meta
from torch import Tensor

from xplain.errors import TargetError, nearest

Share = Annotated[float, Meta(ge=0, le=1)]
"""A probability, or a part of a whole; checked where it is read from a file."""


@dataclass(frozen=True)
class Target:
    """A question, before a model was asked.

    label: None stands for the model's own prediction. start, end: seconds, for models that
    decide per frame. versus: explain the label's logit minus this one's.
    """

    label: str | None = None
    start: float | None = None
    end: float | None = None
    versus: str | None = None

    def __post_init__(self) -> None:
        """Refuse spans that hold no time."""
        if (self.start is None) != (self.end is None):
            raise TargetError("a time span needs both its start and its end, in seconds")
        if self.start is not None and self.end is not None and not 0 <= self.start < self.end:
            raise TargetError(
                f"the time span {self.start:g}-{self.end:g} s is empty or starts before 0; "
                "give LABEL@START-END with START < END"
            )

    @classmethod
    def parse(cls, text: str | None, versus: str | None = None) -> Target:
        """Read ``LABEL`` or ``LABEL@START-END`` (seconds), as the command line takes it."""
        if text is None:
            return cls(versus=versus)
        match = re.fullmatch(r"(?P<label>.+?)(?:@(?P<start>[\d.]+)-(?P<end>[\d.]+))?", text)
        if match is None:
            raise TargetError("the target is empty; give LABEL or LABEL@START-END")
        try:
            start, end = (None if match[g] is None else float(match[g]) for g in ("start", "end"))
        except ValueError:
            raise TargetError(f"{text!r} is not LABEL@START-END with times in seconds") from None
        return cls(match["label"], start, end, versus)

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
        if self.start is not None and frame_step is None:
            raise TargetError(
                "this model decides once per clip, so a time span cannot be asked of it; "
                "leave out @START-END"
            )


@dataclass(frozen=True)
class ResolvedTarget:
    """A question a model can answer: indices in place of names, frames in place of seconds."""

    label: str
    index: int
    probability: Share
    versus: str | None = None
    versus_index: int | None = None
    start: float | None = None
    end: float | None = None
    frames: tuple[int, int] | None = None

    def score(self, logits: Tensor) -> Tensor:
        """Pick the score (n,) from logits (n, L) or (n, frames, L)."""
        picked = clip_logits(logits, self.frames)
        score = picked[:, self.index]
        return score if self.versus_index is None else score - picked[:, self.versus_index]


def clip_logits(logits: Tensor, frames: tuple[int, int] | None = None) -> Tensor:
    """One logit per label: (n, L) as it is, (n, frames, L) averaged over the span."""
    if logits.ndim == 2:
        return logits
    start, end = frames or (0, logits.shape[1])
    return logits[:, start:end].mean(dim=1)


def probabilities(logits: Tensor, multilabel: bool) -> Tensor:
    """Probabilities (n, L) of clip logits (n, L)."""
    return logits.sigmoid() if multilabel else logits.softmax(dim=-1)


def resolve(
    target: Target,
    logits: Tensor,
    labels: Sequence[str],
    *,
    multilabel: bool,
    frame_step: float | None,
) -> ResolvedTarget:
    """Turn a question into one the model can answer.

    logits: what the model said of the clip, (1, L) or (1, frames, L). Raises
    TargetError for a label the model does not have and a span outside the clip.
    """
    target.check(labels, frame_step)
    frames = _frames(target, logits.shape[1], frame_step)
    clip = clip_logits(logits, frames)
    index = int(clip[0].argmax()) if target.label is None else label_index(target.label, labels)
    replace(target, label=labels[index]).check(labels, frame_step)
    return ResolvedTarget(
        label=labels[index],
        index=index,
        probability=float(probabilities(clip, multilabel)[0, index]),
        versus=target.versus,
        versus_index=None if target.versus is None else label_index(target.versus, labels),
        start=target.start,
        end=target.end,
        frames=frames,
    )


def label_index(label: str, labels: Sequence[str]) -> int:
    """Position of a label; TargetError with the nearest ones where there is none."""
    if label not in labels:
        raise TargetError(f"the model has no label {label!r}; {nearest(label, labels)}")
    return list(labels).index(label)


def _frames(target: Target, count: int, frame_step: float | None) -> tuple[int, int] | None:
    if target.start is None or target.end is None or frame_step is None:
        return None
    # Every frame that the span touches; 0.3 / 0.1 is 2.9999999999999996 to a computer.
    start = math.floor(target.start / frame_step + 1e-6)
    if start >= count:
        raise TargetError(
            f"the time span starts at {target.start:g} s, after the clip's end at "
            f"{count * frame_step:.2f} s"
        )
    return start, min(count, math.ceil(target.end / frame_step - 1e-6))
