"""Sanity checks: each passes for what is right, and fails for what it is there to find."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from toys import RATE, Convolutions, Noisy, tone

import xplain
from xplain_evaluation import sanity
from xplain_evaluation.controls import Loudness
from xplain_evaluation.planted.planted import planted_clips

CLIPS = [tone(440), tone(880) + tone(300, level=0.1)]


@pytest.fixture
def model() -> xplain.Model:
    torch.manual_seed(0)
    return xplain.wrap(Convolutions(), sample_rate=RATE, labels=[*"abc"])


class TestRandomising:
    def test_the_last_layers_are_drawn_anew_and_the_model_is_left_alone(
        self, model: xplain.Model
    ) -> None:
        before = copy.deepcopy(model.module.state_dict())
        copied = sanity.randomised(model, top=1, seed=3).module.state_dict()
        assert not torch.equal(copied["head.weight"], before["head.weight"])
        assert torch.equal(copied["layers.0.weight"], before["layers.0.weight"])
        assert all(torch.equal(v, before[k]) for k, v in model.module.state_dict().items())

    def test_the_same_seed_draws_the_same(self, model: xplain.Model) -> None:
        one, other = (sanity.randomised(model, seed=1).module.state_dict() for _ in range(2))
        assert all(torch.equal(one[name], other[name]) for name in one)

    def test_a_layer_that_cannot_reset_itself_has_its_values_shuffled(self) -> None:
        class Scale(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.scale = nn.Parameter(torch.arange(50.0))

            def forward(self, waveform: Tensor) -> Tensor:
                return waveform[:, :3] * self.scale[:3]

        wrapped = xplain.wrap(Scale(), sample_rate=RATE, labels=[*"abc"])
        scale = sanity.randomised(wrapped).module.get_parameter("scale")
        assert not torch.equal(scale, torch.arange(50.0))
        assert torch.equal(scale.sort().values, torch.arange(50.0))

    def test_weights_that_a_reset_does_not_reach_are_shuffled(self) -> None:
        module = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(40, 3)))
        wrapped = xplain.wrap(module, sample_rate=RATE, labels=[*"abc"])
        before = {name: p.clone() for name, p in module.named_parameters()}
        after = dict(sanity.randomised(wrapped).module.named_parameters())
        assert all(not torch.equal(before[name], after[name]) for name in before)

    def test_a_cascade_goes_from_the_last_layer_to_all(self, model: xplain.Model) -> None:
        # Convolution, batch norm and head: three layers with weights.
        stages = sanity.cascade(model)
        heads = [s.module.get_parameter("head.weight") for s in stages]
        first = [s.module.get_parameter("layers.0.weight") for s in stages]
        assert len(stages) == 3
        assert all(not torch.equal(h, model.module.get_parameter("head.weight")) for h in heads)
        own = model.module.get_parameter("layers.0.weight")
        assert [torch.equal(f, own) for f in first] == [True, True, False]
        assert len(sanity.cascade(model, stages=2)) == 2

    def test_a_model_without_weights_is_refused(self, bands: xplain.Model) -> None:
        with pytest.raises(xplain.ModelError, match="no weights"):
            sanity.cascade(bands)


class TestParameterRandomisation:
    def test_gradients_follow_the_model_and_loudness_does_not(self, model: xplain.Model) -> None:
        found = sanity.parameter_randomisation(CLIPS[0], model, explainer=Loudness())
        assert found.passed is False
        assert found.figures == pytest.approx((1, 1, 1))
        found = sanity.parameter_randomisation(CLIPS[0], model, synthesizer="waveform")
        assert abs(found.figures[-1]) < 0.9

    def test_a_span_and_a_second_label_are_part_of_the_question(
        self, monkeypatch: pytest.MonkeyPatch, bands: xplain.Model
    ) -> None:
        # Where the copies are the model itself, it says the same as before.
        monkeypatch.setattr(sanity.checks, "cascade", lambda model, **_: [model])
        found = sanity.parameter_randomisation(CLIPS[1], bands, target="mid", versus="low")
        assert found.figures == pytest.approx((1,))


def trained(clips: list[Tensor], labels: Tensor) -> xplain.Model:
    """A linear model of the spectrum's magnitudes, fitted to a few clips in closed form."""
    spectra = torch.stack([torch.fft.rfft(clip).abs() for clip in clips])
    wanted = 4.0 * nn.functional.one_hot(labels, 4).float()

    class Linear(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.linalg.pinv(spectra) @ wanted)

        def forward(self, waveform: Tensor) -> Tensor:
            return torch.fft.rfft(waveform).abs() @ self.weight

    names = ("none", "cue-1k", "cue-2k", "cue-3k")
    return xplain.wrap(Linear(), sample_rate=RATE, labels=names)


def test_a_model_trained_on_shuffled_labels_is_explained_otherwise() -> None:
    planted = planted_clips(9, 0, sample_rate=RATE)
    clips = [clip.waveform for clip in planted]
    names = ["none", "cue-1k", "cue-2k", "cue-3k"]
    labels = torch.tensor([names.index(clip.label) for clip in planted])
    shuffled = labels.roll(3)
    assert (labels != shuffled).all()
    model, relabelled = trained(clips, labels), trained(clips, shuffled)
    assert int(model.module(clips[0][None]).argmax()) == int(labels[0])
    found = sanity.label_randomisation(clips[0], model, relabelled)
    same = sanity.label_randomisation(clips[0], model, model)
    assert same.figures == pytest.approx((1,)) and same.passed is False
    assert found.passed, found.message


def test_what_matters_does_more_than_chance(bands: xplain.Model) -> None:
    found = sanity.random_control(CLIPS[1], bands)
    assert found.passed
    assert found.figures[0] > found.figures[1]


def test_a_method_that_draws_says_something_else_with_another_seed(bands: xplain.Model) -> None:
    assert sanity.seed_agreement(CLIPS[0], bands).figures == pytest.approx((1,))
    found = sanity.seed_agreement(CLIPS[0], bands, explainer=Noisy())
    assert found.passed is False


class Remembering(xplain.Explainer):
    """Adds what it saw before."""

    before: Tensor | float = 0.0

    def attribute(self, score: xplain.Score, latents: Tensor, baseline: Tensor) -> Tensor:
        now = latents + self.before
        self.before = 0.1 * latents
        return now


def test_a_method_that_remembers_the_clip_before_is_found(bands: xplain.Model) -> None:
    assert sanity.alone_among_others(CLIPS, bands).passed
    assert sanity.alone_among_others(CLIPS, bands, explainer=Remembering()).passed is False


class Deaf(xplain.Synthesizer):
    """Latents that cannot be turned back into sound."""

    sample_rate = RATE

    def encode(self, waveform: Tensor) -> xplain.Latents:
        return xplain.Latents(waveform[:, None], {})

    def decode(self, values: Tensor, context: xplain.Context) -> Tensor:
        return 0 * values[:, 0]


def test_a_representation_that_loses_the_decision_is_found(bands: xplain.Model) -> None:
    assert sanity.round_trip(tone(1200), bands, synthesizer="stft").passed
    assert sanity.round_trip(tone(1200), bands, synthesizer=Deaf()).passed is False


def test_only_who_points_at_the_cue_passes() -> None:
    assert sanity.planted_cue(explainer="integrated-gradients").passed
    assert sanity.planted_cue(explainer=Loudness()).passed is False


def test_all_checks_are_run_and_what_cannot_be_run_says_why(bands: xplain.Model) -> None:
    found = {f.check: f for f in sanity.examine(CLIPS, bands, target="low")}
    assert found["parameter-randomisation"].passed is None
    assert "no weights" in found["parameter-randomisation"].message
    others = [f for name, f in found.items() if name != "parameter-randomisation"]
    assert all(f.passed for f in others), others
