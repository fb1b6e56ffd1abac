"""Codebooks of a residual vector quantiser, from the latents of a codec that has none yet."""

from __future__ import annotations

import torch
from torch import Tensor

ROUNDS = 25
"""Rounds of Lloyd's algorithm for each codebook."""


def residual_codebooks(vectors: Tensor, books: int, entries: int, seed: int) -> Tensor:
    """k-means on vectors (n, D), then on what the nearest entries leave: (books, entries, D).

    Each book is fitted by Lloyd's algorithm from vectors drawn by the seed; an entry that is
    nearest to none is moved to the vector that is furthest from its own.
    """
    generator = torch.Generator().manual_seed(seed)
    residual, found = vectors.clone(), []
    for _ in range(books):
        book = _means(residual, entries, generator)
        residual = residual - book[_nearest(residual, book)[0]]
        found.append(book)
    return torch.stack(found)


def _means(vectors: Tensor, entries: int, generator: torch.Generator) -> Tensor:
    book = vectors[torch.randperm(len(vectors), generator=generator)[:entries]].clone()
    for _ in range(ROUNDS):
        nearest, far = _nearest(vectors, book)
        count = torch.bincount(nearest, minlength=entries)
        total = torch.zeros_like(book).index_add_(0, nearest, vectors)
        book = total / count.clamp(min=1)[:, None]
        empty = (count == 0).nonzero().flatten()
        book[empty] = vectors[far.topk(len(empty)).indices]
    return book


def _nearest(vectors: Tensor, book: Tensor) -> tuple[Tensor, Tensor]:
    """Of each vector (n, D), the number of the nearest entry, and the squared distance: (n,)."""
    square = vectors.square().sum(1, keepdim=True) - 2 * vectors @ book.T + book.square().sum(1)
    distance, nearest = square.min(1)
    return nearest, distance
