"""Every method on the heads that xplain fit trains: Captum's numbers, or a refusal."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import xplain
from xplain.registry import registry
from xplain_codecs.fit.heads import head_sizes, make_head

CHANNELS, FRAMES = 6, 12
SIZES: dict[str, dict[str, int]] = {
    "transformer": {"width": 16, "heads": 2, "feedforward": 16, "positions": FRAMES},
    "conv": {"width": 16},
    "gru": {"width": 16},
}
REFUSED = {
    "transformer": {"deep-lift", "lrp", "guided-backprop", "deconvolution"},
    # Its frames are normalised one by one, for which the other two have no rule.
    "conv": {"deep-lift", "lrp"},
    "gru": {"deep-lift", "lrp", "guided-backprop", "deconvolution"},
}


def calls() -> Any:
    """Captum, called as the plugin's own tests call it for latents of (6, 12)."""
    folder = Path(__file__).parents[1] / "plugins" / "xplain-captum" / "tests"
    spec = importlib.util.spec_from_file_location("by_hand", folder / "test_by_hand.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


BY_HAND = calls()
METHODS: dict[str, Any] = {
    **BY_HAND.BY_HAND,
    **{name: ({}, call) for name, call in BY_HAND.FOR_LAYERS.items()},
}


class Asked(xplain.Score):
    """The second logit of a head, 64 variants at once."""

    max_batch = 64

    def __init__(self, head: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = make_head(head_sizes(head, SIZES[head]), CHANNELS, 3)
        self.head.mean += torch.randn(CHANNELS)
        self.head.std += torch.rand(CHANNELS)
        self.eval()

    def forward(self, variants: Tensor) -> Tensor:
        logits: Tensor = self.head(variants)[:, 1]
        return logits


def attributed(name: str, head: str, latents: Tensor, baseline: Tensor) -> Tensor:
    explainer: xplain.Explainer = registry().create("explainer", name, METHODS[name][0])
    BY_HAND.seed()
    with torch.set_grad_enabled(explainer.uses_gradients):
        return explainer.attribute(Asked(head), latents, baseline)


@pytest.fixture
def clip() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(CHANNELS, FRAMES, generator=generator)
    return latents, 0.3 * torch.randn(CHANNELS, FRAMES, generator=generator)


@pytest.mark.filterwarnings("ignore:\\s*Setting")
@pytest.mark.parametrize("head", SIZES)
@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_captums_or_refuses(name: str, head: str, clip: tuple[Tensor, Tensor]) -> None:
    if name in REFUSED[head]:
        with pytest.raises(xplain.PluginError, match=rf"{name}.*no rule"):
            attributed(name, head, *clip)
        return
    latents, baseline = clip
    found = attributed(name, head, *clip)
    BY_HAND.seed()
    by_hand = METHODS[name][1](Asked(head), latents[None].requires_grad_(), baseline[None])[0]
    size = float(by_hand.detach().abs().max())
    assert size > 0
    assert (found - by_hand).abs().max() < min(1e-5, 0.01 * size)
    assert torch.equal(attributed(name, head, *clip), found)
