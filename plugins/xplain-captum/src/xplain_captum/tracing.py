"""What a score does with a variant: which layers it calls, and what it computes between them.

Methods with a rule for each kind of layer hook torch's modules. What a model computes with
functions (torch.relu, a sum, attention) or with layers that it does not register no hook sees,
and such a method then goes on as if there were nothing. So the score is run once and watched:
modules by torch's global hooks, functions by a TorchFunctionMode, which knows their names, and
what they come down to by a TorchDispatchMode, which sees every operation on every tensor.
"""

from __future__ import annotations

import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from xplain import Score
from xplain_captum.effects import (
    ALWAYS_THE_SAME,
    STEPS,
    Effect,
    continuous,
    effect,
    tells_apart,
    tensors,
)

CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)


@dataclass(frozen=True)
class Layer:
    """A module of torch.nn that was called.

    name: the path in the model; None for one that the model does not register. where: of its
    first call, "FILE, line N" and the class that calls it.
    """

    name: str | None
    module: nn.Module
    where: str = field(compare=False, default="")

    def __str__(self) -> str:
        """As a message names it."""
        kind = type(self.module).__name__
        if self.name is not None:
            return f"the layer {self.name!r} ({kind})"
        return (
            f"a {kind} that is called but not registered ({self.where}), which no hook can "
            "reach: make it in __init__ as an attribute or in an nn.ModuleList"
        )


@dataclass(frozen=True)
class Operation:
    """A function that was called outside of every layer, on what depends on the variant.

    owner: the class of the module that called it. where: "FILE, line N". effects: what the
    operations that it came down to do.
    """

    name: str
    owner: str
    where: str
    effects: frozenset[Effect]

    def __str__(self) -> str:
        """As a message names it."""
        return f"the function {self.name} in {self.owner} ({self.where}), which no hook can see"


@dataclass
class Trace:
    """What a score was seen to do.

    calls: layers in the order of their first call, with the number of calls. inside: what the
    operations in each layer do. operations: those outside of layers, in their order. scores:
    (n,). followed: whether the scores could be followed back to the variants.
    """

    calls: Counter[Layer] = field(default_factory=Counter)
    inside: dict[Layer, set[Effect]] = field(default_factory=lambda: defaultdict(set))
    operations: list[Operation] = field(default_factory=list)
    scores: Tensor = field(default_factory=lambda: torch.zeros(0))
    followed: bool = False

    @property
    def layers(self) -> list[Layer]:
        """Every layer that was called, once."""
        return list(self.calls)

    @property
    def repeated(self) -> list[Layer]:
        """Layers that were called more than once."""
        return [layer for layer, count in self.calls.items() if count > 1]

    def beyond(self, *allowed: Effect) -> list[Operation]:
        """Operations that do anything but what is allowed."""
        return [operation for operation in self.operations if operation.effects - {*allowed}]


def trace(score: Score, latents: Tensor) -> Trace:
    """Run the score of latents (n, D, N) once, and tell what it did."""
    watch = _Watch({id(module): name for name, module in score.named_modules()})
    variants = latents.clone().requires_grad_()
    watch.marks.follow(variants)
    seen = watch.seen
    with torch.enable_grad(), watch.modules(), _Functions(watch), _Dispatched(watch):
        scores = score(variants)
    seen.scores, seen.followed = scores.detach(), watch.marks.follows(scores)
    return seen


class _Watch:
    """Puts together what hooks and modes tell."""

    def __init__(self, names: dict[int, str]) -> None:
        self.seen = Trace()
        self.marks = _Marks()
        self.names = names
        self.running: list[nn.Module] = []
        self.layer: Layer | None = None
        self.effects: set[Effect] = set()
        self.function: str | None = None

    @contextmanager
    def modules(self) -> Iterator[None]:
        """Follow calls of modules."""
        handles = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, always_call=True),
        ]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, module: nn.Module, args: object) -> None:
        if self.layer is None and _is_layer(module):
            name = self.names.get(id(module))
            where = f"in {self._owner()}, {_caller()}" if name is None else ""
            self.layer = Layer(name and name.removeprefix("route.module."), module, where)
            self.seen.calls[self.layer] += 1
        self.running.append(module)

    def _leave(self, module: nn.Module, args: object, output: object) -> None:
        self.running.pop()
        if self.layer is not None and self.layer.module not in self.running:
            self.layer = None

    def _owner(self) -> str:
        return type(self.running[-1]).__name__ if self.running else "the score"

    def call(self, name: str, function: Callable[[], Any]) -> Any:
        """Call a function of torch, and keep what it does under its name."""
        self.function, self.effects = name, set()
        try:
            return function()
        finally:
            if self.effects:
                self._keep(name)
            self.function = None

    def operate(self, name: str, function: Callable[[], Any], args: Any, kwargs: Any) -> Any:
        """Call an operation of torch, and keep what it does."""
        marks, given = self.marks, tensors((args, kwargs))
        found = effect(name, args, kwargs, marks.follows, marks.switched)
        in_steps = found is None and any(map(marks.switched, given))
        output = function()
        if name in ALWAYS_THE_SAME or not (found or in_steps):
            return output
        if not tells_apart(name, args, output):
            return output
        for tensor in tensors(output):
            if in_steps or name in STEPS or not continuous(tensor):
                marks.switch(tensor)
            else:
                marks.follow(tensor)
                self._note(found, name)
        return output

    def _note(self, found: Effect | None, name: str) -> None:
        if found is None:
            return
        if self.layer is not None:
            self.seen.inside[self.layer].add(found)
            return
        self.effects.add(found)
        if self.function is None:
            self._keep(name)

    def _keep(self, name: str) -> None:
        effects, self.effects = frozenset(self.effects), set()
        self.seen.operations.append(Operation(name, self._owner(), _caller(), effects))


class _Marks:
    """Which tensors depend on the variant, by their storage, which views share.

    Storages are held while the score runs, so that none comes to lie where a marked one was.
    """

    def __init__(self) -> None:
        self._followed: dict[int, object] = {}
        self._switched: dict[int, object] = {}

    def follow(self, tensor: Tensor) -> None:
        """Mark a tensor that depends on the variant continuously."""
        key, storage = _storage(tensor)
        self._followed[key] = storage

    def switch(self, tensor: Tensor) -> None:
        """Mark a tensor that depends on the variant in steps."""
        key, storage = _storage(tensor)
        self._switched[key] = storage

    def follows(self, tensor: Tensor) -> bool:
        """Whether it is marked so."""
        return _storage(tensor)[0] in self._followed

    def switched(self, tensor: Tensor) -> bool:
        """Whether it is marked so."""
        return _storage(tensor)[0] in self._switched


def _storage(tensor: Tensor) -> tuple[int, object]:
    try:
        storage = tensor.untyped_storage()
    except (NotImplementedError, RuntimeError):  # sparse and other tensors that have none
        return id(tensor), tensor
    return storage._cdata, storage


class _Functions(TorchFunctionMode):
    """Tells of every function of torch that is called, but not of those that it calls."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return self.watch.call(_name(func), lambda: func(*args, **(kwargs or {})))


class _Dispatched(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Tells of every operation that functions come down to."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.watch = watch

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Do without torch's compiler, whose import alone takes seconds."""
        return False

    def __torch_dispatch__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        name, given = func._schema.name.split("::")[-1].rstrip("_"), kwargs or {}
        return self.watch.operate(name, lambda: func(*args, **given), args, given)


def _is_layer(module: nn.Module) -> bool:
    """Whether its forward is torch's own; what happens inside of it is its own business."""
    if isinstance(module, CONTAINERS):
        return False
    forward = next(vars(kind)["forward"] for kind in type(module).mro() if "forward" in vars(kind))
    return str(getattr(forward, "__module__", "")).startswith("torch.nn.modules")


def _name(function: Callable[..., Any]) -> str:
    """Take the function's name; of an attribute (x.T) the attribute's."""
    if function.__name__ == "__get__":
        return str(getattr(getattr(function, "__self__", None), "__name__", "attribute"))
    return function.__name__


def _caller() -> str:
    """Say where the innermost code is that is neither torch's nor this file's."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module != __name__ and module.partition(".")[0] != "torch":
            break
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}, line {frame.f_lineno}"
