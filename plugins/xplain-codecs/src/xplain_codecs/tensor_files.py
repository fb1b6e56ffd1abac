"""Tensors in safetensors files that appear whole: written under another name, and renamed."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
from torch import Tensor

from xplain.errors import ArtifactError

DAMAGE = (OSError, ValueError, KeyError, TypeError, safetensors.SafetensorError)
"""What reading a file raises that is missing, cut off or not what it should be."""


def save_tensors(path: Path, tensors: Mapping[str, Tensor], note: str = "") -> None:
    """Write tensors with a note, which load_tensors gives back; ArtifactError if impossible."""
    content = safetensors.torch.save(
        {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
        metadata={"note": note},
    )
    draft = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        draft = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        draft.chmod(0o644)
        draft.replace(path)
    except OSError as error:
        if draft is not None:
            draft.unlink(missing_ok=True)
        raise ArtifactError(f"{path} cannot be written: {error}") from error


def load_tensors(path: Path) -> tuple[dict[str, Tensor], str]:
    """The tensors and the note of a file; one of DAMAGE where there are none."""
    # Read and not mapped: a mapped file that someone cuts off ends the program.
    content = path.read_bytes()
    tensors = safetensors.torch.load(content)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    return tensors, header.get("__metadata__", {}).get("note", "")
