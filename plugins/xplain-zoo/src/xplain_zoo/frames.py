"""Where the codec's training starts: an encoder that is a transform, a decoder its transpose.

With weights by chance, thousands of steps go by before such a network passes a waveform on at
all. Here every convolution on the way down is a part of an orthogonal matrix (Saxe, McClelland,
Ganguli 2014, arXiv 1312.6120), the one on the way up is its transpose, and what lies beside
them passes the signal as it is. So the decoder starts near to the best linear answer to the
encoder, and training has to find what is worth keeping.
"""

from __future__ import annotations

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

LEVEL = 0.25
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
    for first, last in zip(down, up, strict=True):
        weight = torch.empty_like(first.weight)
        nn.init.orthogonal_(weight)
        first.weight = weight
        stretched = isinstance(last, nn.ConvTranspose1d)
        last.weight = weight.clone() if stretched else weight.transpose(0, 1).flip(-1)
    _level([*down, *reversed(up)], model, sound)


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
