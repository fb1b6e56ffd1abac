"""RISE: which random masks leave the score high."""

from __future__ import annotations

import re

import torch
from torch import Tensor
from torch.nn import functional

from xplain import Explainer, Score


class Rise(Explainer):
    """Random smooth masks, averaged by the score of what each leaves of the clip.

    Petsiuk, Das, Saenko (2018), "RISE: Randomized Input Sampling for Explanation of Black-box
    Models", eq. 6: S(λ) = 1 / (E[M] N) Σ_i f(x ⊙ M_i) M_i(λ). What a mask takes away goes over to
    the baseline: M x + (1 − M) b. The mean of the scores f is subtracted first; that takes one
    constant from the whole map, and makes it signed, since a logit, unlike the paper's
    probabilities, has no zero of its own. Completeness is not claimed: of a linear score over
    single elements, the map is 1 − p times what each added, where p is ``keep``.
    """

    def __init__(self, masks: int = 1000, grid: str = "8x8", keep: float = 0.5) -> None:
        """Score ``masks`` masks, of about CxF cells, each kept with probability ``keep``.

        grid: cells over channels × over frames, at most one for each. The paper takes 4,000 to
        8,000 masks of 7x7 cells.
        """
        if not isinstance(masks, int) or masks < 2:
            raise ValueError(f"masks is a whole number, at least 2, not {masks!r}")
        if not 0 < keep < 1:
            raise ValueError(f"keep is a probability between 0 and 1, not {keep!r}")
        size = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", str(grid))
        if size is None:
            raise ValueError(f"grid is CxF, cells over channels × frames such as 8x8, not {grid!r}")
        self.masks, self.grid, self.keep = masks, grid, keep
        self._cells = int(size[1]), int(size[2])

    @torch.no_grad()
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Attribute latents (D, N); of draws (S, D, N) of the baseline, each mask takes one."""
        draws = baseline.reshape(-1, *latents.shape)
        total, seen = torch.zeros(2, *latents.shape, dtype=torch.float64, device=latents.device)
        scores = 0.0
        for first in range(0, self.masks, score.max_batch):
            numbers = range(first, min(first + score.max_batch, self.masks))
            kept = torch.stack([self.mask(*latents.shape) for _ in numbers]).to(latents)
            away = draws[[number % len(draws) for number in numbers]]
            said = score(torch.lerp(away, latents, kept)).double()
            total += torch.einsum("n,ndt->dt", said, kept.double())
            seen += kept.sum(dim=0, dtype=torch.float64)
            scores += float(said.sum())
        centred: Tensor = total - scores / self.masks * seen
        return (centred / (self.keep * self.masks)).to(torch.float32)

    def mask(self, channels: int, frames: int) -> Tensor:
        """Draw a mask (channels, frames), of 0 to 1: cells, smoothed, shifted by chance (sec. 3.3).

        One cell more than the grid has in both directions is drawn, so that a shift of up to a
        cell leaves all of the latents covered.
        """
        cells = [min(c, n) for c, n in zip(self._cells, (channels, frames), strict=True)]
        sizes = [-(-n // c) for c, n in zip(cells, (channels, frames), strict=True)]
        drawn = (torch.rand(1, 1, cells[0] + 1, cells[1] + 1) < self.keep).float()
        smooth = functional.interpolate(
            drawn, scale_factor=[float(s) for s in sizes], mode="bilinear"
        )
        down, along = (int(torch.randint(size, ())) for size in sizes)
        cut: Tensor = smooth[0, 0, down : down + channels, along : along + frames]
        return cut
