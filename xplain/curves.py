"""What a model says as more and more of what matters is kept, or removed."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from xplain.targets import TEXT, ResolvedTarget

RATIOS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Shares where nothing else is asked: fine where decisions are made, and both ends."""


@dataclass(frozen=True, eq=False)
class Curves:
    """One clip: the model's answers, and those with the top of each ratio kept and removed.

    ratios: (R,), ascending. answers: (K,), to the clip itself; see LiveTarget.answers.
    unchanged: (K,), to the latents with nothing changed. kept, removed: (R, K). target: what
    is explained. Insertion is the kept curve and deletion the removed one, from share 0 to 1.
    """

    ratios: Tensor
    answers: Tensor
    unchanged: Tensor
    kept: Tensor
    removed: Tensor
    target: ResolvedTarget

    def agrees(self, said: Tensor, label: int | None = None) -> Tensor:
        """Whether answers (R, K) decide for a label: bool (R,).

        label: an index, such as the annotated label's; default: the explained one.
        """
        return self.target.agrees(said, label)

    def of(self, said: Tensor, label: int | None = None) -> Tensor:
        """The label's probabilities (R,) among (R, K), or values where the task has none."""
        asked = said[:, self.target.index if label is None else label]
        return asked.double().exp() if self.target.task in TEXT else asked
