"""Convolutions are computed with their norms where nobody can tell, and only then."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import xplain
from xplain_captum.fusing import fused
from xplain_captum.gradients import IntegratedGradients

SHAPE = (8, 12)


class Layers(nn.Module):
    """Two convolutions with norms, and how they are read. Norms have seen data."""

    def __init__(self, read: str = "plain", flat: bool = False) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(0)
        convolution, norm = (nn.Conv1d, nn.BatchNorm1d) if flat else (nn.Conv2d, nn.BatchNorm2d)
        channels = SHAPE[0] if flat else 1
        self.first, self.norm = convolution(channels, 6, 3, padding=1, bias=False), norm(6)
        self.second, self.other = convolution(6, 6, 3, padding=1), norm(6)
        self.read, self.flat = read, flat
        with torch.no_grad():
            for part in (*self.parameters(), *self.buffers()):
                if part.is_floating_point():
                    part.copy_(torch.rand(part.shape, generator=draw) + 0.1)
        self.eval()

    def forward(self, variants: Tensor) -> Tensor:
        raw = self.first(variants if self.flat else variants[:, None])
        out = torch.tanh(self.norm(raw) / 20)
        if self.read == "beside":
            out = out + torch.tanh(raw / 20)
        out = self.other(self.second(out))
        if self.read == "twice":
            out = self.other(self.second(torch.tanh(out / 20)))
        return out.flatten(1).mean(1) / 100


class Score(xplain.Score):
    def __init__(self, layers: nn.Module) -> None:
        super().__init__()
        self.layers, self.max_batch = layers, 64

    def forward(self, variants: Tensor) -> Tensor:
        return self.layers(variants)  # type: ignore[no-any-return]


def latents() -> Tensor:
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(1))


def computed_by_norms(layers: Layers) -> int:
    """Norms that a fused score still computes with, of two."""
    calls = []
    score, told = Score(layers), torch.nn.functional.batch_norm
    with pytest.MonkeyPatch.context() as patch, fused(score, latents()):
        patch.setattr(nn.functional, "batch_norm", lambda *a, **k: calls.append(1) or told(*a, **k))
        score(latents()[None])
    return len(calls)


@pytest.mark.parametrize("flat", [False, True])
def test_the_same_scores_and_gradients_without_norms(flat: bool) -> None:
    layers = Layers(flat=flat)
    given = latents()[None].requires_grad_()
    expected = Score(layers)(given)
    (gradient,) = torch.autograd.grad(expected.sum(), given)
    with fused(Score(layers), latents()):
        said = Score(layers)(given)
        (found,) = torch.autograd.grad(said.sum(), given)
    assert torch.allclose(said, expected, rtol=1e-5)
    assert torch.allclose(found, gradient, rtol=1e-4, atol=1e-7)
    assert computed_by_norms(layers) == 0


@pytest.mark.parametrize(("read", "norms"), [("beside", 2), ("twice", 2)])
def test_an_output_that_is_read_elsewhere_or_made_twice_keeps_its_norm(
    read: str, norms: int
) -> None:
    layers = Layers(read)
    expected = Score(layers)(latents()[None])
    assert computed_by_norms(layers) == norms
    with fused(Score(layers), latents()):
        assert torch.allclose(Score(layers)(latents()[None]), expected, rtol=1e-5)


def test_a_layer_that_somebody_listens_to_is_left_alone() -> None:
    layers, heard = Layers(), []
    layers.first.register_forward_hook(lambda part, given, said: heard.append(said.detach()))
    expected = layers.first(latents()[None, None])
    with fused(Score(layers), latents()):
        Score(layers)(latents()[None])
    assert all(torch.equal(one, expected) for one in heard) and len(heard) > 1


def test_weights_that_change_between_two_clips_count() -> None:
    layers = Layers()
    for factor in (1.0, 3.0):
        layers.first.weight.data.mul_(factor)
        expected = Score(layers)(latents()[None])
        with fused(Score(layers), latents()):
            assert torch.allclose(Score(layers)(latents()[None]), expected, rtol=1e-5)


def test_the_model_is_left_as_it_was_even_after_an_error() -> None:
    layers = Layers()
    before = [(part, dict(vars(part))) for part in layers.modules()]
    weights = {name: (value, value.clone()) for name, value in layers.state_dict().items()}
    with pytest.raises(RuntimeError, match="on the way"), fused(Score(layers), latents()):
        assert any("forward" in vars(part) for part in layers.modules())
        raise RuntimeError("on the way")
    assert all(vars(part) == known for part, known in before)
    for name, value in layers.state_dict().items():
        assert value.data_ptr() == weights[name][0].data_ptr()
        assert torch.equal(value, weights[name][1])


def test_that_it_was_asked_is_not_seen_by_a_model_that_draws() -> None:
    class Drawing(Layers):
        def forward(self, variants: Tensor) -> Tensor:
            return super().forward(variants + torch.rand(()))

    said, layers = [], Drawing()
    for _ in range(2):  # the first time, layers are new
        torch.manual_seed(0)
        with fused(Score(layers), latents()):
            said.append(Score(layers)(latents()[None]))
    assert torch.allclose(said[0], said[1], rtol=1e-5)


@pytest.mark.parametrize("steps", [24, "adaptive"])
def test_integrated_gradients_are_those_of_the_layers_one_by_one(steps: Any) -> None:
    method, nothing = IntegratedGradients(steps=steps), torch.zeros(SHAPE)
    plain, heard = Layers(), Layers()
    for part in heard.modules():
        part.register_forward_hook(lambda *_: None)  # so that nothing is fused
    found = method.attribute(Score(plain), latents(), nothing)
    expected = method.attribute(Score(heard), latents(), nothing)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
