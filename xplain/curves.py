"""What a model says as more and more of what matters is kept, or removed."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

RATIOS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Shares where nothing else is asked: fine where decisions are made, and both ends."""


@dataclass(frozen=True, eq=False)
class Curves:
    """One clip: its probabilities, and those with the top of each ratio kept and removed.

    ratios: (R,), ascending. probabilities: (L,), of the clip itself. unchanged: (L,), of the
    latents with nothing changed. kept, removed: (R, L). label: index of the explained label.
    multilabel: whether labels are independent. Insertion is the kept curve and deletion the
    removed one, from share 0 to share 1.
    """

    ratios: Tensor
    probabilities: Tensor
    unchanged: Tensor
    kept: Tensor
    removed: Tensor
    label: int
    multilabel: bool

    def agrees(self, said: Tensor, label: int | None = None) -> Tensor:
        """Whether probabilities (R, L) decide for a label: bool (R,).

        label: an index, such as the annotated label's; default: the explained one.
        """
        index = self.label if label is None else label
        if self.multilabel:
            return said[:, index] >= 0.5
        return said.argmax(dim=1) == index

    def of(self, said: Tensor, label: int | None = None) -> Tensor:
        """The label's probabilities (R,) among (R, L)."""
        return said[:, self.label if label is None else label]
