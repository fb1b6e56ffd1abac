"""What a plugin can register: the hooks a plugin's module may implement.

Every hook is called once, with a function ``register(name, target, *, summary)``.
``name`` is kebab-case; ``target`` is "module:attribute", imported at first use.
"""

from __future__ import annotations

from typing import Protocol

import pluggy

API_VERSION = 1
"""What a plugin states as XPLAIN_API. It changes only when a plugin has to change."""

hookspec = pluggy.HookspecMarker("xplain")
hookimpl = pluggy.HookimplMarker("xplain")


class Register(Protocol):
    """Registers one thing under a name."""

    def __call__(self, name: str, target: str, *, summary: str = "") -> None:
        """Take "module:attribute" to be imported when the name is first used."""


@hookspec
def register_explainers(register: Register) -> None:
    """Register classes that implement xplain.Explainer."""


@hookspec
def register_synthesizers(register: Register) -> None:
    """Register classes that implement xplain.Synthesizer."""


@hookspec
def register_segmenters(register: Register) -> None:
    """Register classes that implement xplain.Segmenter."""


@hookspec
def register_replacements(register: Register) -> None:
    """Register classes that implement xplain.Replacement."""


@hookspec
def register_groupings(register: Register) -> None:
    """Register classes that implement xplain.Grouping."""


@hookspec
def register_metrics(register: Register) -> None:
    """Register functions that xplain.metric declares to be metrics."""


@hookspec
def register_adapters(register: Register) -> None:
    """Register functions that make a model of another library's object.

    name: the package that its class comes from. The function takes the object, or the pair or
    list that begins with it, and returns an xplain.Model or an xplain.Segmenter.
    """


@hookspec
def register_models(register: Register) -> None:
    """Register a scheme: a function that takes what stands after ``scheme:``.

    It returns an xplain.Model (as xplain.wrap makes it) or another reference.
    """
