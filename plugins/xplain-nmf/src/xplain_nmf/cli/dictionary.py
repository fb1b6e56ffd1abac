"""``xplain nmf dictionary``: a manifest of clips in, the spectra they are made of out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def dictionary(
    manifest: Annotated[
        Path, typer.Argument(help="CSV: path (from its folder), dataset, split, label")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the dictionary")],
    components: Annotated[
        int, typer.Option(help="Number of components of all classes together")
    ] = 256,
    preset: Annotated[
        str,
        typer.Option(
            help="causal: class-wise, of level-normalised spectra; paper: of all classes at once, "
            "of log(1 + power). As in xplain nmf train"
        ),
    ] = "causal",
    class_wise: Annotated[
        bool | None,
        typer.Option("--class-wise/--no-class-wise", help="Separate components for each class"),
    ] = None,
    scale: Annotated[
        float | None, typer.Option(help="Factor on the power before its logarithm")
    ] = None,
    level_seconds: Annotated[
        float | None, typer.Option(help="Time constant of the level normalisation; 0: none")
    ] = None,
    seconds: Annotated[float, typer.Option(help="Audio of each class")] = 300.0,
    loss: Annotated[
        str, typer.Option(help="frobenius, kullback-leibler or itakura-saito")
    ] = "frobenius",
    sparsity: Annotated[
        float, typer.Option(help="Weight of the L1 penalty on the activations")
    ] = 0.0,
    iterations: Annotated[int, typer.Option(help="Maximum number of updates")] = 200,
    split: Annotated[str, typer.Option(help="Split of the clips: train, dev, test")] = "train",
    mapping: Annotated[
        Path | None,
        typer.Option(
            help="JSON file that gives each class (speech, music, noise) its data sets and shares "
            "[default: the project's own data sets]"
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed")] = 0,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda")] = "cpu",
) -> None:
    """Learn the dictionary of an NMF from recordings of speech, music and noise.

    Example: xplain nmf dictionary manifest.csv --components 256 --out dictionary
    """
    from dataclasses import replace
    from typing import cast, get_args

    from xplain.errors import XplainError, nearest
    from xplain.progress import say
    from xplain_nmf.dictionary.factorisation import Loss
    from xplain_nmf.dictionary.learning import Plan, learn
    from xplain_nmf.scenes.sources import DEFAULT
    from xplain_nmf.spectrum import Spectrum

    spectra = {"causal": Spectrum(), "paper": Spectrum.paper()}
    if preset not in spectra:
        raise XplainError(f"no preset {preset!r}; {nearest(preset, spectra)}")
    if loss not in get_args(Loss):
        raise XplainError(f"no loss {loss!r}; {nearest(loss, get_args(Loss))}")
    if not (components >= 1 and iterations >= 1 and seconds > 0 and sparsity >= 0):
        raise XplainError("components, iterations and seconds are above 0, sparsity is not below")
    spectrum = spectra[preset]
    try:
        if scale is not None:
            spectrum = replace(spectrum, scale=scale)
        if level_seconds is not None:
            spectrum = replace(spectrum, level_seconds=level_seconds or None)
    except ValueError as error:
        raise XplainError(str(error)) from error
    plan = Plan(
        components,
        spectrum,
        preset == "causal" if class_wise is None else class_wise,
        seconds,
        cast(Loss, loss),
        sparsity,
        iterations,
        seed,
        split,
        mapping or DEFAULT,
    )
    learn(manifest, plan, device).save(out)
    say(f"dictionary: {out}")
