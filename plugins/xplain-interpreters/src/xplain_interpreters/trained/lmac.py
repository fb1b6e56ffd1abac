"""L-MAC as an explainer: the mask of a trained decoder."""

from __future__ import annotations

import torch
from torch import Tensor

from xplain import Attribution, Audio, PluginError, Score
from xplain_interpreters.trained.explainer import Trained
from xplain_interpreters.trained.mask import Decoder


class LMac(Trained[Decoder]):
    """A mask over the latents that a trained decoder reads off the model's hidden layers.

    Paissan, Ravanelli, Subakan (2024), "Listenable Maps for Audio Classifiers": one pass of the
    model and one of the decoder. It answers for the model's own decision alone. The extra
    "interpretation" is M ⊙ X decoded, with the baseline where nothing is left; the table "masked"
    has the score of the clip, of what the mask keeps and of the rest. The map is the mask, 0 to 1,
    and not signed. Completeness is not claimed.
    """

    kind = Decoder

    @torch.no_grad()
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Attribution:
        """Mask latents (D, N); PluginError for another model, representation or target."""
        clip = self.checked(score).clip
        hidden, logits = self.heard(score, latents)
        question = self.checked(score).question
        if question.index != int(logits.argmax()) or question.versus is not None:
            raise PluginError(
                "l-mac explains the model's own decision alone; leave the target out, or choose "
                "a method that takes any, such as integrated-gradients"
            )
        mask: Tensor = self.network.to(latents.device)(hidden, (1, *latents.shape))[0]
        away = baseline.reshape(-1, *latents.shape).mean(dim=0)
        kept, rest = torch.lerp(away, latents, mask), torch.lerp(latents, away, mask)
        rows: list[dict[str, str | float]] = [
            {"what": what, "score": float(score(variant[None]))}
            for what, variant in (("the clip", latents), ("kept", kept), ("the rest", rest))
        ]
        heard = clip.synthesizer.decode(kept[None], clip.context)[0].cpu()
        played = Audio(heard, clip.synthesizer.sample_rate, "interpretation")
        return Attribution(mask, None, {"masked": tuple(rows), "interpretation": played})
