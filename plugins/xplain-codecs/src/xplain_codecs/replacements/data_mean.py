"""The mean over a data set in place of "nothing here", and how it is measured and kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xplain import Clip, PluginError, Replacement, Synthesizer
from xplain.audio import read, resample
from xplain.errors import ArtifactError
from xplain.fingerprint import of_files
from xplain.progress import track
from xplain.registry import registry
from xplain.storage import write_bytes
from xplain.tensors import read_tensors, to_bytes
from xplain.validated import convert

HOW = "make it with `xplain data-mean MANIFEST --synthesizer NAME --out FILE`"


@dataclass(frozen=True)
class _Synthesizer:
    name: str
    parameters: dict[str, Any]
    sha256: str | None


@dataclass(frozen=True)
class _Note:
    """What stands in the header of the file."""

    synthesizer: _Synthesizer
    clips: int
    frames: int


@dataclass(frozen=True)
class Average:
    """Each channel's mean (D,) over all frames of some clips, and whose latents these are.

    synthesizer: name, parameters and weights, as provenance records them.
    """

    mean: Tensor
    synthesizer: Mapping[str, Any]
    clips: int
    frames: int

    def save(self, file: Path) -> None:
        """Write it as safetensors, with the rest as JSON in its header."""
        note = {"synthesizer": self.synthesizer, "clips": self.clips, "frames": self.frames}
        write_bytes(file, to_bytes({"mean": self.mean}, json.dumps(note, sort_keys=True)))

    @classmethod
    def load(cls, file: Path) -> Average:
        """Read what save() wrote; PluginError for anything else."""
        try:
            tensors, note = read_tensors(file, ["mean"])
            rest = convert(file, json.loads(note), _Note)
        except (ArtifactError, ValueError) as error:
            raise PluginError(f"{file} holds no mean over data ({error}); {HOW}") from error
        if tensors["mean"].ndim != 1 or tensors["mean"].dtype != torch.float32:
            raise PluginError(f"{file}: a mean is one number for each channel; {HOW}")
        return cls(tensors["mean"], asdict(rest.synthesizer), rest.clips, rest.frames)


@torch.no_grad()
def measure(recordings: Sequence[Path], synthesizer: Synthesizer) -> Average:
    """The mean over recordings, each encoded by itself as it is when it is explained.

    Long clips count by their frames. Raises what reading and encoding raise.
    """
    total, frames = torch.zeros((), dtype=torch.float64), 0
    for file in track(recordings, len(recordings), "encoding"):
        waveform = resample(read(file), synthesizer.sample_rate).waveform
        values = synthesizer.encode(waveform[None]).values[0].double()
        total, frames = total + values.sum(dim=1), frames + values.shape[1]
    return Average((total / frames).float(), described(synthesizer), len(recordings), frames)


def described(synthesizer: Synthesizer) -> dict[str, Any]:
    """Name, parameters and weights of a synthesizer: what its latents depend on."""
    record = registry().describe("synthesizer", synthesizer)
    return {name: record[name] for name in ("name", "parameters", "sha256")}


class DataMean(Replacement):
    """Each channel's mean over a data set, in every frame: what the codec sees on average."""

    depends_on_keep = False

    def __init__(self, file: str | None = None) -> None:
        """Take the file that ``xplain data-mean`` wrote; PluginError for none and for another."""
        if not file:
            raise PluginError(
                f"the replacement 'data-mean' needs a mean that was measured: {HOW}, "
                "and give file= that file"
            )
        self.file = file
        self._average = Average.load(Path(file).expanduser())

    def fingerprint(self) -> str:
        """SHA-256 of the mean."""
        return of_files({"mean": self._average.mean.numpy().tobytes()})

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        """The mean in every frame of (D, N); PluginError in latents of another synthesizer."""
        measured, mine = self._average.synthesizer, described(clip.synthesizer)
        if measured != mine or len(self._average.mean) != len(latents):
            raise PluginError(
                f"{self.file} is the mean of {_shown(measured)}, and these are latents of "
                f"{_shown(mine)}; measure one for these: {HOW}"
            )
        return self._average.mean.to(latents)[:, None].expand_as(latents)


def _shown(synthesizer: Mapping[str, Any]) -> str:
    settings = [f"{k}={v!r}" for k, v in synthesizer["parameters"].items()]
    if synthesizer["sha256"] is not None:
        settings.append(f"weights {synthesizer['sha256'][:8]}")
    return f"{synthesizer['name']} ({', '.join(settings)})"
