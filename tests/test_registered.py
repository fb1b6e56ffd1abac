"""What every registered plugin has to do, whoever wrote it; found by entry point."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from toys import RATE, Convolutions, tone

import xplain
from xplain.interfaces import Clip
from xplain.models import make_synthesizer
from xplain.registry import registry
from xplain.score import ClipScore, Route
from xplain.targets import Target, resolve

LENGTHS = (1, 7, 255, 256, 257, 4000, 12345)


def names(kind: str) -> list[str]:
    return [p.full_name for p in xplain.list_plugins() if p.kind == kind]


def sound(samples: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(samples, generator=generator)


def test_no_plugin_of_this_project_failed() -> None:
    assert [p for p in xplain.list_plugins() if p.state == "failed"] == []
    for kind in ("explainer", "synthesizer", "replacement", "model"):
        assert names(kind)


@pytest.mark.parametrize("name", [n for k in ("explainer", "replacement") for n in names(k)])
def test_factories_give_what_their_kind_asks(name: str) -> None:
    kind = next(p.kind for p in xplain.list_plugins() if p.full_name == name)
    made = registry().create(kind, name, {})
    described = registry().describe(kind, made)
    assert described["name"] == name
    again = registry().create(kind, name, described["parameters"])  # type: ignore[arg-type]
    assert registry().describe(kind, again) == described


class Explaining:
    """One clip and its score, as an explainer sees them."""

    def __init__(self, samples: int = 2000, max_batch: int = 16) -> None:
        torch.manual_seed(0)
        self.module = Convolutions().eval()
        model = xplain.wrap(self.module, sample_rate=RATE, labels="abc")
        synthesizer = make_synthesizer("stft", RATE)
        latents = synthesizer.encode(sound(samples)[None])
        target = resolve(
            Target("b"), torch.zeros(1, 3), model.labels, multilabel=False, frame_step=None
        )
        self.sizes: list[int] = []
        self.score = ClipScore(Route(model, synthesizer), latents.context, target, max_batch)
        self.score.register_forward_hook(lambda m, args, out: self.sizes.append(len(args[0])))
        self.latents = latents.values[0]
        self.baseline = torch.zeros_like(self.latents)

    def attribute(self, name: str) -> Tensor:
        explainer: xplain.Explainer = registry().create("explainer", name, {})
        torch.manual_seed(1)
        with torch.set_grad_enabled(explainer.uses_gradients):
            return explainer.attribute(self.score, self.latents, self.baseline)


@pytest.mark.parametrize("name", names("explainer"))
class TestExplainer:
    def test_gives_a_finite_float_attribution_of_the_latents_shape(self, name: str) -> None:
        clip = Explaining()
        got = clip.attribute(name)
        assert got.shape == clip.latents.shape and got.dtype == torch.float32
        assert torch.isfinite(got).all() and got.abs().max() > 0

    def test_changes_neither_latents_nor_baseline(self, name: str) -> None:
        clip = Explaining()
        latents, baseline = clip.latents.clone(), clip.baseline.clone()
        clip.attribute(name)
        assert torch.equal(clip.latents, latents) and torch.equal(clip.baseline, baseline)

    def test_is_the_same_again_for_a_seed(self, name: str) -> None:
        assert torch.equal(Explaining().attribute(name), Explaining().attribute(name))

    def test_keeps_the_memory_budget(self, name: str) -> None:
        clip = Explaining(max_batch=3)
        clip.attribute(name)
        assert max(clip.sizes) <= 3

    def test_leaves_hooks_modes_and_gradients_alone(self, name: str) -> None:
        clip = Explaining()
        clip.attribute(name)
        assert not any(m._forward_hooks or m._backward_hooks for m in clip.module.modules())
        assert not clip.module.training
        assert torch.is_grad_enabled()

    def test_adds_up_where_it_says_so(self, name: str) -> None:
        clip = Explaining()
        tolerance = registry().create("explainer", name, {}).completeness_tolerance
        if tolerance is not None:
            ends = clip.score(torch.stack([clip.latents, clip.baseline])).detach()
            total = float(clip.attribute(name).sum())
            assert total == pytest.approx(float(ends[0] - ends[1]), rel=tolerance)


@pytest.mark.parametrize("name", names("synthesizer"))
class TestSynthesizer:
    @pytest.mark.parametrize("samples", LENGTHS)
    def test_gives_back_what_went_in_to_the_sample(self, name: str, samples: int) -> None:
        synthesizer = make_synthesizer(name, RATE)
        waveform = torch.stack([sound(samples), sound(samples, 1)])
        latents = synthesizer.encode(waveform)
        assert latents.values.ndim == 3 and len(latents.values) == 2
        back = synthesizer.decode(latents.values, latents.context)
        assert back.shape == waveform.shape
        assert (back - waveform).abs().max() < 1e-4

    def test_one_context_serves_many_variants(self, name: str) -> None:
        synthesizer = make_synthesizer(name, RATE)
        latents = synthesizer.encode(sound(3000)[None])
        variants = latents.values * torch.tensor([1.0, 0.5, 0.0])[:, None, None]
        together = synthesizer.decode(variants, latents.context)
        for variant, waveform in zip(variants, together, strict=True):
            alone = synthesizer.decode(variant[None], latents.context)[0]
            assert torch.allclose(alone, waveform, atol=1e-6)

    def test_a_clip_does_not_depend_on_its_neighbours(self, name: str) -> None:
        synthesizer = make_synthesizer(name, RATE)
        both = synthesizer.encode(torch.stack([sound(3000), sound(3000, 1)]))
        alone = synthesizer.encode(sound(3000, 1)[None])
        assert torch.allclose(both.values[1], alone.values[0], atol=1e-6)

    def test_is_differentiable_where_it_says_so_even_at_silence(self, name: str) -> None:
        synthesizer = make_synthesizer(name, RATE)
        for waveform in (sound(1000)[None], torch.zeros(1, 1000)):
            latents = synthesizer.encode(waveform)
            if synthesizer.decode_differentiable:
                values = latents.values.clone().requires_grad_()
                synthesizer.decode(values, latents.context).square().sum().backward()
                assert values.grad is not None and torch.isfinite(values.grad).all()
            if synthesizer.encode_differentiable:
                heard = waveform.clone().requires_grad_()
                synthesizer.encode(heard).values.sum().backward()
                assert heard.grad is not None and torch.isfinite(heard.grad).all()

    def test_names_one_frequency_per_channel_or_none(self, name: str) -> None:
        synthesizer = make_synthesizer(name, RATE)
        values = synthesizer.encode(sound(1000)[None]).values
        if synthesizer.frequencies is not None:
            assert len(synthesizer.frequencies) == values.shape[1]


@pytest.mark.parametrize("name", names("replacement"))
@pytest.mark.parametrize("synthesizer", names("synthesizer"))
class TestReplacement:
    def test_fills_with_finite_values_and_changes_nothing_it_is_given(
        self, name: str, synthesizer: str
    ) -> None:
        made = make_synthesizer(synthesizer, RATE)
        latents = made.encode(sound(3000)[None])
        values = latents.values[0].clone()
        keep = torch.zeros_like(values, dtype=torch.bool)
        clip = Clip(made, 3000, latents.context, torch.Generator().manual_seed(0))
        filled = registry().create("replacement", name, {}).fill(values, keep, clip)
        assert filled.shape == values.shape and torch.isfinite(filled).all()
        assert torch.equal(values, latents.values[0]) and not keep.any()


@pytest.mark.parametrize("explainer", names("explainer"))
@pytest.mark.parametrize("synthesizer", names("synthesizer"))
def test_any_explainer_works_in_any_synthesizer(
    explainer: str, synthesizer: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = xplain.wrap(Convolutions(), sample_rate=RATE, labels="abc")
    e = xplain.explain(tone(440, 0.25), model, explainer=explainer, synthesizer=synthesizer)
    loaded = xplain.Explanation.load(e.save(tmp_path / "clip"))
    assert len(loaded.keep(0.1)) == 2000
    assert torch.equal(loaded.attribution, e.attribution)
