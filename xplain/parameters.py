"""Parameters of what plugins register, as the constructor's annotations say they are."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

import msgspec

from xplain.errors import PluginError, cut

PLAIN = (str, int, float, bool, list, dict, type(None))
"""What JSON and TOML can give; anything else is a Python caller's own, and not looked into."""


class Text(str):
    """A value as it was typed: what it means depends on the parameter's type."""


def typed(factory: Callable[..., Any], given: Mapping[str, object], what: str) -> dict[str, Any]:
    """Give parameters the types that a factory's annotations ask for.

    A typed text stays text where the annotation takes text; else it is read as JSON. Without an
    annotation it is JSON where it can be, else text. Raises PluginError, naming the parameter,
    its type and what was given, for a value of another type. what: of whom, for the error.
    """
    try:
        hints = get_type_hints(factory.__init__ if inspect.isclass(factory) else factory)
    except Exception:  # names that are imported for type checkers alone
        hints = {}
    return {
        name: _typed(value, hints[name], f"{what}: {name}")
        if name in hints and isinstance(value, PLAIN)
        else _untyped(value, f"{what}: {name}")
        for name, value in given.items()
    }


def _typed(value: object, hint: Any, what: str) -> object:
    try:
        if not isinstance(value, Text):
            made = msgspec.convert(value, hint)
            return made if isinstance(value, list | dict) else value
        try:
            return msgspec.convert(str(value), hint)
        except msgspec.ValidationError:
            made = msgspec.convert(_untyped(value, what), hint, strict=False)
    except msgspec.ValidationError as error:
        shown = inspect.formatannotation(hint)
        text = str(value) if isinstance(value, Text) else value
        raise PluginError(f"{what} is {shown}, not {cut(repr(text))}") from error
    except TypeError:  # a type that JSON does not know
        return _untyped(value, what)
    if isinstance(made, float) and not math.isfinite(made):
        raise PluginError(f"{what} cannot be {value}; give a finite number")
    return made


def _untyped(value: object, what: str) -> object:
    if not isinstance(value, Text):
        return value

    def refuse(constant: str) -> None:
        raise PluginError(f"{what} cannot be {constant}; give a finite number")

    try:
        return json.loads(value, parse_constant=refuse)
    except (ValueError, RecursionError):
        return str(value)
