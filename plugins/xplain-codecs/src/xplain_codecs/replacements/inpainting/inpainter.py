"""The replacement ``inpainter``: draws of what could be there, from what is kept alone."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from xplain import Clip, PluginError, Replacement
from xplain.registry import registry
from xplain_codecs.replacements.inpainting import folder as folders


class Inpainter(nn.Module, Replacement):
    """Removed elements are drawn from a masked model of the codec's latents, given what is kept.

    Several draws stand for what is not known, and the model is asked about each: the score is the
    mean over them. The network sees what is kept and where, nothing of what was removed.
    """

    def __init__(self, folder: str = "", draws: int = 4, rounds: int = 4) -> None:
        """Read the network in a folder that ``xplain fit-inpainter`` wrote.

        draws: of what is removed. rounds: in which each one is made; a share of the elements in
        each, which the next ones follow.
        """
        super().__init__()
        if not folder:
            raise PluginError(
                "the replacement 'inpainter' is trained on latents: "
                "xplain fit-inpainter MANIFEST --synthesizer NAME --out DIR, and give folder= that"
            )
        for name, value in (("draws", draws), ("rounds", rounds)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is a whole number, at least 1, not {value!r}")
        self.folder, self.draws, self.rounds = folder, draws, rounds
        self._codec, self.network = folders.read(Path(folder).expanduser())

    @torch.no_grad()
    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        """Draws (S, D, N) for latents (D, N); PluginError in latents of another synthesizer."""
        self._check(clip)
        network = self.network.to(latents.device)
        found: Tensor = network.drawn(latents, keep, self.draws, self.rounds, clip.generator)
        return torch.where(keep, latents, found)

    def _check(self, clip: Clip) -> None:
        now, codec = registry().describe("synthesizer", clip.synthesizer), self._codec
        known = (codec.name, codec.weights, codec.parameters, len(self.network.mean))
        if known != (now["name"], now["sha256"], now["parameters"], clip.shape[0]):
            raise PluginError(
                f"{self.folder} was trained on the latents of {codec.name} with other "
                f"weights or parameters than these of {now['name']}; train one for these "
                "with xplain fit-inpainter"
            )
