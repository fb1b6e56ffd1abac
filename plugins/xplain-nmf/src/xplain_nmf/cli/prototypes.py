"""``xplain nmf prototypes``: a proxy and a manifest in, what decides for each label out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def prototypes(
    model: Annotated[
        str, typer.Argument(help="A proxy's folder, or a reference: nmf:FOLDER, zoo:radio")
    ],
    manifest: Annotated[Path, typer.Argument(help="CSV: path (from its folder); split")],
    out: Annotated[Path, typer.Option(help="Folder for JSON, tensors and the picture")],
    split: Annotated[
        str | None, typer.Option(help="Only recordings whose column split says this")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda")] = "cpu",
) -> None:
    """Average what decides for each label over a corpus, and plot it."""
    from xplain.progress import say
    from xplain_nmf.prototypes.corpus import measure_corpus
    from xplain_nmf.prototypes.plot import png
    from xplain_nmf.prototypes.prototypes import PICTURE

    found = measure_corpus(model, manifest, split, device)
    found.save(out, png(found))
    for c, label in enumerate(found.labels):
        say(
            f"{label}: {found.segments[c]} segments, {found.seconds[c]:.1f} s; components "
            + (", ".join(map(str, found.own(c)[:12])) or "none")
        )
    say(f"active: {found.active_share:.1%} of H; picture: {out / PICTURE}")
