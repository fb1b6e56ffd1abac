"""A caller's model, tensors and generators are left as they were."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toys import RATE, BandEnergies, Convolutions, Noisy, tone

import xplain
from xplain.borrowing import borrowed, seeded
from xplain.explaining import explain_each

Noise = Callable[..., Tensor]


def test_the_callers_generators_go_on_where_they_were(
    convolutions: xplain.Model, noise: Noise
) -> None:
    def draw(explained: bool) -> list[float]:
        torch.manual_seed(5)
        np.random.seed(5)
        random.seed(5)
        if explained:
            xplain.explain(noise(0.3), convolutions, explainer=Noisy()).keep(0.1)
        return [float(torch.rand(1)), float(np.random.rand()), random.random()]

    assert draw(False) == draw(True)


class Rude(xplain.Explainer):
    """Leaves hooks and gradients behind and switches modes, as no method should."""

    uses_gradients = True

    def attribute(self, score: xplain.Score, latents: Tensor, baseline: Tensor) -> Tensor:
        for module in score.modules():
            module.register_forward_hook(lambda *_: None)
        score.train().requires_grad_(True)
        torch.set_default_dtype(torch.float64)
        score(torch.stack([latents, baseline])).sum().backward()
        latents.zero_()
        baseline.fill_(3)
        return torch.ones_like(latents)


def test_the_callers_model_is_left_as_it_was(noise: Noise) -> None:
    torch.manual_seed(0)
    module = Convolutions().train()
    module.layers[3].eval()
    module.head.bias.requires_grad_(False)
    module.head.register_forward_hook(lambda *_: None)
    state = {k: v.clone() for k, v in module.state_dict().items()}
    model = xplain.wrap(module, sample_rate=RATE, labels=[*"abc"])
    for explainer in ("integrated-gradients", Rude()):
        xplain.explain(noise(0.3), model, explainer=explainer).keep(0.1)
    assert module.training and module.layers[1].training and not module.layers[3].training
    assert module.head.weight.requires_grad and not module.head.bias.requires_grad
    assert [len(m._forward_hooks) for m in module.modules()] == [0, 0, 0, 0, 0, 0, 1]
    assert all(torch.equal(v, state[k]) for k, v in module.state_dict().items())
    assert all(p.grad is None for p in module.parameters())
    assert torch.get_default_dtype() == torch.float32


def test_a_model_is_free_between_the_clips(convolutions: xplain.Model, noise: Noise) -> None:
    module, clips = convolutions.module, [noise(0.3, 1), noise(0.3, 2)]
    one = explain_each(clips, convolutions)
    other = explain_each(clips, convolutions, explainer=Rude())
    for _ in zip(one, other, strict=True):
        assert module.training and all(p.requires_grad for p in module.parameters())
    abandoned = explain_each(clips, convolutions)
    next(abandoned)
    assert module.training and all(p.requires_grad for p in module.parameters())


def test_threads_take_turns_on_one_model(convolutions: xplain.Model, noise: Noise) -> None:
    expected = xplain.explain(noise(0.3), convolutions).attribution
    with ThreadPoolExecutor(4) as pool:
        done = pool.map(lambda _: xplain.explain(noise(0.3), convolutions), range(8))
    assert all(torch.allclose(e.attribution, expected, atol=1e-7) for e in done)
    assert convolutions.module.training


def test_a_model_on_loan_is_given_back_after_an_error_too(noise: Noise) -> None:
    class Failing(xplain.Explainer):
        def attribute(self, score: xplain.Score, latents: Tensor, baseline: Tensor) -> Tensor:
            raise RuntimeError("no")

    module = Convolutions().train()
    model = xplain.wrap(module, sample_rate=RATE, labels=[*"abc"])
    with pytest.raises(xplain.XplainError, match="RuntimeError: no"):
        xplain.explain(noise(0.3), model, explainer=Failing())
    assert module.training and module.head.weight.requires_grad


def test_a_method_cannot_change_the_clip_it_explains(
    convolutions: xplain.Model, noise: Noise
) -> None:
    e = xplain.explain(noise(0.3), convolutions, explainer=Rude())
    assert (e.keep(1) - noise(0.3)).abs().max() < 1e-4
    assert e.baseline.abs().max() == 0


def test_what_a_caller_does_with_an_attribution_does_not_change_what_is_kept(
    convolutions: xplain.Model, noise: Noise
) -> None:
    e, other = (xplain.explain(noise(0.3), convolutions) for _ in range(2))
    e.attribution.neg_()
    assert torch.equal(e.keep(0.1), other.keep(0.1))


def test_a_model_that_writes_into_its_input_does_not_change_the_clip() -> None:
    class InPlace(BandEnergies):
        def forward(self, waveform: Tensor) -> Tensor:
            waveform *= 0.5
            return super().forward(waveform)

    model = xplain.wrap(InPlace(), sample_rate=RATE, labels=[*"abc"])
    mine = xplain.Audio(tone(440), RATE, "mine")
    e = xplain.explain(mine, model, explainer=Noisy(), synthesizer="waveform")
    assert torch.equal(mine.waveform, tone(440)) and torch.equal(e.waveform, tone(440))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_flow_whatever_mode_the_caller_is_in(
    convolutions: xplain.Model, noise: Noise, mode: Callable[[], object]
) -> None:
    expected = xplain.explain(noise(0.3), convolutions).attribution
    with mode():  # type: ignore[attr-defined]
        got = xplain.explain(noise(0.3), convolutions).attribution
        assert torch.is_grad_enabled() is False
    assert torch.allclose(got, expected, atol=1e-7)


def test_a_frozen_script_is_explained_and_the_number_of_threads_is_put_back() -> None:
    class Threads(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = plain

        def forward(self, waveform: Tensor) -> Tensor:
            torch.set_num_threads(threads + 1)
            return self.inner(waveform)  # type: ignore[no-any-return]

    torch.manual_seed(0)
    plain, threads = Convolutions().eval(), torch.get_num_threads()
    frozen = torch.jit.freeze(torch.jit.trace(plain, tone(440)[None]))
    first, *others = (
        xplain.explain(tone(440), xplain.wrap(m, sample_rate=RATE, labels=[*"abc"])).attribution
        for m in (plain, frozen, Threads().eval())
    )
    assert all(torch.allclose(first, other, atol=1e-5) for other in others)
    assert torch.get_num_threads() == threads


def test_a_loan_puts_the_generators_back_and_one_within_it_leaves_them_to_it() -> None:
    def drawn() -> tuple[float, float, float]:
        return float(torch.rand(1)), float(np.random.rand()), random.random()

    module, device = nn.Linear(1, 1), torch.device("cpu")
    with seeded(5, device):
        expected = [drawn(), drawn()]
    with seeded(5, device):
        with borrowed(module, device):
            with borrowed(module, device):
                assert drawn() == expected[0]
            with seeded(7, device):
                drawn()
            assert drawn() == expected[1]  # a method goes on that has asked for scores meanwhile
        assert drawn() == expected[0]
