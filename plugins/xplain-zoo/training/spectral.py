"""How alike two sounds are: the loss that trains the codec, and the figure that is reported."""

from __future__ import annotations

import torch
from torch import Tensor

QUIET = 0.05
"""Level (root of the mean square) from which on downwards a sound counts less in the loss."""

FLOOR_DB = -60.0
"""What is quieter than this, beside the loudest bin of the original, is all the same."""


def distance(original: Tensor, heard: Tensor, windows: tuple[int, ...]) -> Tensor:
    """How far sounds (B, samples) are from originals of levels about 1: a scalar.

    The mean absolute difference of the samples, and of magnitudes and their logarithms in
    spectrograms of several windows (samples), as in Défossez et al. (2022), arXiv 2210.13438;
    all of it relative to the level of each original.
    """
    level = original.square().mean(-1, keepdim=True).sqrt() + QUIET
    original, heard = original / level, heard / level
    total = (original - heard).abs().mean()
    for window in windows:
        a, b = magnitudes(original, window), magnitudes(heard, window)
        logs = (torch.log(a + 1e-2) - torch.log(b + 1e-2)).abs().mean()
        total = total + ((a - b).abs().mean() + logs) / len(windows)
    return total


def log_spectral_correlation(original: Tensor, heard: Tensor, window: int = 256) -> float:
    """Pearson correlation of the log magnitudes of two clips (samples,), over all bins and frames.

    Hann window of so many samples, a quarter of it from frame to frame; magnitudes of both are
    raised to FLOOR_DB under the loudest of the original. NaN where the original is silent.
    """
    a, b = magnitudes(original[None], window), magnitudes(heard[None], window)
    floor = a.max() * 10 ** (FLOOR_DB / 20)
    pair = torch.stack([a.clamp(min=floor).log().flatten(), b.clamp(min=floor).log().flatten()])
    return float(torch.corrcoef(pair.double())[0, 1])


def magnitudes(waveform: Tensor, window: int) -> Tensor:
    """(B, samples) → (B, bins, frames); white noise of level 1 has about 1 everywhere."""
    hann = torch.hann_window(window, device=waveform.device)
    spectrum = torch.stft(
        waveform, window, window // 4, window=hann, pad_mode="constant", return_complex=True
    )
    # The square root has no finite slope at 0, where digital silence is.
    power = spectrum.real.square() + spectrum.imag.square()
    return (power / hann.square().sum() + 1e-10).sqrt()
