"""audioLIME: a linear model of which segments of which sources the score needs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.linear_model import Ridge
from torch import Tensor
from torch.nn import functional

from xplain import Attribution, Audio, Explainer, Groups, PluginError, Score
from xplain.score import ClipScore

PLAYED = 3
"""Components with the largest weights, which are played together."""


class AudioLime(Explainer):
    """Segments of sources are left out at random, and a linear model says what each one adds.

    Haunschmid, Manilow, Widmer (2020), "audioLIME: Listenable Explanations Using Source
    Separation", sec. 3: an interpretable component is one source in one segment of time, z ∈ {0, 1}
    for each says which are mixed, and the weights of a linear model g(z) ≈ f(mix of z) explain.
    The fit is that of LIME (Ribeiro et al. 2016, eq. 2): ridge regression, weighted by
    exp(−D(z, 1)² / σ²) with the cosine distance D. Sources are the channels of latents that are
    gains (the synthesizer ``stems``), or the groups that are asked for; without either, segments
    of the whole clip. Where a baseline has draws, each mix takes one.

    The map shares a component's weight equally among its elements. The table "components" has all
    of them, and "interpretation" plays those of the largest positive weights. Completeness is not
    claimed.
    """

    def __init__(
        self, samples: int = 500, segments: int = 10, width: float = 0.25, ridge: float = 0.01
    ) -> None:
        """Score ``samples`` mixes.

        segments: of the clip, of equal length; gains that change over time have their own. width:
        σ of the kernel. ridge: the penalty of the weights.
        """
        for name, value in (("samples", samples), ("segments", segments)):
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} is a whole number, at least 1, not {value!r}")
        if not width > 0 or not ridge >= 0:
            raise ValueError("width is more than 0, and ridge at least 0")
        self.samples, self.segments, self.width, self.ridge = samples, segments, width, ridge

    @torch.no_grad()
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Attribution:
        """Attribute latents (D, N)."""
        groups, rows = self.components(score, latents)
        numbers = groups.numbers.to(latents.device)
        sizes = numbers.flatten().bincount()
        mixed = (torch.rand(self.samples, len(sizes)) < 0.5).to(latents)
        mixed[0] = 1  # the clip itself, as LIME does
        draws = baseline.reshape(-1, *latents.shape)
        said = []
        for first in range(0, self.samples, score.max_batch):
            part = mixed[first : first + score.max_batch]
            away = draws[(torch.arange(first, first + len(part)) % len(draws)).to(draws.device)]
            said.append(score(torch.lerp(away, latents, part[:, numbers])))
        weights = self.fitted(mixed.cpu(), torch.cat(said).cpu())
        order = weights.argsort(descending=True, stable=True).tolist()
        best = [k for k in order[:PLAYED] if weights[k] > 0]
        table = [
            {**rows[k], "weight": float(weights[k]), "played": k in best and len(best) < len(order)}
            for k in order
        ]
        extras: dict[str, Audio | Sequence[dict[str, str | float]]] = {"components": tuple(table)}
        if isinstance(score, ClipScore) and best:
            kept = torch.isin(numbers, torch.tensor(best, device=numbers.device))
            heard = torch.where(kept, latents, draws.mean(dim=0))[None]
            clip = score.clip
            sound = clip.synthesizer.decode(heard, clip.context)[0].cpu()
            extras["interpretation"] = Audio(sound, clip.synthesizer.sample_rate, "interpretation")
        values = (weights.to(latents) / sizes)[numbers]
        return Attribution(values.to(latents.dtype), groups, extras)

    def fitted(self, mixed: Tensor, said: Tensor) -> Tensor:
        """The linear model's weights (K,) of mixes (n, K) and their scores (n,)."""
        away = 1 - functional.cosine_similarity(mixed, torch.ones_like(mixed), dim=1)
        near = torch.exp(-away.square() / self.width**2).double().numpy()
        model = Ridge(alpha=self.ridge).fit(mixed.double().numpy(), said.double().numpy(), near)
        return torch.from_numpy(model.coef_)

    def components(
        self, score: Score, latents: Tensor
    ) -> tuple[Groups, list[dict[str, str | float]]]:
        """Sources × segments as groups, with the source and the seconds of each."""
        channels, frames = latents.shape
        gains = isinstance(score, ClipScore) and score.clip.synthesizer.values_are_gains
        if score.groups is not None:
            sources = score.groups.numbers.cpu()
            names = score.groups.names or tuple(f"group {n}" for n in range(int(sources.max()) + 1))
        elif gains:
            sources = torch.arange(channels)[:, None].expand(channels, frames)
            names = tuple(f"stem {n}" for n in range(1, channels + 1))
        else:
            sources, names = torch.zeros(channels, frames, dtype=torch.int64), ("clip",)
        count = frames if gains else min(self.segments, frames)
        segments = torch.arange(frames) * count // frames
        found, numbers = np.unique((sources * count + segments).numpy(), return_inverse=True)
        if len(found) > self.samples // 2:
            raise PluginError(
                f"audiolime has {len(found)} components to weigh by {self.samples} mixes; give "
                "fewer segments or groups, or more samples"
            )
        length = score.duration or float(frames)
        rows: list[dict[str, str | float]] = []
        for source, segment in ((int(f) // count, int(f) % count) for f in found):
            inside = (segments == segment).nonzero().flatten()
            start, end = int(inside[0]) / frames * length, (int(inside[-1]) + 1) / frames * length
            rows.append({"source": names[source], "start": start, "end": end})
        titles = tuple(f"{r['source']} {r['start']:.3f}-{r['end']:.3f} s" for r in rows)
        return Groups(torch.from_numpy(numbers.reshape(channels, frames)), titles), rows
