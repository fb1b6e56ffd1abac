"""``xplain benchmark``: reads a TOML file, writes tables and a page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xplain.cli.batch import machines
from xplain.progress import say

if TYPE_CHECKING:
    from xplain_evaluation.benchmark import Config, Results

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def benchmark(
    config: Annotated[Path, typer.Argument(help="TOML file: models, data, explainers, metrics")],
    out: Annotated[Path, typer.Option(help="Folder for the tables and the page")] = Path(
        "out/benchmark"
    ),
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run the Python files that it names as models")
    ] = False,
    judge: Annotated[
        str | None,
        typer.Option(help="A second model of the same task, measured too  [default: the file's]"),
    ] = None,
    gallery: Annotated[
        bool,
        typer.Option("--gallery", help="Instead, check attributions known to be right or wrong"),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the results as JSON on standard output")
    ] = False,
) -> None:
    """Rank methods on models and recordings. An interrupted benchmark resumes.

    Example: xplain benchmark examples/benchmark.toml --out out/benchmark
    """
    from xplain_evaluation.benchmark import Config, run
    from xplain_evaluation.benchmark.files import to_dict

    given = Config.load(config, allow_code=allow_code)
    if gallery:
        _gallery(given, out, as_json)
        return
    with machines() as output:
        results = run(given if judge is None else replace(given, judge=judge), out)
        if as_json:
            output.tell(to_dict(results))
        _say(results, out)
    if results.failures:
        raise typer.Exit(1)


def _gallery(config: Config, out: Path, as_json: bool) -> None:
    """Check right and wrong attributions on the models and data; write a table and a page."""
    from xplain_evaluation.gallery.table import place, shown, tabulated, to_json, written

    place(out)  # before the work
    with machines() as output:
        sections, failures = tabulated(config)
        page = written(sections, failures, out)
        if as_json:
            output.tell(to_json(sections))
    for section in sections:
        say(*shown(section))
    for failure in failures:
        say(f"failed: {failure}")
    say(f"page: {page}, table: {out / 'gallery.csv'}")
    if failures:
        raise typer.Exit(1)


def _say(results: Results, out: Path) -> None:
    """Print the ranking, failures and where the files are."""
    for group, order in results.order.items():
        say(f"{' · '.join(filter(None, group))}: by {results.rank_by}")
        for name in order:
            row = results.row(group, name, results.rank_by)
            if row.mean is None:
                value = "no value"
            elif row.low is None:
                value = f"{row.mean:.3f} (one clip, no interval)"
            else:
                value = f"{row.mean:.3f} [{row.low:.3f}, {row.high:.3f}]"
            lacking = f", {row.undefined} undefined" if row.undefined else ""
            lacking += f", {row.failed} failed" if row.failed else ""
            say(f"  {name}: {value}{lacking}")
    for reason, count in results.reasons.items():
        say(f"undefined {count} times: {reason}")
    for _, method, clip, reason in results.failures:
        say(f"failed: {clip} by {method}: {reason}")
    if results.warnings:
        say(f"{len(results.warnings)} warnings, by clip in {out / 'results.json'}")
    say(f"page: {out / 'index.html'}, tables: {out / 'results.csv'}")
