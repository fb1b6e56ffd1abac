"""``xplain plugins``: what is installed, and what failed to load."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def plugins(
    as_json: Annotated[bool, typer.Option("--json", help="A JSON list")] = False,
) -> None:
    """List what is installed, and what failed and why."""
    from xplain.registry import list_plugins

    with contextlib.redirect_stdout(sys.stderr):  # whatever a plugin prints on import
        found = list_plugins()
    if as_json:
        print(json.dumps([asdict(plugin) for plugin in found], indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    working = [p for p in found if p.state == "ok"]
    failed = [p for p in found if p.state == "failed"]
    table = Table(box=None, pad_edge=False)
    for heading in ("kind", "name", "distribution", "version", "summary"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "name")
    for plugin in sorted(working, key=lambda p: (p.kind, p.name, p.distribution)):
        table.add_row(plugin.kind, plugin.name, plugin.distribution, plugin.version, plugin.summary)
    console = Console()
    console.print(table, markup=False)
    for plugin in failed:
        console.print(
            f"failed: {plugin.name} of {plugin.distribution} {plugin.version}: {plugin.cause}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
