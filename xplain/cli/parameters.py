"""Parameters on the command line: ``--param NAME=VALUE``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import typer

from xplain.errors import PluginError
from xplain.parameters import Text

Pairs = list[str] | None
"""Texts NAME=VALUE, as an option takes them."""


def parameter_of(whose: str) -> Any:
    """Declare an option that takes NAME=VALUE several times."""
    help = f"A parameter of {whose}; may be repeated  [default: none]"
    return typer.Option(metavar="K=V", help=help)


def parameters(option: str, texts: Sequence[str] | None) -> dict[str, object]:
    """Read the NAME=VALUE of an option; what is made with them gives the values their types."""
    return {name: Text(value) for name, value in pairs(option, texts).items()}


def pairs(option: str, texts: Sequence[str] | None) -> dict[str, str]:
    """Read the NAME=TEXT of an option that is given several times."""
    read: dict[str, str] = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise PluginError(f"{option} takes NAME=VALUE, not {text!r}")
        read[name] = value
    return read
