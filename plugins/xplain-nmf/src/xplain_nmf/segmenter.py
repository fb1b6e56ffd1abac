"""A proxy as a segmenter that says which frequencies decided."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xplain import AdditiveSegmenter
from xplain.errors import PluginError
from xplain_nmf.loading import Off, components_off, open_proxy
from xplain_nmf.model import NmfProxy
from xplain_nmf.spectrum import FRAME_STEP, FREQUENCIES, SAMPLE_RATE
from xplain_nmf.synthesizer import switched_off


class NmfSegmenter(nn.Module, AdditiveSegmenter):
    """Logits are Θ on H; its parts are H, their spectra the columns of W."""

    def __init__(self, folder: str = "", off: Off = "") -> None:
        """Take a proxy.

        folder: that save_pretrained wrote. off: components to switch off, by number or, in a
        class-wise dictionary, by label. Raises PluginError without a folder, ModelError for
        one that holds no proxy.
        """
        if not folder:
            raise PluginError("nmf reads a proxy: give folder= that xplain nmf train wrote")
        self._take(open_proxy(folder), folder, off)

    @classmethod
    def of(cls, proxy: NmfProxy, folder: str = "", off: Off = "") -> NmfSegmenter:
        """Take a proxy that is loaded already."""
        made = cls.__new__(cls)
        made._take(proxy, folder, off)
        return made

    def _take(self, proxy: NmfProxy, folder: str, off: Off) -> None:
        nn.Module.__init__(self)
        self.proxy, self.folder, self.off = proxy, folder, off
        self.sample_rate, self.frame_step = SAMPLE_RATE, FRAME_STEP
        self.labels = proxy.config.labels
        self.thresholds = proxy.config.make_thresholds()
        if proxy.reach is not None:
            self.context = proxy.reach * FRAME_STEP
            # Windows hear their context twice: so long that this is a twentieth of the work.
            self.window = max(self.window, 40 * self.context)
        self._off = components_off(proxy, off)

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
        """Waveforms (B, samples) → H (B, K, T)."""
        return switched_off(self.proxy.activations(waveform), self._off)
