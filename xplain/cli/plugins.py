"""``xplain plugins``: what is installed, and what failed to load."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from xplain.cli.batch import machines
from xplain.cli.commands import PluginCommands
from xplain.progress import say, visible

if TYPE_CHECKING:
    from xplain.registry import Plugin

app = typer.Typer(
    cls=PluginCommands, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False
)


@app.callback(invoke_without_command=True)
def plugins(
    context: typer.Context,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON list on standard output")
    ] = False,
    verbose: Annotated[
        bool,
        typer.Option("--verbose", help="Trace the calls of hooks on standard error  [default: no]"),
    ] = False,
) -> None:
    """List what is installed, and what failed and why.

    Example: xplain plugins --json
    """
    if context.invoked_subcommand is not None:
        return
    with machines() as output:  # a plugin may print when it is imported
        found = _found(verbose)
        if as_json:
            output.tell([asdict(plugin) for plugin in found], indent=1)
    if not as_json:
        _show(found)


def _found(verbose: bool) -> list[Plugin]:
    from xplain.registry import list_plugins, traced

    if not verbose:
        return list_plugins()
    return traced(lambda text: say(text.rstrip("\n"))).plugins


def _show(found: list[Plugin]) -> None:
    """What people read: a table, and below it why the failed ones failed."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("kind", "name", "summary", "source", "state"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "name")
    for plugin in sorted(found, key=lambda p: (p.state != "ok", p.kind, p.name, p.distribution)):
        source = f"{plugin.distribution} {plugin.version}".strip()
        row = (plugin.kind, plugin.name, plugin.summary, source, plugin.state)
        table.add_row(*map(visible, row))
    console = Console(markup=False, highlight=False)  # a summary is no markup
    console.print(table)
    for plugin in found:
        if plugin.state == "failed":
            source = f"{plugin.distribution} {plugin.version}".strip()
            failed = f"failed: {plugin.name} of {source}: {plugin.cause}"
            console.print(visible(failed), soft_wrap=True)
