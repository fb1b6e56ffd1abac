"""The codec whose latents a head reads: recorded, made again, told from any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from xplain import Synthesizer
from xplain.errors import ModelError, PluginError, XplainError
from xplain.registry import registry


@dataclass(frozen=True)
class Codec:
    """A registered synthesizer, and what its latents depend on.

    name: distribution/name. version: of the distribution, for the record alone.
    sample_rate: Hz. channels: D of its latents. weights: their SHA-256; None where it has none.
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
            weights=described["sha256"],
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
