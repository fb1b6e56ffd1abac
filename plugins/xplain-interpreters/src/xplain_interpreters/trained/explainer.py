"""What trained explainers share: their folder, and what they were trained for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from torch import Tensor, nn

from xplain import Explainer, PluginError, Score
from xplain.registry import registry
from xplain.score import ClipScore
from xplain_interpreters.layers import outputs
from xplain_interpreters.trained import folder as folders
from xplain_interpreters.trained.interpreter import Interpreter

Kind = TypeVar("Kind", bound=Interpreter)


class Trained(nn.Module, Explainer, Generic[Kind]):
    """An explainer with a network that ``xplain fit-explainer`` trained on a model."""

    uses_baseline = False  # but for what is played
    kind: ClassVar[type[Interpreter]]
    network: Kind

    def __init__(self, folder: str = "") -> None:
        """Read the network in a folder that ``xplain fit-explainer`` wrote."""
        super().__init__()
        if not folder:
            raise PluginError(
                f"{self.kind.kind} is trained on the model that it explains: give folder= what "
                "xplain fit-explainer wrote"
            )
        self.folder = folder
        stored, network = folders.read(Path(folder).expanduser(), self.kind)
        self._stored, self.network = stored, network  # type: ignore[assignment]

    def checked(self, score: Score) -> ClipScore:
        """The score, of the model and the representation that the network was trained on."""
        if not isinstance(score, ClipScore):
            raise PluginError(f"{self.kind.kind} reads a model's layers, and this score has none")
        model, synthesizer = score.route.model, score.clip.synthesizer
        if self.kind.reads_model and self._stored.model.sha256 != model.fingerprint():
            raise PluginError(
                f"{self.folder} was trained on {self._stored.model.name} with other weights, not "
                f"on {model.name}; train one for it with xplain fit-explainer"
            )
        now = registry().describe("synthesizer", synthesizer)
        for name in ("name", "sha256", "parameters"):
            if getattr(self._stored.synthesizer, name) != now[name]:
                raise PluginError(
                    f"{self.folder} was trained on the representation "
                    f"{self._stored.synthesizer.name} and its parameters; choose that one"
                )
        return score

    def heard(self, score: Score, latents: Tensor) -> tuple[Mapping[str, Tensor], Tensor]:
        """Outputs of the layers for latents (D, N), by name, and the model's logits (1, L)."""
        posed = self.checked(score)
        with outputs(posed.route.module, [layer.name for layer in self.network.layers]) as hidden:
            logits = posed.route(latents[None], posed.clip.context)
        return hidden, logits
