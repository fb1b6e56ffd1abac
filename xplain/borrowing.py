"""Using a caller's model and the global generators, and leaving both as they were."""

from __future__ import annotations

import os
import random
import threading
import warnings
from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.nn.parameter import is_lazy
from torch.utils.hooks import RemovableHandle

from xplain.errors import ModelError, XplainError

_CONTAINERS = (dict, OrderedDict, defaultdict, list, deque, set)
"""Attributes of these types are put back with what they held: submodules, hooks, caches."""

_HOOK_TABLES = [n for n, table in vars(nn.Module()).items() if "hooks" in n and table == {}]

MOST_LAYERS = 30_000
"""A configuration of a few bytes may ask for more layers than any memory holds; the largest
networks of audio in transformers have some thousands."""

MOST_NUMBERS = 2**32
"""Numbers in the weights of a model: 16 GiB of them."""

_lock = threading.RLock()
_lent: list[tuple[nn.Module, torch.device]] = []
"""What the thread that works has borrowed, the last one last."""
_own_hooks: set[int] = set()
"""Numbers of the hooks that models on loan have installed themselves."""


def _begin_child() -> None:
    """Make a forked process work: threads of its parent are not in it.

    Nobody there would give the lock back, and GNU's OpenMP waits forever for its threads.
    """
    global _lock
    _lock = threading.RLock()
    _lent.clear()
    torch.set_num_threads(1)


os.register_at_fork(after_in_child=_begin_child)


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let one thread work at a time: modes, generators and warning filters are the process's."""
    with _lock:
        yield


@contextmanager
def own_hooks() -> Iterator[None]:
    """Take hooks that are installed meanwhile for the model's own, which it keeps."""
    # torch numbers all hooks by one counter.
    first = RemovableHandle.next_id
    try:
        yield
    finally:
        _own_hooks.update(range(first, RemovableHandle.next_id))


@contextmanager
def borrowed(module: nn.Module, device: torch.device, *, again: bool = False) -> Iterator[None]:
    """Set a module to evaluation mode on a device; restore it, and the global generators.

    Restored, whatever happens meanwhile: the training mode of each submodule, hooks but those
    that the model installed itself (see own_hooks), buffers and tensors that it keeps from call
    to call, and of each parameter its device, whether it wants gradients and the gradient that it
    holds. cuDNN's recurrent layers have no backward pass in evaluation mode, so they run without
    it. Threads take turns. Raises ModelError for a model that makes layers with weights while it
    is used. One that is borrowed already is restored when that loan ends, and the generators with
    it; or after this one, too, where it is asked for ``again``.
    """
    with one_at_a_time(), ExitStack() as stack:
        if not again and _lent and _lent[-1][0] is module and _lent[-1][1] == device:
            yield
            return
        stack.enter_context(unchanged_globals())
        state = _State(module)
        if device.type == "cuda" and any(isinstance(m, nn.RNNBase) for m in state.modules):
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        made: list[str] = []
        try:
            with suppress(NotImplementedError):  # an exported program has one mode alone
                module.eval()
            for parameter in state.parameters:
                parameter.requires_grad_(False)
                parameter.grad = None
            if any(tensor.device != device for tensor in state.tensors()):
                module.to(device)
            _lent.append((module, device))
            stack.callback(_lent.pop)
            yield
        finally:
            made = state.restore()
        if made:
            raise ModelError(
                f"the model makes layers with weights while it is used ({', '.join(made)}), and "
                "would have other weights in each explanation; call it once on a clip before "
                "you give it to xplain"
            )


def usable_device(asked: str | torch.device | None, module: nn.Module) -> torch.device:
    """Return the device asked for, or a module's own; XplainError where it cannot be used here."""
    home = next((t.device for t in (*module.parameters(), *module.buffers())), torch.device("cpu"))
    try:
        device = home if asked is None else torch.device(asked)
        # With its number, as the device of a tensor has it.
        device = torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise XplainError(f"the device {str(asked)!r} cannot be used here: {reason}") from error
    return device


@contextmanager
def unchanged_globals() -> Iterator[None]:
    """Put generators (torch, NumPy, Python), warnings' filters, default type and threads back.

    Threads take turns.
    """
    with one_at_a_time(), warnings.catch_warnings():
        generators = [torch.default_generator]
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            generators += torch.cuda.default_generators
        states = [generator.get_state() for generator in generators]
        numpy_state, python_state = np.random.get_state(), random.getstate()
        dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            for generator, state in zip(generators, states, strict=True):
                generator.set_state(state)
            np.random.set_state(numpy_state)
            random.setstate(python_state)
            torch.set_default_dtype(dtype)


@contextmanager
def making(numbers: int = MOST_NUMBERS) -> Iterator[None]:
    """Make a module as a configuration asks; the generators stay as they were.

    numbers: that its weights hold at most, as far as is known. ModelError beyond that, before
    memory is filled, and beyond MOST_LAYERS.
    """
    made = held = 0

    def count(module: nn.Module, name: str, value: nn.Module | nn.Parameter | None) -> None:
        nonlocal made, held
        made += 1
        if isinstance(value, nn.Parameter) and not (is_lazy(value) or value.is_meta):
            held += value.numel()
        if made > MOST_LAYERS or held > numbers:
            most = f"{MOST_LAYERS:,} layers and weights, or {numbers:,} numbers in them"
            raise ModelError(f"it has more than {most}; mend its sizes")

    with unchanged_globals(), ExitStack() as stack:  # since layers draw weights when they are made
        for register in (
            register_module_module_registration_hook,
            register_module_parameter_registration_hook,
        ):
            handle: RemovableHandle = register(count)
            stack.callback(handle.remove)
        yield


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators of torch, NumPy and Python; put the caller's state back."""
    with unchanged_globals():
        # The device's generators alone: torch.manual_seed would seed those of all devices.
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            torch.cuda.default_generators[device.index or 0].manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        yield


class _State:
    """What a module and its submodules hold, to be put back.

    What a model made for itself in its first call (hooks, buffers, caches) stays, as it would
    stay had its owner called it. Where it also changed tensors that it had, as a model with a
    memory does, everything is put back: half of such a change could leave it broken.
    """

    def __init__(self, module: nn.Module) -> None:
        """Note it: contents by reference, tensors that a model may write into as copies."""
        self.modules = list(module.modules())
        self.training = [getattr(m, "training", False) for m in self.modules]  # not frozen ones
        self.parameters = list(module.parameters())
        self.wants = [(p.data, p.requires_grad, p.grad) for p in self.parameters]
        self.attributes = [(m, dict(vars(m))) for m in self.modules]
        held = [value for _, attributes in self.attributes for value in attributes.values()]
        plain = [v for v in held if type(v) is Tensor]
        containers = [v for v in held if type(v) in _CONTAINERS]
        self.empty = [v for v in containers if not v]
        self.contents = [(v, dict(v) if isinstance(v, dict) else list(v)) for v in containers if v]
        for _, content in self.contents:
            held += content.values() if isinstance(content, dict) else content
        # What modules hold that is no submodule, or in a container of a type of its own.
        own = set(map(id, self.modules))
        odd = [v for v in held if isinstance(v, dict | list | deque) and type(v) not in _CONTAINERS]
        self.apart = [v for v in held if isinstance(v, nn.Module) and id(v) not in own] + odd
        parts = [part for value in self.apart for _, part in (("", value), *_items(value, ""))]
        self.known = {id(weight) for part in parts for weight in _weights(part)}
        self.held = held
        self.copies = [(t, t.detach().clone()) for t in (*module.buffers(), *plain)]

    def tensors(self) -> Iterator[Tensor]:
        """Go through parameters and buffers."""
        yield from self.parameters
        yield from (tensor for tensor, _ in self.copies)

    def restore(self) -> list[str]:
        """Put everything back; return the names of layers with weights that were made."""
        made = [] if self._untouched() else self._put_back()
        for (module, attributes), training in zip(self.attributes, self.training, strict=True):
            for name in ("training", "_is_full_backward_hook"):
                if name in attributes:
                    vars(module)[name] = attributes[name]
            if getattr(module, "training", training) != training:
                module.training = training  # of a scripted one, which keeps it elsewhere
        for parameter, (data, wanted, gradient) in zip(self.parameters, self.wants, strict=True):
            if parameter.device != data.device:
                parameter.data = data
            parameter.requires_grad_(wanted)
            parameter.grad = gradient
        with torch.no_grad():
            for tensor, copy in self.copies:
                # Only where it changed: a write is a new version to the caller's own graphs.
                # A tensor without data (meta), as of an unused part, cannot have.
                if not tensor.is_meta and not torch.equal(tensor, copy):
                    tensor.copy_(copy)
        return made

    def _untouched(self) -> bool:
        """Whether modules hold what they held, as most do: the search for new weights is long."""
        before = [(vars(module), attributes) for module, attributes in self.attributes]
        if self.apart or any(self.empty):
            return False
        return not any(_differ(now, was) for now, was in (*before, *self.contents))

    def _put_back(self) -> list[str]:
        """Put back what modules and their containers hold; the names of layers that were made."""
        before: dict[int, Any] = {id(container): content for container, content in self.contents}
        self.known |= {id(value) for value in self.held if isinstance(value, nn.Parameter)}
        names = {id(m): name for name, m in self.modules[0].named_modules()}
        made = sorted({name for name, value in self._held(names) if self._is_new(value)})
        buffers = [
            (module, before[id(attributes["_buffers"])])
            for module, attributes in self.attributes
            if id(attributes.get("_buffers")) in before
        ]
        moved = any(
            p.device != w[0].device for p, w in zip(self.parameters, self.wants, strict=True)
        )
        for module, were in buffers:
            if moved:  # others stand in their place, on the other device
                module._buffers.update(were)
        if made or self._changed(buffers):
            self._roll_back()
        for _, attributes in self.attributes:
            # torch has no public way to list hooks.
            for table in (attributes[name] for name in _HOOK_TABLES if name in attributes):
                hooks = before.get(id(table), {})
                own = {number: hook for number, hook in table.items() if number in _own_hooks}
                if table.keys() != {**hooks, **own}.keys():
                    table.clear()
                    table.update({**hooks, **own})
        return made

    def _changed(self, buffers: list[tuple[nn.Module, dict[str, Any]]]) -> bool:
        """Whether other tensors stand in the place of those that were there, or of None."""
        before = [*self.attributes, *buffers]
        now = [vars(m) for m, _ in self.attributes] + [m._buffers for m, _ in buffers]
        return any(
            (isinstance(was, Tensor) or isinstance(has, Tensor)) and has is not was
            for (_, were), having in zip(before, now, strict=True)
            for was, has in ((was, having.get(name)) for name, was in were.items())
        )

    def _roll_back(self) -> None:
        for module, attributes in self.attributes:
            now = vars(module)
            for name in now.keys() - attributes.keys():
                del now[name]
            now.update(attributes)
        for container, content in (*self.contents, *((empty, []) for empty in self.empty)):
            _refill(container, content)
        _own_hooks.clear()

    def _is_new(self, value: object) -> bool:
        return any(id(parameter) not in self.known for parameter in _weights(value))

    def _held(self, names: dict[int, str]) -> Iterator[tuple[str, object]]:
        """Go through what the modules hold now, and its names."""
        for module in self.modules:
            for attribute, value in vars(module).items():
                for key, part in ((attribute, value), *_items(value, attribute)):
                    yield f"{names.get(id(module), '')}.{key}".lstrip("."), part


def _differ(now: Any, was: Any) -> bool:
    """Whether a container holds other objects than it did."""
    if len(now) != len(was):
        return True
    if isinstance(was, dict):
        return any(now.get(key) is not value and key != "training" for key, value in was.items())
    return any(one is not other for one, other in zip(now, was, strict=True))


def _items(holder: object, name: str) -> list[tuple[str, object]]:
    if isinstance(holder, dict):
        return [(str(key), value) for key, value in holder.items()]
    if isinstance(holder, list | deque):
        return [(f"{name}[{place}]", value) for place, value in enumerate(holder)]
    return []


def _weights(value: object) -> list[nn.Parameter]:
    """The parameters that it is or has."""
    if isinstance(value, nn.Module):
        return list(value.parameters())
    return [value] if isinstance(value, nn.Parameter) else []


def _refill(container: Any, content: Any) -> None:
    """Put contents back into a container, in their order."""
    container.clear()
    if isinstance(container, list | deque):
        container.extend(content)
    else:
        container.update(content)
