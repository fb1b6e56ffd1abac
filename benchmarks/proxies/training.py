"""The proxies that are measured: of whom, on what, and how they are trained.

    python -m proxies.training multi pyannet ina silero --out OUT       (in benchmarks/)

Scenes, unmixed recordings, dictionaries and proxies lie in OUT, and are made where they are not
yet; a training that was interrupted goes on. Needs the recordings and models of ../shared, and
this folder installed, for the layers of others (``pip install -e benchmarks``).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from recordings import shared

from proxies import unmixed
from xplain.errors import ArtifactError
from xplain_nmf.dictionary.dictionary import Dictionary
from xplain_nmf.dictionary.learning import Plan, learn
from xplain_nmf.scenes.folder import Order, make_scenes
from xplain_nmf.spectrum import Spectrum
from xplain_nmf.training.building import Features, build
from xplain_nmf.training.objectives import Objective
from xplain_nmf.training.presets import PRESETS
from xplain_nmf.training.recordings import Recordings, read_recordings
from xplain_nmf.training.teachers import load_teacher
from xplain_nmf.training.training import Settings, train

ROOT = Path(__file__).resolve().parents[2]
RADIO = ROOT / "plugins" / "xplain-zoo" / "src" / "xplain_zoo" / "weights" / "radio"
BLACK_BOX = f"{ROOT}/examples/black_box_speech.py:silero"
FOUR = ("speech", "music", "noise", "overlap")
SCENES = 240
SECONDS = 10.0
"""Of a piece."""


@dataclass(frozen=True)
class Variant:
    """A proxy. teachers: model references.

    quick: who answers in their place while it is trained, and hearing: who is asked about audio
    without an explanation when it is measured: the same weights, asked less often. layer: of what
    model which layer is read beside the spectrum. heard: pieces of a batch whose explanations
    the teacher hears, in every so manyth step (every). steps: 0 for zoo:radio as it is shipped.
    weights: of the objective, where they are others than the preset's.
    """

    teachers: tuple[str, ...]
    labels: tuple[str, ...]
    quick: tuple[str, ...] = ()
    hearing: tuple[str, ...] = ()
    layer: tuple[str, str] | None = None
    preset: str = "causal"
    steps: int = 0
    heard: int = 1
    every: int = 1
    loudness: bool = False
    weights: tuple[tuple[str, float], ...] = ()


BLOCKS = ("zoo:radio-teacher", "blocks")
INA, SELDOM = ("third-party:ina-80",), ("third-party:ina-160",)
VARIANTS = {
    "zoo:radio": Variant(("zoo:radio-teacher",), FOUR, layer=BLOCKS),
    "paper": Variant(("zoo:radio-teacher",), FOUR, layer=BLOCKS, preset="paper", steps=250),
    "multi": Variant(
        ("third-party:pyannet", "third-party:ina"),
        FOUR,
        ("third-party:pyannet", *INA),
        ("third-party:pyannet", *SELDOM),
        ("third-party:pyannet-and-ina", "heard"),
        steps=1500,
        every=2,
        weights=(("removal", 1.6), ("contrast", 1.0)),
    ),
    "pyannet": Variant(
        ("third-party:pyannet",),
        ("speech", "overlap"),
        layer=("third-party:pyannet", "pyannet.linear.1"),
        steps=250,
        every=3,
    ),
    "ina": Variant(
        ("third-party:ina",),
        ("speech", "music", "noise"),
        INA,
        SELDOM,
        (*INA, "embedding"),
        steps=600,
        every=4,
    ),
    "silero": Variant(
        (BLACK_BOX,),
        ("speech",),
        hearing=("third-party:silero",),
        layer=BLOCKS,
        steps=1500,
        loudness=True,
    ),
}


@dataclass(frozen=True)
class Bench:
    """Where everything is. out: what is made on the way, kept. manifest: of the clips."""

    out: Path
    manifest: Path

    def scenes(self) -> Path:
        """The manifest of scenes to train on, which are mixed where they are not yet."""
        folder = self.out / "scenes" / "train"
        make_scenes(Order(self.manifest, "train", SECONDS, SCENES, 0, augment=True), folder)
        return folder / "manifest.csv"

    def recordings(self) -> Path:
        """The manifest of what is heard unmixed."""
        folder = self.out / "scenes" / "unmixed"
        there = folder / "manifest.csv"
        return there if there.is_file() else unmixed.write(self.manifest, folder)

    def dictionary(self, preset: str) -> Dictionary:
        """Class-wise for ours, the paper's for its; learned where it is not yet."""
        ours = PRESETS[preset].classwise
        folder = self.out / "dictionaries" / preset
        try:
            return Dictionary.load(folder)
        except ArtifactError:
            spectrum = Spectrum() if ours else Spectrum.paper()
            found = learn(self.manifest, Plan(116 if ours else 128, spectrum, ours, seconds=150.0))
            found.save(folder)
            return found

    def proxy(self, name: str) -> Path:
        """The folder of a proxy, which is trained where it is not yet."""
        variant, folder = VARIANTS[name], self.out / "proxies" / name
        if not variant.steps:
            return RADIO
        if (folder / "training.json").is_file():
            return folder
        teacher = load_teacher(variant.quick or variant.teachers, variant.labels)
        preset = PRESETS[variant.preset]
        weights = replace(preset.objective.weights, **dict(variant.weights))
        objective = Objective(
            weights, preset.objective.start, preset.objective.thinning, variant.heard, variant.every
        )
        features = Features(None, *(variant.layer or (None, None)), variant.loudness)
        proxy = build(preset, self.dictionary(variant.preset), teacher, features)
        audio = [self.scenes(), self.recordings()]
        several = [read_recordings(each, SECONDS, teacher.labels) for each in audio]
        pieces = [piece for recordings in several for piece in recordings.pieces]
        train(
            proxy,
            objective,
            teacher,
            Recordings(pieces, SECONDS, teacher.labels),
            folder,
            Settings(variant.steps, 4, 2e-3, every=50),
            None,
            {"preset": variant.preset},
            calibrated=preset.calibrated,
        )
        return folder


def main() -> None:
    """Train those that are asked for, one after another."""
    parser = argparse.ArgumentParser(prog="python -m proxies.training")
    parser.add_argument("names", nargs="+", choices=list(VARIANTS))
    parser.add_argument("--out", type=Path, default=Path("out/nmf_proxy"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(options.out, shared() / "data" / "manifest.csv")
    for name in options.names:
        print(bench.proxy(name))


if __name__ == "__main__":
    main()
