"""Commands found at entry points: listed by their help's first line, loaded when they are run."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup

from xplain.discovery import Found, installed
from xplain.errors import PluginError, nearest, one_line
from xplain.progress import visible

OWN = "xplain"
"""The core's distribution; nobody's commands replace its own, nor those of ``elsewhere``."""


class Commands(TyperGroup):
    """The commands of one entry point group."""

    entry_point_group: ClassVar[str] = "xplain.commands"
    elsewhere: ClassVar[Mapping[str, str]] = {
        "benchmark": "xplain-evaluation",
        "corpus": "xplain-corpus",
        "fit": "xplain-codecs",
        "data-mean": "xplain-codecs",
        "fit-explainer": "xplain-interpreters",
        "nmf": "xplain-nmf",
        "demo": "xplain-zoo",
        "serve": "xplain-serve",
    }
    """Commands of our other distributions: what to install where one is missing."""

    # The context is typer's or click's, by typer's version.
    def list_commands(self, ctx: Any) -> list[str]:
        """Names of all commands."""
        return sorted(self._found())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """A command as the help lists it."""
        found = self._found().get(cmd_name)
        return None if found is None else TyperCommand(cmd_name, short_help=_summary(found))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """A command as it is run; PluginError where there is none of that name."""
        name, known = args[0], self._found()
        if name in known:
            return name, _load(known[name]), args[1:]
        if name.startswith("-"):
            return super().resolve_command(ctx, args)
        if name in self.elsewhere:
            raise PluginError(
                f"the command {name!r} comes with {self.elsewhere[name]}, which is not "
                f"installed; run pip install {self.elsewhere[name]}"
            )
        raise PluginError(f"no command {name!r}; {nearest(name, [*known, *self.elsewhere])}")

    def _found(self) -> dict[str, Found]:
        # Our own last, so that nobody takes the place of one of them.
        found = sorted(
            (one for one in installed()[0] if one.entry.group == self.entry_point_group),
            key=lambda one: one.distribution in (OWN, self.elsewhere.get(one.entry.name)),
        )
        return {visible(one.entry.name): one for one in found}


class PluginCommands(Commands):
    """The commands under ``xplain plugins``."""

    entry_point_group = "xplain.commands.plugins"
    elsewhere: ClassVar[Mapping[str, str]] = {"check": "xplain-devkit", "new": "xplain-devkit"}


def _load(found: Found) -> Any:
    try:
        return typer.main.get_command(found.entry.load())
    except (Exception, SystemExit) as error:
        raise PluginError(
            f"the command {found.entry.name!r} of {found.distribution} cannot be loaded: "
            f"{one_line(error)}; reinstall or uninstall it"
        ) from error


def _summary(found: Found) -> str:
    """The first line of a command's help, read from its source without running it."""
    origin = "" if found.distribution == OWN else f" ({found.distribution})"
    try:
        return f"{visible(_first_line(found.entry.module))}{origin}"
    except Exception:  # a broken plugin is named when it is run; the help goes on
        return f"cannot be read{origin}"


def _first_line(module: str) -> str:
    """What a module's typer app, or else the module itself, says that it does."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(module)
    tree = ast.parse(Path(spec.origin).read_bytes())
    told: dict[str, str] = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            for decorator in node.decorator_list:
                call = decorator.func if isinstance(decorator, ast.Call) else decorator
                if isinstance(call, ast.Attribute) and call.attr in ("callback", "command"):
                    told.setdefault(call.attr, ast.get_docstring(node) or "")
    text = told.get("callback") or told.get("command") or ast.get_docstring(tree) or ""
    return text.partition("\n")[0]
