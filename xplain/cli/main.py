"""The ``xplain`` command: finds its commands at entry points, ours and others' alike."""

from __future__ import annotations

import sys
import warnings
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from xplain.errors import PluginError, XplainError, XplainWarning
from xplain.progress import say

GROUP = "xplain.commands"
OWN = "xplain"
"""The distribution whose commands are light enough to be loaded for the help."""


class Commands(TyperGroup):
    """Commands by entry point; another distribution's is imported only when it is run."""

    # The context is typer's or click's, by typer's version.
    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands."""
        return sorted(_entries())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command as the help lists it."""
        entry = _entries().get(cmd_name)
        if entry is None:
            return None
        if entry.dist is None or entry.dist.name == OWN:
            return _load(entry)
        return TyperCommand(cmd_name, help=f"{entry.dist.metadata['Summary']} ({entry.dist.name})")

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """A command as it is run."""
        entry = _entries().get(args[0])
        if entry is None:
            return super().resolve_command(ctx, args)
        return args[0], _load(entry), args[1:]


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


def _entries() -> dict[str, EntryPoint]:
    # Our own last, so that nobody takes the place of one of them.
    found = sorted(
        entry_points(group=GROUP), key=lambda e: e.dist is not None and e.dist.name == OWN
    )
    return {entry.name: entry for entry in found}


def _load(entry: EntryPoint) -> Any:
    try:
        return typer.main.get_command(entry.load())
    except Exception as error:
        raise PluginError(
            f"the command {entry.name!r} of {entry.dist.name if entry.dist else '?'} cannot be "
            f"loaded: {type(error).__name__}: {error}; reinstall or uninstall it"
        ) from error


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, XplainWarning):
        say(f"warning: {message}")
