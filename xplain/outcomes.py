"""What the model says when parts are kept or removed, and the line to ask it for more."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from torch import Tensor

from xplain.curves import Curves
from xplain.interfaces import Score
from xplain.verdict import Verdict

Kind = Literal["keep", "remove"]
Attribute = Callable[[Tensor], Tensor]
"""The method as it was set: latents (D, N) of the clip → their attribution (D, N)."""


@dataclass(frozen=True)
class Heard:
    """What the model says of the audio itself, as a 16-bit file holds it."""

    probability: float
    label: str
    agrees: bool


@dataclass(frozen=True)
class Outcome:
    """What the model says when a part was kept or removed.

    probability: of the explained label. label: the model's decision. agrees: whether
    that is the explained label; of independent labels, whether it is decided for. gain:
    what the audio was turned down by to not clip.
    """

    kind: Kind
    ratio: float
    probability: float
    label: str
    agrees: bool
    heard: Heard
    gain: float
    probabilities: Mapping[str, float]

    @property
    def filename(self) -> str:
        """Name of its audio in the explanation's folder."""
        return f"{self.kind}-{self.ratio:.12g}.wav"


@dataclass(frozen=True)
class Rendering:
    """An outcome and its audio, (samples,)."""

    waveform: Tensor
    outcome: Outcome


class Live(Protocol):
    """A fresh explanation's line to its model; the pipeline's part of it."""

    @property
    def probabilities(self) -> Tensor:
        """(L,), what the model said of the clip."""

    @property
    def hears(self) -> bool:
        """Whether variants come to the model as audio: what it says is what is heard again."""

    def render(self, attribution: Tensor, wanted: Sequence[tuple[Kind, float]]) -> list[Rendering]:
        """Audio and outcome of every ratio wanted."""

    def curves(self, attribution: Tensor, ratios: Sequence[float], heard: bool) -> Curves:
        """What the model says at every ratio."""

    def check(self, attribution: Tensor) -> Verdict:
        """Try on the model what the attribution claims."""

    def asking(self) -> AbstractContextManager[tuple[Score, Attribute]]:
        """The score and the method, ready to be called."""
