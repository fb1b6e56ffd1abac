"""Groups over all channels, from spans of time that have names."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from xplain import Clip, Groups, XplainWarning

Span = tuple[str, float, float]
"""What is said or sounds, and its start and end in seconds."""


def in_time(spans: Sequence[Span], clip: Clip, rest: str) -> Groups:
    """Group the frames whose middles lie in each span, and the others as ``rest``.

    A name that occurs again gets a number, ``yes (2)``. Frames in several spans are a group of
    their own, ``yes + no``. A span in which no frame has its middle is named in a warning.
    """
    times = clip.frame_times
    inside = torch.stack(
        [torch.zeros_like(times, dtype=torch.bool)]
        + [(times >= start) & (times < end) for _, start, end in spans]
    )
    lost = [
        f"{name} ({start:.2f}–{end:.2f} s)"
        for there, (name, start, end) in zip(inside[1:], spans, strict=True)
        if not there.any()
    ]
    if lost:
        warnings.warn(
            f"{clip.name or 'the clip'}: no frame lies in {', '.join(lost)}; they are no groups",
            XplainWarning,
            stacklevel=2,
        )
    names = numbered([name for name, _, _ in spans])
    joined, numbers = torch.unique(inside.T, dim=0, return_inverse=True)
    called = [
        " + ".join(name for name, there in zip(names, row[1:].tolist(), strict=True) if there)
        or rest
        for row in joined
    ]
    return by_first(numbers.expand(clip.shape).contiguous(), numbered(called))


def numbered(names: Sequence[str]) -> list[str]:
    """Names, all different: the second of a name is NAME (2)."""
    found: list[str] = []
    counts: Counter[str] = Counter()
    for name in names:
        counts[name] += 1
        called = name if counts[name] == 1 else f"{name} ({counts[name]})"
        while called in found:
            counts[name] += 1
            called = f"{name} ({counts[name]})"
        found.append(called)
    return found


def by_first(numbers: Tensor, names: Sequence[str]) -> Groups:
    """Groups in the order of their first frame, without those that have no element."""
    flat = numbers.T.flatten()
    found, inverse = torch.unique(flat, return_inverse=True)
    places = torch.full((len(found),), len(flat)).scatter_reduce(
        0, inverse, torch.arange(len(flat)), "amin"
    )
    order = places.argsort()
    again = torch.empty_like(order)
    again[order] = torch.arange(len(order))
    kept = tuple(names[int(found[place])] for place in order)
    return Groups(again[inverse].view(numbers.shape[1], -1).T.contiguous(), kept)
