"""Hashes of what weights and files hold, by which provenance tells one from another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from xplain.errors import ModelError


def of_module(module: nn.Module) -> str | None:
    """Hash the names, shapes and values of all parameters and buffers (SHA-256); None for none.

    Weights that a quantised module packs count too. Raises ModelError where some have no values.
    """
    digest, found = hashlib.sha256(), False
    for name, value in sorted(_tensors(module.state_dict())):
        if is_lazy(value) or value.is_meta:
            raise ModelError(
                f"the weights {name!r} have no values yet; "
                + ("load them first" if value.is_meta else "call the module once on a clip first")
            )
        value = value.dequantize() if value.is_quantized else value
        found = True
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        flat = value.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(flat.numpy().data)
    return digest.hexdigest() if found else None


def _tensors(state: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a state; packed ones stand in tuples."""
    for name, value in state.items():
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, tuple):
            yield from _tensors({f"{name}.{place}": part for place, part in enumerate(value)})


def of_files(contents: Mapping[str, bytes]) -> str:
    """SHA-256 over the names and contents of files."""
    digest = hashlib.sha256()
    for name, content in sorted(contents.items()):
        digest.update(f"{name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()
