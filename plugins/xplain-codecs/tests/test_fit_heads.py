"""The heads: their sizes, what they refuse, and that padding changes nothing."""

from __future__ import annotations

import math

import pytest
import torch

from xplain.errors import ModelError
from xplain_codecs.fit.bands import compressed
from xplain_codecs.fit.heads import SIZES, Statistics, head_sizes, make_head, with_positions

SMALL = {
    "transformer": {"width": 8, "heads": 2, "layers": 2, "feedforward": 16, "positions": 9},
    "conv": {"width": 8, "kernel": 3},
    "gru": {"width": 8},
    "statistics": {},
    "bands": {"bands": 16, "width": 8, "layers": 1, "hidden": 12, "attention": 2},
    "hearing": {"bands": 16, "width": 8, "layers": 1, "hidden": 12, "attention": 2},
}
NORMALISED = ("hearing", True)
"""While it learns, over the batch: then every clip there counts."""


def head(kind: str, channels: int = 5, labels: int = 3):  # type: ignore[no-untyped-def]
    torch.manual_seed(0)
    made = make_head(head_sizes(kind, SMALL[kind]), channels, labels)
    made.mean.copy_(torch.randn(channels))
    made.std.copy_(torch.rand(channels) + 0.5)
    return made.eval()


def weights_and_biases(*shapes: tuple[int, int]) -> int:
    return sum(inputs * outputs + outputs for inputs, outputs in shapes)


def test_the_transformer_is_the_papers() -> None:
    """Linear 128 → 256, positions, 3 layers of 8 heads with 512 in between, → 35 labels."""
    sizes = head_sizes("transformer", {"positions": 75})
    assert (sizes.layers, sizes.heads, sizes.dropout) == (3, 8, 0.1)  # type: ignore[union-attr]
    attention = weights_and_biases((256, 3 * 256), (256, 256))
    layer = attention + weights_and_biases((256, 512), (512, 256)) + 2 * 2 * 256
    expected = weights_and_biases((128, 256), (256, 35)) + 75 * 256 + 3 * layer
    made = make_head(sizes, 128, 35)
    assert sum(p.numel() for p in made.parameters()) == expected


def test_the_gru_is_two_layers_of_128() -> None:
    made = make_head(head_sizes("gru", {}), 64, 7)
    # Three gates, each with weights of input and state and a bias for both.
    layers = sum(3 * (128 * inputs + 128 * 128 + 2 * 128) for inputs in (64, 128))
    expected = layers + weights_and_biases((128, 7))
    assert sum(p.numel() for p in made.parameters()) == expected


def test_the_convolutions_are_four() -> None:
    made = make_head(head_sizes("conv", {}), 64, 7)
    layers = 5 * 128 * 64 + 3 * 5 * 128 * 128 + 4 * 128
    expected = layers + 4 * 2 * 128 + weights_and_biases((128, 7))
    assert sum(p.numel() for p in made.parameters()) == expected


@pytest.mark.parametrize(
    ("kind", "train"),
    [(kind, train) for kind in SIZES for train in (False, True) if (kind, train) != NORMALISED],
)
def test_a_clip_gives_the_same_logits_alone_and_among_longer_ones(kind: str, train: bool) -> None:
    made = head(kind)
    if train:  # without dropout, which differs each time
        made.train()
        for part in made.modules():
            if hasattr(part, "p"):
                part.p = 0.0
            if hasattr(part, "dropout") and isinstance(part.dropout, float):
                part.dropout = 0.0
    clips = [torch.randn(5, frames) for frames in (4, 1, 9, 14)]
    batch = torch.full((4, 5, 14), 1e3)  # padding that would be heard
    for row, clip in zip(batch, clips, strict=True):
        row[:, : clip.shape[1]] = clip
    together = made(batch, torch.tensor([4, 1, 9, 14]))
    for row, clip in zip(together, clips, strict=True):
        torch.testing.assert_close(row, made(clip[None])[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", SIZES)
def test_a_head_takes_any_number_of_frames_and_gives_gradients(kind: str) -> None:
    made = head(kind)
    for frames in (1, 9, 10, 200):
        latents = torch.randn(2, 5, frames, requires_grad=True)
        logits = made(latents)
        assert logits.shape == (2, 3)
        (gradient,) = torch.autograd.grad(logits.sum(), latents)
        assert torch.isfinite(gradient).all() and gradient.any()


def test_with_and_without_gradients_the_transformer_gives_the_same_to_the_bit() -> None:
    made = head("transformer").requires_grad_(False)
    latents = torch.randn(2, 5, 9)
    with torch.no_grad():
        silent = made(latents)
    assert torch.equal(silent, made(latents.requires_grad_()).detach())


def test_latents_are_normalised_by_the_statistics_of_the_head() -> None:
    made = head("conv")
    latents = torch.randn(1, 5, 6)
    scaled = latents * made.std[:, None] + made.mean[:, None]
    expected = made(scaled)
    made.mean.zero_()
    made.std.fill_(1)
    torch.testing.assert_close(made(latents), expected, rtol=1e-4, atol=1e-5)


def test_statistics_are_a_linear_classifier_on_scaled_means_and_deviations() -> None:
    made, clips = head("statistics"), [torch.randn(1, 5, frames) for frames in (4, 9, 6, 5)]
    assert isinstance(made.network, Statistics)
    made.network.measure(clips)
    pooled = torch.stack([torch.cat([c[0].mean(1), c[0].std(1, correction=0)]) for c in clips])
    scaled = (pooled - pooled.mean(0)) / pooled.std(0, correction=0)
    expected = scaled @ made.out.weight.T + made.out.bias
    for clip, logits in zip(clips, expected, strict=True):
        latents = clip * made.std[:, None] + made.mean[:, None]
        torch.testing.assert_close(made(latents)[0], logits, rtol=1e-3, atol=1e-3)


def test_latents_of_other_channels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(batch, 5, frames\), not \(1, 6, 4\)"):
        head("gru")(torch.zeros(1, 6, 4))


@pytest.mark.parametrize(
    ("kind", "given", "said"),
    [
        ("transfomer", {}, "did you mean 'transformer'"),
        ("gru", {"widht": 3}, "no size 'widht'; did you mean 'width'"),
        ("gru", {"width": 0}, "whole number of at least 1, not 0"),
        ("gru", {"layers": True}, "layers is int, not True"),
        ("conv", {"layers": 1.5}, "layers is int, not 1.5"),
        ("conv", {"dropout": 1}, "a share from 0, below 1, not 1"),
    ],
)
def test_sizes_that_no_head_has_are_refused(kind: str, given: dict[str, object], said: str) -> None:
    with pytest.raises(ModelError, match=said):
        head_sizes(kind, given)


def test_heads_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(ModelError, match="5 heads do not divide a width of 256"):
        make_head(with_positions(head_sizes("transformer", {"heads": 5}), 3), 4, 2)
    with pytest.raises(ModelError, match="kernel is odd"):
        make_head(head_sizes("conv", {"kernel": 4}), 4, 2)
    wrong = (("bands", {"bands": 12}), ("bands", {"hidden": 3}), ("hearing", {"bands": 4}))
    for kind, sizes in wrong:
        with pytest.raises(ModelError, match="bands are a multiple of 8 and hidden is at least 4"):
            make_head(head_sizes(kind, sizes), 4, 2)


def test_the_bands_that_are_looked_at_are_as_high_whatever_the_level_of_the_clip() -> None:
    power = torch.rand(2, 16, 30) * torch.linspace(0, 1, 30)
    loud = compressed(power, None)
    torch.testing.assert_close(compressed(power / 1000, None), loud, rtol=0.02, atol=0.01)
    assert not compressed(torch.zeros(1, 16, 30), None).any()
    # By hand: every band at 1, so the level is 1, and log(1 + 100) / 4 of it.
    expected = torch.full((1, 16, 3), math.log1p(100) / 4)
    torch.testing.assert_close(compressed(torch.ones(1, 16, 3), None), expected, rtol=1e-4, atol=0)
