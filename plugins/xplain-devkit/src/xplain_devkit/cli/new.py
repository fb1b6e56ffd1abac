"""``xplain plugins new``: writes the package of a new plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xplain.progress import say

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def new(
    kind: Annotated[
        str, typer.Argument(help="explainer, synthesizer, segmenter, replacement, metric, model")
    ],
    name: Annotated[str, typer.Argument(help="Name in kebab-case, such as my-method")],
    out: Annotated[Path, typer.Option(help="Folder to write the package to")] = Path(),
    licence: Annotated[str, typer.Option(help="SPDX identifier, such as MIT")] = "Apache-2.0",
) -> None:
    """Write a plugin package that installs, works and passes its tests, ready to be changed.

    Example: xplain plugins new explainer my-method
    """
    from xplain_devkit.scaffold import write_package

    folder = write_package(kind, name, parent=out, licence=licence)
    print(folder)
    try_it = f"plugins check {name}" if kind != "model" else f"explain AUDIO --model {name}:1000"
    say(f"next: pip install {folder if folder.is_absolute() else f'./{folder}'}")
    say(f"then: xplain {try_it}")
