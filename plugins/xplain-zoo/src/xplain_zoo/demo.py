"""``xplain demo``: the main job on what this plugin brings, offline."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the page and the audio")] = Path("out/demo"),
) -> None:
    """Explain why a small network heard the word it heard."""
    from xplain.cli.explain import run

    with as_file(files("xplain_zoo") / "clips" / "seven.wav") as clip:
        failed = run([str(clip)], "zoo:digits", {}, keep=(0.1,), remove=(0.1,), out=out)
    raise typer.Exit(min(failed, 1))
