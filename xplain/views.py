"""How results show themselves: as a page in a notebook, and as a figure for a paper.

What draws them is named here and imported when it is asked for, so that results need neither
matplotlib nor the pages.
"""

from __future__ import annotations

import html
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

from xplain.discovery import installed
from xplain.errors import PluginError, nearest, one_line

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

    def log(self, to: str, **settings: Any) -> None:
        """Log it to an experiment tracker: "tensorboard", "mlflow", "wandb", or a plugin's own.

        A logger is an entry point in the group ``xplain.loggers``: a function of the result and
        of these settings. PluginError where there is none of that name, or it fails to load.
        """
        found = [one.entry for one in installed()[0] if one.entry.group == "xplain.loggers"]
        known = {entry.name: entry for entry in found}
        if to not in known:
            near = nearest(to, known) if known else "pip install xplain-loggers"
            raise PluginError(f"no logger {to!r} is installed; {near}")
        try:
            logger = known[to].load()
        except Exception as error:
            raise PluginError(f"the logger {to!r} cannot be loaded: {one_line(error)}") from error
        logger(self, **settings)

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
