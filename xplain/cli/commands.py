"""Commands found at entry points: listed by their help's first line, loaded when they are run."""

from __future__ import annotations

import ast
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from xplain.errors import PluginError

OWN = "xplain"
"""The distribution whose commands nobody else's of the same name replace."""


class Commands(TyperGroup):
    """The commands of one entry point group."""

    entry_point_group: ClassVar[str] = "xplain.commands"

    # The context is typer's or click's, by typer's version.
    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands."""
        return sorted(self._entries())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command as the help lists it."""
        entry = self._entries().get(cmd_name)
        return None if entry is None else TyperCommand(cmd_name, help=_summary(entry))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """A command as it is run."""
        entry = self._entries().get(args[0])
        if entry is None:
            return super().resolve_command(ctx, args)
        return args[0], _load(entry), args[1:]

    def _entries(self) -> dict[str, EntryPoint]:
        # Our own last, so that nobody takes the place of one of them.
        found = sorted(
            entry_points(group=self.entry_point_group),
            key=lambda e: e.dist is not None and e.dist.name == OWN,
        )
        return {entry.name: entry for entry in found}


class PluginCommands(Commands):
    """The commands under ``xplain plugins``."""

    entry_point_group = "xplain.commands.plugins"


def _load(entry: EntryPoint) -> Any:
    try:
        return typer.main.get_command(entry.load())
    except Exception as error:
        raise PluginError(
            f"the command {entry.name!r} of {entry.dist.name if entry.dist else '?'} cannot be "
            f"loaded: {type(error).__name__}: {error}; reinstall or uninstall it"
        ) from error


def _summary(entry: EntryPoint) -> str:
    """The first line of a command's help, read from its source without running it."""
    origin = "" if entry.dist is None or entry.dist.name == OWN else f" ({entry.dist.name})"
    try:
        spec = find_spec(entry.module)
        tree = ast.parse(Path(spec.origin).read_text("utf-8"))  # type: ignore[arg-type,union-attr]
    except Exception:  # a broken plugin is named when it is run; the help goes on
        return f"cannot be read{origin}"
    told: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                call = decorator.func if isinstance(decorator, ast.Call) else decorator
                if isinstance(call, ast.Attribute) and call.attr in ("callback", "command"):
                    told.setdefault(call.attr, ast.get_docstring(node) or "")
    text = told.get("callback") or told.get("command") or ast.get_docstring(tree) or ""
    return f"{text.partition(chr(10))[0]}{origin}"
