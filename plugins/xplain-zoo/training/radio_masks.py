"""Examples of which a mask on the spectrum leaves a part, and what is heard in them then.

Explanations are heard as masks: alone, and taken out. A black box that has never heard what a mask
leaves says of it whatever its training happened to make it say. Here it learns that what was taken
out is gone, that what is left alone is nothing else, and that a mask which takes something else
away (shifted in frequency, shuffled in time, of another recording) leaves a sound what it was.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

WINDOW, HOP = 1024, 320
HEARD, GONE = 0.1, 0.003
"""Shares of a part's energy around a frame from which on it is there, and below which it is not;
between them nobody knows."""
SMOOTH = 25  # frames


def masked(stems: Tensor, labels: Tensor, chance: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Mixtures (B, samples) behind a mask, their labels, and which are sure: (B, frames, 4).

    stems: (B, 3, samples) speech, music, noise. labels: (B, frames, 4) uint8.
    """
    size, _, samples = stems.shape
    window = torch.hann_window(WINDOW, device=stems.device)
    flat = torch.stft(stems.reshape(-1, samples), WINDOW, HOP, window=window, return_complex=True)
    spectra = flat.reshape(size, 3, *flat.shape[1:])
    power = spectra.real.square() + spectra.imag.square()
    shares = power / (power.sum(1, keepdim=True) + 1e-10)
    # As coarse as what a few spectra can draw, by chance.
    coarse = F.avg_pool2d(shares, (9, 3), 1, (4, 1))
    shares = torch.where(_rand(size, chance)[:, None, None, None] < 0.5, shares, coarse)
    exponent = 0.5 + _rand(size, chance)[:, None, None]
    one = torch.randint(3, (size,), generator=chance, device=stems.device)
    own = F.one_hot(one, 3).bool()
    kind = torch.randint(3, (size,), generator=chance, device=stems.device)
    single = shares[torch.arange(size, device=stems.device), one].clamp(0, 1) ** exponent
    wrong = _wrong(single, chance)
    mask = torch.stack([single, 1 - single, 1 - wrong], 1)
    mask = mask[torch.arange(size, device=stems.device), kind]
    mixture = torch.istft(spectra.sum(1) * mask, WINDOW, HOP, window=window, length=samples)
    frames = labels.shape[1]
    left = _around((power * mask.square()[:, None]).sum(2))[..., :frames]
    share = left / (_around(power.sum(2))[..., :frames] + 1e-10)
    heard, gone = share >= HEARD, share < GONE
    # Left alone: nothing else is there. Taken out: it is not there.
    apart = (kind == 0)[:, None] & ~own | (kind == 1)[:, None] & own
    there = torch.where(apart[..., None], False, heard)
    sure = apart[..., None] | heard | gone
    columns = torch.tensor([0, 1, 2, 0], device=stems.device)
    there, sure = there[:, columns].transpose(1, 2), sure[:, columns].transpose(1, 2)
    return mixture, labels * there.to(labels.dtype), sure.to(labels.dtype) | (labels == 0)


def _wrong(mask: Tensor, chance: torch.Generator) -> Tensor:
    """Masks (B, F, T) shifted in frequency, with frames shuffled, or of another example."""
    size, bins, frames = mask.shape
    rows = torch.arange(size, device=mask.device)
    shift = torch.randint(8, bins - 8, (size,), generator=chance, device=mask.device)
    place = (torch.arange(bins, device=mask.device) - shift[:, None]) % bins
    rolled = mask.gather(1, place[..., None].expand(-1, -1, frames))
    order = torch.rand(size, frames, generator=chance, device=mask.device).argsort(1)
    shuffled = mask.gather(2, order[:, None].expand(-1, bins, -1))
    other = mask.roll(1, 0)
    kind = torch.randint(3, (size,), generator=chance, device=mask.device)
    return torch.stack([rolled, shuffled, other], 1)[rows, kind]


def _around(energy: Tensor) -> Tensor:
    """Mean over half a second: (B, n, T)."""
    return F.avg_pool1d(energy, SMOOTH, 1, SMOOTH // 2)


def _rand(size: int, chance: torch.Generator) -> Tensor:
    return torch.rand(size, generator=chance, device=chance.device)
