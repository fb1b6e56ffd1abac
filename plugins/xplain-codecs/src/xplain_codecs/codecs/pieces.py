"""Long signals through convolutions in pieces, so that memory does not grow with the length."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


def reach(module: nn.Module, step: int = 1) -> int:
    """How far from an input an output can be that depends on it, in samples.

    An upper bound for either side: the reaches of all one-dimensional convolutions in the
    module together, whose order has to be that of registration.

    step: samples from one input of the module to the next, 1 for an encoder and the samples
    of a frame for a decoder.
    """
    total = 0
    for layer in module.modules():
        if isinstance(layer, nn.ConvTranspose1d):
            step //= layer.stride[0]
            total += (layer.kernel_size[0] - 1) * step
        elif isinstance(layer, nn.Conv1d):
            total += (layer.kernel_size[0] - 1) * layer.dilation[0] * step
            step *= layer.stride[0]
    return total


def in_pieces(
    function: Callable[[Tensor], Tensor],
    signal: Tensor,
    piece: int | None,
    before: int,
    after: int,
    *,
    down: int = 1,
    up: int = 1,
) -> Tensor:
    """What a function gives for a signal (B, C, T), computed piece by piece: (B, C', T').

    Each piece is computed with as many frames ``before`` and ``after`` it as its outputs
    depend on, which are cut away again; so it is what the whole would give, but for the
    order of additions. Where gradients are recorded, what the layers hold is kept of the last
    piece, to which the gradient comes first, and computed once more of the others, one at a time.

    piece, before, after: frames; a piece has so many at most, None for no cutting. down: inputs
    per frame. up: outputs per frame.
    """
    frames = -(-signal.shape[-1] // down)
    if piece is None or frames <= piece:
        return function(signal)
    piece, parts = -(-frames // -(-frames // piece)), []
    for start in range(0, frames, piece):
        end = start + piece
        first = max(0, start - before)
        heard = signal[..., first * down : (end + after) * down]
        if end < frames and torch.is_grad_enabled():
            part = checkpoint(function, heard, use_reentrant=False, preserve_rng_state=False)
        else:
            part = function(heard)
        # The last one to its end, wherever that is: a decoder may stop short of whole frames.
        parts.append(part[..., (start - first) * up : (end - first) * up if end < frames else None])
    return torch.cat(parts, dim=-1)
