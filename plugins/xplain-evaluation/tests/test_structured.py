"""Controls of equal energy: they take as much as the explanation, and the cue is not in them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

import xplain
from xplain_evaluation.controls import Given
from xplain_evaluation.measure import measure
from xplain_evaluation.planted.planted import planted_clips, planted_model
from xplain_evaluation.structured import CONTROLS, STRUCTURED, structured

RATE = 8000
RATIOS = (0.0, 0.1, 0.5, 1.0)


class Energies(torch.nn.Module):
    """Two labels by the energy of the halves of the clip; keeps the energy of what it heard."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[float] = []

    def forward(self, waveform: Tensor) -> Tensor:
        self.heard += waveform.square().sum(dim=1).tolist()
        return torch.stack([half.square().sum(dim=1) for half in waveform.chunk(2, 1)], dim=1)


def test_every_control_takes_as_much_energy_as_the_explanation() -> None:
    generator = torch.Generator().manual_seed(0)
    wave, order = torch.randn(2, 400, generator=generator)
    module = Energies()
    model = xplain.wrap(module, sample_rate=RATE, labels=("first", "second"))
    e = xplain.explain(wave, model, synthesizer="waveform", explainer=Given(order[None]))
    # By hand: of samples, one channel, the energy of those that the attribution puts first.
    first = wave[order.argsort(descending=True)].square()
    wanted = [float(first[: round(ratio * 400)].sum()) for ratio in RATIOS]
    whole = float(first.sum())
    for name in CONTROLS:
        module.heard.clear()
        found = list(structured(e, RATIOS, [name]))
        if name == "rolled":  # a waveform has nothing to roll
            assert not found
            continue
        kept, left = module.heard[-8:-4], module.heard[-4:]
        for had, rest, energy in zip(kept, left, wanted, strict=True):
            assert had == pytest.approx(energy, abs=float(wave.square().max()))
            assert rest == pytest.approx(whole - energy, abs=float(wave.square().max()))
    assert [name for name, _ in structured(e, RATIOS)] == [n for n in CONTROLS if n != "rolled"]


class OwnAlone(xplain.Explainer):
    """Refuses every target but the model's own decision, as a trained mask does."""

    uses_baseline = False

    def attribute(self, score: xplain.Score, latents: Tensor, baseline: Tensor) -> Tensor:
        if score.target != "first":
            raise xplain.PluginError("explains the own decision alone")
        return latents.abs()


def test_a_method_that_refuses_the_runner_up_keeps_its_other_controls() -> None:
    wave = torch.cat([torch.randn(200, generator=torch.Generator().manual_seed(0)), torch.zeros(9)])
    model = xplain.wrap(Energies(), sample_rate=RATE, labels=("first", "second"))
    e = xplain.explain(wave, model, synthesizer="waveform", explainer=OwnAlone())
    found = [name for name, _ in structured(e, RATIOS)]
    assert found == [n for n in CONTROLS if n not in ("rolled", "other label")]


def test_a_cue_is_lost_with_its_explanation_and_with_no_control() -> None:
    (clip,) = planted_clips(1, 0, sample_rate=RATE)
    e = xplain.explain(clip.waveform, planted_model(RATE), sample_rate=RATE)
    found = measure(e, ["removal", "sparseness"], (0.05,), controls=tuple(CONTROLS))
    removed = {one.control: one.value for one in found if one.name == "removal"}
    assert removed.keys() == {None, *CONTROLS}
    assert removed[None] == 0.0
    assert {removed[name] for name in (*STRUCTURED, "random")} == {1.0}
    # What is not about what is kept or removed has no control.
    assert [one.control for one in found if one.name == "sparseness"] == [None]
