"""``xplain fit``: a manifest of recordings in, a classifier on a codec's latents out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xplain.cli.batch import machines
from xplain.cli.parameters import pairs, parameters
from xplain.progress import say

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def fit(
    manifest: Annotated[
        Path, typer.Argument(help="CSV: path (from its folder), label; split where it has one")
    ],
    synthesizer: Annotated[str, typer.Option(help="Whose latents: stft, or a codec")],
    out: Annotated[Path, typer.Option(help="Folder for the classifier; latent:FOLDER loads it")],
    synthesizer_param: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="A parameter of the synthesizer")
    ] = None,
    head: Annotated[
        str, typer.Option(help="transformer, conv, gru, statistics, bands")
    ] = "transformer",
    head_param: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="A size of the head: width=128, …")
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="Only rows whose column K says V")
    ] = None,
    split_by: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="Where test or dev is not given, hold out whole groups: speaker"
        ),
    ] = None,
    epochs: Annotated[int, typer.Option(help="At most")] = 20,
    patience: Annotated[int, typer.Option(help="Epochs without a better one, then stop")] = 6,
    batch: Annotated[int, typer.Option(help="Clips of a step")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Of AdamW, at its highest")] = 1e-3,
    weight_decay: Annotated[float, typer.Option(help="Of AdamW")] = 0.01,
    smoothing: Annotated[float, typer.Option(help="Label smoothing")] = 0.1,
    balanced: Annotated[
        bool, typer.Option("--balanced", help="Weigh all labels equally, however rare")
    ] = False,
    masking: Annotated[
        float,
        typer.Option(
            help="Share of clips trained on with random elements masked: the classifier "
            "depends less on each"
        ),
    ] = 0.0,
    emphasis: Annotated[
        float,
        typer.Option(
            help="Share of clips trained on with their top-ranked elements alone, or without them: "
            "explanations become more faithful"
        ),
    ] = 0.0,
    reencoded: Annotated[
        float, typer.Option(help="Share of these clips that is decoded and re-encoded")
    ] = 0.5,
    seed: Annotated[int, typer.Option(help="Random seed")] = 0,
    latents: Annotated[
        Path | None,
        typer.Option(help="Keep encoded clips in this folder and reuse them [default: remove]"),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as JSON on standard output")
    ] = False,
) -> None:
    """Fit a classifier on the latents of a frozen codec; an interrupted fit resumes.

    Example: xplain fit manifest.csv --synthesizer stft --out words
    """
    from xplain_codecs.fit.fit import Task
    from xplain_codecs.fit.fit import fit as fitted
    from xplain_codecs.fit.training import Training

    task = Task(
        manifest=manifest,
        synthesizer=synthesizer,
        head=head,
        synthesizer_params=parameters("--synthesizer-param", synthesizer_param),
        head_params=parameters("--head-param", head_param),
        training=Training(
            epochs=epochs,
            patience=patience,
            batch=batch,
            learning_rate=learning_rate,
            weight_decay=weight_decay,
            smoothing=smoothing,
            balanced=balanced,
            masking=masking,
            emphasis=emphasis,
            reencoded=reencoded,
            seed=seed,
        ),
        where=pairs("--where", where),
        split_by=split_by,
    )
    with machines() as output:
        report = fitted(task, out, latents=latents, device=device)
        if as_json:
            output.tell(report.to_dict())
        for line in report.lines():
            say(line)
        for name, error in report.failed.items():
            say(f"failed: {name}: {error}")
        say(f"classifier: latent:{out}")
    if report.failed:
        raise typer.Exit(1)
