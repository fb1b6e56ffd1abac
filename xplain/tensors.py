"""Tensors in safetensors files: named, with a note in the header."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from xplain.errors import ArtifactError, one_line


def to_bytes(tensors: Mapping[str, Tensor], note: str = "") -> bytes:
    """Give the content of a file that holds tensors and a note; read_tensors gives them back."""
    # Copies, since a plugin may give the same memory twice.
    held = {name: t.detach().cpu().clone().contiguous() for name, t in tensors.items()}
    return safetensors.torch.save(held, metadata={"note": note} if note else None)


def read_tensors(path: Path, names: Iterable[str] = ()) -> tuple[dict[str, Tensor], str]:
    """Read the tensors and the note of a file.

    names: those that it has to hold. Raises ArtifactError for a file that is missing, damaged
    or lacks one of them, and where a number is not finite.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait, a device may never end
            raise OSError("it is no regular file")
        # Read and not mapped: a mapped file that someone cuts off ends the program.
        content = path.read_bytes()
        tensors = safetensors.torch.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        note = header.get("__metadata__", {}).get("note", "")
    except (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError) as error:
        raise ArtifactError(f"{path} cannot be read ({one_line(error)})") from error
    if lacking := sorted(set(names) - set(tensors)):
        raise ArtifactError(f"{path} holds no tensor {lacking[0]!r}")
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ArtifactError(f"{path}: {name} has numbers that are NaN or infinite")
    return tensors, note
