"""What works on a proxy: how it takes one, from a folder or as it is."""

from __future__ import annotations

from torch import nn
from typing_extensions import Self

from xplain.errors import PluginError
from xplain_nmf.model import NmfProxy
from xplain_nmf.proxy_folder import Off, components_off, open_proxy
from xplain_nmf.spectrum import SAMPLE_RATE


class Proxied(nn.Module):
    """A proxy, some of whose components may be switched off."""

    def __init__(self, folder: str = "", off: Off = "") -> None:
        """Take a proxy.

        folder: that xplain nmf train wrote. off: components to switch off, by number or, in a
        class-wise dictionary, by label. Raises PluginError without a folder, ModelError for
        one that holds no proxy.
        """
        if not folder:
            raise PluginError("nmf reads a proxy: give folder= that xplain nmf train wrote")
        self._take(open_proxy(folder), folder, off)

    @classmethod
    def of(cls, proxy: NmfProxy, folder: str = "", off: Off = "") -> Self:
        """Take a proxy that is loaded already."""
        made = cls.__new__(cls)
        made._take(proxy, folder, off)
        return made

    def _take(self, proxy: NmfProxy, folder: str, off: Off) -> None:
        nn.Module.__init__(self)
        self.proxy, self.folder, self.off = proxy, folder, off
        self.sample_rate = SAMPLE_RATE
        self._off = components_off(proxy, off)
