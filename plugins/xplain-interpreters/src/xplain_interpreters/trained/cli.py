"""``xplain fit-explainer``: a model and recordings in, a trained explainer out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xplain.cli.parameters import Pairs, pairs, parameter_of, parameters
from xplain.errors import PluginError, nearest
from xplain.progress import say

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def fit_explainer(
    manifest: Annotated[
        Path, typer.Argument(help="CSV: path, from its folder; split if it has one")
    ],
    model: Annotated[
        str, typer.Option(help="The model: SCHEME:NAME of a plugin, or FILE.py:FACTORY")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the explainer")],
    explainer: Annotated[
        str, typer.Option(help="l-mac, listen-to-interpret or sparse-autoencoder")
    ] = "l-mac",
    synthesizer: Annotated[
        str | None,
        typer.Option(help="The representation  [default: what the model reads, or stft]"),
    ] = None,
    synthesizer_param: Annotated[Pairs, parameter_of("the synthesizer")] = None,
    where: Annotated[
        list[str] | None, typer.Option(metavar="K=V", help="Only rows whose column K says V")
    ] = None,
    steps: Annotated[int, typer.Option(help="Steps of training")] = 400,
    batch: Annotated[int, typer.Option(help="Clips of a step")] = 8,
    seconds: Annotated[float, typer.Option(help="Seconds of a clip that a step hears")] = 1.0,
    learning_rate: Annotated[float, typer.Option(help="Learning rate of AdamW")] = 1e-3,
    inside: Annotated[
        float, typer.Option(help="l-mac: weight of the decision on what is kept")
    ] = 4.0,
    outside: Annotated[float, typer.Option(help="l-mac: weight of the decision on the rest")] = 0.2,
    sparsity: Annotated[float, typer.Option(help="l-mac: weight of the mask's mean")] = 0.4,
    guidance: Annotated[
        float, typer.Option(help="l-mac: weight of what the mask takes away")
    ] = 0.0,
    components: Annotated[
        int, typer.Option(help="Components of the dictionary of listen-to-interpret")
    ] = 32,
    reconstruction: Annotated[
        float, typer.Option(help="listen-to-interpret: weight of the clip's reconstruction")
    ] = 10.0,
    quiet: Annotated[
        float, typer.Option(help="listen-to-interpret: weight of the activations' mean")
    ] = 0.8,
    features: Annotated[int, typer.Option(help="Features of sparse-autoencoder")] = 64,
    active: Annotated[
        int, typer.Option(help="sparse-autoencoder: features that are active in a frame")
    ] = 8,
    width: Annotated[int, typer.Option(help="Channels inside the network")] = 24,
    every: Annotated[int, typer.Option(help="Steps from one checkpoint to the next")] = 50,
    seed: Annotated[int, typer.Option(help="Random seed")] = 0,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, …  [default: the model's device]")
    ] = None,
) -> None:
    """Train an explainer on a model's hidden layers; an interrupted training resumes.

    Of L-MAC a mask, of Listen to Interpret activations of a dictionary of spectra. A sparse
    autoencoder is trained on the representation alone, and explains any model in it.

    Example: xplain fit-explainer clips.csv --model zoo:digits --out masks
    """
    from xplain.manifest import check_files, rows
    from xplain.models import load_model, make_synthesizer
    from xplain_interpreters.trained.autoencoder import SparseAutoencoder
    from xplain_interpreters.trained.interpreter import Interpreter, Training
    from xplain_interpreters.trained.mask import Decoder
    from xplain_interpreters.trained.parts import Parts
    from xplain_interpreters.trained.training import fit

    each: tuple[type[Interpreter], ...] = (Decoder, Parts, SparseAutoencoder)
    kinds = {kind.kind: kind for kind in each}
    if explainer not in kinds:
        raise PluginError(f"no explainer {explainer!r} is trained; {nearest(explainer, kinds)}")
    training = Training(
        steps=steps,
        batch=batch,
        seconds=seconds,
        learning_rate=learning_rate,
        inside=inside,
        outside=outside,
        sparsity=sparsity,
        guidance=guidance,
        components=components,
        reconstruction=reconstruction,
        quiet=quiet,
        features=features,
        active=active,
        width=width,
        every=every,
        seed=seed,
    )
    found = rows(manifest, where=pairs("--where", where))
    check_files(found, manifest)
    asked = load_model(model)
    given = parameters("--synthesizer-param", synthesizer_param)
    made = asked.reads
    if made is None or synthesizer is not None:
        made = make_synthesizer(synthesizer or "stft", asked.sample_rate, given)
    cost = fit(kinds[explainer], asked, made, [row.file for row in found], out, training, device)
    say(f"loss: {cost:.3f}", f"explainer: {explainer} with folder={out}")
