"""``xplain plugins check``: runs the contract tests on an installed plugin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xplain.cli.batch import machines
from xplain.cli.parameters import Pairs, parameter_of, parameters
from xplain.errors import PluginError, nearest

if TYPE_CHECKING:
    from xplain.interfaces import Synthesizer
    from xplain_devkit.rules.rule import Case, Report

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def check(
    name: Annotated[str, typer.Argument(help="Name of the plugin, or DISTRIBUTION/NAME")],
    kind: Annotated[
        str | None, typer.Option(help="Kind of the plugin, if several kinds have this name")
    ] = None,
    param: Annotated[Pairs, parameter_of("the plugin")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The model of an explainer that explains it alone, as a trained one; or whose "
            "latents a replacement fills that is for these alone"
        ),
    ] = None,
    audio: Annotated[Path | None, typer.Option(help="The clip to ask that model about")] = None,
    synthesizer: Annotated[
        str | None,
        typer.Option(help="The representation  [default: what the model reads, or stft]"),
    ] = None,
    synthesizer_param: Annotated[Pairs, parameter_of("the synthesizer")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON")] = False,
) -> None:
    """Run the contract tests on an installed plugin.

    Exit status: 0 if every rule holds, 1 if one is broken, 2 for wrong usage.

    Example: xplain plugins check l-mac --param folder=masks --model zoo:digits --audio a.wav
    """
    kind = _kind(name) if kind is None else kind
    with machines() as output:
        from xplain_devkit.check import check as run_contract

        given = parameters("--synthesizer-param", synthesizer_param)
        own = parameters("--param", param)
        if kind == "replacement" and (model or synthesizer):
            report = run_contract(
                kind, name, own, synthesizer=_filled(model, audio, synthesizer, given)
            )
        else:
            report = run_contract(kind, name, own, _case(model, audio, synthesizer, given))
        if as_json:
            output.tell(report.to_dict(), indent=1)
    if not as_json:
        _show(report)
    if report.verdict == "failed":
        raise typer.Exit(1)


def _case(
    model: str | None, file: Path | None, synthesizer: str | None, given: dict[str, object]
) -> Case | None:
    """What a model and a file are asked about; PluginError for one without the other."""
    if model is None and file is None and synthesizer is None:
        return None
    if model is None or file is None:
        raise PluginError("an explainer of one model is tested on both: give --model and --audio")
    from xplain.audio import read, resample
    from xplain.models import load_model, make_synthesizer
    from xplain_devkit.rules.rule import Case

    asked = load_model(model)
    made = asked.reads
    if made is None or synthesizer is not None:
        made = make_synthesizer(synthesizer or "stft", asked.sample_rate, given)
    return Case(asked, made, resample(read(file), made.sample_rate).waveform)


def _filled(
    model: str | None, file: Path | None, synthesizer: str | None, given: dict[str, object]
) -> Synthesizer:
    """Whose latents a replacement fills: those that a model reads, or a synthesizer's."""
    from xplain.models import load_model, make_synthesizer
    from xplain.registry import registry

    if file is not None:
        raise PluginError("a replacement is tested on noise; leave --audio out")
    if model is None:
        made: Synthesizer = registry().create("synthesizer", str(synthesizer), given)
        return made
    asked = load_model(model)
    if asked.reads is not None and synthesizer is None:
        return asked.reads
    return make_synthesizer(synthesizer or "stft", asked.sample_rate, given)


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
    refused = [o.message for o in report.outcomes if "refuses these latents" in o.message]
    if refused:
        console.print(f"not tested: {refused[0]}; give --model one that reads them", soft_wrap=True)
    console.print(
        f"{report.kind} {report.name}: {report.verdict} in {report.seconds:.1f} s "
        f"({len(report.outcomes)} rules, {len(report.failed)} broken, "
        f"{sum(o.state == 'not applicable' for o in report.outcomes)} not applicable)",
        soft_wrap=True,
    )
