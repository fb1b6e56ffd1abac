"""What the zoo's codec keeps, and whether zoo:digits-latent can be explained on it.

    python -m training.measure_codec MANIFEST --dataset fsdd --split test

prints, of the clips of a manifest: how the classifier decides, how alike the codec leaves
them, and whether explanations hold on the latents and after re-encoding. Needs the
plugins that make explanations, xplain-codecs and xplain-captum.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import xplain
from training.clips_manifest import Clip, read_manifest
from training.spectral import log_spectral_correlation
from xplain_zoo.digits import LABELS

RATIO = 0.1
METHOD = "integrated-gradients"


@dataclass(frozen=True)
class Figures:
    """Means over clips.

    accuracy: share of clips decided right. round_trip: whose decision stays when they are
    decoded and encoded again. correlation: of log spectra with what comes back, with its
    least; see log_spectral_correlation. kept, removed: share whose decision stays the model's own
    with only, or without, the top tenth of the latents' elements, by method; reencoded: of the
    same as it is decoded and encoded again.
    """

    clips: int
    accuracy: float
    round_trip: float
    correlation: float
    least_correlation: float
    kept: dict[str, float]
    kept_reencoded: dict[str, float]
    removed: dict[str, float]
    removed_reencoded: dict[str, float]


class Chance(xplain.Explainer):
    """The control: an order by chance."""

    def attribute(self, score: xplain.Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Noise (D, N)."""
        return torch.randn_like(latents)


METHODS: dict[str, str | xplain.Explainer] = {METHOD: METHOD, "random": Chance()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the clips that are asked for, and print the figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m training.measure_codec")
    parser.add_argument("manifest", type=Path, help="CSV: path (from its folder), label, speaker")
    parser.add_argument("--dataset", help="only rows whose column dataset says this")
    parser.add_argument("--split", help="only clips of this split")
    parser.add_argument("--every", type=int, default=1, help="only every so-manieth clip")
    parser.add_argument("--model", default="zoo:digits-latent", help="a classifier on a codec")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    model = xplain.load_model(options.model)
    clips = read_manifest(options.manifest, LABELS, model.sample_rate, options.dataset)
    clips = [c for c in clips if options.split in (None, c.split)][:: options.every]
    if not clips:
        raise SystemExit(f"{options.manifest}: no clips of the split {options.split!r}")
    print(json.dumps(asdict(measure(model, clips)), indent=2))


def measure(model: xplain.Model, clips: Sequence[Clip]) -> Figures:
    """All figures of a classifier on a codec's latents; see Figures."""
    codec = model.reads
    if codec is None:
        raise SystemExit(f"{model.name} reads waveforms, and no codec's latents")
    right, same, alike = [], [], []
    for clip in clips:
        with torch.no_grad():
            latents = codec.encode(clip.waveform[None])
            heard = codec.decode(latents.values, latents.context)
            decision = int(model(latents.values).argmax())
            again = int(model(codec.encode(heard).values).argmax())
        # The classifier has its labels in another order.
        right.append(model.labels[decision] == LABELS[clip.label])
        same.append(decision == again)
        alike.append(log_spectral_correlation(clip.waveform, heard[0]))
    stays = {name: _stays(model, clips, method) for name, method in METHODS.items()}
    kept, kept_reencoded, removed, removed_reencoded = (
        {name: _mean(found[which]) for name, found in stays.items()} for which in range(4)
    )
    return Figures(
        clips=len(clips),
        accuracy=_mean(right),
        round_trip=_mean(same),
        correlation=_mean(alike),
        least_correlation=round(min(alike), 4),
        kept=kept,
        kept_reencoded=kept_reencoded,
        removed=removed,
        removed_reencoded=removed_reencoded,
    )


def _stays(
    model: xplain.Model, clips: Sequence[Clip], method: str | xplain.Explainer
) -> list[list[bool]]:
    """Whether each clip's decision stays: kept, removed, each on latents and re-encoded."""
    found: list[list[bool]] = [[], [], [], []]
    for clip in clips:
        e = xplain.explain(clip.waveform, model, sample_rate=model.sample_rate, explainer=method)
        on_latents, again = e.curves([RATIO]), e.curves([RATIO], reencoded=True)
        said = (on_latents.kept, again.kept, on_latents.removed, again.removed)
        for place, one in zip(found, said, strict=True):
            place.append(bool(on_latents.agrees(one)))
    return found


def _mean(values: Sequence[Any]) -> float:
    return round(float(sum(values)) / len(values), 4)


if __name__ == "__main__":
    main()
