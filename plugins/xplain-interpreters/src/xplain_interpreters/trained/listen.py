"""Listen to Interpret as an explainer: which components of a dictionary speak for a label."""

from __future__ import annotations

import torch
from torch import Tensor

from xplain import Attribution, Audio, PluginError, Score
from xplain_interpreters.trained.explainer import Trained
from xplain_interpreters.trained.parts import Parts

RELEVANT = 0.2
"""Share of the largest component's relevance from which on a component is played (τ)."""


class ListenToInterpret(Trained[Parts]):
    """Components of the latents, by what they add to a linear model that follows the model.

    Parekh et al. (2022), "Listen to Interpret", sec. 3.2: component k has the relevance
    r_k = θ_ck Σ_t a_t h_kt for label c; those with r_k ≥ τ max r are played, each by its share of
    the clip, X_k = W_k h_k / (W H) ⊙ X. The map hands each component's relevance to elements as its
    spectrum lies, so that it sums to the linear model's output less the bias; that model, not the
    explained one, is what is complete. The table "components" has every component.
    """

    kind = Parts

    @torch.no_grad()
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Attribution:
        """Attribute latents (D, N); PluginError for another model or representation."""
        posed = self.checked(score)
        label = posed.question.index
        if label is None or posed.question.versus is not None:
            raise PluginError(
                "listen-to-interpret explains one label; give a target without versus"
            )
        hidden, _ = self.heard(score, latents)
        network = self.network.to(latents.device)
        activations, attention = network(hidden, (1, *latents.shape))
        relevance = network.relevance(activations, attention, label)
        places = network.dictionary / network.dictionary.sum(dim=0).clamp_min(1e-9)
        values = places @ relevance
        each = relevance.sum(dim=1)
        order = each.argsort(descending=True, stable=True).tolist()
        played = each >= RELEVANT * each.max()
        rows: list[dict[str, str | float]] = [
            {"component": k, "relevance": float(each[k]), "played": bool(played[k] and each[k] > 0)}
            for k in order
        ]
        whole = network.dictionary @ activations[0]
        some = network.dictionary[:, played] @ activations[0][played]
        away = baseline.reshape(-1, *latents.shape).mean(dim=0)
        kept = torch.lerp(away, latents, some / whole.clamp_min(1e-9))
        clip = posed.clip
        heard = clip.synthesizer.decode(kept[None], clip.context)[0].cpu()
        sound = Audio(heard, clip.synthesizer.sample_rate, "interpretation")
        return Attribution(values, None, {"components": tuple(rows), "interpretation": sound})
