"""``xplain nmf``: dictionaries, scenes, proxies and prototypes."""

from __future__ import annotations

import typer

from xplain_nmf.cli.dictionary import dictionary
from xplain_nmf.cli.prototypes import drift, prototypes
from xplain_nmf.cli.scenes import scenes
from xplain_nmf.cli.train import train

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
app.command()(drift)
