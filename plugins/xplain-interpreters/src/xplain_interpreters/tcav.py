"""TCAV: does a concept, given by sounds with it and without it, move the score?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from xplain import Attribution, Audio, Explainer, PluginError, Score, audio
from xplain.fingerprint import of_files
from xplain.score import ClipScore, Route
from xplain_interpreters.layers import Layer, hidden_layers, outputs

FEWEST = 4
"""Sounds of each folder, half of which a direction is not fitted to."""

RUNS = 20
"""Directions that are fitted, to other halves of the sounds, and as many to shuffled ones."""


@dataclass(frozen=True)
class Direction:
    """A concept activation vector, and how well it tells other sounds apart.

    vector: (channels · rows,), of length 1. right: share of the sounds that
    it was not fitted to, 0 to 1.
    """

    vector: Tensor
    right: float


class Tcav(Explainer):
    """How the score changes when a hidden layer moves in the direction of a concept.

    Kim et al. (2018), "Interpretability Beyond Feature Attribution: Quantitative Testing with
    Concept Activation Vectors", eq. 1: S = ∇f(h) · v, where v is normal to the plane between the
    layer's activations, here their means over time, of the sounds with the concept and of the
    others; the same step is made in every frame. The paper's TCAV of a data set is the share of its
    clips with S > 0. ``runs`` directions are fitted, each to a half of the sounds. The table
    "concepts" has their mean S, its spread, the share of them with S > 0, and how often they are
    right about the other half; "chance" is the share of directions of shuffled sounds that are as
    often right: where it is large, the layer does not hold the concept. The sounds that are most
    and least like it can be played.

    The map is the part of gradient × (latents − baseline) that goes through the concept's direction
    alone. Completeness is not claimed.
    """

    uses_gradients = True

    def __init__(
        self, concept: str = "", others: str = "", layer: str = "", runs: int = RUNS
    ) -> None:
        """Take the sounds in two folders.

        layer: a submodule of the model; "" for the last one whose output has an axis of time.
        """
        if not concept or not others:
            raise PluginError(
                "tcav is told a concept by sounds: give concept= a folder of sounds with it, and "
                "others= one of sounds without it"
            )
        if not isinstance(runs, int) or runs < 2:
            raise ValueError(f"runs is a whole number, at least 2, not {runs!r}")
        self.concept, self.others, self.layer, self.runs = concept, others, layer, runs
        self._files = [_sounds(Path(folder).expanduser()) for folder in (concept, others)]

    def fingerprint(self) -> str:
        """SHA-256 over the sounds."""
        files = [file for folder in self._files for file in folder]
        return of_files({f"{n} {file.name}": file.read_bytes() for n, file in enumerate(files)})

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Attribution:
        """Attribute latents (D, N); of draws of the baseline, their mean counts."""
        if not isinstance(score, ClipScore):
            raise PluginError("tcav moves the layers of a model, and this score has none")
        layer = self._layer(score.route, latents.device)
        vectors, which = self._activations(score.route, layer, latents.device)
        found, shuffled = directions(vectors, which, self.runs)
        mean = torch.stack([one.vector for one in found]).mean(dim=0)
        concept = (mean / mean.norm()).to(latents)

        variant = latents.clone().requires_grad_()
        with outputs(score.route.module, [layer.name]) as held:
            asked = score(variant[None])
        hidden = held[layer.name]
        (slope,) = torch.autograd.grad(asked.sum(), hidden, retain_graph=True)
        frames = layer.grid(slope, 1)[0].flatten(0, 1)  # (channels · rows, T)
        frames = frames * (slope.numel() / frames.numel())  # sums, where the grid has means
        along = concept @ frames  # (T,)
        through = (concept @ layer.grid(hidden, 1)[0].flatten(0, 1) * along.detach()).sum()
        (part,) = torch.autograd.grad(through, variant)
        away = baseline.reshape(-1, *latents.shape).mean(dim=0)

        moves = [float(one.vector.to(latents) @ frames.sum(dim=1)) for one in found]
        right = float(np.mean([one.right for one in found]))
        as_good = sum(one.right >= right for one in shuffled)
        row: dict[str, str | float] = {
            "concept": Path(self.concept).name,
            "layer": layer.name,
            "sensitivity": float(np.mean(moves)),
            "spread": float(np.std(moves)),
            "positive": float(np.mean([move > 0 for move in moves])),
            "right": right,
            "chance": (1 + as_good) / (1 + len(shuffled)),
        }
        order = (vectors @ mean.cpu()).argsort()
        files = [file for folder in self._files for file in folder]
        most = audio.read(files[int(order[-1])])
        least = audio.read(files[int(order[0])])
        played = {"most-like": _plain(most), "least-like": _plain(least)}
        return Attribution(part * (latents - away), None, {"concepts": (row,), **played})

    def _layer(self, route: Route, device: torch.device) -> Layer:
        layers = hidden_layers(route, device, 1 if not self.layer else 10_000)
        named = [one for one in layers if self.layer in ("", one.name)]
        if not named:
            raise PluginError(
                f"tcav cannot read the layer {self.layer!r}; choose one of "
                f"{', '.join(one.name for one in layers)}"
            )
        return named[-1]

    @torch.no_grad()
    def _activations(
        self, route: Route, layer: Layer, device: torch.device
    ) -> tuple[Tensor, Tensor]:
        """Mean activations (n, channels · rows) of all sounds, and which have the concept (n,)."""
        means = []
        for file in (file for folder in self._files for file in folder):
            sound = audio.resample(audio.read(file), route.synthesizer.sample_rate)
            latents = route.synthesizer.encode(sound.waveform[None].to(device))
            with outputs(route.module, [layer.name]) as held:
                route(latents.values, latents.context)
            means.append(layer.grid(held[layer.name], 1)[0].flatten(0, 1).mean(dim=1).cpu())
        which = [True] * len(self._files[0]) + [False] * len(self._files[1])
        return torch.stack(means), torch.tensor(which)


def directions(
    vectors: Tensor, which: Tensor, runs: int
) -> tuple[list[Direction], list[Direction]]:
    """Fit directions to halves of the sounds, and as many to halves that are shuffled.

    vectors: activations (n, C). which: bool (n,), those with the concept. Chance is seeded by
    itself, so that every clip is asked about the same directions.
    """
    chance = torch.Generator().manual_seed(0)
    found: list[Direction] = []
    shuffled: list[Direction] = []
    for _ in range(runs):
        sides = [torch.nonzero(which == side).flatten() for side in (True, False)]
        mixed = [side[torch.randperm(len(side), generator=chance)] for side in sides]
        half = torch.cat([side[: len(side) // 2] for side in mixed])
        rest = torch.cat([side[len(side) // 2 :] for side in mixed])
        found.append(_fitted(vectors, which, half, rest))
        false = which[torch.randperm(len(which), generator=chance)]
        while len(set(false[half].tolist())) < 2:
            false = which[torch.randperm(len(which), generator=chance)]
        shuffled.append(_fitted(vectors, false, half, rest))
    return found, shuffled


def _fitted(vectors: Tensor, which: Tensor, half: Tensor, rest: Tensor) -> Direction:
    # One scale for all channels leaves the direction what it is, and the penalty what it means.
    scaled = ((vectors - vectors.mean(dim=0)) / vectors.std().clamp_min(1e-12)).double().numpy()
    fitted = LogisticRegression(max_iter=1000).fit(scaled[half], which[half].numpy())
    vector = torch.from_numpy(fitted.coef_[0]).float()
    right = float(fitted.score(scaled[rest], which[rest].numpy()))
    return Direction(vector / vector.norm().clamp_min(1e-12), right)


def _sounds(folder: Path) -> list[Path]:
    """The files of a folder, of which each is a recording; PluginError for too few."""
    there = folder.iterdir() if folder.is_dir() else ()
    files = sorted(file for file in there if file.is_file() and not file.name.startswith("."))
    if len(files) < FEWEST:
        raise PluginError(
            f"{folder} holds {len(files)} sounds; give {FEWEST} or more, and nothing else"
        )
    return files


def _plain(recording: Audio) -> Audio:
    """A recording to be played beside an explanation."""
    return Audio(recording.waveform, recording.sample_rate, recording.name)
