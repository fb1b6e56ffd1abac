"""``xplain demo``: the main job on what this plugin brings, offline."""

from __future__ import annotations

from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

MODELS = ("digits", "digits-latent")
"""One reads the waveform and is explained on a spectrogram, one is on a generative codec."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the page and the audio")] = Path("out/demo"),
) -> None:
    """Explain why two networks heard the word they heard, and what decided in half a minute.

    Example: xplain demo --out out/demo
    """
    from xplain import explain
    from xplain.cli.explain import KEEP, REMOVE, lines, page_of
    from xplain.cli.segment import Format, run
    from xplain.errors import ArtifactError
    from xplain.progress import say, track
    from xplain.report.index import PAGE
    from xplain.report.page import write_page

    if out.exists() and not out.is_dir():
        raise ArtifactError(f"{out} is a file; give a folder with --out")
    folders = [out / name for name in MODELS]
    with as_file(files("xplain_zoo") / "clips" / "seven.wav") as clip:
        for name, folder in zip(MODELS, track(folders, len(folders), "explaining"), strict=True):
            explanation = explain(clip, f"zoo:{name}")
            explanation.check()
            explanation.save(folder, keep=KEEP, remove=REMOVE)
            write_page(explanation, folder / PAGE)
            say(*lines(explanation, folder))
    written = page_of(out, folders)
    with as_file(files("xplain_zoo") / "clips" / "radio.flac") as clip:
        run([str(clip)], "zoo:radio", {"explain": True}, (Format.rttm,), out)
    if not written:
        raise typer.Exit(1)
