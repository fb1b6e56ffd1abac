"""``xplain plugins check``: runs the contract tests on an installed plugin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from xplain.cli.batch import machines
from xplain.cli.parameters import parameters
from xplain.errors import PluginError, nearest

if TYPE_CHECKING:
    from xplain_devkit.rules.rule import Report


app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="Name of the plugin, or DISTRIBUTION/NAME")],
    kind: Annotated[
        str | None, typer.Option(help="Kind of the plugin, if several kinds have this name")
    ] = None,
    param: Annotated[
        list[str] | None,
        typer.Option(metavar="K=V", help="A parameter; may be repeated"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON")] = False,
) -> None:
    """Run the contract tests on an installed plugin.

    Exit status: 0 if every rule holds, 1 if one is broken, 2 for wrong usage.
    """
    kind = _kind(name) if kind is None else kind
    with machines() as output:
        from xplain_devkit.check import check as run_contract

        report = run_contract(kind, name, parameters("--param", param))
        if as_json:
            output.tell(report.to_dict(), indent=1)
    if not as_json:
        _show(report)
    if report.verdict == "failed":
        raise typer.Exit(1)


def _kind(name: str) -> str:
    """The kind of what has a name; PluginError where none has it, or several."""
    from xplain.registry import list_plugins

    known = list_plugins()
    failed = [p for p in known if p.state == "failed" and name in (p.name, p.distribution)]
    kinds = sorted({p.kind for p in known if p.state == "ok" and name in (p.name, p.full_name)})
    if len(kinds) == 1:
        return kinds[0]
    if kinds:
        said = " or ".join(f"--kind {kind}" for kind in kinds)
        raise PluginError(f"{name!r} is the name of several kinds; say {said}")
    if failed:
        raise PluginError(f"the plugin {name!r} could not be loaded: {failed[0].cause}")
    raise PluginError(f"no plugin {name!r}; {nearest(name, (p.name for p in known))}")


def _show(report: Report) -> None:
    """What people read of a report."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("rule", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("seconds", justify="right")
    for outcome in report.outcomes:
        table.add_row(outcome.rule, outcome.state, f"{outcome.seconds:.2f}")
    console = Console(markup=False, highlight=False)
    console.print(table)
    for outcome in report.outcomes:
        if outcome.state == "failed":
            console.print(f"broken: {outcome.message}", soft_wrap=True)
    console.print(
        f"{report.kind} {report.name}: {report.verdict} in {report.seconds:.1f} s "
        f"({len(report.outcomes)} rules, {len(report.failed)} broken)",
        soft_wrap=True,
    )
