"""What is measured: data sets, codecs, heads, methods, spaces and ratios."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from recordings import Recording, recordings

from xplain_codecs.fit.training import Training
from xplain_evaluation.benchmark import Method
from xplain_evaluation.controls import Chance
from xplain_evaluation.structured import CONTROLS as EQUAL

RATIOS = (0.02, 0.05, 0.1, 0.2, 0.5)
KINDS = ("keep", "remove")
SPACES = ("latent", "waveform")
AREA = (0.05, 0.5)
"""Between these ratios the area under the keep curve is compared."""
BETA = 0.1
"""Share of the latents that the paper removes for its confusion matrices."""
EVALUATIONS = 50
"""Gradients that each method which takes a mean of them may ask for."""

METHODS = (
    Method("integrated-gradients", "integrated-gradients", {"steps": EVALUATIONS}),
    Method("saliency", "saliency"),
    Method("input-x-gradient", "input-x-gradient"),
    Method("expected-gradients", "gradient-shap", {"samples": EVALUATIONS}),
    Method("smooth-grad", "smooth-grad", {"samples": EVALUATIONS}),
    Method("occlusion", "occlusion"),
    Method("random", Chance()),
)
GRADIENTS = frozenset(method.label for method in METHODS[:5])
CONTROLS = {name: name.replace(" ", "-") for name in EQUAL}
"""What is kept and removed in integrated gradients' place, at equal energy: names in records."""


@dataclass(frozen=True)
class DataSet:
    """Clips of the manifest with their labels; of the test clips at most ``most`` are asked."""

    name: str
    dataset: str
    most: int

    def clips(self, most: int | None) -> dict[int, Recording]:
        """Test clips, at equal distances, by their place among all; most: fewer than the plan's."""
        every = recordings(self.dataset, "test")
        step = -(-len(every) // min(self.most, most or self.most))
        return dict(list(enumerate(every))[::step])


@dataclass(frozen=True)
class Fitting:
    """A head and how it is trained."""

    head: str
    sizes: Mapping[str, Any] = field(default_factory=dict)
    training: Training = field(default_factory=Training)

    def seeded(self, seed: int) -> Training:
        """The training with another seed."""
        return replace(self.training, seed=seed)


DATA = {
    data.name: data
    for data in (
        DataSet("digits", "fsdd", 200),
        DataSet("keywords", "picovoice-wake-words", 27),
        DataSet("emodb", "emodb", 62),
        DataSet("ravdess", "ravdess", 30),
        DataSet("tess", "tess", 28),
    )
}
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPELT = {word: str(number) for number, word in enumerate(WORDS)}
"""Labels of zoo:digits-latent as the manifest has them."""
EMOTIONS = ("emodb", "ravdess", "tess")
CODECS = ("lyra", "zoo")
FEWER = {("digits", "lyra"): 40, **{(data, codec): 20 for data in EMOTIONS for codec in CODECS}}
"""Test clips at most of the waveform, where one takes up to a minute: codecs hear hundreds of
variants of it."""
SEEDS = {"digits/lyra": 3}
"""Trainings of a classifier, where there are several."""
AGAIN = ("integrated-gradients", "random")
"""Methods by which those after the first are explained, in their latents."""
SEED = 0
"""Of the bootstrap."""
QUANTISED = False
"""Lyra's own latents: they come back from decoding far closer than what it sends."""
DIGITS = Fitting(
    "transformer",
    {"width": 128, "layers": 2, "heads": 4, "feedforward": 256, "dropout": 0.2},
    Training(epochs=24, emphasis=0.5),
)
KEYWORDS = Fitting(
    "conv",
    {"width": 64, "layers": 3, "dropout": 0.3},
    Training(epochs=16, batch=16, emphasis=0.5, reencoded=0.25),
)
EMOTION = Fitting(
    "statistics",
    training=Training(epochs=30, batch=16, learning_rate=3e-3, weight_decay=0.1, masking=0.5),
)
"""By cross-validation over the training speakers of EmoDB, better than deeper heads; with masking,
which costs a few points of accuracy there, half as many decisions change by random removal."""
HEADS = {
    "digits": DIGITS,
    "keywords": KEYWORDS,
    "emodb": EMOTION,
    "ravdess": EMOTION,
    "tess": EMOTION,
}
"""The classifier of each data set that is explained."""
JUDGE = Fitting("gru")
JUDGE_SEED = 100
