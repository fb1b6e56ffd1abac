"""The ``xplain`` command: finds its commands at entry points, ours and others' alike."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import typer

from xplain.cli.commands import Commands
from xplain.errors import XplainError, XplainWarning
from xplain.progress import say

app = typer.Typer(
    cls=Commands, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False
)


@app.callback()
def xplain() -> None:
    """Explain audio models so that a person can hear, see and check a decision."""


def main() -> None:
    """Run the command line; what is wrong with a call as a whole ends it with status 2."""
    warnings.showwarning = _show_warning
    try:
        app()
    except XplainError as error:
        say(f"error: {error}")
        sys.exit(2)


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, XplainWarning):
        say(f"warning: {message}")
