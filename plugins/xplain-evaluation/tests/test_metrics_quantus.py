"""The metrics that Quantus has too, on the same tensors; docs/metrics.md says where it differs.

Quantus is imported without OpenCV and pandas where they are absent: it needs them for rotating
pictures and for tables, and for nothing that is compared here.
"""

from __future__ import annotations

import importlib.util
import sys
import warnings
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from xplain.metric import Metric, Undefined
from xplain_evaluation import metrics

CHANNELS, FRAMES, LABELS = 6, 10, 3
ELEMENTS = CHANNELS * FRAMES
SIGNED: dict[str, Any] = {"abs": False, "normalise": False, "disable_warnings": True}
"""Attributions as they are: by default Quantus divides them by the largest of the batch."""


@pytest.fixture(scope="module")
def quantus() -> ModuleType:
    for needed in ("quantus", "skimage", "sklearn", "scipy"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"needs {needed}: pip install --no-deps quantus==0.6.0 and scikit-image")
    absent = [name for name in ("cv2", "pandas") if importlib.util.find_spec(name) is None]
    for name in absent:
        sys.modules[name] = ModuleType(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module("quantus")
    finally:
        for name in absent:
            del sys.modules[name]


class Clips:
    """Random clips (B, D, N), a small network over them, and gradient × input."""

    def __init__(self, count: int = 4) -> None:
        torch.manual_seed(0)
        hidden = nn.Linear(ELEMENTS, 8)
        self.model = nn.Sequential(nn.Flatten(), hidden, nn.Tanh(), nn.Linear(8, LABELS)).eval()
        self.clips = torch.randn(count, CHANNELS, FRAMES)
        self.labels = self.model(self.clips).argmax(1)
        self.attributions = self.explain(self.model, self.clips, self.labels)

    @staticmethod
    def explain(model: nn.Module, clips: Tensor, labels: Tensor) -> Tensor:
        inputs = clips.clone().requires_grad_()
        picked = model(inputs.flatten(1)).gather(1, labels[:, None]).sum()
        (gradient,) = torch.autograd.grad(picked, inputs)
        return (gradient * inputs).detach()

    def probability(self, clip: int, values: Tensor) -> Tensor:
        """The label's probability (n,) of variants (n, D, N) of a clip."""
        with torch.no_grad():
            said: Tensor = self.model(values).softmax(1)
            return said[:, self.labels[clip]]

    def removing(self, clip: int) -> tuple[Tensor, Tensor]:
        """The label's probabilities (D · N + 1,) with 0, 1, 2, … elements set to 0; the ratios."""
        order = self.attributions[clip].flatten().argsort(descending=True)
        variants = self.clips[clip].flatten().repeat(ELEMENTS + 1, 1)
        for removed in range(ELEMENTS + 1):
            variants[removed, order[:removed]] = 0
        curve = self.probability(clip, variants.view(-1, CHANNELS, FRAMES))
        return curve, torch.arange(ELEMENTS + 1) / ELEMENTS

    def arrays(self, attributions: Tensor | None = None) -> dict[str, Any]:
        """What Quantus is called with: one picture (1, D, N) for each clip."""
        given = self.attributions if attributions is None else attributions
        return {
            "model": self.model,
            "x_batch": self.clips[:, None].numpy(),
            "y_batch": self.labels.numpy(),
            "a_batch": given[:, None].numpy(),
            "channel_first": True,
            "device": "cpu",
        }


@pytest.fixture
def clips() -> Clips:
    return Clips()


def each(metric: Metric, *evidence: Any) -> list[float]:
    """One value for each clip, from evidence that is batch first."""
    return [metric(*one) for one in zip(*evidence, strict=True)]


@pytest.mark.parametrize(
    ("name", "metric"),
    [("Sparseness", metrics.sparseness), ("Complexity", metrics.complexity)],
)
def test_concentration_is_that_of_quantus(
    name: str, metric: Metric, quantus: ModuleType, clips: Clips
) -> None:
    # Divided by the largest first: Sparseness adds 1e-7 to every element, whatever its unit.
    theirs = getattr(quantus, name)(abs=True, normalise=True, disable_warnings=True)
    expected = theirs(**clips.arrays(clips.attributions.double()))
    assert each(metric, clips.attributions) == pytest.approx(expected, abs=1e-6)


def test_quantus_gives_numbers_for_a_clip_without_attribution(
    quantus: ModuleType, clips: Clips
) -> None:
    empty = clips.attributions.double()
    empty[0] = 0
    sparseness = quantus.Sparseness(disable_warnings=True)(**clips.arrays(empty))
    with np.errstate(invalid="ignore"):
        complexity = quantus.Complexity(disable_warnings=True)(**clips.arrays(empty))
    assert sparseness[0] == pytest.approx(0) and np.isnan(complexity[0])
    for metric in (metrics.sparseness, metrics.complexity):
        with pytest.raises(Undefined):
            metric(empty[0])


def test_pixel_flipping_is_the_curve_under_which_deletion_auc_is_the_area(
    quantus: ModuleType, clips: Clips
) -> None:
    theirs = quantus.PixelFlipping(features_in_step=1, perturb_baseline=0.0, **SIGNED)
    curves = theirs(**clips.arrays(), softmax=True)
    for clip, flipped in enumerate(curves):
        curve, ratios = clips.removing(clip)
        assert curve[1:].tolist() == pytest.approx(flipped, abs=1e-6)
        # Theirs begins after the first step and has steps of 1, not of 1 / (D · N).
        theirs_area = float(np.trapezoid(np.array(flipped)))
        first = (float(curve[0]) + flipped[0]) / 2
        expected = (theirs_area + first) / ELEMENTS
        assert metrics.deletion_auc(curve, ratios) == pytest.approx(expected, abs=1e-6)


def test_comprehensiveness_is_the_mean_of_region_perturbation(
    quantus: ModuleType, clips: Clips
) -> None:
    theirs = quantus.RegionPerturbation(
        patch_size=1, regions_evaluation=ELEMENTS, order="morf", perturb_baseline=0.0, **SIGNED
    )
    falls = theirs(**clips.arrays(), softmax=True)
    for clip, fall in enumerate(falls):
        curve, ratios = clips.removing(clip)
        ours = metrics.comprehensiveness(float(curve[0]), curve[1:], ratios[1:])
        assert ours == pytest.approx(float(np.mean(fall)), abs=1e-6)


@pytest.fixture
def regions() -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(4, CHANNELS, FRAMES, generator=generator) < 0.3


def test_relevance_mass_is_that_of_quantus_for_what_is_positive(
    quantus: ModuleType, clips: Clips, regions: Tensor
) -> None:
    theirs = quantus.RelevanceMassAccuracy(**SIGNED)
    inside = {"s_batch": regions[:, None].numpy()}
    expected = theirs(**clips.arrays(clips.attributions.clamp(min=0).double()), **inside)
    ours = each(metrics.relevance_mass, clips.attributions, regions)
    assert ours == pytest.approx(list(expected), abs=1e-9)
    # With what is negative subtracted, theirs is no share.
    signed = np.array(theirs(**clips.arrays(), **inside))
    assert ((signed < 0) | (signed > 1)).any()


def test_the_pointing_game_is_that_of_quantus_but_for_ties_and_empty_regions(
    quantus: ModuleType, clips: Clips, regions: Tensor
) -> None:
    theirs = quantus.PointingGame(**SIGNED)
    inside = {"s_batch": regions[:, None].numpy()}
    expected = theirs(**clips.arrays(), **inside)
    ours = each(metrics.pointing_game, clips.attributions, regions)
    assert ours == [float(value) for value in expected]
    levels = torch.tensor([1.0, 2.0, 3.0, 4.0])  # it refuses a batch that is one number
    tied = levels[:, None, None].expand_as(clips.attributions)
    assert [float(v) for v in theirs(**clips.arrays(tied), **inside)] == [1.0] * 4
    assert each(metrics.pointing_game, tied, regions) == pytest.approx(
        regions.double().mean((1, 2)).tolist()
    )
    nowhere = {"s_batch": np.zeros_like(inside["s_batch"])}
    assert [float(v) for v in theirs(**clips.arrays(), **nowhere)] == [1.0] * 4
    with pytest.raises(Undefined):
        each(metrics.pointing_game, clips.attributions, torch.zeros_like(regions))


def test_time_localisation_is_the_auc_of_quantus_over_frames(
    quantus: ModuleType, clips: Clips
) -> None:
    event = torch.zeros(4, FRAMES, dtype=torch.bool)
    event[:, 3:6] = True
    rounded = (20 * clips.attributions).round()  # so that there are ties
    frames = rounded.sum(1, keepdim=True)
    theirs = quantus.AUC(**SIGNED)
    expected = theirs(
        model=None,
        x_batch=frames[:, None].numpy(),
        y_batch=clips.labels.numpy(),
        a_batch=frames[:, None].numpy(),
        s_batch=event[:, None, None].numpy(),
        channel_first=True,
    )
    ours = each(metrics.time_localisation_auc, rounded, event)
    assert ours == pytest.approx(list(expected), abs=1e-9)


def test_randomisation_is_the_mprt_of_quantus_of_signed_attributions(
    quantus: ModuleType, clips: Clips
) -> None:
    made: list[Tensor] = []

    def explain(model: nn.Module, inputs: Any, targets: Any, **_: Any) -> Any:
        clip = torch.as_tensor(inputs)[:, 0]
        made.append(clips.explain(model, clip, torch.as_tensor(targets)))
        return made[-1][:, None].numpy()

    def theirs(**options: Any) -> Any:
        made.clear()
        metric = quantus.MPRT(similarity_func=quantus.correlation_spearman, **SIGNED, **options)
        return metric(**clips.arrays(), explain_func=explain)

    by_layer = theirs()
    copies = torch.stack(made[1:])  # (K, B, D, N); the first is of the model as it is
    layers = [layer for layer in by_layer if layer != "original"]
    assert len(copies) == len(layers) == 2
    for place, layer in enumerate(layers):
        ours = each(metrics.randomisation, clips.attributions, copies[place][:, None])
        assert ours == pytest.approx(by_layer[layer], abs=1e-9)
    ours = each(metrics.randomisation, clips.attributions, copies.transpose(0, 1))
    assert ours == pytest.approx(np.mean([by_layer[layer] for layer in layers], axis=0).tolist())
    # Their average counts the model as it is, whose correlation is 1, among the randomised.
    average = theirs(return_average_correlation=True)
    assert average == pytest.approx([(1 + 2 * value) / 3 for value in ours], abs=1e-6)


def test_by_default_quantus_divides_a_clip_by_the_largest_attribution_of_its_batch(
    quantus: ModuleType,
) -> None:
    small = np.array([[1e-6, 2e-6, 3e-6, 4e-6]])
    batch = np.concatenate([small, 10 * np.ones((1, 4))])
    alone, among = (
        quantus.Sparseness(disable_warnings=True)(
            model=None,
            x_batch=values[:, None, None],
            y_batch=np.zeros(len(values)),
            a_batch=values[:, None, None],
            channel_first=True,
        )[0]
        for values in (small, batch)
    )
    assert metrics.sparseness(torch.tensor(small)) == pytest.approx(alone, abs=1e-6)
    assert alone == pytest.approx(1 / 4) and among < 0.25 / 1.2
