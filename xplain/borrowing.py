"""Using a caller's model without leaving a trace: modes, gradients, hooks, chance."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from torch import nn

from xplain.errors import XplainError

_ONE_AT_A_TIME = threading.RLock()
"""A model's modes and the global generators belong to the whole process."""


@contextmanager
def borrowed(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Have a module in evaluation mode on a device; leave it as it was.

    Restored, whatever is done meanwhile: the training mode of each part, buffers, which
    parameters want gradients and the gradients they hold, hooks, and the device. cuDNN's
    recurrent layers have no backward pass in evaluation mode, so they run without it.
    Threads take turns.
    """
    with _ONE_AT_A_TIME, ExitStack() as stack:
        modules = list(module.modules())
        parameters = list(module.parameters())
        buffers = dict(module.named_buffers())
        home = next((t.device for t in (*parameters, *buffers.values())), device)
        if device.type == "cuda" and any(isinstance(m, nn.RNNBase) for m in modules):
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        training = [m.training for m in modules]
        hooks = [(table, dict(table)) for m in modules for table in _hook_tables(m)]
        wants = [(p, p.requires_grad, p.grad) for p in parameters]
        before = {name: buffer.clone() for name, buffer in buffers.items()}
        try:
            module.eval()
            for parameter in parameters:
                parameter.requires_grad_(False)
            if home != device:
                module.to(device)
            yield
        finally:
            if home != device:
                module.to(home)
            with torch.no_grad():
                for name, buffer in module.named_buffers() if home != device else buffers.items():
                    buffer.copy_(before[name])
            for part, was in zip(modules, training, strict=True):
                part.training = was
            for table, were in hooks:
                if table.keys() != were.keys():
                    table.clear()
                    table.update(were)
            for parameter, wanted, gradient in wants:
                parameter.requires_grad_(wanted)
                parameter.grad = gradient


def usable_device(asked: str | torch.device | None, module: nn.Module) -> torch.device:
    """The device asked for, or a module's own; XplainError where it cannot be used here."""
    home = next((t.device for t in (*module.parameters(), *module.buffers())), torch.device("cpu"))
    try:
        device = home if asked is None else torch.device(asked)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise XplainError(f"the device {str(asked)!r} cannot be used here: {reason}") from error
    return device


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators of torch, NumPy and Python; put the caller's state back."""
    # The device's generators alone: torch.manual_seed would seed those of all devices.
    generators = [torch.default_generator]
    if device.type == "cuda":
        generators.append(torch.cuda.default_generators[device.index or 0])
    states = [generator.get_state() for generator in generators]
    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        for generator in generators:
            generator.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def _hook_tables(module: nn.Module) -> list[dict[int, object]]:
    # torch has no public way to list hooks.
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return [getattr(module, name) for name in names]
