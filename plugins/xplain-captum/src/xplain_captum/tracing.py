"""What a score does with a variant: which layers it calls, and what it computes between them.

Methods with a rule for each kind of layer hook torch's modules. What a model computes with
functions (torch.relu, a sum, attention) no hook sees, and such a method then goes on as if
there were nothing. So the score is run once and watched.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode

from xplain import Score

MOVES = frozenset(
    {
        *("view", "reshape", "flatten", "unflatten", "ravel", "view_as", "reshape_as"),
        *("squeeze", "unsqueeze", "transpose", "permute", "movedim", "swapaxes", "t", "T", "mT"),
        *("__getitem__", "select", "narrow", "unbind", "split", "chunk", "cat", "stack"),
        *("contiguous", "clone", "to", "float", "requires_grad_"),
    }
)
"""Operations that move elements and change none: whatever is handed down passes as it is."""

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True)
class Layer:
    """A module of torch.nn that was called."""

    name: str
    module: nn.Module

    def __str__(self) -> str:
        """As a message names it."""
        return f"the layer {self.name!r} ({type(self.module).__name__})"


@dataclass(frozen=True)
class Operation:
    """A function that was called outside of every layer, on what depends on the variant."""

    name: str
    owner: str

    def __str__(self) -> str:
        """As a message names it."""
        return f"the function {self.name} in {self.owner}, which no hook can see"


@dataclass
class Trace:
    """Layers in the order of their first call with the number of calls, and operations."""

    calls: Counter[Layer] = field(default_factory=Counter)
    operations: list[Operation] = field(default_factory=list)

    @property
    def layers(self) -> list[Layer]:
        """Every layer that was called, once."""
        return list(self.calls)

    @property
    def repeated(self) -> list[Layer]:
        """Layers that were called more than once."""
        return [layer for layer, count in self.calls.items() if count > 1]

    @property
    def computing(self) -> list[Operation]:
        """Operations that do more than move elements."""
        return [operation for operation in self.operations if operation.name not in MOVES]


def trace(score: Score, latents: Tensor) -> Trace:
    """Run the score of latents (D, N) once, and say what it did."""
    seen = Trace()
    names = {id(module): name for name, module in score.named_modules()}
    running: list[nn.Module] = []

    def enter(module: nn.Module, args: object) -> None:
        if not any(map(_is_layer, running)) and _is_layer(module):
            name = names.get(id(module), "").removeprefix("route.module.")
            seen.calls[Layer(name, module)] += 1
        running.append(module)

    def leave(module: nn.Module, args: object, output: object) -> None:
        running.pop()

    def computed(function: Callable[..., Any], output: object) -> None:
        if running and not any(map(_is_layer, running)) and _follows(output):
            owner = type(running[-1]).__name__
            seen.operations.append(Operation(_name(function), owner))

    with torch.enable_grad(), _hooked(enter, leave), _Watch(computed):
        score(latents[None].clone().requires_grad_())
    return seen


class _Watch(TorchFunctionMode):
    """Tells of every function of torch that is called."""

    def __init__(self, tell: Callable[[Callable[..., Any], object], None]) -> None:
        super().__init__()
        self.tell = tell

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        self.tell(func, output)
        return output


@contextmanager
def _hooked(enter: Callable[..., None], leave: Callable[..., None]) -> Iterator[None]:
    handles = [
        register_module_forward_pre_hook(enter),
        register_module_forward_hook(leave, always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_layer(module: nn.Module) -> bool:
    """Whether it is one of torch's own; what happens inside of it is its own business."""
    own = type(module).__module__.startswith("torch.nn.modules")
    return own and not isinstance(module, CONTAINERS)


def _follows(output: object) -> bool:
    """Whether what a function gave depends on the variant."""
    outputs = output if isinstance(output, tuple | list) else (output,)
    return any(isinstance(o, Tensor) and o.requires_grad for o in outputs)


def _name(function: Callable[..., Any]) -> str:
    """The function's name; of an attribute (x.T) the attribute's."""
    if function.__name__ == "__get__":
        return str(getattr(getattr(function, "__self__", None), "__name__", "attribute"))
    return function.__name__
