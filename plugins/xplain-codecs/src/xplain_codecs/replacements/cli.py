"""``xplain data-mean``: a manifest of recordings in, the mean of their latents out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xplain.cli.parameters import pairs, parameters
from xplain.progress import say

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def data_mean(
    manifest: Annotated[
        Path, typer.Argument(help="CSV: path (from its folder), label; split where it has one")
    ],
    synthesizer: Annotated[str, typer.Option(help="Whose latents: stft, or a codec")],
    out: Annotated[Path, typer.Option(help="The file, for the replacement data-mean")],
    synthesizer_param: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="A parameter of the synthesizer")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="Only rows whose column K says V")
    ] = None,
) -> None:
    """Measure the mean of the latents of a manifest's training clips, as a baseline.

    Example: xplain data-mean manifest.csv --synthesizer stft --out mean
    """
    from xplain.registry import registry
    from xplain_codecs.fit.manifest import read_manifest
    from xplain_codecs.replacements.data_mean import measure

    params = parameters("--synthesizer-param", synthesizer_param)
    made = registry().create("synthesizer", synthesizer, params)
    entries = read_manifest(manifest, pairs("--where", where), None, 0)
    average = measure([e.file for e in entries if e.part == "train"], made)
    average.save(out)
    say(f"{out}: the mean of {average.frames} frames of {average.clips} clips")
