"""How many variants of a clip a model is asked about at once: as many as memory holds."""

from __future__ import annotations

import gc
import re
import warnings
import weakref
from collections.abc import Callable
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from xplain.borrowing import borrowed
from xplain.errors import ModelError, XplainError, XplainWarning
from xplain.interfaces import Clip

T = TypeVar("T")

MOST = 64
"""Variants of one batch: more make no model faster, and smaller ones answer sooner."""

SWIFT = 2**27
"""Bytes of a batch that is on no GPU: larger ones were never faster, and up to 1.6 times slower."""

LARGEST = 2 * 2**30
"""Bytes taken where nobody says and the device is no GPU: half of what is free, this at most."""

CUT = "at a time (xplain segment --explain cuts what a model that decides per frame finds)"

LONG, PIECE, FAR = 60, 5, 4
"""Clips of more than LONG s are refused where PIECE s say that they hold FAR times the budget."""

UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}

sizes: weakref.WeakKeyDictionary[nn.Module, dict[Any, list[int]]] = weakref.WeakKeyDictionary()
"""Of modules that were asked: route → elements of a variant, bytes that one held, and bytes with
what a backward pass needs, 0 where that was not measured."""


class _Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that are made while it is entered; ``most`` at one time.

    saved: of those, what a backward pass would need; it is counted by ``drop`` instead of held.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.most = self.saved = 0
        self._counted: set[int] = set()
        self._dropped: set[int] = set()

    def drop(self, tensor: Tensor) -> Any:
        """Count a tensor that autograd would save, in place of saving it."""
        place = _place(tensor)
        if place in self._counted - self._dropped:
            self._dropped.add(place)
            self.saved += tensor.untyped_storage().nbytes()

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
        self._dropped.discard(place)
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

    def alone(self, route: nn.Module, clip: Clip, gradients: bool, values: Tensor) -> Tensor:
        """Logits of one variant (1, D, N); of the longest so far, what it holds is measured."""
        known = _known(route, values)

        def ask(_: int) -> Tensor:
            if self.fixed is not None or (known[0] >= values.numel() and known[1 + gradients]):
                return route(values, clip.context)  # type: ignore[no-any-return]
            self._foretell(route, clip, gradients)
            said, *held = _measured(partial(route, context=clip.context), values, gradients)
            known[:] = values.numel(), *held
            if max(held) > self.budget:
                warnings.warn(self._word(max(held), clip.duration), XplainWarning, stacklevel=2)
            return said

        return self.within(1, ask)

    def _foretell(self, route: Any, clip: Clip, gradients: bool) -> None:
        """ModelError, in place of minutes and a full memory, where a piece says what all holds."""
        if clip.duration <= LONG:
            return
        waveform, held = clip.waveform[None, : PIECE * route.synthesizer.sample_rate], 0
        # A model that takes no piece is asked about all.
        with suppress(Exception), borrowed(route, clip.latents.values.device, again=True):
            piece = route.at_model(waveform.to(clip.latents.values))
            held = int(max(_measured(route.hear, piece, gradients)[1:]) * clip.duration / PIECE)
        if held > FAR * self.budget:
            raise ModelError(self._word(held, clip.duration))

    def _word(self, held: int, length: float) -> str:
        times = held / self.budget
        much = f"{length:.3g} s hold {times:.1f} times the memory of a batch"
        return (
            f"{much}; give --memory {-(-held // 2**20)}MB, or at most {length / times:.3g} s {CUT}"
        )

    def batch(self, route: nn.Module, clip: Clip, gradients: bool) -> int:
        """How many variants of a clip fit at once; at least 1.

        Shorter clips are taken to hold their share. A power of two, so that how much a neighbour
        held changes nothing.
        """
        if self.fixed is not None:
            return min(self.fixed, self.most) if self.most < MOST else self.fixed
        values = clip.latents.values
        known, size = _known(route, values), values.numel()
        if known[0] < size or not known[1 + gradients]:
            # A state that the model keeps, and the generators, are as if it had not been asked.
            with borrowed(route, values.device, again=True):
                self.alone(route, clip, gradients, values)
        room = self.budget if values.device.type == "cuda" else min(self.budget, SWIFT)
        fits = room * known[0] // (known[1 + gradients] * size)
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
                    said = f"memory ran out with a single variant; explain fewer seconds {CUT}"
                    raise ModelError(said) from error
            self.most = batch = batch // 2
            gc.collect()
            torch.cuda.empty_cache()


def _known(route: nn.Module, values: Tensor) -> list[int]:
    """What was measured of a route, to be filled in; see sizes."""
    key = type(route.synthesizer), values.shape[1]
    return sizes.setdefault(route.get_submodule("module"), {}).setdefault(key, [0, 0, 0])


def _measured(
    ask: Callable[[Tensor], Tensor], values: Tensor, gradients: bool
) -> tuple[Tensor, int, int]:
    """Logits of one variant, the bytes it holds at most, and those with gradients, else 0.

    One forward pass for both: what autograd would save is counted and let go, and a backward pass
    is taken to hold as much more as the forward pass does at one time.
    """
    cuda, tally = values.device.type == "cuda", _Tally()
    if cuda:
        torch.cuda.reset_peak_memory_stats(values.device)
        before = torch.cuda.memory_allocated(values.device)
    dropped = saved_tensors_hooks(tally.drop, lambda _: Tensor()) if gradients else nullcontext()
    try:
        with torch.set_grad_enabled(gradients), dropped, tally:
            said = ask(values.detach().clone().requires_grad_(gradients)).detach()
    except Exception as error:
        if not gradients or _ran_out(error):
            raise
        # The method meets the error again, and says it better.
        said, most, _ = _measured(ask, values, gradients=False)
        return said, most, 2 * most
    if cuda:
        tally.most = int(torch.cuda.max_memory_allocated(values.device)) - before
    return said, tally.most, (tally.most + tally.saved) * gradients


def _free(device: torch.device) -> int:
    """Bytes that are free on a device; of the processor's twice LARGEST at most."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:  # with what the system holds of files, and would let go
        (kb,) = re.findall(r"MemAvailable: *(\d+)", Path("/proc/meminfo").read_text("utf-8"))
        return min(1024 * int(kb), 2 * LARGEST)
    except (ValueError, OSError):  # not known on this system
        return 2 * LARGEST


def _ran_out(error: BaseException | None) -> bool:
    """Whether an error, or what it came from, is that memory ran out."""
    while error is not None:
        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            return True
        if isinstance(error, RuntimeError) and "can't allocate memory" in str(error):
            return True
        error = error.__cause__
    return False
