"""Are kept and removed sounds nearer to natural ones with the in-painter than without it?

Digits that the zoo's latent classifier decides are kept to a share of their elements, or rid of it,
by saliency, with each replacement in the rest, decoded, and embedded by a speaker encoder that
nobody here trained (Resemblyzer). The distance is 1 − the largest cosine to a natural recording of
the test split other than itself; natural recordings have one too. Needs ../shared.

    python benchmarks/inpainting.py --clips 20 --out benchmarks/results
"""

from __future__ import annotations

import argparse
import csv
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from recordings import digits, shared
from scipy import stats
from third_party.speaker import VoiceEncoder
from torch import Tensor

import xplain
from xplain.audio import read, resample, resample_tensor

RATE = 16_000
REPLACEMENTS = ("zoo-inpainter", "silence", "mean", "noise", "white-noise")
RATIOS = (0.1, 0.3)


@torch.no_grad()
def main() -> None:
    """Measure, print, and write a row for each sound."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--clips", type=int, default=20)
    arguments.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = arguments.parse_args()
    torch.set_num_threads(1)
    encoder = VoiceEncoder.load(shared() / "models" / "third-party").eval()
    model = xplain.load_model("zoo:digits-latent")

    def embedded(waveform: Tensor, rate: int) -> Tensor:
        found: Tensor = encoder(resample_tensor(waveform[None], rate, RATE))[0]
        return found / found.norm()

    files = digits("test")
    natural = {}
    for file in files[::2]:  # at the model's rate, as what is decoded is
        sound = resample(read(file), model.sample_rate)
        natural[file] = embedded(sound.waveform, model.sample_rate)

    def distance(vector: Tensor, file: Path) -> float:
        others = torch.stack([other for name, other in natural.items() if name != file])
        return 1 - float((others @ vector).max())

    rows: list[dict[str, object]] = []
    for file in list(natural)[:: max(1, len(natural) // options.clips)][: options.clips]:
        known = {"clip": file.stem, "replacement": "", "ratio": ""}
        rows.append({**known, "what": "natural", "distance": distance(natural[file], file)})
        for name in REPLACEMENTS:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                settings = {"explainer": "saliency", "baseline": "silence"}
                e = xplain.explain(file, model, replacement=name, **settings)  # type: ignore[call-overload]
            for ratio in RATIOS:
                for what, sound in (("keep", e.keep(ratio)), ("remove", e.remove(ratio))):
                    off = distance(embedded(sound, e.sample_rate), file)
                    known = {"clip": file.stem, "replacement": name, "ratio": ratio}
                    rows.append({**known, "what": what, "distance": off})
        print(file.stem, flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    with (options.out / "inpainting.csv").open("w", newline="") as out:
        writer = csv.DictWriter(out, ["clip", "replacement", "ratio", "what", "distance"])
        writer.writeheader()
        writer.writerows(rows)
    show(rows)


def show(rows: list[dict[str, object]]) -> None:
    """The mean distance of each kind, and a test against silence, paired by clip."""
    by: dict[tuple[object, ...], list[float]] = defaultdict(list)
    for row in rows:
        by[row["what"], row["ratio"], row["replacement"]].append(float(str(row["distance"])))
    for (what, ratio, name), found in sorted(by.items(), key=str):
        line = f"{what} {ratio} {name}: {np.mean(found):.3f}"
        silent = by.get((what, ratio, "silence"))
        if silent is not None and name != "silence":
            line += f" (against silence p = {stats.wilcoxon(found, silent).pvalue:.1g})"
        print(line)


if __name__ == "__main__":
    main()
