"""The trained decoder as an explainer."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from xplain import Attribution, Audio, Explainer, PluginError, Score
from xplain.registry import registry
from xplain.score import ClipScore
from xplain_interpreters.layers import outputs
from xplain_interpreters.lmac import folder as folders


class LMac(nn.Module, Explainer):
    """A mask over the latents that a trained decoder reads off the model's hidden layers.

    Paissan, Ravanelli, Subakan (2024), "Listenable Maps for Audio Classifiers": one pass of the
    model and one of the decoder. It answers for the model's own decision alone. The extra
    "interpretation" is M ⊙ X decoded, with the baseline where nothing is left; the table "masked"
    has the score of the clip, of what the mask keeps and of the rest. The map is the mask, 0 to 1,
    and not signed. Completeness is not claimed.
    """

    def __init__(self, folder: str = "") -> None:
        """Read the decoder in a folder that ``xplain fit-explainer`` wrote."""
        super().__init__()
        if not folder:
            raise PluginError(
                "l-mac is trained on the model that it explains: give folder= what xplain "
                "fit-explainer wrote"
            )
        self.folder = folder
        self._stored, self.decoder = folders.read(Path(folder).expanduser())

    @torch.no_grad()
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Attribution:
        """Mask latents (D, N); PluginError for another model, representation or target."""
        if not isinstance(score, ClipScore):
            raise PluginError("l-mac reads the layers of a model, and this score has none")
        self._check(score)
        names = [layer.name for layer in self.decoder.layers]
        with outputs(score.route.module, names) as hidden:
            logits = score.route(latents[None], score.clip.context)
        decided, asked = int(logits.argmax()), getattr(score.question, "index", None)
        if asked != decided or getattr(score.question, "versus", None) is not None:
            raise PluginError(
                "l-mac explains the model's own decision alone; leave the target out, or choose "
                "a method that takes any, such as integrated-gradients"
            )
        decoder = self.decoder.to(latents.device)
        mask: Tensor = decoder(hidden, tuple(latents.shape))[0]
        away = baseline.reshape(-1, *latents.shape).mean(dim=0)
        kept, rest = torch.lerp(away, latents, mask), torch.lerp(latents, away, mask)
        rows: list[dict[str, str | float]] = [
            {"what": what, "score": float(score(variant[None]))}
            for what, variant in (("the clip", latents), ("kept", kept), ("the rest", rest))
        ]
        synthesizer = score.clip.synthesizer
        heard = synthesizer.decode(kept[None], score.clip.context)[0].cpu()
        played = Audio(heard, synthesizer.sample_rate, "interpretation")
        return Attribution(mask, None, {"masked": tuple(rows), "interpretation": played})

    def _check(self, score: ClipScore) -> None:
        model, synthesizer = score.route.model, score.clip.synthesizer
        if self._stored.model.sha256 != model.fingerprint():
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
