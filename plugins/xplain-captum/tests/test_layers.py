"""Methods with rules for layers: answers worked out by hand, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import xplain
from xplain_captum.deep_lift import DeepLift
from xplain_captum.lrp import Lrp
from xplain_captum.rectifiers import Deconvolution, GuidedBackprop

ZERO = torch.zeros(1, 2)


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


def linear(weights: list[list[float]], bias: list[float] | None = None) -> nn.Linear:
    layer = nn.Linear(len(weights[0]), len(weights), bias=bias is not None)
    layer.weight.data = torch.tensor(weights)
    if bias is not None:
        layer.bias.data = torch.tensor(bias)
    return layer


def network(
    first: list[list[float]], last: list[list[float]], bias: list[float] | None = None
) -> nn.Module:
    """Latents (1, 2) → linear → ReLU → linear; the second logit is the score."""
    return nn.Sequential(nn.Flatten(), linear(first, bias), nn.ReLU(), linear(last))


def test_deep_lift_shares_a_rectified_difference(over: Any) -> None:
    # The score is relu(x1 − 1 + 0 · x2); 3 → 2 from a baseline of 0 → 0: 2/3 for each unit.
    score = over(network([[1.0, 0.0]], [[0.0], [1.0]], bias=[-1.0]))
    got = DeepLift().attribute(score, torch.tensor([[3.0, 5.0]]), ZERO)
    assert torch.allclose(got, torch.tensor([[2.0, 0.0]]), atol=1e-5)


def test_deep_lift_of_a_linear_score_is_weight_times_difference(over: Any) -> None:
    score = over(nn.Sequential(nn.Flatten(), linear([[0.0, 0.0], [2.0, -3.0]], [1.0, 1.0])))
    got = DeepLift().attribute(score, torch.tensor([[4.0, 1.0]]), torch.tensor([[1.0, 2.0]]))
    assert torch.allclose(got, torch.tensor([[6.0, 3.0]]))


def test_guided_backprop_stops_what_is_negative_or_was_not_active(over: Any) -> None:
    # Hidden units: x1 (active), −x1 (not), x2 (active, but speaks against the label).
    score = over(network([[1, 0], [-1, 0], [0.0, 1]], [[0.0] * 3, [2.0, 5.0, -4.0]]))
    got = GuidedBackprop().attribute(score, torch.tensor([[1.0, 1.0]]), ZERO)
    assert torch.equal(got, torch.tensor([[2.0, 0.0]]))


def test_deconvolution_lets_pass_what_was_not_active(over: Any) -> None:
    # The second unit was not active, and passes its 5 back by its weight of −1 all the same.
    score = over(network([[1, 0], [-1, 0], [0.0, 1]], [[0.0] * 3, [2.0, 5.0, -4.0]]))
    got = Deconvolution().attribute(score, torch.tensor([[1.0, 1.0]]), ZERO)
    assert torch.equal(got, torch.tensor([[-3.0, 0.0]]))


def test_lrp_gives_each_input_its_share_of_a_rectified_sum(over: Any) -> None:
    # Hidden: 2 x1 + x2 = 5, of which 4 and 1, and x1 − x2 = 1, of which 2 and −1.
    # The score is 3 · 5 + 10 · 1: 15 is shared 4 : 1, 10 is shared 2 : −1.
    score = over(network([[2.0, 1.0], [1.0, -1.0]], [[0.0, 0.0], [3.0, 10.0]]))
    got = Lrp().attribute(score, torch.tensor([[2.0, 1.0]]), ZERO)
    assert torch.allclose(got, torch.tensor([[12.0 + 20.0, 3.0 - 10.0]]), atol=1e-4)


def test_the_share_of_a_bias_is_nobodys(over: Any) -> None:
    # The hidden unit is 2 x1 + x2 + 5 = 10, of which the inputs are 4 and 1.
    score = over(network([[2.0, 1.0]], [[0.0], [3.0]], bias=[5.0]))
    got = Lrp().attribute(score, torch.tensor([[2.0, 1.0]]), ZERO)
    assert torch.allclose(got, torch.tensor([[12.0, 3.0]]), atol=1e-4)


@pytest.mark.parametrize("activation", [nn.SiLU(), nn.GELU(), nn.Softplus(), nn.LeakyReLU()])
def test_lrp_passes_through_an_activation_of_any_kind(activation: nn.Module, over: Any) -> None:
    # What the one hidden unit has is the whole score, whatever its activation made of it.
    head = nn.Sequential(nn.Flatten(), linear([[2.0, 1.0]]), activation, linear([[0.0], [3.0]]))
    got = Lrp().attribute(over(head), torch.tensor([[2.0, 1.0]]), ZERO)
    whole = float(3 * activation(torch.tensor(5.0)))
    assert torch.allclose(got, whole * torch.tensor([[0.8, 0.2]]), atol=1e-4)


def test_lrp_of_rectified_convolutions_without_biases_is_latents_times_gradient(
    over: Any,
) -> None:
    torch.manual_seed(0)
    head = nn.Sequential(
        nn.Conv1d(3, 4, 3, bias=False), nn.ReLU(), nn.Conv1d(4, 4, 3, bias=False), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 2, bias=False),
    )  # fmt: skip
    score, latents = over(head), torch.randn(3, 9)
    got = Lrp().attribute(score, latents, torch.zeros(3, 9))
    inputs = latents[None].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(score(inputs).sum(), inputs)
    assert torch.allclose(got, latents * gradient[0], atol=1e-5)
    assert float(got.sum()) == pytest.approx(float(score(latents[None]).detach()), rel=1e-4)


class Functional(nn.Module):
    """A head whose rectifier, or another step, is a function."""

    def __init__(self, step: Any, last: int = 4) -> None:
        super().__init__()
        self.first, self.act, self.out = nn.Linear(2, 4), nn.ReLU(), nn.Linear(last, 3)
        self.step = step

    def forward(self, variants: Tensor) -> Tensor:
        hidden = self.act(self.first(variants.flatten(1)))
        return self.out(self.step(hidden))


LATENTS = torch.tensor([[1.5, -0.5]])
METHODS = (GuidedBackprop(), Deconvolution(), Lrp(), DeepLift())
RECTIFYING = (GuidedBackprop(), Deconvolution())


@pytest.mark.parametrize("method", METHODS, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize(
    ("head", "layer"), [("transformer", "TransformerEncoderLayer"), ("gru", "GRU")]
)
def test_attention_and_recurrence_are_refused_by_the_name_of_the_layer(
    method: xplain.Explainer, head: str, layer: str, headed: Any, clip: Any
) -> None:
    with pytest.raises(xplain.PluginError, match=rf"'head.body' \({layer}\).*kernel-shap"):
        method.attribute(headed(head), *clip)


@pytest.mark.parametrize("method", RECTIFYING, ids=lambda m: type(m).__name__)
def test_a_model_without_a_relu_module_is_refused(method: Any, over: Any) -> None:
    head = nn.Sequential(nn.Flatten(), nn.Linear(2, 4), nn.SiLU(), nn.Linear(4, 3))
    with pytest.raises(xplain.PluginError, match=r"Flatten, Linear, SiLU\) there is none"):
        method.attribute(over(head), LATENTS, ZERO)


@pytest.mark.parametrize("method", RECTIFYING, ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("rectify", [F.relu, torch.relu, Tensor.relu])
def test_a_rectifier_that_is_a_function_is_refused(method: Any, rectify: Any, over: Any) -> None:
    with pytest.raises(xplain.PluginError, match="function relu in Functional"):
        method.attribute(over(Functional(rectify)), LATENTS, ZERO)


@pytest.mark.parametrize(
    ("step", "named"),
    [
        (lambda h: h + h.flip(1), "flip|__add__|add"),
        (lambda h: F.layer_norm(h, (4,)), "layer_norm"),
        (lambda h: h * h.softmax(-1), "softmax"),
        (torch.square, "square"),
    ],
)
def test_lrp_refuses_functions_between_the_layers(step: Any, named: str, over: Any) -> None:
    with pytest.raises(xplain.PluginError, match=f"the function ({named}) in Functional"):
        Lrp().attribute(over(Functional(step)), LATENTS, ZERO)


def test_views_and_slices_between_the_layers_take_nothing_from_lrp(over: Any) -> None:
    torch.manual_seed(1)
    step = lambda h: h.unsqueeze(1).transpose(1, 2)[:, :3].reshape(len(h), 3)  # noqa: E731
    sliced = Functional(step, last=3)
    weight, bias = sliced.first.weight[:3].tolist(), sliced.first.bias[:3].tolist()
    plain = nn.Sequential(nn.Flatten(), linear(weight, bias), nn.ReLU(), sliced.out)
    got = Lrp().attribute(over(sliced), LATENTS, ZERO)
    assert got.abs().max() > 0
    assert torch.allclose(got, Lrp().attribute(over(plain), LATENTS, ZERO), atol=1e-6)


@pytest.mark.parametrize("layer", [nn.LayerNorm(4), nn.Softmax(-1), nn.PReLU()])
def test_lrp_refuses_a_layer_without_a_rule_by_its_name(layer: nn.Module, over: Any) -> None:
    head = nn.Sequential(nn.Flatten(), nn.Linear(2, 4), layer, nn.Linear(4, 3))
    with pytest.raises(xplain.PluginError, match=rf"'head.2' \({type(layer).__name__}\)"):
        Lrp().attribute(over(head), LATENTS, ZERO)


@pytest.mark.parametrize("method", [Lrp(), DeepLift()], ids=lambda m: type(m).__name__)
def test_an_activation_that_is_used_twice_is_refused(method: Any, over: Any) -> None:
    act = nn.ReLU()
    head = nn.Sequential(nn.Flatten(), nn.Linear(2, 4), act, nn.Linear(4, 4), act, nn.Linear(4, 3))
    with pytest.raises(xplain.PluginError, match=r"'head.2' \(ReLU\) is called 2 times"):
        method.attribute(over(head), LATENTS, ZERO)


@pytest.mark.parametrize(
    ("head", "named"),
    [
        (Functional(torch.square), "the function square in Functional"),
        (Functional(lambda h: h.clamp(max=100)), None),  # reached by nothing: linear here
        (Functional(lambda h: F.silu(h - 0.5)), "the function silu in Functional"),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(2, 4), nn.SiLU(), nn.Linear(4, 3)),
            r"the layer 'head.2' \(SiLU\)",
        ),
        (
            nn.Sequential(nn.Flatten(), nn.Linear(2, 4), nn.LayerNorm(4), nn.Linear(4, 3)),
            r"the layer 'head.2' \(LayerNorm\)",
        ),
    ],
)
def test_deep_lift_refuses_what_it_has_no_rule_for_and_only_that(
    head: nn.Module, named: str | None, over: Any
) -> None:
    torch.manual_seed(0)
    for part in head.modules():
        if isinstance(part, nn.Linear):
            part.reset_parameters()
    if named is None:
        assert DeepLift().attribute(over(head), LATENTS, ZERO).abs().max() > 0
    else:
        with pytest.raises(xplain.PluginError, match=f"has no rule for {named}"):
            DeepLift().attribute(over(head), LATENTS, ZERO)


def test_deep_lift_refuses_max_pooling_where_captums_rule_for_it_does_not_add_up(
    over: Any, clip: Any
) -> None:
    torch.manual_seed(0)
    head = nn.Sequential(
        nn.Conv1d(6, 6, 3), nn.ReLU(), nn.MaxPool1d(3, 2), nn.Conv1d(6, 3, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(6, 2),
    )  # fmt: skip
    with pytest.raises(xplain.PluginError, match=r"'head.2' \(MaxPool1d\)"):
        DeepLift().attribute(over(head), *clip)


def test_a_residual_sum_is_no_obstacle_to_deep_lift(over: Any) -> None:
    got = DeepLift().attribute(over(Functional(lambda h: h + 2 * h)), LATENTS, ZERO)
    assert got.abs().max() > 0


def test_a_refused_model_is_left_as_it_was(over: Any) -> None:
    score = over(nn.Sequential(nn.Flatten(), nn.Linear(2, 4), nn.SiLU(), nn.PReLU()))
    before = [set(vars(module)) for module in score.modules()]
    for method in METHODS:
        with pytest.raises(xplain.PluginError):
            method.attribute(score, LATENTS, ZERO)
    assert [set(vars(module)) for module in score.modules()] == before
    assert not any(m._forward_hooks or m._backward_hooks for m in score.modules())


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("lrp", "the function square in Route"),
        ("deep-lift", "the function square in Route"),
    ],
)
def test_what_is_decoded_before_the_model_reads_it_is_refused(method: str, reason: str) -> None:
    """The spectrogram's root is squared where it is decoded, which no rule follows."""
    torch.manual_seed(0)
    head = nn.Sequential(
        nn.Unflatten(1, (1, 2000)), nn.Conv1d(1, 4, 64, stride=16), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 2),
    )  # fmt: skip
    model = xplain.wrap(head, sample_rate=8000, labels=[*"ab"])
    clip = 0.1 * torch.randn(2000)
    with pytest.raises(xplain.PluginError, match=reason):
        xplain.explain(clip, model, explainer=method, synthesizer="stft")
    e = xplain.explain(clip, model, explainer=method, synthesizer="waveform")
    assert e.attribution.shape == (1, 2000)


def test_one_label_against_another_has_no_rule_in_lrp() -> None:
    head = nn.Sequential(nn.Linear(2000, 8), nn.ReLU(), nn.Linear(8, 2))
    model = xplain.wrap(head, sample_rate=8000, labels=[*"ab"])
    target = xplain.Target("a", versus="b")
    with pytest.raises(xplain.PluginError, match="the function sub"):
        xplain.explain(
            0.1 * torch.randn(2000), model, explainer="lrp", synthesizer="waveform", target=target
        )
