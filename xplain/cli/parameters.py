"""Parameters on the command line: ``--param NAME=VALUE``."""

from __future__ import annotations

import json
from collections.abc import Sequence

from xplain.errors import PluginError


def parameters(option: str, texts: Sequence[str] | None) -> dict[str, object]:
    """Read the NAME=VALUE of an option; a value is JSON where it can be, else text."""
    return {name: _value(f"{option} {name}", text) for name, text in pairs(option, texts).items()}


def pairs(option: str, texts: Sequence[str] | None) -> dict[str, str]:
    """Read the NAME=TEXT of an option that is given several times."""
    read = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise PluginError(f"{option} takes NAME=VALUE, not {text!r}")
        read[name] = value
    return read


def _value(what: str, text: str) -> object:
    def refuse(constant: str) -> None:
        raise PluginError(f"{what} cannot be {constant}; give a number")

    try:
        value: object = json.loads(text, parse_constant=refuse)
    except ValueError:
        return text
    return value
