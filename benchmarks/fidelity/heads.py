"""The classifiers: fitted on a codec's latents by xplain fit, once, and kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from recordings import shared

import xplain
from fidelity.plan import DATA, HEADS, JUDGE, JUDGE_SEED, QUANTISED, Fitting
from xplain_codecs.codecs.encodec import Encodec
from xplain_codecs.fit.fit import Task, fit

ZOO = "zoo:digits-latent"


def classifiers(data: str, codec: str, seed: int, out: Path) -> tuple[xplain.Model, xplain.Model]:
    """The classifier that is explained, and one trained independently: other seed, other head."""
    judge = _fitted(data, codec, JUDGE, JUDGE_SEED, out)
    if (data, codec) == ("digits", "zoo"):
        return xplain.load_model(ZOO), judge
    return _fitted(data, codec, HEADS[data], seed, out), judge


def _fitted(data: str, codec: str, fitting: Fitting, seed: int, out: Path) -> xplain.Model:
    """Fit a head, or take the one that was."""
    folder = out / "heads" / f"{data}-{codec}-{fitting.head}-{seed}"
    name, parameters = _synthesizer(codec)
    task = Task(
        manifest=shared() / "data" / "manifest.csv",
        synthesizer=name,
        synthesizer_params=parameters,
        head=fitting.head,
        head_params=fitting.sizes,
        training=fitting.seeded(seed),
        where={"dataset": DATA[data].dataset},
    )
    report = fit(task, folder, latents=out / "latents")
    print(
        f"{folder.name}: accuracy {report.accuracy.mean:.3f} on {report.clips['test']} test clips"
    )
    return xplain.load_model(f"latent:{folder}")


def _synthesizer(codec: str) -> tuple[str, dict[str, Any]]:
    """Name and parameters of a codec's synthesizer."""
    if codec == "lyra":
        return "lyra", {"folder": str(shared() / "models" / "lyra"), "quantised": QUANTISED}
    reads = xplain.load_model(ZOO).reads
    assert isinstance(reads, Encodec)
    return "encodec", {"checkpoint": reads.checkpoint, "quantised": reads.quantised}
