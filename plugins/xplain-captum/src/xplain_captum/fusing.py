"""Convolutions together with the batch norm behind them, for the length of an attribution."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from xplain.borrowing import borrowed

Convolution = nn.Conv1d | nn.Conv2d
Norm = nn.BatchNorm1d | nn.BatchNorm2d
OWN = {part.forward for part in (nn.Conv1d, nn.Conv2d, nn.BatchNorm1d)}
HOOKS = [name for name, table in vars(nn.Module()).items() if "hooks" in name and table == {}]

TOLERANCE = 1e-4
"""Largest difference of a score that is rounding, relative to the score."""

_norms: WeakKeyDictionary[Convolution, Norm | None] = WeakKeyDictionary()
"""Of convolutions that were seen at work: the norm that reads the output, alone, or none."""


@contextmanager
def fused(score: nn.Module, latents: Tensor) -> Iterator[None]:
    """Let a score's convolutions do what the norms behind them do; the norms hand through.

    latents: (D, N), asked about twice where a convolution is new, to see who reads whom and that
    the score stays the same. Convolutions over two dimensions take channels last on a processor.
    Weights are not touched, and everything is as it was afterwards.
    """
    convolutions = [part for part in score.modules() if isinstance(part, Convolution)]
    if any(part not in _norms for part in convolutions):
        # A state that the model keeps, and the generators, are as if it had not been asked.
        with borrowed(score, latents.device, again=True), torch.no_grad():
            said = _watched(score, latents[None], convolutions)
            with _as_one(convolutions):
                now = score(latents[None])
        if not torch.allclose(now, said, rtol=TOLERANCE, atol=TOLERANCE):
            _norms.update(dict.fromkeys(convolutions))  # the outputs have other readers, too
    with _as_one(convolutions):
        yield


def _watched(score: nn.Module, variants: Tensor, convolutions: list[Convolution]) -> Tensor:
    """Score variants, and note which norms read what convolutions gave; those called once."""
    made: dict[int, tuple[Convolution, Tensor]] = {}
    read: list[tuple[Convolution, Norm]] = []

    def gave(part: Convolution, given: tuple[Tensor, ...], output: Tensor) -> None:
        made[id(output)] = part, output

    def reads(part: Norm, given: tuple[Tensor, ...]) -> None:
        if given and id(given[0]) in made:
            read.append((made[id(given[0])][0], part))

    with ExitStack() as stack:
        for part in convolutions:
            stack.callback(part.register_forward_hook(gave).remove)
        for norm in (part for part in score.modules() if isinstance(part, Norm)):
            stack.callback(norm.register_forward_pre_hook(reads).remove)
        said: Tensor = score(variants)
    calls = Counter(part for part, _ in made.values())
    reads_of: Counter[nn.Module] = Counter(part for pair in read for part in pair)
    _norms.update(dict.fromkeys(convolutions))
    _norms.update({c: n for c, n in read if calls[c] == reads_of[c] == reads_of[n] == 1})
    return said


@contextmanager
def _as_one(convolutions: list[Convolution]) -> Iterator[None]:
    """Replace what convolutions and their norms compute, not the modules or their weights."""
    with ExitStack() as stack:
        for part in convolutions:
            norm = _norms.get(part)
            if norm is None or norm.training or norm.running_mean is None:
                continue
            if not (_plain(part) and _plain(norm)):
                continue
            _compute(stack, part, partial(part._conv_forward, **_weights(part, norm)))
            _compute(stack, norm, _through)
        yield


def _compute(stack: ExitStack, part: nn.Module, forward: Callable[[Tensor], Tensor]) -> None:
    part.forward = forward
    stack.callback(vars(part).pop, "forward")


def _through(given: Tensor) -> Tensor:
    return given


def _plain(part: nn.Module) -> bool:
    """Whether a layer computes as torch's own does, and nobody listens to it."""
    own = type(part).forward in OWN and "forward" not in vars(part)
    return own and not any(getattr(part, name) for name in HOOKS)


def _weights(part: Convolution, norm: Norm) -> dict[str, Tensor]:
    """Weight and bias of a convolution with its norm."""
    assert norm.running_mean is not None and norm.running_var is not None
    moments = norm.running_mean, norm.running_var, norm.eps
    weight, bias = fuse_conv_bn_weights(part.weight, part.bias, *moments, norm.weight, norm.bias)
    found = weight.detach()
    if found.ndim == 4 and found.device.type == "cpu":
        found = found.contiguous(memory_format=torch.channels_last)
    return {"weight": found, "bias": bias.detach()}
