"""Other models' frames, brought to the label frames: 20 ms, frame t centred on 320 t + 160."""

from __future__ import annotations

import torch
from torch import Tensor

from xplain_nmf.spectrum import HOP


def to_label_frames(values: Tensor, first: float, step: float, frames: int) -> Tensor:
    """Read a series between its frames, linearly, where the label frames are centred.

    values: (B, N, D), N ≥ 1; frame n is centred on sample first + step · n, at 16 kHz. Before
    the first and after the last of them the nearest is taken. Returns (B, frames, D).
    """
    centres = torch.arange(frames, device=values.device, dtype=torch.float64) * HOP + HOP / 2
    place = ((centres - first) / step).clamp(0, values.shape[1] - 1)
    before = place.floor().long()
    after = (before + 1).clamp(max=values.shape[1] - 1)
    share = (place - before).to(values.dtype)[:, None]
    return torch.lerp(values[:, before], values[:, after], share)
