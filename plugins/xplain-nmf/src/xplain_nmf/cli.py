"""``xplain nmf``: dictionaries, scenes, proxies and prototypes."""

from __future__ import annotations

import typer

from xplain_nmf.dictionary.cli import dictionary
from xplain_nmf.prototypes.cli import prototypes
from xplain_nmf.scenes.cli import scenes
from xplain_nmf.training.cli import train

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def nmf() -> None:
    """Explain a segmenter by a proxy that decides on parts of the spectrum."""


app.command()(dictionary)
app.command()(scenes)
app.command()(train)
app.command()(prototypes)
