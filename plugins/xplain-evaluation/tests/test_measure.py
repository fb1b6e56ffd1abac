"""Measuring a fresh explanation: each metric gets what it needs, and nothing is asked twice."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from toys import RATE, BandEnergies, tone

import xplain
from xplain.metric import Undefined, metric
from xplain.registry import registry
from xplain_evaluation.event import Event
from xplain_evaluation.measure import measure
from xplain_evaluation.metrics import faithfulness


@pytest.fixture
def explained(bands: xplain.Model) -> xplain.Explanation:
    return xplain.explain(tone(440) + tone(1200, level=0.1), bands)


def value(e: xplain.Explanation, metric: object, *ratios: float, **more: object) -> list[float]:
    found = measure(e, [metric], ratios or (0.0, 0.1, 1.0), **more)  # type: ignore[list-item,arg-type]
    assert all(m.value is not None for m in found), found
    return [m.value for m in found if m.value is not None]


def test_values_are_those_of_the_renderings(explained: xplain.Explanation) -> None:
    kept, removed = explained.scores(keep=(0.1,), remove=(0.1,))
    p = explained.target.probability
    assert value(explained, "faithfulness", 0.1) == pytest.approx([p - removed.probability])
    assert value(explained, "average-drop", 0.1) == pytest.approx(
        [100 * max(0, p - kept.probability) / p], abs=1e-4
    )
    assert value(explained, "fidelity", 0.1) == [float(kept.agrees)]
    assert value(explained, "completeness-error") == pytest.approx(
        [explained.completeness_error], abs=1e-6
    )
    ends = torch.tensor([explained.score, explained.baseline_score])
    assert float(ends[0] - ends[1]) == pytest.approx(float(explained.attribution.sum()), rel=0.02)


def test_parameters_are_part_of_the_name(explained: xplain.Explanation) -> None:
    (found,) = measure(explained, [faithfulness.configured(space="logit")], (0.1,))
    assert found.name == "faithfulness(space=logit)" and found.ratio == 0.1


def test_every_registered_metric_has_a_value_or_says_why_not(
    explained: xplain.Explanation,
) -> None:
    names = [p.full_name for p in xplain.list_plugins() if p.kind == "metric"]
    found = measure(explained, names, (0.0, 0.1, 1.0), event=Event(0.1, 0.3, 300, 500))
    assert {m.name for m in found} == {name.partition("/")[2] for name in names}
    for m in found:
        assert (m.value is None) == bool(m.reason)
    lacking = {m.name for m in found if m.value is None}
    assert "randomisation" in lacking and "reconstruction" in lacking
    assert lacking.isdisjoint({"fidelity", "reencoded-removal", "relevance-mass", "infidelity"})


def test_without_an_event_localisation_does_not_apply(explained: xplain.Explanation) -> None:
    (found,) = measure(explained, ["pointing-game"])
    assert found.value is None
    assert found.reason == "pointing-game does not apply: it needs region"


def test_randomised_copies_are_handed_on(explained: xplain.Explanation) -> None:
    same = explained.attribution[None]
    assert value(explained, "randomisation", randomised=same) == pytest.approx([1.0])
    assert value(explained, "randomisation", randomised=-same) == pytest.approx([-1.0])


class Halved(xplain.Synthesizer):
    """Latents are samples; decoding halves them, so that the decoded audio is softer."""

    sample_rate = RATE

    def encode(self, waveform: Tensor) -> xplain.Latents:
        return xplain.Latents(waveform[:, None], {})

    def decode(self, values: Tensor, context: xplain.Context) -> Tensor:
        return values[:, 0] / 2


class Latent(nn.Module):
    """Reads latents (n, 1, N) as it would samples."""

    def forward(self, latents: Tensor) -> Tensor:
        return BandEnergies()(latents[:, 0])


def test_what_is_reencoded_is_decoded_and_encoded() -> None:
    halved = Halved()
    model = xplain.wrap(
        Latent(), sample_rate=RATE, labels=("low", "mid", "high"), reads=halved,
        differentiable=False,
    )  # fmt: skip
    e = xplain.explain(tone(440), model, explainer="occlusion", replacement="zero")
    curves, reencoded = e.curves((0.5, 1.0)), e.curves((0.5, 1.0), reencoded=True)
    module = Latent()
    half = module(tone(440)[None, None] / 2).softmax(-1)[0]
    assert torch.allclose(reencoded.unchanged, half, atol=1e-6)
    assert torch.allclose(reencoded.kept[1], half, atol=1e-6)
    assert torch.allclose(curves.unchanged, module(tone(440)[None, None]).softmax(-1)[0])


def test_a_loaded_explanation_is_not_measured(
    explained: xplain.Explanation, tmp_path: Path
) -> None:
    loaded = xplain.Explanation.load(explained.save(tmp_path / "e"))
    with pytest.raises(xplain.ArtifactError, match="explain the clip again"):
        measure(loaded, ["fidelity"])


def test_the_score_and_the_method_can_be_called_by_a_metric(
    explained: xplain.Explanation,
) -> None:
    with explained.live.asking() as (score, attribute):
        again = attribute(explained.latents)
        said = score(explained.latents[None]).detach()
    assert torch.allclose(again.values, explained.attribution, atol=1e-6)
    assert float(said) == pytest.approx(explained.score, rel=1e-5)


def test_an_event_is_a_span_of_frames_and_a_band_of_channels() -> None:
    event = Event(0.25, 0.75, 100, 200)
    # Frame middles at 1/8, 3/8, 5/8 and 7/8 of a second.
    assert event.frames(4, RATE, RATE).tolist() == [False, True, True, False]
    region = event.region((3, 4), RATE, RATE, frequencies=(50, 150, 250))
    assert region.tolist() == [[False] * 4, [False, True, True, False], [False] * 4]
    assert Event(0.25, 0.75).region((2, 4), RATE, RATE, (0, 9)).sum() == 4
    with pytest.raises(xplain.XplainError, match="none is there"):
        event.region((1, 4), RATE, RATE, frequencies=(50,))
    with pytest.raises(xplain.XplainError, match="take shorter frames"):
        Event(0.0, 0.1).frames(2, RATE, RATE)


def test_metrics_of_the_project_are_found_by_entry_point() -> None:
    assert registry().create("metric", "xplain-evaluation/fidelity", {}).name == "fidelity"


class Deaf(Halved):
    """Whatever the latents are, the decoded audio is silence."""

    def decode(self, values: Tensor, context: xplain.Context) -> Tensor:
        return 0 * values[:, 0]


@pytest.mark.parametrize("reads_latents", [True, False])
def test_the_round_trip_is_that_of_the_audio(reads_latents: bool) -> None:
    deaf, labels = Deaf(), ("low", "mid", "high")
    module, reads = (Latent(), deaf) if reads_latents else (BandEnergies(), "waveform")
    model = xplain.wrap(module, sample_rate=RATE, labels=labels, reads=reads)
    e = xplain.explain(
        tone(1200), model, synthesizer=deaf, explainer="occlusion", replacement="zero"
    )
    assert e.target.label == "mid"
    # Of silence all three labels are as probable: a third of the decision is as before.
    assert value(e, "round-trip") == pytest.approx([1 / 3])


def test_a_metric_gathers_evidence_of_its_own_once_a_clip(
    explained: xplain.Explanation,
) -> None:
    gathered = []

    def level(e: xplain.Explanation) -> float:
        gathered.append(e)
        return float(e.keep(0.1).square().mean())

    def table(e: xplain.Explanation) -> object:
        if "concepts" not in e.extras:
            raise Undefined("the method names no concepts")
        return e.extras["concepts"]

    declare = partial(metric, better="higher", range=(0, 9), category="c", source="this test")

    @declare(evidence={"level": level})
    def louder(level: float, o: float) -> float:
        return level + o

    @declare(evidence={"table": table})
    def concepts(table: object) -> float:
        return 1.0

    wanted = level(explained) + explained.scores(keep=(0.1,))[0].probability
    gathered.clear()
    assert value(explained, louder, 0.1, 0.2)[0] == pytest.approx(wanted, abs=1e-5)
    assert gathered == [explained]
    (found,) = measure(explained, [concepts])
    assert found.reason == "the method names no concepts"
    with pytest.raises(xplain.PluginError, match=r"needs 'level'.*evidence= says how"):
        declare()(louder.function)
