"""A proxy as a segmenter that says which frequencies decided."""

from __future__ import annotations

import torch
from torch import Tensor

from xplain import AdditiveSegmenter
from xplain_nmf.model import NmfProxy, switched_off
from xplain_nmf.proxied import Proxied
from xplain_nmf.proxy_folder import Off
from xplain_nmf.spectrum import FRAME_STEP, FREQUENCIES


class NmfSegmenter(Proxied, AdditiveSegmenter):
    """Logits are Θ on H as it is spread; that is its parts, their spectra the columns of W."""

    def _take(self, proxy: NmfProxy, folder: str, off: Off) -> None:
        super()._take(proxy, folder, off)
        self.frame_step = FRAME_STEP
        self.labels = proxy.config.labels
        self.thresholds = proxy.config.make_thresholds()
        if proxy.reach is not None:
            self.context = proxy.reach * FRAME_STEP
            # Windows hear their context twice: so long that this is a fourteenth of the work.
            self.window = max(self.window, 28 * self.context)

    @property
    def weights(self) -> Tensor:  # type: ignore[override]
        """θ (L, K)."""
        return self.proxy.theta.weight

    @property
    def bias(self) -> Tensor:  # type: ignore[override]
        """b (L,)."""
        return self.proxy.theta.bias

    @property
    def spectra(self) -> Tensor:  # type: ignore[override]
        """W' (K, F)."""
        return self.proxy.dictionary.T

    @property
    def frequencies(self) -> Tensor:  # type: ignore[override]
        """Hz of the F bins."""
        return torch.tensor(FREQUENCIES, device=self.weights.device)

    def parts(self, waveform: Tensor) -> Tensor:
        """Waveforms (B, samples) → H (B, K, T), as it counts for decisions."""
        parts: Tensor = self.proxy.spread(self.proxy.activations(waveform))
        return switched_off(parts, self._off)
