"""The methods give what Captum gives by hand, and what the mathematics says."""

from __future__ import annotations

from typing import Any

import captum.attr
import pytest
import torch
from torch import Tensor

import xplain
from xplain_captum.gradients import InputXGradient, IntegratedGradients, Saliency

X = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.0, -1.0]])
B = torch.tensor([[0.5, 0.0, 0.0], [1.0, 1.0, 1.0]])
W = torch.tensor([[2.0, -1.0, 0.0], [0.5, 3.0, 1.0]])


def squares(z: Tensor) -> Tensor:
    return (W * z.square()).sum(dim=(1, 2))


def test_integrated_gradients_of_a_quadratic_are_known_in_closed_form(closed: Any) -> None:
    # ∫ 2 w (b + α (x − b)) dα · (x − b) = w (x² − b²), element by element.
    got = IntegratedGradients(steps=5).attribute(closed(squares), X, B)
    assert torch.allclose(got, W * (X.square() - B.square()), atol=1e-5)


def test_saliency_of_a_quadratic_is_the_size_of_its_slope(closed: Any) -> None:
    got = Saliency().attribute(closed(squares), X, B)
    assert torch.allclose(got, (2 * W * X).abs())


def test_input_x_gradient_of_a_quadratic_is_twice_its_parts(closed: Any) -> None:
    got = InputXGradient().attribute(closed(squares), X, B)
    assert torch.allclose(got, 2 * W * X.square())


@pytest.mark.parametrize("steps", [1, 50, "adaptive"])
def test_of_a_linear_score_the_parts_are_weight_times_difference(steps: Any, closed: Any) -> None:
    linear = closed(lambda z: (W * z).sum(dim=(1, 2)))
    got = IntegratedGradients(steps=steps).attribute(linear, X, B)
    assert torch.allclose(got, W * (X - B), atol=1e-5)
    assert torch.allclose(InputXGradient().attribute(linear, X, B), W * X)


def curved(z: Tensor) -> Tensor:
    return (W * z).tanh().sum(dim=(1, 2)) * z[:, 0, 0].exp()


@pytest.mark.parametrize("max_batch", [1, 7, 64])
def test_the_values_are_captums_within_any_budget(max_batch: int, closed: Any) -> None:
    got = IntegratedGradients(steps=50).attribute(closed(curved, max_batch), X, B)
    by_hand = captum.attr.IntegratedGradients(curved).attribute(X[None], B[None], n_steps=50)[0]
    assert (got - by_hand).abs().max() < 1e-6


def test_over_draws_of_the_baseline_the_mean_is_taken(closed: Any) -> None:
    draws = torch.stack([B, torch.zeros_like(B), X])
    method = IntegratedGradients(steps=20)
    each = torch.stack([method.attribute(closed(curved), X, b) for b in draws])
    got = method.attribute(closed(curved), X, draws)
    assert torch.allclose(got, each.mean(0), atol=1e-6)


def test_a_whole_explanation_is_captums_on_the_same_function() -> None:
    """Through encode, decode and the model, against Captum called on plain functions."""

    class Model(torch.nn.Module):
        def forward(self, waveform: Tensor) -> Tensor:
            spectrum = torch.fft.rfft(waveform).abs().square() / waveform.shape[-1]
            return torch.log1p(
                torch.stack([spectrum[:, :400].sum(-1), spectrum[:, 400:].sum(-1)], -1)
            )

    torch.manual_seed(0)
    clip = 0.1 * torch.randn(3000)
    model = xplain.wrap(Model(), sample_rate=8000, labels=("low", "high"))
    e = xplain.explain(clip, model, target="high", params={"steps": 50})

    window = torch.hann_window(256)
    spectrum = torch.stft(clip, 256, 64, window=window, pad_mode="constant", return_complex=True)

    def score(root: Tensor) -> Tensor:
        rebuilt = root.square() * torch.exp(1j * spectrum.angle())
        return Model()(torch.istft(rebuilt, 256, 64, window=window, length=3000))[:, 1]

    by_hand = captum.attr.IntegratedGradients(score).attribute(
        spectrum.abs().sqrt()[None], n_steps=50
    )[0]
    assert (e.attribution - by_hand).abs().max() < 1e-6


@pytest.mark.parametrize("steps", [0, 5.5, "abc", "adaptively"])
def test_steps_that_are_no_number_of_steps_are_refused(steps: object) -> None:
    with pytest.raises(ValueError, match="whole number, at least 1"):
        IntegratedGradients(steps=steps)  # type: ignore[arg-type]
