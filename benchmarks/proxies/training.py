"""The proxies that are compared: which, on what, and how they are trained."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from xplain.errors import ArtifactError
from xplain_nmf.dictionary.dictionary import Dictionary
from xplain_nmf.dictionary.learning import Plan, learn
from xplain_nmf.scenes.folder import Order, make_scenes
from xplain_nmf.spectrum import Spectrum
from xplain_nmf.training.building import Features
from xplain_nmf.training.distilling import Task, distil
from xplain_nmf.training.training import Settings

COMPONENTS = (32, 64, 128, 256)
SECONDS = 10.0
"""Of a piece."""


@dataclass(frozen=True)
class Variant:
    """One proxy. trained: whether its dictionary is."""

    preset: str
    trained: bool
    components: int

    @property
    def name(self) -> str:
        """For folders and for people."""
        return f"{self.preset}-{'trained' if self.trained else 'fixed'}-{self.components}"


VARIANTS = tuple(
    Variant(preset, trained, components)
    for components in COMPONENTS
    for preset in ("paper", "causal")
    for trained in (False, True)
)


@dataclass(frozen=True)
class Bench:
    """Where everything is. out: what is made on the way, kept, so that it goes on.

    manifest: of the clips to mix. scenes: how many to train on, 10 s each. steps, batch: of each
    training. layer: of the teacher, which every proxy reads beside the spectrum.
    """

    out: Path
    manifest: Path
    teacher: str
    layer: str
    scenes: int = 300
    steps: int = 150
    batch: int = 2

    def mixed(self, split: str, count: int, seconds: float) -> Path:
        """The manifest of scenes mixed from a split, which are made where they are not yet."""
        folder = self.out / "scenes" / split
        seed = {"train": 0, "test": 2}[split]
        order = Order(self.manifest, split, seconds, count, seed, augment=split == "train")
        make_scenes(order, folder)
        return folder / "manifest.csv"

    def dictionary(self, preset: str, components: int) -> None:
        """Learn a dictionary where it is not yet: class-wise for ours, the paper's for its.

        In ours a third of the speech components are doubled for overlapped speech, so that
        nine in ten of K are learned.
        """
        ours = preset == "causal"
        learned = round(components * 0.9) if ours else components
        spectrum = Spectrum() if ours else Spectrum.paper()
        folder = self.out / "dictionaries" / f"{preset}-{components}"
        try:
            Dictionary.load(folder)
        except ArtifactError:
            learn(self.manifest, Plan(learned, spectrum, ours, seconds=150.0)).save(folder)

    def task(self, variant: Variant, audio: Path) -> Task:
        """How a proxy is trained."""
        return Task(
            teacher=self.teacher,
            audio=(audio,),
            dictionary=self.out / "dictionaries" / f"{variant.preset}-{variant.components}",
            preset=variant.preset,
            features=Features(layer_of=self.teacher, layer=self.layer),
            train_dictionary=variant.trained,
            seconds=SECONDS,
            settings=Settings(self.steps, self.batch, 3e-3, precision="bfloat16", every=100),
        )

    def folder(self, variant: Variant, audio: Path) -> Path:
        """Where a proxy is, once it is trained; of other settings it is another one."""
        key = hashlib.sha256(repr(self.task(variant, audio)).encode()).hexdigest()[:8]
        return self.out / "proxies" / f"{variant.name}-{key}"

    def proxy(self, variant: Variant, audio: Path) -> Path:
        """The folder of a proxy, which is trained where it is not yet."""
        folder = self.folder(variant, audio)
        if not (folder / "training.json").is_file():
            self.dictionary(variant.preset, variant.components)
            distil(self.task(variant, audio), folder)
        return folder
