"""``xplain fit-inpainter``: recordings in, a replacement that paints over what is removed out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xplain.cli.parameters import Pairs, pairs, parameter_of, parameters
from xplain.progress import say

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def fit_inpainter(
    manifest: Annotated[Path, typer.Argument(help="CSV: path, from its folder")],
    synthesizer: Annotated[str, typer.Option(help="Whose latents: a codec, or stft")],
    out: Annotated[Path, typer.Option(help="Folder for the in-painter")],
    synthesizer_param: Annotated[Pairs, parameter_of("the synthesizer")] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="Only rows whose column K says V")
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of training")] = 3000,
    batch: Annotated[int, typer.Option(help="Pieces of a step")] = 16,
    frames: Annotated[int, typer.Option(help="Frames of a piece")] = 50,
    width: Annotated[int, typer.Option(help="Channels inside the network")] = 160,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate of AdamW")] = 2e-3,
    every: Annotated[int, typer.Option(help="Steps from one checkpoint to the next")] = 250,
    seed: Annotated[int, typer.Option(help="Random seed")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an in-painter in --out")] = False,
) -> None:
    """Train an in-painter on a codec's latents; an interrupted training resumes.

    Example: xplain fit-inpainter clips.csv --synthesizer stft --out filler
    """
    from xplain.manifest import check_files, rows
    from xplain_codecs.fit.codec_record import Codec
    from xplain_codecs.replacements.inpainting.training import Training, fit

    found = rows(manifest, where=pairs("--where", where))
    check_files(found, manifest)
    codec, made = Codec.of(synthesizer, parameters("--synthesizer-param", synthesizer_param))
    training = Training(steps, batch, frames, width, learning_rate, every, seed)
    files = [row.file for row in found]
    reached = fit(codec, made, files, out, training, device=device, overwrite=overwrite)
    say(
        f"{out}: {reached['nats']:.3f} nats an element on recordings held out, "
        f"{reached['plain']:.3f} by each channel's mean and spread",
        f"replacement: inpainter with folder={out}",
    )
