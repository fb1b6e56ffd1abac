"""What a fitted head does on clips it was not fitted on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from xplain.intervals import Interval, share


@dataclass(frozen=True)
class Report:
    """On the test clips, each asked by itself.

    accuracy: with its 95 % interval, Wilson's. majority: accuracy of always
    saying the most frequent label of the training clips. recall: by label, None where no test
    clip has it. confusion: clips by label (rows) and by what the head says (columns), in the
    order of labels. clips: how many of each part. epochs: that were run; best_epoch: the one
    whose weights were kept, from 1; dev_accuracy: of it, None where there were no such clips.
    failed: clips that were left out, and why. seconds: of training and encoding, in the call that
    finished.
    """

    labels: tuple[str, ...]
    accuracy: Interval
    majority: float
    recall: dict[str, float | None]
    confusion: tuple[tuple[int, ...], ...]
    clips: dict[str, int]
    epochs: int
    best_epoch: int
    dev_accuracy: float | None
    failed: dict[str, str]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    def lines(self) -> list[str]:
        """What people read."""
        accuracy = self.accuracy
        between = (
            "one clip, no interval"
            if accuracy.low is None or accuracy.high is None
            else f"95 % interval {accuracy.low:.3f} to {accuracy.high:.3f}"
        )
        counts = ", ".join(f"{count} {part}" for part, count in self.clips.items())
        width = max(5, *map(len, self.labels))
        dev = "-" if self.dev_accuracy is None else f"{self.dev_accuracy:.3f}"
        lines = [
            f"clips: {counts}; {len(self.failed)} failed",
            f"epochs: {self.epochs}, the best {self.best_epoch} (accuracy on dev {dev})",
            f"accuracy on test: {accuracy.mean:.3f} ({between})",
            f"always the most frequent label: {self.majority:.3f}",
            f"{'label':{width}}  recall  clips  taken for",
        ]
        for label, row in zip(self.labels, self.confusion, strict=True):
            recall = self.recall[label]
            mistakes = sorted(
                (
                    (count, other)
                    for other, count in zip(self.labels, row, strict=True)
                    if count and other != label
                ),
                key=lambda mistake: (-mistake[0], mistake[1]),
            )
            said = ", ".join(f"{other} {count}" for count, other in mistakes)
            share = "     -" if recall is None else f"{recall:6.3f}"
            lines.append(f"{label:{width}}  {share}  {sum(row):5}  {said}".rstrip())
        return lines


@dataclass(frozen=True)
class Decisions:
    """Numbers of the labels of test clips, and of those the head said: (clips,) each."""

    truth: Sequence[int]
    said: Sequence[int]

    def accuracy(self) -> Interval:
        """Share of the clips that were classified correctly."""
        return share([float(t == s) for t, s in zip(self.truth, self.said, strict=True)])

    def confusion(self, labels: int) -> tuple[tuple[int, ...], ...]:
        """Clips by label and by what was said."""
        counts = Counter(zip(self.truth, self.said, strict=True))
        return tuple(tuple(counts[t, s] for s in range(labels)) for t in range(labels))

    def recall(self, labels: Sequence[str]) -> dict[str, float | None]:
        """Share of each label's clips classified correctly."""
        rows = self.confusion(len(labels))
        return {
            label: row[place] / sum(row) if sum(row) else None
            for place, (label, row) in enumerate(zip(labels, rows, strict=True))
        }

    def majority(self, training: Sequence[int]) -> float:
        """Accuracy of always predicting the most frequent label of the training clips."""
        # Of several that are as frequent, the first.
        counts = Counter(training)
        most = min(counts, key=lambda label: (-counts[label], label))
        return sum(t == most for t in self.truth) / len(self.truth)
