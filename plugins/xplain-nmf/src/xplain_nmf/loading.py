"""``nmf:FOLDER`` as a model to explain."""

from __future__ import annotations

from torch import Tensor, nn

import xplain
from xplain.errors import ModelError
from xplain_nmf.model import NmfProxy
from xplain_nmf.proxy_folder import open_proxy
from xplain_nmf.spectrum import FRAME_STEP, SAMPLE_RATE


def load(rest: str) -> xplain.Model:
    """Load ``FOLDER``, or ``FOLDER?off=3,5,music``: without these components.

    Raises ModelError for a folder that holds no proxy, and for components it does not have.
    """
    from xplain_nmf.segmenter import NmfSegmenter
    from xplain_nmf.synthesizer import NmfSynthesizer

    folder, asked, query = rest.partition("?")
    name, equals, off = query.partition("=")
    if asked and not (equals and name == "off"):
        raise ModelError(f"nmf:{rest}: after ? comes off=COMPONENT,…, not {query!r}")
    proxy = open_proxy(folder)
    return xplain.wrap(
        Head(proxy),
        sample_rate=SAMPLE_RATE,
        labels=proxy.config.labels,
        multilabel=True,
        reads=NmfSynthesizer.of(proxy, folder, off),
        frame_step=FRAME_STEP,
        segmenter=NmfSegmenter.of(proxy, folder, off),
    )


class Head(nn.Module):
    """Θ: activations (n, K, T) → logits (n, T, L)."""

    def __init__(self, proxy: NmfProxy) -> None:
        """Take a proxy's."""
        super().__init__()
        self.spread, self.theta = proxy.spread, proxy.theta

    def forward(self, activations: Tensor) -> Tensor:
        """θ · h(t) + b, of h as it is spread."""
        logits: Tensor = self.theta(self.spread(activations).transpose(1, 2))
        return logits
