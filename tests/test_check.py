"""check() on a model whose reasons are known: what is true is faithful, what is not is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor
from toys import Convolutions, tone

import xplain
from xplain.check import _spoken_of
from xplain.verdict import Verdict
from xplain_evaluation.controls import Given
from xplain_evaluation.gallery import WAYS, Materials
from xplain_evaluation.planted.planted import PlantedClip, planted_clips, planted_model
from xplain_evaluation.sanity import randomised

RATE = 8000


def explained(clip: PlantedClip, **settings: object) -> xplain.Explanation:
    model = planted_model(RATE)
    return xplain.explain(clip.waveform, model, sample_rate=RATE, **settings)  # type: ignore[arg-type]


def against(clip: PlantedClip, attribution: Tensor, tolerance: float | None = None) -> Verdict:
    return explained(clip, explainer=Given(attribution, tolerance)).check()


@pytest.fixture(scope="module")
def clips() -> list[PlantedClip]:
    return planted_clips(6, 0, sample_rate=RATE)


def test_the_cue_is_a_faithful_explanation_and_its_parts_elsewhere_are_not(
    clips: list[PlantedClip],
) -> None:
    for number, clip in enumerate(clips):
        e = explained(clip)
        assert e.check().kind == "faithful", str(e.check())
        generator = torch.Generator().manual_seed(number)
        order = torch.randperm(e.attribution.numel(), generator=generator)
        shuffled = e.attribution.flatten()[order].view_as(e.attribution)
        # The same sum, so that completeness cannot tell.
        assert against(clip, shuffled, 0.05).kind == "unfaithful"
        assert (
            against(clip, torch.randn(e.attribution.shape, generator=generator)).kind
            == "unfaithful"
        )
        assert against(clip, -e.attribution).kind == "unfaithful"
        assert against(clip, torch.ones_like(e.attribution)).kind == "inconclusive"


def test_the_gallery_of_the_cue_is_seen_through(clips: list[PlantedClip]) -> None:
    e = explained(clips[0])
    loud = (e.latents - e.baseline).abs()
    faithful = []
    for way in WAYS:
        if way.needs is None:
            materials = Materials(loud, torch.Generator().manual_seed(0), {})
            verdict = against(clips[0], way.make(e.attribution, materials))
            if verdict.kind == "faithful":
                faithful.append(way.name)
    # Nothing speaks against this label, so its absolute values are no other attribution.
    assert faithful == ["absolute values"]


class Halves(torch.nn.Module):
    """Undecided: the energy of the clip speaks as much for the one as for the other."""

    def forward(self, waveform: Tensor) -> Tensor:
        energy = waveform.square().sum(dim=1)
        return torch.stack([energy, energy * (1 + 1e-3)], dim=1)


def test_an_undecided_model_and_a_flat_one_have_nothing_to_tell() -> None:
    undecided = xplain.wrap(Halves(), sample_rate=RATE, labels=("a", "b"))
    e = xplain.explain(0.01 * tone(440), undecided)
    assert e.check().kind == "inconclusive" and "undecided" in str(e.check())

    class Flat(torch.nn.Module):
        def forward(self, waveform: Tensor) -> Tensor:
            return 0 * waveform.sum(dim=1, keepdim=True) + torch.tensor([2.0, -2.0])

    flat = xplain.wrap(Flat(), sample_rate=RATE, labels=("a", "b"))
    given = Given(torch.randn(e.attribution.shape))
    assert xplain.explain(tone(440), flat, explainer=given).check().kind == "inconclusive"


def test_a_claim_to_add_up_is_held_against_the_model(clips: list[PlantedClip]) -> None:
    e = explained(clips[0])
    assert against(clips[0], e.attribution, 0.05).kind == "faithful"
    assert against(clips[0], 1.2 * e.attribution, 0.05).kind == "partly"
    assert against(clips[0], 3 * e.attribution, 0.05).kind == "unfaithful"
    # A method that does not claim to add up is not held to it.
    assert against(clips[0], 3 * e.attribution).kind == "faithful"


@pytest.mark.parametrize("grouping", ["channel", "frame", "block"])
@pytest.mark.parametrize("order", ["signed", "absolute"])
def test_groups_are_judged_as_groups(clips: list[PlantedClip], grouping: str, order: str) -> None:
    e = explained(clips[0], grouping=grouping, order=order)
    assert e.check().kind == "faithful", str(e.check())
    noise = torch.randn(e.attribution.shape, generator=torch.Generator().manual_seed(0))
    given = explained(clips[0], explainer=Given(noise), grouping=grouping, order=order)
    assert given.check().kind == "unfaithful"


@pytest.mark.parametrize(
    ("grouping", "unit"),
    [("element", (1, 1)), ("frame", (129, 1)), ("channel", (1, 251)), ("block:43x9", (43, 9))],
)
def test_a_picture_is_shifted_by_what_it_is_made_of(
    clips: list[PlantedClip], grouping: str, unit: tuple[int, int]
) -> None:
    e = explained(clips[0], grouping=grouping, explainer=Given(torch.randn(129, 251)))
    assert _spoken_of(e.live, e._claim, e.attribution)[1] == unit


class Either(torch.nn.Module):
    """The louder of the first two quarters, and the third; the last says nothing."""

    def forward(self, waveform: Tensor) -> Tensor:
        quarter = waveform.abs().view(len(waveform), 4, -1).mean(dim=2)
        score = torch.maximum(quarter[:, 0], quarter[:, 1]) + quarter[:, 2]
        return torch.stack([score, 0 * score], dim=1)


@pytest.mark.parametrize(
    ("said", "alone", "average", "kind"),
    [
        # Without the first there is still the second: alone each costs 0, 0, 1, 0 halves.
        ((0, 0, 1, 0), 1.0, 1 / 1.5**0.5, "faithful"),
        # Shapley values: whoever comes first of the two counts.
        ((0.5, 0.5, 1, 0), 1 / 1.5**0.5, 1.0, "faithful"),
        ((1, 0, 0, 0), 0.0, 0.5 / 1.5**0.5, "unfaithful"),
        ((1, 0, 1, 0), 0.5**0.5, 1.5 / 3**0.5, "partly"),
    ],
)
def test_a_few_groups_cost_something_alone_and_something_on_average(
    said: tuple[float, ...], alone: float, average: float, kind: str
) -> None:
    sound = 0.5 * torch.tensor([1.0, -1.0]).repeat(400)
    values = torch.tensor(said).repeat_interleave(200)[None] / 200
    model = xplain.wrap(Either(), sample_rate=RATE, labels=("a", "b"))
    verdict = xplain.explain(
        sound, model, synthesizer="waveform", explainer=Given(values), grouping="block:1x200"
    ).check()
    assert verdict.kind == kind
    assert verdict.figures["like_each_alone"] == pytest.approx(alone, abs=1e-6)
    assert verdict.figures["like_each_on_average"] == pytest.approx(average, abs=1e-6)
    assert verdict.evaluations == 4 * 3 + 1  # runs of neighbours, and nothing at all


class Weighed(torch.nn.Module):
    """Adds up weights of samples."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, waveform: Tensor) -> Tensor:
        score = waveform.abs() @ self.weights
        return torch.stack([score, 0 * score], dim=1)


def test_parts_of_which_it_says_as_much_have_to_cost_as_much() -> None:
    # 16 samples of 1 and 160 of 0.1: eight parts of 4, four of the large and four of the small.
    # No two beside each other are the same, so that each stands for itself.
    said = 1e-8 * torch.arange(800.0)
    places = 2 * torch.randperm(400, generator=torch.Generator().manual_seed(0))
    said[places[:16]], said[places[16:176]] = 1.0, 0.1
    sound = 0.5 * torch.tensor([1.0, -1.0]).repeat(400)

    def checked(weights: Tensor) -> Verdict:
        model = xplain.wrap(Weighed(weights), sample_rate=RATE, labels=("a", "b"))
        given = Given(said[None])
        return xplain.explain(sound, model, synthesizer="waveform", explainer=given).check()

    true = checked(said)
    assert true.kind == "faithful"
    assert true.figures["like_each_alone"] == pytest.approx(1.0, abs=1e-5)
    # The small ones cost three times what is said: parts of 4 cost 4 or 12.
    other = checked(torch.where(said < 0.5, 3 * said, said))
    expected = (4 * 4 * 4 + 4 * 4 * 12) / (8 * 4**2 * (4 * 4**2 + 4 * 12**2)) ** 0.5
    assert other.figures["like_each_alone"] == pytest.approx(expected, abs=1e-4)
    assert other.figures["like_each_on_average"] == pytest.approx(expected, abs=1e-4)
    assert other.kind == "partly", other


@pytest.mark.parametrize(("second", "error"), [(-0.99, 0.04), (0, 0.05)])
def test_completeness_is_held_against_what_the_score_can_lose(second: float, error: float) -> None:
    # What speaks for the label and what speaks against it cost 100 and 99: 1 of 100 is left.
    weights = torch.tensor([1.0, second, 0, 0]).repeat_interleave(200)
    sound = 0.5 * torch.tensor([1.0, -1.0]).repeat(400)
    model = xplain.wrap(Weighed(weights), sample_rate=RATE, labels=("a", "b"))
    given = Given((weights / 2 + error / 2 * (weights > 0))[None], 0.045)
    settings = {"synthesizer": "waveform", "explainer": given, "grouping": "block:1x200"}
    e = xplain.explain(sound, model, **settings)  # type: ignore[arg-type]
    assert not e.converged
    verdict = e.check()
    assert verdict.figures["completeness_error"] == pytest.approx(error, abs=1e-5)
    assert verdict.kind == ("faithful" if error < 0.045 else "partly")


class Evened(torch.nn.Module):
    """Random layers on sound that is brought to one loudness first."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.heard = Convolutions()

    def forward(self, waveform: Tensor) -> Tensor:
        heard: Tensor = self.heard(waveform / waveform.std(dim=1, keepdim=True).clamp_min(1e-9))
        return 30 * heard


def test_what_single_groups_cost_may_be_all_that_a_method_says() -> None:
    model = xplain.wrap(Evened(), sample_rate=RATE, labels=[*"abc"])
    sound = tone(440)
    sound += 0.1 * torch.randn(len(sound), generator=torch.Generator().manual_seed(0))
    e = xplain.explain(sound, model, explainer="feature-ablation")
    assert "chosen" in e.provenance["replacement"]  # noise, fainter as the method's baseline
    assert e.check().figures["like_single"] == pytest.approx(1.0, abs=1e-4)
    assert "what single groups cost is what it says (cosine 1.00)" in str(e.check())
    half = torch.where(e.attribution >= e.attribution.median(), e.attribution, 0.0)
    other = replace(e, attribution=half.roll(43, 0)).check()
    assert (other.figures["like_single"] or 0) < 0.9 and other.kind != "faithful"


class Enough(torch.nn.Module):
    """Adds up weights of samples, but no more than six tenths of them count."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = torch.rand(800, generator=torch.Generator().manual_seed(0)) ** 4

    def forward(self, waveform: Tensor) -> Tensor:
        score = (2 * waveform.abs() @ self.weights).clamp(max=0.6 * float(self.weights.sum()))
        return torch.stack([score, 0 * score], dim=1)


def test_what_single_parts_do_not_show_is_tried_in_half_of_the_clip() -> None:
    sound = 0.5 * torch.tensor([1.0, -1.0]).repeat(400)
    module = Enough()
    model = xplain.wrap(module, sample_rate=RATE, labels=("a", "b"))

    def checked(values: Tensor) -> Verdict:
        given = Given(values[None])
        return xplain.explain(sound, model, synthesizer="waveform", explainer=given).check()

    true = checked(module.weights)
    assert true.kind == "faithful" and true.figures["within_half"] == 1.0
    assert (
        true.reasons[-1] == "this holds in half of the clip, and not of single parts of the whole"
    )
    assert checked(module.weights.flip(0)).kind == "unfaithful"


def test_silence_has_nothing_to_explain() -> None:
    with pytest.warns(xplain.XplainWarning, match="silent"):
        e = xplain.explain(torch.zeros(RATE), planted_model(RATE), sample_rate=RATE)
    assert e.check().kind == "inconclusive"


class First(torch.nn.Module):
    """Decides by the sign of the first sample."""

    def forward(self, waveform: Tensor) -> Tensor:
        return torch.stack([waveform[:, 0], -waveform[:, 0]], dim=1)


def test_one_element_gives_nothing_to_compare() -> None:
    model = xplain.wrap(First(), sample_rate=RATE, labels=("a", "b"))
    e = xplain.explain(torch.tensor([0.5]), model, synthesizer="waveform")
    assert e.check().kind == "inconclusive"
    assert "too few parts to remove (1)" in str(e.check())


def test_the_verdict_is_the_same_again_and_costs_what_it_says_once(
    clips: list[PlantedClip],
) -> None:
    model, asked = planted_model(RATE), []
    model.module.register_forward_hook(lambda module, inputs, output: asked.append(len(inputs[0])))
    e = xplain.explain(clips[0].waveform, model, sample_rate=RATE)
    asked.clear()
    assert e.check() is e.check()
    assert sum(asked) == e.check().evaluations <= 100
    assert explained(clips[0]).check() == e.check()


def test_the_verdict_is_saved_and_read_without_the_model(
    clips: list[PlantedClip], tmp_path: Path
) -> None:
    e = explained(clips[0])
    unchecked = xplain.Explanation.load(e.save(tmp_path / "unchecked"))
    assert unchecked.verdict is None
    with pytest.raises(xplain.ArtifactError, match="explain the clip again"):
        unchecked.check()
    e.check()
    loaded = xplain.Explanation.load(e.save(tmp_path / "checked"))
    assert loaded.check() == e.check()


def test_an_explanation_of_a_random_model_is_true_of_that_model() -> None:
    torch.manual_seed(0)
    model = xplain.wrap(Convolutions(), sample_rate=RATE, labels=[*"abc"])
    copied = randomised(model, seed=1)
    e = xplain.explain(tone(440), copied)
    assert e.check().kind != "unfaithful", str(e.check())


def test_another_attribution_in_its_place_is_judged_for_itself(clips: list[PlantedClip]) -> None:
    e = explained(clips[0])
    assert e.check().kind == "faithful"
    e.keep(0.1)
    other = replace(e, attribution=torch.randn_like(e.attribution))
    assert other.check().kind == "unfaithful"
    assert not torch.equal(other.keep(0.1), e.keep(0.1))


class Restless(torch.nn.Module):
    """Draws random numbers at every call."""

    def forward(self, waveform: Tensor) -> Tensor:
        loud = waveform.square().mean(dim=1, keepdim=True)
        return torch.cat([loud, -loud], dim=1) + 0.1 * torch.randn(len(waveform), 2)


def test_what_cannot_be_tested_is_said_in_a_word(clips: list[PlantedClip]) -> None:
    one = explained(clips[0], grouping="block:9999x9999").check()
    assert one.kind == "inconclusive" and "too few parts to remove (1)" in str(one)
    restless = xplain.wrap(Restless(), sample_rate=RATE, labels=("a", "b"))
    with pytest.warns(xplain.XplainWarning, match="random"):
        e = xplain.explain(tone(440), restless, explainer=Given(torch.randn(129, 63)))
    assert e.check().kind == "inconclusive" and "random" in str(e.check())
    unknown = torch.full_like(explained(clips[0]).attribution, torch.nan)
    with pytest.raises(xplain.XplainError, match="NaN"):
        against(clips[0], unknown)
