"""``xplain nmf scenes``: a manifest of clips in, labelled scenes with their stems out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def scenes(
    manifest: Annotated[
        Path, typer.Argument(help="CSV: path (from its folder), dataset, split, label, speaker")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the scenes; an interrupted run resumes")],
    split: Annotated[str, typer.Option(help="Split of the clips: train, dev, test")] = "train",
    seconds: Annotated[float, typer.Option(help="Length of each scene")] = 10.0,
    count: Annotated[int, typer.Option(help="Number of scenes")] = 100,
    seed: Annotated[int, typer.Option(help="Random seed")] = 0,
    mapping: Annotated[
        Path | None,
        typer.Option(
            help="JSON file that gives each class (speech, music, noise) its data sets and shares "
            "[default: the project's own data sets]"
        ),
    ] = None,
    augment: Annotated[
        bool,
        typer.Option("--augment", help="Vary tempo, rooms and microphones, to train on few clips"),
    ] = False,
) -> None:
    """Mix scenes of speech, a second speaker, music and noise, with labels for each 20 ms.

    Example: xplain nmf scenes manifest.csv --out scenes --count 1200 --augment
    """
    from xplain.progress import say
    from xplain_nmf.scenes.folder import Order, make_scenes
    from xplain_nmf.scenes.sources import DEFAULT

    order = Order(manifest, split, seconds, count, seed, augment, mapping or DEFAULT)
    make_scenes(order, out)
    say(f"scenes: {out / 'manifest.csv'}")
