"""Superpixels: regions of a spectrogram that look alike, as image explainers use them."""

from __future__ import annotations

import numpy as np
import torch

from xplain import Clip, Grouping, Groups, PluginError
from xplain_units.spans import by_first, numbered


class Superpixels(Grouping):
    """Connected regions of a spectrogram, by SLIC (Achanta et al. 2012).

    The picture is the logarithm of the latents' sizes; channels have to be frequencies.
    """

    def __init__(self, count: int = 60, compactness: float = 0.1, floor: float = 1e-3) -> None:
        """Make about ``count`` regions.

        compactness: how much nearness counts beside likeness. floor: share of the largest value
        under which values look alike.
        """
        if count < 1 or compactness <= 0 or not 0 < floor < 1:
            raise ValueError("count is at least 1, compactness over 0, floor between 0 and 1")
        self.count = count
        self.compactness = compactness
        self.floor = floor

    def groups(self, clip: Clip) -> Groups:
        """Group the elements of each region."""
        try:
            from skimage.segmentation import slic
        except ImportError as error:
            raise PluginError(
                "superpixels need scikit-image; run pip install 'xplain-units[superpixels]'"
            ) from error
        if clip.frequencies is None:
            raise PluginError(
                "superpixels are regions of a spectrogram, and the channels of this "
                "representation are no frequencies; choose the synthesizer stft"
            )
        sizes = clip.latents.values[0].detach().cpu().double().abs().numpy()
        largest = float(sizes.max()) or 1.0
        picture = np.log(np.maximum(sizes / largest, self.floor)) / -np.log(self.floor) + 1
        numbers = slic(
            picture,
            n_segments=min(self.count, picture.size),
            compactness=self.compactness,
            channel_axis=None,
            start_label=0,
        )
        return _named(torch.from_numpy(np.ascontiguousarray(numbers)).long(), clip)


def _named(numbers: torch.Tensor, clip: Clip) -> Groups:
    """Regions called by where their middle is."""
    rows, columns = np.indices(tuple(numbers.shape))
    flat = numbers.numpy().ravel()
    sizes = np.maximum(np.bincount(flat), 1)
    row = (np.bincount(flat, rows.ravel()) / sizes).round().astype(int)
    column = (np.bincount(flat, columns.ravel()) / sizes).round().astype(int)
    hertz, times = clip.frequencies or (), clip.frame_times
    names = [
        f"{float(times[c]):.2f} s, {hertz[r]:,.0f} Hz" for r, c in zip(row, column, strict=True)
    ]
    return by_first(numbers, numbered(names))
