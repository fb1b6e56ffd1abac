"""How results show themselves: as a page in a notebook, and as a figure for a paper.

What draws them is named here and imported when it is asked for, so that results need neither
matplotlib nor the pages.
"""

from __future__ import annotations

import html
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Viewable:
    """A result that notebooks show, and that can be plotted."""

    page: ClassVar[str]
    """``module:function``, which makes a small page of it: result → HTML."""
    figure: ClassVar[str]
    """``module:function``, which draws it: result → matplotlib Figure."""
    height: ClassVar[int] = 640
    """Pixels of the page in a notebook."""

    def plot(self) -> Figure:
        """Draw it; ``.savefig("name.svg")`` (or .pdf, .png) writes the figure to a file."""
        figure: Figure = _named(self.figure)(self)
        return figure

    def _repr_html_(self) -> str:
        """The page in a frame of its own: it reaches neither the notebook nor the network."""
        page = html.escape(_named(self.page)(self))
        return (
            f'<iframe srcdoc="{page}" sandbox="allow-scripts allow-downloads" title="xplain" '
            f'width="100%" height="{self.height}" frameborder="0"></iframe>'
        )


def _named(reference: str) -> Any:
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)
