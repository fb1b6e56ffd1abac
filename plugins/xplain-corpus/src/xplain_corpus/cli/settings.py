"""The options of ``xplain explain`` that are settings, as options of another command too."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from xplain.cli.explain import explain, settings_of

OTHERS = ("audio", "model", "keep", "remove", "out", "overwrite", "as_json", "quiet")
"""Options of ``xplain explain`` that are no settings: what it reads, and what it writes."""


def shared() -> Mapping[str, inspect.Parameter]:
    """The options that are settings, with their help and defaults, by name."""
    known = inspect.signature(explain, eval_str=True).parameters
    return {name: option for name, option in known.items() if name not in OTHERS}


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that are settings, which it takes as one argument, settings.

    What is as it is by default is left out of that.
    """
    options = shared()
    own = dict(inspect.signature(command, eval_str=True).parameters)
    del own["settings"]

    @functools.wraps(command)
    def called(**given: Any) -> None:
        asked = {
            name: None if given.get(name) == option.default else given.get(name)
            for name, option in options.items()
        }
        rest = {name: value for name, value in given.items() if name in own}
        command(**rest, settings=settings_of(asked))

    taken = {**own, **{name: options[name] for name in options if name not in own}}
    called.__signature__ = inspect.Signature(list(taken.values()))  # type: ignore[attr-defined]
    called.__annotations__ = {name: option.annotation for name, option in taken.items()}
    return called
