"""Where the codec's training starts: a block transform and its transpose.

With weights by chance, thousands of steps go by before such a network passes a waveform on at
all. Here the convolutions on the way down take in block after block of the waveform, without
overlap, in directions of their channels that are orthogonal (Saxe, McClelland, Ganguli 2014,
arXiv 1312.6120), and the last one gives the lowest coefficients of the cosine transform of what
arrives. On the way up are the transposes, and what lies beside them passes the signal as it
is. So the network starts as good as a codec of those coefficients would be, up to what its
non-linearities bend, and training has to find what is better.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from transformers import EncodecModel
from transformers.models.encodec.modeling_encodec import (
    EncodecConv1d,
    EncodecConvTranspose1d,
    EncodecLSTM,
    EncodecResnetBlock,
)

LEVEL = 0.04
"""Of the signal between layers, where their non-linearity is nearly straight."""


@torch.no_grad()
def start(model: EncodecModel, sound: Tensor) -> None:
    """Set the weights of encoder and decoder; sound (B, samples): what levels are found by."""
    for name, parameter in model.named_parameters():
        if "bias" in name:
            parameter.zero_()
    for layer in model.modules():
        if isinstance(layer, EncodecResnetBlock):
            _pass(layer)
        elif isinstance(layer, EncodecLSTM):
            for parameter in layer.parameters():
                parameter.mul_(0.1)
    down = [one.conv for one in model.encoder.layers if isinstance(one, EncodecConv1d)]
    up = [
        one.conv
        for one in reversed(model.decoder.layers)
        if isinstance(one, EncodecConv1d | EncodecConvTranspose1d)
    ]
    for first, last, block in zip(down, up, _blocks(down), strict=True):
        taps = first.kernel_size[0] - first.stride[0]
        begin = taps - taps // 2  # as EncodecConv1d pads
        weight = torch.zeros_like(first.weight)
        weight[..., begin : begin + first.stride[0]] = block
        first.weight = weight
        stretched = isinstance(last, nn.ConvTranspose1d)
        last.weight = weight.clone() if stretched else weight.transpose(0, 1).flip(-1)
    _level([*down, *reversed(up)], model, sound)


def _blocks(convolutions: list[Any]) -> list[Tensor]:
    """For each convolution what it takes of a block of its stride: (out, in, stride)."""
    taken = torch.ones(1, 1)  # directions of the channels that the waveform is in: (channels, d)
    places = torch.zeros(1)  # the sample of its frame that each of them is
    hop, found = 1, []
    for layer in convolutions:
        stride, out = layer.stride[0], layer.out_channels
        within = torch.einsum("cd,jk->cjdk", taken, torch.eye(stride)).flatten(0, 1).flatten(1)
        places = (places[:, None] + hop * torch.arange(stride)).flatten()
        hop *= stride
        if layer is convolutions[-1]:
            block = torch.cat([_cosines(places, hop) @ within.T, _orthogonal(within).T])[:out]
        else:
            within, places = within[:, :out], places[:out]  # more do not fit
            directions = _orthogonal(torch.zeros(out, 0))
            taken = directions[:, : len(places)]
            both = torch.cat([within, _orthogonal(within)], dim=1)[:, :out]
            block = directions[:, : both.shape[1]] @ both.T
        found.append(block.reshape(len(block), -1, stride))
    return found


def _orthogonal(beside: Tensor) -> Tensor:
    """Orthonormal columns, drawn by chance, that complete those of (n, m): (n, n - m)."""
    n, m = beside.shape
    square: Tensor = torch.linalg.qr(torch.cat([beside, torch.randn(n, n - m)], dim=1)).Q
    return square[:, m:]


def _cosines(places: Tensor, frame: int) -> Tensor:
    """The cosine transform (DCT-II) of a frame's samples at places: (len(places), len(places))."""
    order = torch.arange(len(places))[:, None]
    rows = torch.cos(math.pi / frame * (places + 0.5) * order) * math.sqrt(2 / frame)
    rows[0] /= math.sqrt(2)
    return rows


def _pass(block: Any) -> None:
    """A residual block that adds nothing to what it is given."""
    shortcut = block.shortcut.conv
    shortcut.weight = nn.init.dirac_(torch.empty_like(shortcut.weight))
    block.block[-1].conv.parametrizations.weight.original0.zero_()


def _level(convolutions: list[Any], model: EncodecModel, sound: Tensor) -> None:
    """Scale what each convolution gives to LEVEL, and the last one's to the sound."""

    def scale(layer: Any, _: object, output: Tensor) -> Tensor:
        factor = LEVEL / output.std()
        if layer is convolutions[-1]:
            heard = output[:, 0, : sound.shape[-1]]
            factor = (sound * heard).sum() / heard.square().sum()
        layer.parametrizations.weight.original0.mul_(factor)
        return output * factor

    hooks = [layer.register_forward_hook(scale) for layer in convolutions]
    model.decoder(model.encoder(sound[:, None]))
    for hook in hooks:
        hook.remove()
