"""Parameters on the command line: ``--param NAME=VALUE``."""

from __future__ import annotations

import json

from xplain.errors import PluginError


def parameter(text: str) -> tuple[str, object]:
    """Read K=V; V is a JSON value where it is one, else text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise PluginError(f"--param takes NAME=VALUE, not {text!r}; for example steps=200")

    def refuse(constant: str) -> None:
        raise PluginError(f"--param {name} cannot be {constant}; give a number")

    try:
        return name, json.loads(value, parse_constant=refuse)
    except ValueError:
        return name, value
