"""The latents of many clips, encoded once and kept on disk, a file for each recording."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xplain import Context, Synthesizer, XplainError
from xplain.audio import read, resample
from xplain.errors import ArtifactError, PluginError
from xplain.progress import say, track
from xplain.storage import write_bytes
from xplain.tensors import read_tensors, to_bytes
from xplain_codecs.fit.codec_record import Codec
from xplain_codecs.fit.manifest import Entry
from xplain_codecs.fit.spectra import mel_power

MOST_FAILED = 0.1
"""Share of the clips that may fail; more is no accident, and another data set."""

NAMED = 10
"""How many failed clips are named where too many failed."""

POWER = "power."
"""Before the settings of the spectrum of a clip, in its file."""

CONTEXT = "context."
"""Before the names of the tensors of a clip's context, in its file."""

FLAT = 1e-6
"""Standard deviation under which a channel holds the same everywhere, and is not scaled."""


@dataclass(frozen=True)
class Edges:
    """What it takes to edit a clip's latents and to hear them.

    silence: latents (D, N) of silence of the clip's length. context: for decoding, batch of 1.
    """

    silence: Tensor
    context: Context


@dataclass(frozen=True)
class Spectrum:
    """Of which audio is kept beside its latents: power in bands, ``parts`` times a frame.

    hop: samples of a frame. highest: Hz.
    """

    bands: int
    parts: int
    hop: int
    highest: int

    @property
    def name(self) -> str:
        """Of the tensor in a clip's file."""
        return f"{POWER}{self.bands}.{self.parts}.{self.hop}.{self.highest}"

    def of(self, waveform: Tensor, rate: int, frames: int) -> Tensor:
        """(samples,) → (bands, parts · frames)."""
        power = mel_power(waveform, rate, self.hop // self.parts, self.bands, self.highest)
        power = power[:, : self.parts * frames]
        return F.pad(power, (0, self.parts * frames - power.shape[1]))


@dataclass(frozen=True)
class LatentClip:
    """An encoded clip: its row, the number of its label, and how many frames it has.

    spectrum: the one that was kept with it.
    """

    entry: Entry
    label: int
    frames: int
    file: Path
    spectrum: Spectrum | None = None

    def read(self) -> Tensor:
        """Latents (D, N); ArtifactError where someone has removed them."""
        return self._tensors()["values"]

    def power(self) -> Tensor:
        """Its spectrum, of a clip that was encoded with one; ArtifactError as read()."""
        assert self.spectrum is not None
        return self._tensors()[self.spectrum.name]

    def edges(self) -> Edges:
        """What editing it takes, of a clip that was encoded for it; ArtifactError as read()."""
        tensors = self._tensors()
        context = {n.removeprefix(CONTEXT): t for n, t in tensors.items() if n.startswith(CONTEXT)}
        return Edges(tensors["silence"], context)

    def _tensors(self) -> dict[str, Tensor]:
        try:
            tensors, _ = read_tensors(self.file, ["values"])
        except ArtifactError as error:
            raise ArtifactError(
                f"the latents of {self.entry.name} cannot be read any more: {error}; call again, "
                "and they are encoded anew"
            ) from error
        return tensors


@dataclass(frozen=True)
class Failed:
    """A clip that could not be encoded, and why."""

    name: str
    error: str


def encode(
    entries: Sequence[Entry],
    digests: Sequence[str],
    codec: Codec,
    synthesizer: Synthesizer,
    folder: Path,
    device: torch.device,
    editable: bool = False,
    spectrum: Spectrum | None = None,
) -> tuple[list[LatentClip], list[Failed]]:
    """Encode each clip by itself, as it is explained, unless ``folder`` holds its latents.

    digests: SHA-256 of the files. A file of latents is named by the recording and the codec,
    so that a folder may hold those of many. editable, spectrum: with what it takes to edit the
    training clips, and with their spectra. A clip that cannot be encoded is named and left out;
    XplainError where too many cannot.
    """
    labels = sorted({entry.label for entry in entries})
    if isinstance(synthesizer, nn.Module):
        synthesizer.to(device)
    identity = json.dumps(codec.identity(), sort_keys=True)
    done: list[LatentClip] = []
    failures: list[Failed] = []
    numbered = zip(entries, digests, strict=True)
    for entry, digest in track(numbered, len(entries), "encoding"):
        name = hashlib.sha256(f"{identity}\n{digest}".encode()).hexdigest()
        file = folder / f"{name}.safetensors"
        content: bytes | None = None
        try:
            train = entry.part == "train"
            edited, seen = editable and train, spectrum if train else None
            frames = _frames(file, codec.channels, identity, edited, seen)
            if frames is None:
                tensors = _encoded(entry.file, codec, synthesizer, device, edited, seen)
                frames = tensors["values"].shape[1]
                content = to_bytes(tensors, identity)
        except XplainError as error:
            failures.append(Failed(entry.name, str(error)))
            say(f"left out: {error}")
            continue
        if content is not None:  # where this fails the clip is not to blame, and the next would too
            write_bytes(file, content)
        done.append(LatentClip(entry, labels.index(entry.label), frames, file, seen))
    if len(failures) > MOST_FAILED * len(entries):
        named = ", ".join(f.name for f in failures[:NAMED])
        more = f" and {len(failures) - NAMED} more" if len(failures) > NAMED else ""
        raise XplainError(
            f"{len(failures)} of {len(entries)} clips cannot be encoded: {named}{more}; the first, "
            f"because: {failures[0].error}; repair them, or take them out of the manifest"
        )
    return done, failures


def statistics(clips: Sequence[LatentClip]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (D,) of each channel over all frames of the clips."""
    total = square = torch.zeros((), dtype=torch.float64)
    for clip in clips:
        values = clip.read().double()
        total = total + values.sum(1)
        square = square + values.square().sum(1)
    frames = sum(clip.frames for clip in clips)
    mean = total / frames
    std = (square / frames - mean.square()).clamp(min=0).sqrt()
    return mean.float(), torch.where(std < FLAT, 1.0, std).float()


def _frames(
    file: Path, channels: int, identity: str, editable: bool, spectrum: Spectrum | None
) -> int | None:
    """The number of frames of latents on disk; None where there are none of this codec."""
    try:
        tensors, note = read_tensors(file, ["values"])
    except ArtifactError:
        return None
    values = tensors["values"]
    fits = note == identity and values.ndim == 2 and len(values) == channels
    fits = fits and (not editable or "silence" in tensors)
    fits = fits and (spectrum is None or spectrum.name in tensors)
    return values.shape[1] if fits else None


@torch.no_grad()
def _encoded(
    file: Path,
    codec: Codec,
    synthesizer: Synthesizer,
    device: torch.device,
    editable: bool,
    spectrum: Spectrum | None,
) -> dict[str, Tensor]:
    """Latents (D, N) of a recording, its edges and spectrum; XplainError where there are none."""
    waveform = resample(read(file), codec.sample_rate).waveform[None].to(device)
    try:
        latents = synthesizer.encode(waveform)
        values = latents.values[0].cpu()
        tensors = {"values": values}
        if editable:
            tensors["silence"] = synthesizer.encode(torch.zeros_like(waveform)).values[0]
            tensors |= {f"{CONTEXT}{name}": tensor for name, tensor in latents.context.items()}
        if spectrum is not None:
            sound = waveform[0].cpu()
            tensors[spectrum.name] = spectrum.of(sound, codec.sample_rate, values.shape[-1])
    except XplainError as error:
        raise type(error)(f"{file}: {error}") from error
    except Exception as error:
        raise PluginError(
            f"{file}: {codec.name} failed with {type(error).__name__}: {error}"
        ) from error
    if values.ndim != 2 or len(values) != codec.channels or values.shape[1] == 0:
        raise PluginError(
            f"{file}: {codec.name} gave latents {tuple(values.shape)}, not ({codec.channels}, "
            "frames)"
        )
    if not torch.isfinite(values).all():
        raise PluginError(f"{file}: {codec.name} gave latents that are NaN or infinite")
    return tensors
