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
    names: Annotated[
        Path | None,
        typer.Option(help="CSV with path and label: components are named after what they sound in"),
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda")] = "cpu",
) -> None:
    """Average what decides for each label over a corpus: a page to listen to, and numbers.

    Example: xplain nmf prototypes nmf:proxy manifest.csv --out prototypes
    """
    from xplain.manifest import rows
    from xplain.progress import say
    from xplain_nmf.prototypes.corpus import additive, measure_corpus
    from xplain_nmf.prototypes.examples import examples, name_components, page
    from xplain_nmf.prototypes.plot import png
    from xplain_nmf.prototypes.prototypes import PAGE
    from xplain_nmf.segmenter import NmfSegmenter

    found = measure_corpus(model, manifest, split, device)
    _, segmenter = additive(model)
    named = name_components(segmenter, rows(names, ("label",))) if names else ()
    sounds = examples(segmenter, found) if isinstance(segmenter, NmfSegmenter) else {}
    picture = png(found)
    found.save(out, picture, {PAGE: page(found, picture, sounds, named)})
    for c, label in enumerate(found.labels):
        say(
            f"{label}: {found.segments[c]} segments, {found.seconds[c]:.1f} s; components "
            + (", ".join(map(str, found.own(c)[:12])) or "none")
        )
    say(f"active: {found.active_share:.1%} of H; page: {out / PAGE}")


def drift(
    one: Annotated[Path, typer.Argument(help="Folder that xplain nmf prototypes wrote")],
    other: Annotated[Path, typer.Argument(help="The same proxy's, over other recordings")],
) -> None:
    """Say how what decides for each label differs between two corpora, as JSON.

    Example: xplain nmf drift prototypes of-last-year
    """
    import json

    from xplain_nmf.prototypes.examples import drift as compare
    from xplain_nmf.prototypes.prototypes import Prototypes

    print(json.dumps(compare(Prototypes.load(one), Prototypes.load(other)), indent=2))
