"""The hidden layers of any model that a decoder can read: those that keep the time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from xplain import PluginError
from xplain.score import Route


@dataclass(frozen=True)
class Layer:
    """A submodule whose output has an axis of time.

    name: in the model's module. axes: of its output without the batch, as they have to be put to
    be (channels, frequencies, time), or (channels, time). channels, rows: their sizes; one row
    where there are no frequencies. folded: whether windows of a clip are rows of its batch.
    """

    name: str
    axes: tuple[int, ...]
    channels: int
    rows: int
    folded: bool = False

    def grid(self, output: Tensor, clips: int) -> Tensor:
        """An output of the submodule for so many clips as (B, channels, rows, frames)."""
        placed = (unfolded(output, clips) if self.folded else output).permute(0, *self.axes)
        return placed[:, :, None] if placed.ndim == 3 else placed


def unfolded(output: Tensor, clips: int) -> Tensor:
    """An output (B · windows, channels, ...) as (B, channels, windows), means over the rest."""
    apart = output.reshape(clips, -1, *output.shape[1:])
    means: Tensor = apart if apart.ndim == 3 else apart.flatten(3).mean(dim=-1)
    return means.transpose(1, 2)


@contextmanager
def outputs(module: nn.Module, names: Sequence[str]) -> Iterator[dict[str, Tensor]]:
    """Note what submodules give while the module is used; the last, of one that is used twice.

    Of a tuple, as recurrent layers give, the first.
    """
    held: dict[str, Tensor] = {}

    def note(name: str) -> Any:
        def hook(_: nn.Module, __: object, output: object) -> None:
            if isinstance(output, tuple) and output:
                output = output[0]
            if isinstance(output, Tensor) and output.is_floating_point():
                held[name] = output

        return hook

    with ExitStack() as stack:
        for name in names:
            handle = module.get_submodule(name).register_forward_hook(note(name))
            stack.callback(handle.remove)
        yield held


def hidden_layers(route: Route, device: torch.device, count: int) -> list[Layer]:
    """The last ``count`` layers of a route's model that keep the time; see choose.

    They are seen with noise of one second and of two.
    """
    names = [
        name for name, part in route.module.named_modules() if name and not any(part.children())
    ]
    seen: list[dict[str, Tensor]] = []
    for clips, seconds in ((2, 1), (2, 2), (1, 2)):
        chance = torch.Generator().manual_seed(0)
        samples = seconds * route.synthesizer.sample_rate
        waveform = 0.1 * torch.randn(2, samples, generator=chance).to(device)
        latents = route.synthesizer.encode(waveform[:clips])
        with torch.no_grad(), outputs(route.module, names) as held:
            route(latents.values, latents.context)
        seen.append(held)
    short, long, alone = seen
    folded = {name for name, tensor in long.items() if _folds(tensor, alone.get(name))}
    for held in (short, long):
        for name, tensor in list(held.items()):
            if name in folded:
                held[name] = unfolded(tensor, 2)
            elif len(tensor) != 2:
                del held[name]
    return [replace(layer, folded=layer.name in folded) for layer in choose(short, long, count)]


def _folds(both: Tensor, first: Tensor | None) -> bool:
    """Whether the windows of two clips lie one clip after the other, as the first alone tells."""
    if first is None or both.ndim < 2 or len(both) == 2 or len(both) != 2 * len(first):
        return False
    return torch.allclose(both[: len(first)], first, rtol=1e-3, atol=1e-4)


def choose(short: Mapping[str, Tensor], long: Mapping[str, Tensor], count: int) -> list[Layer]:
    """The last ``count`` layers with time and of different shapes, from outputs by name.

    short, long: of the same module for clips of two lengths: the axis that differs is time. Raises
    PluginError where there is none.
    """
    found: dict[tuple[int, ...], Layer] = {}
    for name, output in short.items():
        shape, other = output.shape[1:], long[name].shape[1:] if name in long else ()
        if len(shape) not in (2, 3) or len(other) != len(shape):
            continue
        differ = [a for a, (n, m) in enumerate(zip(shape, other, strict=True), 1) if n != m]
        if len(differ) != 1:
            continue
        rest = [axis for axis in range(1, len(shape) + 1) if axis != differ[0]]
        rows = output.shape[rest[1]] if len(rest) == 2 else 1
        found.pop(tuple(shape), None)  # so that of equal ones the last counts, at its place
        found[tuple(shape)] = Layer(name, (*rest, *differ), output.shape[rest[0]], rows)
    if not found:
        raise PluginError(
            "the model has no hidden layer whose output grows with the clip, so a decoder has "
            "nothing to read; give a model of modules with (batch, channels, frames) between them"
        )
    return list(found.values())[-count:]
