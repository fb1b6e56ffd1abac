"""The codec whose latents a head reads: recorded, made again, told from any other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xplain import Synthesizer
from xplain.errors import ModelError, PluginError, XplainError
from xplain.registry import registry

WEIGHTS = (".tflite", ".onnx", ".safetensors")
"""How names of files of weights end."""


@dataclass(frozen=True)
class Codec:
    """A registered synthesizer, and what its latents depend on.

    name: distribution/name. version: of the distribution, for the record alone.
    sample_rate: Hz. channels: D of its latents. weights: SHA-256 of its weights; None where it
    has none that can be read.
    """

    name: str
    version: str
    parameters: Mapping[str, Any]
    sample_rate: int
    channels: int
    weights: str | None

    @classmethod
    def of(cls, name: str, parameters: Mapping[str, Any]) -> tuple[Codec, Synthesizer]:
        """Make a synthesizer by its name and describe it; PluginError where that fails."""
        plugin = registry().find("synthesizer", name)
        synthesizer: Synthesizer = registry().create("synthesizer", name, parameters)
        if isinstance(synthesizer, nn.Module):
            synthesizer.eval()
        described = registry().describe("synthesizer", synthesizer, plugin)
        codec = cls(
            name=plugin.full_name,
            version=plugin.version,
            parameters={**described["parameters"], **parameters},
            sample_rate=synthesizer.sample_rate,
            channels=_channels(plugin.full_name, synthesizer),
            weights=_weights(synthesizer, parameters),
        )
        return codec, synthesizer

    def make(self) -> Synthesizer:
        """The synthesizer again; ModelError where it is not to be had, or is another now."""
        settings = ", ".join(f"{name}={value!r}" for name, value in self.parameters.items())
        try:
            now, synthesizer = Codec.of(self.name, self.parameters)
        except XplainError as error:
            raise ModelError(
                f"it reads the latents of {self.name} ({settings}), which cannot be made: {error}; "
                "install it, or correct its parameters in config.json where it has moved"
            ) from error
        before, after = self.identity(), now.identity()
        changed = [
            f"{name} {before[name]!r} then, {after[name]!r} now"
            for name in before
            if before[name] != after[name]
        ]
        if changed:
            raise ModelError(
                f"it was fitted on another {self.name} ({'; '.join(changed)}); bring that codec "
                "back, or fit again"
            )
        return synthesizer

    def identity(self) -> dict[str, Any]:
        """What two codecs share that make the same latents."""
        return {name: value for name, value in asdict(self).items() if name != "version"}


def _channels(name: str, synthesizer: Synthesizer) -> int:
    """D, from a second of silence; PluginError where it cannot be encoded."""
    try:
        with torch.no_grad():
            return synthesizer.encode(torch.zeros(1, synthesizer.sample_rate)).values.shape[1]
    except XplainError:
        raise
    except Exception as error:
        raise PluginError(
            f"synthesizer {name!r} cannot encode a second of silence ({type(error).__name__}: "
            f"{error}); give other parameters, or report it to its authors"
        ) from error


def _weights(synthesizer: Synthesizer, parameters: Mapping[str, Any]) -> str | None:
    """SHA-256 of a module's tensors, or of the files that a parameter of another names."""
    digest = hashlib.sha256()
    state = synthesizer.state_dict() if isinstance(synthesizer, nn.Module) else {}
    tensors = {name: value for name, value in state.items() if isinstance(value, Tensor)}
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        flat = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(flat.numpy().data)
    files = [] if tensors else _weight_files(parameters)
    for file in files:
        digest.update(f"{file.name} {file.stat().st_size}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest() if tensors or files else None


def _weight_files(parameters: Mapping[str, Any]) -> list[Path]:
    """Files of weights that torch does not know, such as Lyra's, by name."""
    named = [Path(v).expanduser() for v in parameters.values() if isinstance(v, str) and v]
    found = [file for path in named for file in (path.iterdir() if path.is_dir() else [path])]
    return sorted(f for f in found if f.suffix in WEIGHTS and f.is_file())
