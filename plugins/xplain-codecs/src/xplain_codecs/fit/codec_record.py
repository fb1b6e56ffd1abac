"""The codec whose latents a head reads: recorded, made again, told from any other."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
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
        parameters = registry().typed("synthesizer", name, parameters)
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

    def beside(self, folder: Path) -> Codec:
        """As the classifier in ``folder`` records it: what lies near it is named from there.

        A parameter that names a file or folder in that folder, or next to it, becomes ./… or
        ../…, so that both can be moved together.
        """
        home = folder.resolve()
        return self._with_texts(lambda text: _from(home, text))

    def found_from(self, folder: Path) -> Codec:
        """What beside() gave, as it is found from here: where ``folder`` is now."""
        home = folder.resolve()
        return self._with_texts(
            lambda text: str((home / text).resolve()) if _is_near(home, text) else text
        )

    def _with_texts(self, change: Callable[[str], str]) -> Codec:
        parameters = {
            name: change(value) if isinstance(value, str) else value
            for name, value in self.parameters.items()
        }
        return replace(self, parameters=parameters)

    def identity(self) -> dict[str, Any]:
        """What two codecs share that make the same latents."""
        return {name: value for name, value in asdict(self).items() if name != "version"}


def _from(home: Path, text: str) -> str:
    """The way from a folder to a file or folder in or next to it; other texts as they are."""
    path = Path(text).expanduser()
    found = path.resolve()
    if not text or not path.exists() or (home not in found.parents and found.parent != home.parent):
        return text
    way = Path(os.path.relpath(found, home)).as_posix()
    return way if way.startswith("../") else f"./{way}"


def _is_near(home: Path, text: str) -> bool:
    return text.startswith(("./", "../")) and (home / text).exists()


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
