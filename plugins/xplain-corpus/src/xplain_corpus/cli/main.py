"""``xplain corpus``: explains many recordings, and answers questions about them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from xplain.cli.batch import LISTED, machines
from xplain.cli.parameters import Pairs, pairs, parameter_of
from xplain.errors import ArtifactError, XplainError
from xplain.progress import say
from xplain_corpus.cli import writing
from xplain_corpus.cli.options import Run, one_of
from xplain_corpus.cli.settings import with_settings

if TYPE_CHECKING:
    from xplain_corpus.driver import Progress

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
SAID_EVERY = 30.0
"""Seconds between two lines of progress."""


@app.callback()
def corpus() -> None:
    """Explain a corpus on one machine or many, and query it."""


@app.command()
@with_settings
def run(
    source: Annotated[
        Path,
        typer.Argument(metavar="MANIFEST|FOLDER", help="A CSV with a column path, or a folder"),
    ],
    out: Annotated[str, typer.Option(help="The run's folder, or its URL, such as s3://bucket/run")],
    model: Annotated[
        str | None, typer.Option(help="The model to explain: SCHEME:NAME, or FILE.py:FACTORY")
    ] = None,
    segmenter: Annotated[
        str | None,
        typer.Option(help="Segment by this instead: a name, SCHEME:NAME, or FILE.py:FACTORY"),
    ] = None,
    segmenter_param: Annotated[Pairs, parameter_of("a named segmenter")] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="List the frequencies of each segment")
    ] = False,
    engine: Annotated[str, typer.Option(help="local: processes; ray: a cluster")] = "local",
    workers: Annotated[
        int | None, typer.Option(help="How many  [default: one for each core]")
    ] = None,
    lease: Annotated[
        int | None,
        typer.Option(help="Clips that are written together  [default: by the corpus, up to 64]"),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Only part I of N, as in an array of jobs"),
    ] = None,
    keep: Annotated[
        list[float] | None, typer.Option(metavar="R", help="Keep the top R  [default: 0.1]")
    ] = None,
    remove: Annotated[
        list[float] | None, typer.Option(metavar="R", help="Remove the top R  [default: 0.1]")
    ] = None,
    check: Annotated[bool, typer.Option(help="Compute a verdict for each clip")] = True,
    attribution: Annotated[
        str, typer.Option(help="The type of stored attributions: float16, int8")
    ] = "float16",
    audio: Annotated[bool, typer.Option("--audio", help="Store the recordings too")] = False,
    limit: Annotated[float, typer.Option(help="Seconds that one clip may take")] = 600.0,
    threads: Annotated[int, typer.Option(help="Threads of a worker")] = 1,
    worker_memory: Annotated[
        float | None,
        typer.Option(
            metavar="GB", help="What a worker may take  [default: its share of the machine]"
        ),
    ] = None,
    retry: Annotated[
        bool, typer.Option("--retry", help="Do leases again in which a clip failed")
    ] = False,
    address: Annotated[str | None, typer.Option(help="Ray's cluster  [default: a new one]")] = None,
    gpus: Annotated[float, typer.Option(help="GPUs of each of Ray's workers")] = 0.0,
    *,
    settings: dict[str, Any],
) -> None:
    """Explain, or segment, each recording once; the same command goes on where it ended.

    Example: xplain corpus run recordings/ --model zoo:digits --out out/corpus
    """
    from xplain_corpus.running import run as start

    if (model is None) == (segmenter is None):
        raise typer.BadParameter("give a model to explain, --model, or a --segmenter")
    if segmenter is not None:
        given = {name for name in settings if name != "device"}
        if given or keep or remove or audio:
            named = ", ".join(sorted(given)) or "--keep, --remove, --audio"
            raise typer.BadParameter(f"a segmenter is not asked for {named}; leave that out")
        settings |= {"params": pairs("--segmenter-param", segmenter_param), "explain": explain}
    state: list[Progress] = []
    try:
        done = start(
            source,
            str(model or segmenter),
            out,
            segments=segmenter is not None,
            settings=settings,
            keep=keep or (0.1,),
            remove=remove or (0.1,),
            check=check,
            attribution=one_of("--attribution", attribution, ("float16", "int8")),
            audio=audio,
            engine=one_of("--engine", engine, ("local", "ray")),
            workers=workers,
            lease=lease,
            limit=limit,
            threads=threads,
            memory=worker_memory,
            shard=_shard(shard),
            retry=retry,
            address=address,
            gpus=gpus,
            progress=_teller(state),
        )
    except KeyboardInterrupt as interrupt:
        if state:
            say(
                f"interrupted: {state[-1].done:,} of {state[-1].total:,} clips are done and "
                "saved; the same command goes on"
            )
        raise typer.Exit(130) from interrupt
    except ArtifactError as error:
        if not state:
            raise
        say(
            f"error: {error}", f"{state[-1].done:,} of {state[-1].total:,} clips are done and saved"
        )
        raise typer.Exit(1) from error
    failures = done.failures
    if failures:
        more = f" and {len(failures) - LISTED} more" if len(failures) > LISTED else ""
        named = ", ".join(list(failures)[:LISTED])
        say(f"{len(failures)} of {done.status().clips:,} clips failed: {named}{more}")
        raise typer.Exit(1)


@app.command()
def status(
    folder: Run,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON")] = False,
) -> None:
    """Say what a run holds; it may still be written.

    Example: xplain corpus status out/corpus
    """
    import msgspec

    from xplain_corpus.corpus import Corpus

    corpus = Corpus(folder)
    found = corpus.status()
    if as_json:
        with machines() as output:
            output.tell({**msgspec.to_builtins(found), "failures": corpus.failures})
        return
    question, origin = corpus.header.question, corpus.header.origin
    per_clip = found.bytes / max(1, found.clips) / 1000
    how = (
        "segments"
        if question.segments
        else f"{origin['explainer']['name']} over {origin['synthesizer']['name']}"
    )
    missing = "" if found.missing is None else f", {found.missing:,} missing"
    say(
        f"{folder}: {question.model}, {how}",
        f"{found.clips:,} clips in {found.shards:,} shards, {found.failed:,} failed{missing}, "
        f"{found.bytes / 1e6:,.1f} MB ({per_clip:,.1f} KB a clip)",
    )
    if found.missing is None:
        say("what is missing is not known: the source of the clips cannot be listed here")
    for part in found.parts:
        if part.count > 1 and (part.left or part.running):
            state = "is being done" if part.running else "is not being done"
            say(f"  part {part.number}/{part.count}: {part.left:,} of {part.clips:,} left; {state}")
    count = found.parts[0].count if found.parts else 1
    begun = {part.number for part in found.parts}
    if len(begun) < count:
        absent = [str(number) for number in range(1, count + 1) if number not in begun]
        say(f"  never begun: part {', '.join(absent[:LISTED])} of {count}")
    for error in list(corpus.failures.values())[:LISTED]:
        say(f"  {error}")


@app.command()
def query(
    folder: Run,
    sql: Annotated[str, typer.Argument(help="SQL over the tables clips and tensors")],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON object for each row")
    ] = False,
) -> None:
    """Ask a run in SQL: the answer is CSV, or JSON, on standard output.

    Example: xplain corpus query out/corpus "SELECT id, target, probability FROM clips"
    """
    import csv
    import sys

    from xplain_corpus.corpus import Corpus

    names, rows = Corpus(folder).query(sql)
    if as_json:
        with machines() as output:
            for row in rows:
                output.tell(dict(zip(names, row, strict=True)))
        return
    writer = csv.writer(sys.stdout)
    writer.writerow(names)
    writer.writerows(rows)


for command in (writing.audit, writing.open_, writing.export, writing.report, writing.prototypes):
    app.command(command.__name__.rstrip("_"))(command)


def _teller(state: list[Progress]) -> Callable[[Progress], None]:
    """Say what fails at once, and how far the run is now and then."""
    said = [0.0]

    def tell(progress: Progress) -> None:
        state[:] = [progress]
        for error in progress.errors.values():
            say(f"error: {error}")
        whole = progress.done == progress.total
        if whole or not progress.seconds or time.monotonic() - said[0] >= SAID_EVERY:
            said[0] = time.monotonic()
            say(_line(progress))

    return tell


def _line(progress: Progress) -> str:
    counted = f"{progress.done:,} of {progress.total:,} clips"
    if progress.left is None:
        return f"{counted} are done"
    return f"{counted}, {progress.rate:.3g} a second, {_time(progress.left)} left"


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def _shard(text: str | None) -> tuple[int, int]:
    if text is None:
        return 1, 1
    found = re.fullmatch(r"(\d+)/(\d+)", text)
    if found is None:
        raise XplainError(f"--shard is I/N, such as 3/16, not {text!r}")
    return int(found[1]), int(found[2])
