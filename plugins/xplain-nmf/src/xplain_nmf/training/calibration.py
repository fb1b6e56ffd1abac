"""After training: biases by which the proxy decides as often as its teacher where it matters."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from xplain_nmf.model import NmfProxy
from xplain_nmf.training.objectives import onsets
from xplain_nmf.training.recordings import Recordings

SHIFTS = torch.arange(-40, 41) / 20
"""Logits by which a bias may move."""
PIECES = 200
"""Of the training's audio, at most."""


@torch.no_grad()
def calibrate(proxy: NmfProxy, audio: Recordings) -> list[float]:
    """Move the bias of each label to where its frames agree best with the teacher's, by F1.

    Divergence is least where probabilities agree on the whole, which need not be where
    decisions do. audio: the training's, with the teacher's answers. Returns the shifts.
    """
    proxy.train(False)
    device = proxy.theta.bias.device
    chosen = range(0, len(audio), -(-len(audio) // PIECES))
    pieces = [audio[index] for index in chosen]
    logits = torch.cat([_logits(proxy, piece, device) for piece in pieces])
    said = torch.cat([piece["teacher"] for piece in pieces])
    limits = onsets(proxy, said)
    shifts = [
        best_shift(logits[:, n] - limits[n].logit(), said[:, n] >= limits[n])
        for n in range(len(limits))
    ]
    proxy.theta.bias.add_(torch.tensor(shifts, device=device))
    return shifts


def _logits(proxy: NmfProxy, piece: Mapping[str, Tensor], device: torch.device) -> Tensor:
    frozen = piece["frozen"][None].to(device) if "frozen" in piece else None
    logits: Tensor = proxy(piece["waveform"][None].to(device), frozen).logits
    return logits[0].float().cpu()


def best_shift(margins: Tensor, said: Tensor) -> float:
    """The shift of margins (frames,) by which those not below 0 are ``said`` (frames,), by F1.

    The smallest of the best; 0 where nothing is said.
    """
    decided = margins[None] + SHIFTS[:, None] >= 0
    hits = (decided & said).sum(1).double()
    f1 = 2 * hits / (decided.sum(1) + said.sum()).clamp_min(1)
    best = SHIFTS[f1 >= f1.max() - 1e-9]
    return float(best[best.abs().argmin()])
