"""Ways to be wrong: an attribution → one that says something else than its model does.

Each is a pure function of an attribution (D, N) and what else it needs; what is random is drawn
from the generator given. WAYS names them with their parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor

Need = Literal["runner-up", "last", "clip", "model", "contained", "saliency"]


@dataclass(frozen=True, eq=False)
class Materials:
    """What a wrong attribution is made from, beside the attribution.

    loudness: (D, N), how far each element is from the baseline. others: attributions (D, N) of
    something else: of the runner-up's label and of the least probable one ("last"), of another
    clip, of a copy of the model with random weights, against a baseline that contains the
    evidence, and the absolute gradient. What a model or a clip does not have is left out.
    """

    loudness: Tensor
    generator: torch.Generator
    others: Mapping[Need, Tensor]


@dataclass(frozen=True)
class Way:
    """A way to be wrong.

    mild: so near to the truth that it is counted apart. blocks: whether attributions that speak
    about blocks are made wrong by it too, a block for an element.
    """

    name: str
    make: Callable[[Tensor, Materials], Tensor]
    mild: bool = False
    needs: Need | None = None
    blocks: bool = False


def shifted(attribution: Tensor, with_: Materials, *, frames: int = 0, bins: int = 0) -> Tensor:
    """Everything later by some frames and higher by some channels; what leaves comes in again."""
    return attribution.roll((bins, frames), (0, 1))


def rolled(attribution: Tensor, with_: Materials, *, share: float, axis: int) -> Tensor:
    """Rolled by a share of all channels (axis 0) or frames (axis 1)."""
    return attribution.roll(max(1, round(share * attribution.shape[axis])), axis)


def mirrored(attribution: Tensor, with_: Materials, *, axis: int) -> Tensor:
    """The first channel last (axis 0), or the first frame last (axis 1)."""
    return attribution.flip(axis)


def noisy(attribution: Tensor, with_: Materials, *, norm: float) -> Tensor:
    """With white noise of ``norm`` times its own norm added."""
    noise = _normal(attribution, with_)
    noisy: Tensor = attribution + norm * attribution.norm() / noise.norm().clamp_min(1e-30) * noise
    return noisy


def with_wrong_signs(attribution: Tensor, with_: Materials, *, share: float) -> Tensor:
    """With the signs of a share of the elements turned, by chance."""
    wrong = torch.rand(attribution.shape, generator=with_.generator) < share
    return torch.where(wrong, -attribution, attribution)


def absolute(attribution: Tensor, with_: Materials) -> Tensor:
    """As if all evidence were for the label."""
    return attribution.abs()


def smeared(attribution: Tensor, with_: Materials, *, axis: int) -> Tensor:
    """The mean over all channels (axis 0) or frames (axis 1), everywhere."""
    return attribution.mean(axis, keepdim=True).expand_as(attribution).clone()


def without_top(attribution: Tensor, with_: Materials, *, share: float) -> Tensor:
    """With the most important share set to zero."""
    return torch.where(_top(attribution, share), 0.0, attribution)


def shuffled(attribution: Tensor, with_: Materials) -> Tensor:
    """The same values in places drawn by chance."""
    order = torch.randperm(attribution.numel(), generator=with_.generator)
    return attribution.flatten()[order].view_as(attribution)


def shuffled_top(attribution: Tensor, with_: Materials, *, share: float) -> Tensor:
    """The values of the most important share among those of the next share, by chance."""
    order = attribution.flatten().argsort(descending=True)[: 2 * _count(attribution, share)]
    drawn = order[torch.randperm(len(order), generator=with_.generator)]
    return (
        attribution.flatten()
        .index_copy(0, order, attribution.flatten()[drawn])
        .view_as(attribution)
    )


def shuffled_in_blocks(attribution: Tensor, with_: Materials, *, high: int, wide: int) -> Tensor:
    """Shuffled within blocks of channels × frames, so that coarse pictures stay."""
    key = torch.rand(attribution.shape, generator=with_.generator)
    return _ordered_in_blocks(attribution, key, high, wide)


def sorted_in_blocks(attribution: Tensor, with_: Materials, *, high: int, wide: int) -> Tensor:
    """Sorted within blocks of channels × frames, largest first."""
    return _ordered_in_blocks(attribution, -attribution, high, wide)


def half(attribution: Tensor, with_: Materials) -> Tensor:
    """Zero before the frame by which half of its positive evidence is said."""
    said = attribution.clamp_min(0).sum(0).cumsum(0)
    later = torch.arange(attribution.shape[1]) > int((said < said[-1] / 2).sum())
    return attribution * later


def chance(attribution: Tensor, with_: Materials) -> Tensor:
    """White noise."""
    return _normal(attribution, with_)


def loudness(attribution: Tensor, with_: Materials, *, power: float) -> Tensor:
    """Loud is important."""
    return with_.loudness**power


def signed_loudness(attribution: Tensor, with_: Materials) -> Tensor:
    """Its signs, the clip's loudness: sizes that say nothing of the model."""
    return attribution.sign() * with_.loudness


def random_signed_loudness(attribution: Tensor, with_: Materials) -> Tensor:
    """The clip's loudness with signs drawn by chance."""
    return with_wrong_signs(with_.loudness, with_, share=0.5)


def centred(attribution: Tensor, with_: Materials) -> Tensor:
    """A hill in the middle of the picture: what looks plausible."""
    hills = [
        torch.exp(-((torch.linspace(-2, 2, size) if size > 1 else torch.zeros(1)) ** 2))
        for size in attribution.shape
    ]
    return hills[0][:, None] * hills[1][None, :]


def of_other(attribution: Tensor, with_: Materials, *, what: Need) -> Tensor:
    """The attribution of something else."""
    return with_.others[what]


WAYS = (
    Way("one frame late", partial(shifted, frames=1), mild=True, blocks=True),
    Way("two frames early", partial(shifted, frames=-2), blocks=True),
    Way("four frames late", partial(shifted, frames=4)),
    Way("a quarter of the clip late", partial(rolled, share=0.25, axis=1)),
    Way("three channels higher", partial(shifted, bins=3), blocks=True),
    Way("eight channels lower", partial(shifted, bins=-8)),
    Way("half of all channels higher", partial(rolled, share=0.5, axis=0)),
    Way("backwards", partial(mirrored, axis=1), blocks=True),
    Way("upside down", partial(mirrored, axis=0), blocks=True),
    Way("noise of half the norm", partial(noisy, norm=0.5), mild=True, blocks=True),
    Way("noise of the norm", partial(noisy, norm=1.0), blocks=True),
    Way("noise of twice the norm", partial(noisy, norm=2.0), blocks=True),
    Way("30 % of signs wrong", partial(with_wrong_signs, share=0.3), blocks=True),
    Way("half of signs wrong", partial(with_wrong_signs, share=0.5)),
    Way("all signs wrong", partial(with_wrong_signs, share=1.0), blocks=True),
    Way("absolute values", absolute, blocks=True),
    Way("smeared over frames", partial(smeared, axis=1), blocks=True),
    Way("smeared over channels", partial(smeared, axis=0), blocks=True),
    Way("top 1 % zero", partial(without_top, share=0.01)),
    Way("top 5 % zero", partial(without_top, share=0.05), blocks=True),
    Way("top 20 % zero", partial(without_top, share=0.2), blocks=True),
    Way("first half of the evidence zero", half, blocks=True),
    Way("top 5 % among the next", partial(shuffled_top, share=0.05)),
    Way("shuffled", shuffled, blocks=True),
    Way("shuffled in blocks 8 × 8", partial(shuffled_in_blocks, high=8, wide=8)),
    Way("sorted in blocks 8 × 8", partial(sorted_in_blocks, high=8, wide=8)),
    Way("random", chance, blocks=True),
    Way("loudness", partial(loudness, power=1.0), blocks=True),
    Way("loudness squared", partial(loudness, power=2.0)),
    Way("loudness with its signs", signed_loudness, blocks=True),
    Way("loudness with random signs", random_signed_loudness),
    Way("a hill in the middle", centred, blocks=True),
    Way("of the runner-up", partial(of_other, what="runner-up"), needs="runner-up"),
    Way("of the least probable label", partial(of_other, what="last"), needs="last"),
    Way("of another clip", partial(of_other, what="clip"), needs="clip"),
    Way("of a random model", partial(of_other, what="model"), needs="model"),
    Way("baseline contains the top", partial(of_other, what="contained"), needs="contained"),
    Way("absolute gradient", partial(of_other, what="saliency"), needs="saliency"),
)
"""The gallery: 38 ways, two of them mild; 21 of them block by block too."""


def _normal(attribution: Tensor, with_: Materials) -> Tensor:
    return torch.randn(attribution.shape, generator=with_.generator)


def _count(attribution: Tensor, share: float) -> int:
    return max(1, math.floor(share * attribution.numel()))


def _top(attribution: Tensor, share: float) -> Tensor:
    chosen = attribution.flatten().topk(_count(attribution, share)).indices
    mask = torch.zeros(attribution.numel(), dtype=torch.bool)
    return mask.index_fill(0, chosen, True).view_as(attribution)


def _ordered_in_blocks(attribution: Tensor, key: Tensor, high: int, wide: int) -> Tensor:
    """Every block's values in the order of the key, ascending, row by row."""
    ordered = attribution.clone()
    for top in range(0, attribution.shape[0], high):
        for left in range(0, attribution.shape[1], wide):
            part = (slice(top, top + high), slice(left, left + wide))
            order = key[part].flatten().argsort()
            ordered[part] = attribution[part].flatten()[order].view_as(attribution[part])
    return ordered
