"""Controls that are hard to beat: as much energy taken elsewhere, in a pattern that looks alike.

A random tenth of the elements is mostly quiet, so nearly any method is better than it. Here each
control takes as much energy as the explanation does: the same mask rolled in frequency, the same
mask with its frames shuffled, the mask of another label, the loudest elements, random ones, and a
plain gain that takes energy from nowhere in particular. Energy is the squared distance of an
element from what replaces it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from xplain.curves import Curves
from xplain.errors import PluginError
from xplain.explanation import Explanation
from xplain.interfaces import Attribution, Groups
from xplain.live import LiveClip
from xplain.selection import top

STRUCTURED: Mapping[str, str] = {
    "rolled": "the same mask, rolled in frequency",
    "frames shuffled": "the same mask, its frames in another order",
    "other label": "the mask of the runner-up's explanation",
    "gain": "a plain change of volume",
}
"""Controls that keep the pattern of a mask, or of the clip, and nothing of what it claims."""
CONTROLS: Mapping[str, str] = {
    "random": "random elements",
    **STRUCTURED,
    "loudness": "the loudest elements",
}
"""All of them, each with as much energy as the explanation takes."""
JUDGE = "judge"
"""In a control's place: another model, to which the same is kept and removed."""
ROLL = (0.25, 0.75)
"""By which shares of all channels a mask is rolled, drawn for each clip."""


@dataclass(frozen=True, eq=False)
class _Clip:
    """What controls of a clip are made from.

    rank: (D, N), of the explanation. energy: (D, N). masks: (R, D, N), the top of each ratio.
    """

    live: LiveClip
    rank: Tensor
    energy: Tensor
    nothing: Tensor
    masks: Tensor
    generator: torch.Generator

    def taking(self, rank: Tensor) -> Tensor:
        """The first of a ranking (D, N) that hold the energy of each mask: bool (R, D, N).

        As near to it as a prefix comes, in whole elements or groups.
        """
        ranks = rank.flatten()
        sums = torch.zeros(int(ranks.max()) + 1, dtype=torch.float64)
        held = torch.cat(
            [
                torch.zeros(1, dtype=torch.float64),
                sums.index_add_(0, ranks, self.energy.flatten()).cumsum(0),
            ]
        )
        wanted = (self.masks * self.energy).sum(dim=(1, 2))
        above = torch.searchsorted(held, wanted).clamp(max=len(held) - 1)
        below = (above - 1).clamp(min=0)
        nearer = wanted - held[below] < held[above] - wanted
        counts = torch.where(nearer, below, above)
        return rank[None] < counts[:, None, None]


def structured(
    explanation: Explanation, ratios: Sequence[float], controls: Sequence[str] = tuple(CONTROLS)
) -> Iterator[tuple[str, Curves]]:
    """The model's answers where each control is kept and removed in the explanation's place.

    ratios: of the explanation; a control takes the energy that the explanation takes at each.
    "other label" is left out for a model of one label, where the task has none, and for a method
    that refuses it, since it explains the model's own decision alone; "rolled" where there is one
    channel.
    """
    live = explanation.live
    rank = live.rank(claimed(explanation)).cpu()
    none = torch.zeros_like(rank, dtype=torch.bool)
    nothing = live.draws(none[None])[0]
    energy = (live.latents.values[0] - nothing).double().square().mean(dim=0).cpu()
    masks = torch.stack([top(rank, ratio) for ratio in ratios])
    generator = torch.Generator().manual_seed(live.seed)
    clip = _Clip(live, rank, energy, nothing, masks, generator)
    for name in controls:
        if name == "gain":
            said = _gains(clip)
        elif (other := _ranked(clip, name)) is not None:
            keeps = clip.taking(other)
            said = live.asked(torch.cat([keeps, ~keeps]), live.target.answers).cpu()
        else:
            continue
        kept, removed = said[: len(ratios)], said[len(ratios) :]
        shares = torch.tensor(ratios)
        yield name, Curves(shares, live.answers, live.answers, kept, removed, live.target)


def claimed(explanation: Explanation) -> Attribution:
    """What an explanation says, with the groups it speaks about."""
    names = None if explanation.groups is None else tuple(g.name for g in explanation.groups)
    groups = None if explanation.numbers is None else Groups(explanation.numbers, names)
    return Attribution(explanation.attribution, groups)


def _ranked(clip: _Clip, name: str) -> Tensor | None:
    """The ranking (D, N) of a control; None where there is none for this clip."""
    channels, frames = clip.rank.shape
    if name == "rolled":
        if channels == 1:
            return None
        low, high = ROLL
        share = low + (high - low) * float(torch.rand(1, generator=clip.generator))
        return clip.rank.roll(max(1, round(share * channels)), 0)
    if name == "frames shuffled":
        return clip.rank[:, torch.randperm(frames, generator=clip.generator)]
    if name == "loudness":
        return _places(clip.energy)
    if name == "random":
        return _places(torch.rand(clip.rank.shape, generator=clip.generator))
    return _of_another_label(clip.live)


def _of_another_label(live: LiveClip) -> Tensor | None:
    """The ranking by the same method for the most probable label but the explained one.

    None where there is no other, or where the method refuses to explain it.
    """
    others = {label: p for label, p in live.probabilities.items() if label != live.target.label}
    if not others:
        return None
    label = max(others, key=lambda name: others[name])
    index = live.target.labels.index(label)
    asked = replace(live.target, label=label, index=index, versus=None, versus_index=None)
    other = replace(live, target=asked)
    try:
        return other.rank(other.attribute()).cpu()
    except PluginError:
        return None


def _places(values: Tensor) -> Tensor:
    """The place of each of values (D, N), the largest first."""
    order = values.flatten().argsort(descending=True)
    places = torch.empty_like(order)
    places[order] = torch.arange(len(order))
    return places.view_as(values)


def _gains(clip: _Clip) -> Tensor:
    """The answers (2 R, K) to so faint a clip that it holds the energy kept, and that left."""
    whole = float(clip.energy.sum())
    held = (clip.masks * clip.energy).sum(dim=(1, 2)) / (whole or 1.0)
    live, values = clip.live, clip.live.latents.values[0]
    gains = torch.cat([held, 1 - held]).clamp(0, 1).sqrt().to(values)
    variants = clip.nothing + gains[:, None, None, None] * (values - clip.nothing)
    said = []
    with live.on_loan(), torch.no_grad():
        for part in torch.split(variants.flatten(0, 1), live.max_batch):
            said.append(live.target.answers(live.job.route(part, live.latents.context)).cpu())
    return torch.cat(said).view(len(gains), len(clip.nothing), -1).mean(dim=1)
