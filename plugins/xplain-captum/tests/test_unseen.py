"""Layers and rectifiers that hooks do not see: refused by name and place, and nothing else is.

Right answers are worked out layer by layer, in matrices, without torch's autograd or Captum.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import xplain
from xplain_captum.deep_lift import DeepLift
from xplain_captum.lrp import Lrp
from xplain_captum.rectifiers import Deconvolution, GuidedBackprop

METHODS = (GuidedBackprop(), Deconvolution(), Lrp(), DeepLift())
RECTIFYING = METHODS[:2]
LATENTS = torch.tensor([[1.5, -0.5, 0.8]])
BASELINE = torch.tensor([[-0.2, 0.4, 0.1]])


def by_name(method: object) -> str:
    return type(method).__name__


class Net(nn.Module):
    """Two hidden layers, of which ``second`` says how the second is rectified."""

    def __init__(self, second: Callable[[Net, Tensor], Tensor] | None = None) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.one, self.two = nn.Linear(3, 5, bias=False), nn.Linear(5, 5, bias=False)
        self.out = nn.Linear(5, 2, bias=False)
        self.act, self.other = nn.ReLU(), nn.ReLU()
        self.second = second or (lambda net, h: net.other(h))

    def forward(self, variants: Tensor) -> Tensor:
        return self.out(self.second(self, self.two(self.act(self.one(variants.flatten(1))))))


def by_hand(net: Net, method: object) -> Tensor:
    """What a method gives for Net: (1, 3)."""
    one, two, out = (layer.weight.detach() for layer in (net.one, net.two, net.out))

    def hidden(x: Tensor) -> tuple[Tensor, Tensor]:
        first = one @ x
        return first, two @ first.clamp(min=0)

    (x, b), weights = (LATENTS[0], BASELINE[0]), out[1]
    (first, second), (first_of_b, second_of_b) = hidden(x), hidden(b)
    if isinstance(method, GuidedBackprop):
        back = weights.clamp(min=0) * (second > 0)
        back = (two.T @ back).clamp(min=0) * (first > 0)
        return (one.T @ back)[None]
    if isinstance(method, Deconvolution):
        back = (two.T @ weights.clamp(min=0)).clamp(min=0)
        return (one.T @ back)[None]
    if isinstance(method, Lrp):  # without biases: latents times gradient
        back = two.T @ (weights * (second > 0)) * (first > 0)
        return ((one.T @ back) * x)[None]
    rise = (second.clamp(min=0) - second_of_b.clamp(min=0)) / (second - second_of_b)
    back = two.T @ (weights * rise)
    back = back * (first.clamp(min=0) - first_of_b.clamp(min=0)) / (first - first_of_b)
    return ((one.T @ back) * (x - b))[None]


@pytest.mark.parametrize("method", METHODS, ids=by_name)
def test_a_network_of_layers_that_are_seen_is_explained_as_by_hand(method: Any, over: Any) -> None:
    net = Net()
    got = method.attribute(over(net), LATENTS, BASELINE)
    assert torch.allclose(got, by_hand(net, method), atol=1e-5)


class Own(torch.autograd.Function):
    """A rectifier with a backward pass of its own."""

    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        ctx.save_for_backward(h)
        return h.clamp_min(0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (h,) = ctx.saved_tensors
        return gradients[0] * (h > 0)


def scripted(h: Tensor) -> Tensor:
    return torch.relu(h)


def zeroed(h: Tensor) -> Tensor:
    h = h.clone()
    h[h < 0] = 0
    return h


RECTIFIED: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "torch.relu": torch.relu,
    "method": lambda h: h.relu(),
    "in place": lambda h: h.clone().relu_(),
    "function in place": lambda h: F.relu(h.clone(), inplace=True),
    "clamp": lambda h: h.clamp(min=0),
    "clamp by position": lambda h: torch.clamp(h, 0),
    "clamp with a tensor": lambda h: torch.clamp(h, min=torch.tensor(0.0)),
    "clamp in place": lambda h: h.clone().clamp_(min=0),
    "clip": lambda h: h.clip(0),
    "clamp_min": lambda h: h.clamp_min(0),
    "clamp_max": lambda h: -((-h).clamp_max(0)),
    "clamp on both sides": lambda h: h.clamp(0, 1e6),
    "maximum": lambda h: torch.maximum(h, torch.tensor(0.0)),
    "maximum, reversed": lambda h: torch.maximum(torch.zeros_like(h), h),
    "max": lambda h: torch.max(h, torch.zeros_like(h)),
    "fmax": lambda h: torch.fmax(h, torch.zeros_like(h)),
    "minimum": lambda h: -torch.minimum(-h, torch.zeros_like(h)),
    "threshold": lambda h: F.threshold(h, 0.0, 0.0),
    "hardtanh": lambda h: F.hardtanh(h, 0.0, 1e6),
    "relu6": F.relu6,
    "leaky_relu": lambda h: F.leaky_relu(h, 0.0),
    "prelu": lambda h: F.prelu(h, torch.zeros(1)),
    "softshrink": lambda h: F.softshrink(h, 0.1),
    "hardswish": F.hardswish,
    "mask": lambda h: h * (h > 0),
    "mask of floats": lambda h: h * (h > 0).float(),
    "mask from detached values": lambda h: h * h.detach().gt(0),
    "mask by the sign": lambda h: h * (1 + h.sign()) / 2,
    "mask by heaviside": lambda h: h * torch.heaviside(h.detach(), torch.tensor(0.0)),
    "where": lambda h: torch.where(h > 0, h, 0.0),
    "masked_fill": lambda h: h.masked_fill(h < 0, 0.0),
    "index": zeroed,
    "a limit that is met": lambda h: h.clamp(min=-0.01) + 0.01,
    "one branch or the other": lambda h: torch.maximum(h, 0.1 * h),
    "own backward": Own.apply,
    "script": lambda h: torch.jit.script(scripted)(h),
}


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("rectify", RECTIFIED.values(), ids=RECTIFIED)
@pytest.mark.parametrize("method", METHODS, ids=by_name)
def test_a_rectifier_however_it_is_spelt_is_refused_by_name_and_line(
    method: Any, rectify: Callable[[Tensor], Tensor], over: Any
) -> None:
    net = Net(lambda net, h: rectify(h))
    refused = r"no rule for the function \w+ in Net \(test_unseen.py, line \d+\)"
    with pytest.raises(xplain.PluginError, match=refused):
        method.attribute(over(net), LATENTS, BASELINE)


def in_a_list(layer: nn.Module) -> Callable[[Net, Tensor], Tensor]:
    """A step that calls a layer which is not an attribute of the model."""
    layers = [layer]
    return lambda net, h: layers[0](h)


UNREGISTERED: dict[str, Callable[[], Callable[[Net, Tensor], Tensor]]] = {
    "made in forward": lambda: lambda net, h: nn.ReLU()(h),
    "in a list": lambda: in_a_list(nn.ReLU()),
    "in a module in a list": lambda: in_a_list(nn.Sequential(nn.Identity(), nn.ReLU())),
}


@pytest.mark.parametrize("made", UNREGISTERED.values(), ids=UNREGISTERED)
@pytest.mark.parametrize("method", METHODS, ids=by_name)
def test_a_layer_that_is_called_but_not_registered_is_refused(
    method: Any, made: Callable[[], Any], over: Any
) -> None:
    refused = r"a (ReLU|Identity) that is called but not registered \(in \w+, \w+\.py, line \d+\)"
    with pytest.raises(xplain.PluginError, match=refused):
        method.attribute(over(Net(made())), LATENTS, BASELINE)


@pytest.mark.parametrize("method", METHODS, ids=by_name)
def test_a_layer_whose_forward_is_called_past_its_hooks_is_refused(method: Any, over: Any) -> None:
    with pytest.raises(xplain.PluginError, match="function relu in Net"):
        method.attribute(over(Net(lambda net, h: net.other.forward(h))), LATENTS, BASELINE)


@pytest.mark.parametrize("method", METHODS, ids=by_name)
@pytest.mark.parametrize("kind", [nn.ReLU6, nn.LeakyReLU, nn.Threshold, nn.Hardtanh, nn.PReLU])
def test_another_rectifier_as_a_layer_is_refused_where_there_is_no_rule(
    method: Any, kind: Callable[..., nn.Module], over: Any
) -> None:
    settings = {nn.Threshold: (0.1, 0.0), nn.Hardtanh: (0.0, 5.0)}
    net = Net()
    net.other = kind(*settings.get(kind, ()))  # type: ignore[call-overload]
    ruled = {Lrp: (nn.LeakyReLU, nn.ReLU6, nn.Hardtanh), DeepLift: (nn.LeakyReLU,)}
    if kind in ruled.get(type(method), ()):
        assert method.attribute(over(net), LATENTS, BASELINE).count_nonzero()
    else:
        with pytest.raises(xplain.PluginError, match=rf"'head.other' \({kind.__name__}\)"):
            method.attribute(over(net), LATENTS, BASELINE)


# What is linear, and what only looks like a rectifier


def identity() -> nn.Linear:
    """A layer that gives what it is given."""
    layer = nn.Linear(5, 5, bias=False)
    layer.weight.data = torch.eye(5)
    return layer


LINEAR_BY_FUNCTION: dict[str, Callable[[Net, Tensor], Tensor]] = {
    "linear": lambda net, h: F.linear(h, torch.eye(5)),
    "matmul": lambda net, h: h @ torch.eye(5),
    "einsum": lambda net, h: torch.einsum("bi,ij->bj", h, torch.eye(5)),
    "conv1d": lambda net, h: F.conv1d(h[:, None], torch.tensor([[[0.0, 1.0, 0.0]]]), padding=1)[
        :, 0
    ],
    "scaled": lambda net, h: 2 * h / torch.tensor(2.0),
    "sum": lambda net, h: h + h - h,
    "batch norm": lambda net, h: F.batch_norm(h, torch.zeros(5), torch.ones(5), eps=0.0),
    "pooled": lambda net, h: F.avg_pool1d(h.repeat_interleave(2, dim=1)[:, None], 2)[:, 0],
    "layer in a list": in_a_list(identity()),
    "limits that are not met": lambda net, h: h.clamp(-100, 100),
    "mask that is fixed": lambda net, h: h * torch.ones(5).gt(0),
    "written into a buffer": lambda net, h: torch.zeros(len(h), 5).index_copy(
        1, torch.arange(5), h
    ),
    "truth of a comparison, unused": lambda net, h: h if (h > -1e9).all() else -h,
    "normalised weights": lambda net, h: h @ F.normalize(torch.eye(5), dim=1),
}


@pytest.mark.parametrize("step", LINEAR_BY_FUNCTION.values(), ids=LINEAR_BY_FUNCTION)
@pytest.mark.parametrize("method", [m for m in METHODS if not isinstance(m, Lrp)], ids=by_name)
def test_what_is_linear_needs_no_rule(
    method: Any, step: Callable[[Net, Tensor], Tensor], over: Any
) -> None:
    net = Net(lambda net, h: net.other(step(net, h)))
    got = method.attribute(over(net), LATENTS, BASELINE)
    assert torch.allclose(got, by_hand(net, method), atol=1e-5)


@pytest.mark.parametrize("step", LINEAR_BY_FUNCTION.values(), ids=LINEAR_BY_FUNCTION)
def test_lrp_refuses_functions_that_no_rule_shares_out(step: Any, over: Any) -> None:
    net = Net(lambda net, h: net.other(step(net, h)))
    if step in (
        LINEAR_BY_FUNCTION["limits that are not met"],
        LINEAR_BY_FUNCTION["truth of a comparison, unused"],
    ):
        got = Lrp().attribute(over(net), LATENTS, BASELINE)
        assert torch.allclose(got, by_hand(net, Lrp()), atol=1e-5)
    else:
        with pytest.raises(xplain.PluginError, match="no rule for"):
            Lrp().attribute(over(net), LATENTS, BASELINE)


class FrontEnd(nn.Module):
    """What people compute with functions before a network of layers."""

    def __init__(self, step: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.step = Net(), step

    def forward(self, variants: Tensor) -> Tensor:
        return self.net(self.step(variants.flatten(1)))


FRONT_ENDS: dict[str, Callable[[Tensor], Tensor]] = {
    "peak": lambda x: x / x.abs().amax(dim=1, keepdim=True).clamp(min=1e-6),
    "level": lambda x: x / (x.std(dim=1, keepdim=True) + 1e-5),
    "normalize": lambda x: F.normalize(x, dim=1),
    "layer norm": lambda x: F.layer_norm(x, (3,)),
    "log of energies": lambda x: (x.square() + 1e-3).clamp(min=1e-10).log(),
    "floor of energies": lambda x: x.square().clamp_min(0.3).log10(),
    "no division by zero": lambda x: x / torch.where(x.sum() == 0, 1.0, x.sum()),
    "only what is a number": lambda x: torch.where(torch.isnan(x), 0.0, x),
    "limiter": lambda x: x.clamp(-1, 1),
    "gate": lambda x: x * x.sigmoid(),
    "softmax": lambda x: x * x.softmax(dim=1),
    "half of a spectrum": lambda x: torch.fft.rfft(x).abs().repeat(1, 2)[:, :3],
}


@pytest.mark.parametrize("step", FRONT_ENDS.values(), ids=FRONT_ENDS)
@pytest.mark.parametrize("method", RECTIFYING, ids=by_name)
def test_the_gradient_passes_what_is_no_rectifier(
    method: Any, step: Callable[[Tensor], Tensor], over: Any
) -> None:
    net = FrontEnd(step)
    got = method.attribute(over(net), LATENTS, BASELINE)
    # By hand: the network's own attribution of what it reads, through the Jacobian of the step.
    read = step(LATENTS)
    alone = method.attribute(over(net.net), read, BASELINE)
    jacobian = torch.autograd.functional.jacobian(step, LATENTS)[0, :, 0]
    assert torch.allclose(got, alone @ jacobian, atol=1e-5)


# Tensors that are read twice, layers that are called twice or work in place


class Shared(nn.Module):
    """A hidden layer that a ReLU reads, and the sum after it as well."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.one, self.act = nn.Linear(3, 5, bias=False), nn.ReLU()
        self.out = nn.Linear(5, 2, bias=False)

    def forward(self, variants: Tensor) -> Tensor:
        hidden = self.one(variants.flatten(1))
        return self.out(self.act(hidden) + hidden)


def test_what_reads_a_tensor_beside_a_rectifier_keeps_its_gradient(over: Any) -> None:
    net = Shared()
    one, out = net.one.weight.detach(), net.out.weight.detach()[1]
    (h, of_b) = one @ LATENTS[0], one @ BASELINE[0]
    guided = (out.clamp(min=0) * (h > 0) + out) @ one
    assert torch.allclose(GuidedBackprop().attribute(over(net), LATENTS, BASELINE)[0], guided)
    deconvolved = (out.clamp(min=0) + out) @ one
    assert torch.allclose(Deconvolution().attribute(over(net), LATENTS, BASELINE)[0], deconvolved)
    rise = (h.clamp(min=0) - of_b.clamp(min=0)) / (h - of_b)
    lifted = ((out * rise + out) @ one) * (LATENTS - BASELINE)[0]
    got = DeepLift().attribute(over(net), LATENTS, BASELINE)[0]
    assert torch.allclose(got, lifted, atol=1e-5)


class Twice(nn.Module):
    """One ReLU that two branches share, which meet in a sum."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.one, self.two = nn.Linear(3, 5, bias=False), nn.Linear(3, 5, bias=False)
        self.act, self.out = nn.ReLU(), nn.Linear(5, 2, bias=False)

    def forward(self, variants: Tensor) -> Tensor:
        flat = variants.flatten(1)
        one, two = self.one(flat), self.two(flat)
        return self.out(self.act(one) + 3 * self.act(two))


def test_branches_may_share_a_relu_where_the_gradient_is_rectified(over: Any) -> None:
    net = Twice()
    one, two = net.one.weight.detach(), net.two.weight.detach()
    out, x = net.out.weight.detach()[1].clamp(min=0), LATENTS[0]
    guided = (out * (one @ x > 0)) @ one + (3 * out * (two @ x > 0)) @ two
    assert torch.allclose(GuidedBackprop().attribute(over(net), LATENTS, BASELINE)[0], guided)
    deconvolved = out @ one + (3 * out) @ two
    assert torch.allclose(Deconvolution().attribute(over(net), LATENTS, BASELINE)[0], deconvolved)
    for method in (DeepLift(), Lrp()):
        with pytest.raises(xplain.PluginError, match=r"'head.act' \(ReLU\) is called 2 times"):
            method.attribute(over(net), LATENTS, BASELINE)


class Branches(nn.Module):
    """Layers that read the same tensor, a part of it, and a view of it, side by side."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.one = nn.Linear(3, 6, bias=False)
        self.a, self.b = nn.Linear(6, 4, bias=False), nn.Linear(3, 4, bias=False)
        self.act, self.c = nn.ReLU(), nn.Conv1d(2, 4, 3, bias=False)
        self.out = nn.Linear(4 + 4 + 6 + 4, 2, bias=False)

    def forward(self, variants: Tensor) -> Tensor:
        h = self.one(variants.flatten(1))
        folded = self.c(h.view(len(h), 2, 3)).flatten(1)
        return self.out(torch.cat([self.a(h), self.b(h[:, 1:4]), self.act(h), folded], dim=1))


def test_lrp_shares_out_what_branches_read_of_the_same_tensor(over: Any) -> None:
    """Without biases it is latents times gradient, whatever the shape of the network."""
    score, latents = over(Branches()), LATENTS[None].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(score(latents).sum(), latents)
    got = Lrp().attribute(score, LATENTS, BASELINE)
    assert torch.allclose(got, LATENTS * gradient[0], atol=1e-5)


@pytest.mark.parametrize("kind", [nn.ReLU, nn.LeakyReLU, nn.Hardtanh, nn.SiLU, nn.ELU])
@pytest.mark.parametrize("method", METHODS, ids=by_name)
def test_a_layer_that_works_in_place_is_explained_as_one_that_does_not(
    method: Any, kind: Any, over: Any
) -> None:
    def head(inplace: bool) -> nn.Module:
        torch.manual_seed(2)
        return nn.Sequential(
            nn.Flatten(), nn.Linear(3, 5), nn.BatchNorm1d(5), kind(inplace=inplace),
            nn.Linear(5, 5), nn.ReLU(inplace=inplace), nn.Linear(5, 2),
        )  # fmt: skip

    try:
        expected = method.attribute(over(head(inplace=False)), LATENTS, BASELINE)
    except xplain.PluginError:
        with pytest.raises(xplain.PluginError, match=kind.__name__):
            method.attribute(over(head(inplace=True)), LATENTS, BASELINE)
        return
    score = over(head(inplace=True))
    assert torch.allclose(method.attribute(score, LATENTS, BASELINE), expected, atol=1e-6)
    assert score.head[5].inplace is True


class Overwritten(nn.Module):
    """Reads what its rectifier has overwritten."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.one, self.act, self.out = nn.Linear(3, 5), nn.ReLU(inplace=True), nn.Linear(5, 2)

    def forward(self, variants: Tensor) -> Tensor:
        hidden = self.one(variants.flatten(1))
        self.act(hidden)
        return self.out(hidden)


@pytest.mark.parametrize("method", METHODS, ids=by_name)
def test_a_model_that_reads_what_a_layer_has_overwritten_is_refused(method: Any, over: Any) -> None:
    with pytest.raises(xplain.PluginError, match=r"works in place \(ReLU, inplace=True\)"):
        method.attribute(over(Overwritten()), LATENTS, BASELINE)


@pytest.mark.parametrize("pool", [nn.MaxPool1d(2), nn.MaxPool1d(2, padding=1)])
def test_pooling_by_the_maximum_right_after_a_rectifier_adds_up_in_deep_lift(
    pool: nn.Module, over: Any, clip: Any
) -> None:
    """Captum alone gives something else: both layers hook the tensor between them."""
    torch.manual_seed(0)
    head = nn.Sequential(nn.Conv1d(6, 6, 3), nn.ReLU(), pool, nn.Flatten(), nn.LazyLinear(2))
    score, (latents, baseline) = over(head), clip
    ends = score(torch.stack([latents, baseline])).detach()
    got = DeepLift(tolerance=1e-4).attribute(score, latents, baseline)
    assert float(got.sum()) == pytest.approx(float(ends[0] - ends[1]), rel=1e-4)


# Layers as people make them


def test_a_subclass_and_a_parametrised_layer_are_the_layers_they_are(over: Any) -> None:
    class Mine(nn.ReLU):
        """Another name."""

    net = Net()
    net.other = Mine()
    torch.nn.utils.parametrizations.weight_norm(net.two)
    for method in RECTIFYING:
        expected = by_hand(Net(), method)
        assert torch.allclose(method.attribute(over(net), LATENTS, BASELINE), expected, atol=1e-5)
    # Captum takes types exactly, and has no rule for a layer whose weights are computed.
    with pytest.raises(xplain.PluginError, match=r"'head.other' \(Mine\)"):
        DeepLift().attribute(over(net), LATENTS, BASELINE)
    net.other = nn.ReLU()
    lifted = DeepLift().attribute(over(net), LATENTS, BASELINE)
    assert torch.allclose(lifted, by_hand(Net(), DeepLift()), atol=1e-5)
    with pytest.raises(xplain.PluginError, match=r"'head.two' \(ParametrizedLinear\)"):
        Lrp().attribute(over(net), LATENTS, BASELINE)


@pytest.mark.filterwarnings("ignore:Using `torch.compile:UserWarning")
def test_a_compiled_module_is_explained_or_refused(over: Any) -> None:
    net = Net()
    compiled = torch.compile(net, backend="eager")
    for method in METHODS:
        try:
            got = method.attribute(over(compiled), LATENTS, BASELINE)
        except xplain.PluginError as refusal:
            assert "has no rule" in str(refusal) or "come from the latents" in str(refusal)
        else:
            assert torch.allclose(got, by_hand(Net(), method), atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("method", METHODS, ids=by_name)
def test_a_model_saved_as_torchscript_is_refused(method: Any, over: Any, tmp_path: Path) -> None:
    plain = nn.Sequential(nn.Flatten(), nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    torch.jit.script(plain).save(tmp_path / "net.pt")
    loaded = torch.jit.load(tmp_path / "net.pt")
    with pytest.raises(xplain.PluginError, match="no rule for the function"):
        method.attribute(over(loaded), LATENTS, BASELINE)


@pytest.mark.parametrize(
    ("model", "method", "refused"),
    [
        ("zoo:digits-latent", "guided-backprop", "there is none"),
        ("zoo:digits-latent", "deconvolution", "there is none"),
        ("zoo:digits-latent", "deep-lift", r"'network\.power\.layers\.0\.norm' \(LayerNorm\)"),
        ("zoo:digits-latent", "lrp", r"'network\.power\.layers\.0\.norm' \(LayerNorm\)"),
        ("zoo:digits", "guided-backprop", "there is none"),
        ("zoo:digits", "deep-lift", r"'body\.2' \(SiLU\)"),
    ],
)
def test_trained_models_are_refused_by_the_layer_without_a_rule(
    model: str, method: str, refused: str
) -> None:
    pytest.importorskip("xplain_zoo")
    loaded = xplain.load_model(model)
    clip = 0.1 * torch.randn(4000, generator=torch.Generator().manual_seed(0))
    synthesizer = loaded.reads or "waveform"

    with pytest.raises(xplain.PluginError, match=refused):
        xplain.explain(clip, loaded, sample_rate=8000, explainer=method, synthesizer=synthesizer)
