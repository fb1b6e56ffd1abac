"""How many variants of a clip a model is asked about at once: as many as memory holds."""

from __future__ import annotations

import gc
import os
import re
import warnings
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from xplain.borrowing import borrowed
from xplain.errors import ModelError, XplainError, XplainWarning
from xplain.interfaces import Context

T = TypeVar("T")

MOST = 64
"""Variants of one batch: more make no model faster, and smaller ones answer sooner."""

LARGEST = 2 * 2**30
"""Bytes taken where nobody says and the device is no GPU: half of what is free, this at most."""

SHORTER = "give --memory more, or the seconds in question alone: xplain segment --explain cuts them"

UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}

sizes: weakref.WeakKeyDictionary[nn.Module, dict[Any, tuple[int, int]]] = (
    weakref.WeakKeyDictionary()
)
"""Of modules that were asked: (route, gradients) → elements of a variant, bytes that one held."""


class _Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that are made while it is entered; ``most`` at one time."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = 0
        self._counted: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {_place(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        for leaf in tree_leaves(result):
            # Not what is only seen another way, such as a weight that is transposed.
            if isinstance(leaf, Tensor) and _place(leaf) not in given | self._counted:
                storage = leaf.untyped_storage()
                self._counted.add(place := _place(leaf))
                self.now += storage.nbytes()
                weakref.finalize(storage, self._freed, place, storage.nbytes())
        self.most = max(self.most, self.now)
        return result

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # else the first use imports torch._dynamo, for a second or more

    def _freed(self, place: int, size: int) -> None:
        self._counted.discard(place)
        self.now -= size


def _place(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


@dataclass
class Memory:
    """What the variants of one batch may hold.

    budget: bytes. fixed: variants of a batch, where somebody has said. most: variants that had
    room when it ran out.
    """

    budget: int
    fixed: int | None = None
    most: int = MOST

    @classmethod
    def of(cls, asked: int | str | None, fixed: int | None, device: torch.device) -> Memory:
        """Bytes as a number, or such as "2GB"; not given, half of what is free on the device."""
        if asked is None:
            budget = _free(device) // 2
        else:
            found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?)i?b?\s*", str(asked).lower())
            if found is None or not (budget := int(float(found[1]) * UNITS[found[2]])):
                raise XplainError(f"memory is a number of bytes, such as 2GB, not {asked!r}")
        return cls(budget, fixed)

    def batch(self, route: nn.Module, values: Tensor, context: Context, gradients: bool) -> int:
        """How many variants like values (1, D, N) fit at once; at least 1.

        What one holds is measured once for a model and the longest clip so far, by one
        evaluation, with its gradient where a method needs them: tensors on the processor, the
        device's own counter on a GPU. Shorter clips are taken to hold their share; a power of two,
        so that how much a neighbour held changes nothing.
        """
        if self.fixed is not None:
            return min(self.fixed, self.most) if self.most < MOST else self.fixed
        known = sizes.setdefault(route.get_submodule("module"), {})
        key, size = (type(route.synthesizer), values.shape[1], gradients), values.numel()
        if key not in known or known[key][0] < size:
            one = self.within(1, lambda _: _measured(route, values, context, gradients))
            known[key] = size, one
            if one > self.budget:
                said = f"one variant holds {one / self.budget:.1f} times the memory of a batch"
                warnings.warn(f"{said}; {SHORTER}", XplainWarning, stacklevel=2)
        measured, held = known[key]
        fits = self.budget * measured // max(1, held * size)
        return 1 << (max(1, min(self.most, fits)).bit_length() - 1)

    def within(self, batch: int, work: Callable[[int], T]) -> T:
        """What work(batch) gives, with half the batch, and half again, where memory runs out."""
        while True:
            try:
                return work(batch)
            except Exception as error:
                if not _ran_out(error):
                    raise
                if batch == 1:
                    raise ModelError(f"memory ran out with a single variant; {SHORTER}") from error
            self.most = batch = batch // 2
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()


def _measured(route: nn.Module, values: Tensor, context: Context, gradients: bool) -> int:
    """Bytes that one variant holds at most while it is asked about."""
    device = values.device

    def ask() -> None:
        # Borrowed once more, so that a state that the model keeps, and the generators, are as if
        # it had not been asked: this is done for the first clip alone.
        with borrowed(route, device, again=True), torch.set_grad_enabled(gradients):
            variant = values.detach().clone().requires_grad_(gradients)
            said = route(variant, context)
            if gradients and said.requires_grad:
                with suppress(RuntimeError):  # the method meets it again, and says it better
                    torch.autograd.grad(said.sum(), variant, allow_unused=True)

    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        ask()
        return int(torch.cuda.max_memory_allocated(device)) - before
    with _Tally() as tally:
        ask()
    return int(tally.most)


def _free(device: torch.device) -> int:
    """Bytes that are free on a device; of the processor's twice LARGEST at most."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        free = int(os.sysconf("SC_AVPHYS_PAGES")) * int(os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):  # not known on this system
        free = 2 * LARGEST
    return min(free, 2 * LARGEST)


def _ran_out(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, is that memory ran out."""
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            return True
        if isinstance(error, RuntimeError) and "can't allocate memory" in str(error):
            return True
        error = error.__cause__
    return False
