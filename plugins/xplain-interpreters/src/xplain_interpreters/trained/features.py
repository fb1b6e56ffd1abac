"""Features of a sparse autoencoder as an explanation: which ones the score needs, to listen to."""

from __future__ import annotations

import torch
from torch import Tensor

from xplain import Attribution, Audio, Score
from xplain.interfaces import Table
from xplain_interpreters.trained.autoencoder import SparseAutoencoder
from xplain_interpreters.trained.explainer import Trained


class SparseFeatures(Trained[SparseAutoencoder]):
    """What each feature of a sparse autoencoder of the latents adds to the score.

    Frames of the latents are x = b + W h + e (Gao et al. 2024, eqs. 1-2; e is what the autoencoder
    misses). All features are taken out of the clip along a straight line, and integrated gradients
    (Sundararajan et al. 2017, eq. 1) say what each one adds: r_k = Σ_t h_kt W_k · G_t, with the
    mean gradient G over the line of ``steps``. The sum is f(x) − f(b + e), so that what is complete
    is the part of the clip that features speak of; the table "features" has it for each of them,
    and its row "left over" the score without any.

    The map is G ⊙ W h: it shares a feature's relevance among the channels and frames in which it
    is. The ``played`` most relevant features can be listened to: feature-K is W_k h_k alone, over
    the baseline. Any model may be explained in the latents that the autoencoder was trained on.
    """

    uses_gradients = True
    kind = SparseAutoencoder

    def __init__(self, folder: str = "", steps: int = 16, played: int = 3) -> None:
        """Read the autoencoder in a folder that ``xplain fit-explainer`` wrote."""
        super().__init__(folder)
        if not isinstance(steps, int) or not isinstance(played, int) or steps < 1 or played < 0:
            raise ValueError("steps and played are whole numbers, steps at least 1")
        self.steps, self.played = steps, played

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Attribution:
        """Attribute latents (D, N); PluginError for another representation."""
        clip = self.checked(score).clip
        network = self.network.to(latents.device)
        with torch.no_grad():
            found, added = network(latents[None])
            active, added, atoms = found[0], added[0], network.atoms
        slope = torch.zeros_like(latents)
        places = (torch.arange(self.steps, device=latents.device) + 0.5) / self.steps
        for first in range(0, self.steps, score.max_batch):
            part = places[first : first + score.max_batch]
            variants = (latents - (1 - part[:, None, None]) * added).requires_grad_()
            (gradients,) = torch.autograd.grad(score(variants).sum(), variants)
            slope += gradients.sum(dim=0) / self.steps
        with torch.no_grad():
            relevance = (active * (atoms.T @ slope)).sum(dim=1)
            order = relevance.argsort(descending=True, stable=True).tolist()
            played = [k for k in order[: self.played] if relevance[k] > 0]
            rows: list[dict[str, str | float | bool | None]] = [
                {
                    "feature": f"feature-{k}",
                    "relevance": float(relevance[k]),
                    "active": float((active[k] > 0).float().mean()),
                    "strongest at": float(clip.frame_times[active[k].argmax()]),
                    "played": k in played,
                }
                for k in order
                if bool(active[k].any())
            ]
            left: dict[str, str | float | bool | None] = {"feature": "left over"}
            left["relevance"] = float(score((latents - added)[None]))
            away = baseline.reshape(-1, *latents.shape).mean(dim=0)
            extras: dict[str, Audio | Table | str] = {"features": (*rows, left)}
            for k in played:
                alone = away + atoms[:, k, None] * active[k]
                heard = clip.synthesizer.decode(alone[None], clip.context)[0].cpu()
                name = f"feature-{k}"
                extras[name] = Audio(heard, clip.synthesizer.sample_rate, name)
        return Attribution(slope * added, None, extras)
