"""Curves: what the model says as more is kept, or removed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from toys import RATE, BandEnergies, tone

import xplain
from xplain.curves import RATIOS, Curves
from xplain.targets import ResolvedTarget


class Counting(BandEnergies):
    """Counts what it is asked."""

    asked = 0

    def forward(self, waveform: Tensor) -> Tensor:
        self.asked += len(waveform)
        return super().forward(waveform)


@pytest.fixture
def counting() -> Counting:
    return Counting()


def explained(module: torch.nn.Module, **settings: object) -> xplain.Explanation:
    model = xplain.wrap(module, sample_rate=RATE, labels=("low", "mid", "high"))
    return xplain.explain(tone(440), model, **settings)  # type: ignore[arg-type]


def test_curves_are_what_the_renderings_say(counting: Counting) -> None:
    e = explained(counting)
    curves = e.curves((0.0, 0.1, 0.5, 1.0))
    outcomes = e.scores(keep=(0.0, 0.1, 0.5, 1.0), remove=(0.0, 0.1, 0.5, 1.0))
    said = torch.tensor([list(o.probabilities.values()) for o in outcomes])
    assert torch.allclose(torch.cat([curves.kept, curves.removed]), said, atol=1e-6)
    assert curves.of(curves.kept).tolist() == curves.kept[:, 0].tolist()
    assert torch.allclose(curves.unchanged, curves.kept[-1])


def test_both_ends_are_the_replacement_and_the_clip(counting: Counting) -> None:
    curves = explained(counting).curves()
    assert torch.equal(curves.kept[0], curves.removed[-1])
    assert torch.equal(curves.kept[-1], curves.removed[0])
    assert torch.allclose(curves.kept[-1], curves.answers, atol=1e-5)
    # Silence has equal energies, so that the labels have equal probabilities.
    assert torch.allclose(curves.kept[0], torch.full((3,), 1 / 3), atol=1e-6)


def test_every_different_variant_is_asked_about_once(counting: Counting) -> None:
    e = explained(counting)
    counting.asked = 0
    e.curves(RATIOS)
    # Six inner ratios kept and removed, all and nothing.
    assert counting.asked == 14


@pytest.mark.parametrize("grouping", ["element", "channel", "frame"])
def test_curves_follow_the_grouping(grouping: str, counting: Counting) -> None:
    e = explained(counting, grouping=grouping)
    curves = e.curves((0.1,))
    assert float(curves.of(curves.kept)[0]) == pytest.approx(e.scores((0.1,), ())[0].probability)


def test_agreement_with_the_prediction_or_with_a_given_label() -> None:
    said = torch.tensor([[0.6, 0.4], [0.2, 0.8]])
    own = ResolvedTarget("a", 0, 0.6)
    curves = Curves(torch.tensor([0.1, 0.5]), said[0], said[0], said, said, own)
    assert curves.agrees(curves.kept).tolist() == [True, False]
    assert curves.agrees(curves.kept, label=1).tolist() == [False, True]
    other = ResolvedTarget("b", 1, 0.4, task="multilabel")
    independent = Curves(torch.tensor([0.1, 0.5]), said[0], said[0], said, said, other)
    assert independent.agrees(independent.kept).tolist() == [False, True]


def test_a_loaded_explanation_has_no_model_to_ask(counting: Counting, tmp_path: Path) -> None:
    e = explained(counting)
    loaded = xplain.Explanation.load(e.save(tmp_path / "e"))
    with pytest.raises(xplain.ArtifactError, match="explain the clip again with xplain-captum"):
        loaded.curves()
    with pytest.raises(xplain.XplainError, match="between 0 and 1"):
        e.curves((1.5,))
