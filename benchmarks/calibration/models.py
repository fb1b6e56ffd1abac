"""The models and clips of the verdict's calibration: on four of them its rules were chosen."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from recordings import Recording, recordings, shared
from third_party.crepe import Crepe
from third_party.ina import LABELS, OfClip, SpeechMusicNoise
from third_party.speaker import SameSpeaker, VoiceEncoder
from torch import Tensor, nn

import xplain
from calibration.plain import plain, unheard
from xplain.audio import Audio, read, resample

RATE = 16_000
Asked = tuple[xplain.Model, Sequence[Path | Audio], str | None]
"""A model, its clips, and the synthesizer where it is not what the model reads."""


@dataclass(frozen=True)
class Subject:
    """A model of the calibration. chosen: whether rules were chosen on it."""

    name: str
    what: str
    chosen: bool
    make: Callable[[int], Iterator[Asked]]
    fast: bool = True


class OverTime(nn.Module):
    """The mean of a model's logits over its frames."""

    def __init__(self, module: nn.Module) -> None:
        """Ask a module that answers for each frame."""
        super().__init__()
        self.module = module

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits (B, L)."""
        logits: Tensor = self.module(waveform).mean(dim=1)
        return logits


def _some(given: Sequence[Recording], clips: int) -> list[Recording]:
    shuffled = list(given)
    random.Random(1).shuffle(shuffled)
    return shuffled[:clips]


def _zoo(reference: str, synthesizer: str | None) -> Callable[[int], Iterator[Asked]]:
    def make(clips: int) -> Iterator[Asked]:
        chosen = _some(recordings("fsdd", "test"), clips)
        yield xplain.load_model(reference), [clip.path for clip in chosen], synthesizer

    return make


def _plain(clips: int) -> Iterator[Asked]:
    yield plain(), [clip.path for clip in _some(unheard(), clips)], "stft"


def _ina(clips: int) -> Iterator[Asked]:
    network = OfClip(SpeechMusicNoise.load(shared() / "models" / "third-party"))
    model = xplain.wrap(network, sample_rate=RATE, labels=LABELS)
    each = -(-clips // 3)
    given = [
        clip
        for dataset in ("picovoice-wake-words", "music", "esc10")
        for clip in _some(recordings(dataset, "test"), each)
    ]
    yield model, [_cut(clip.path, 1.0) for clip in given[:clips]], "stft"


def _speaker(clips: int) -> Iterator[Asked]:
    encoder = VoiceEncoder.load(shared() / "models" / "third-party")
    for clip in _some(recordings("emodb", "test"), clips):
        same = [r for r in recordings("emodb", "test") if r.speaker == clip.speaker]
        other = next(r for r in same if r.path != clip.path)
        with torch.no_grad():
            reference = encoder(_cut(other.path, 3.0).waveform[None])[0]
        model = xplain.wrap(
            SameSpeaker(encoder, reference, 0.7),
            sample_rate=RATE,
            labels=["same"],
            multilabel=True,
            name="Resemblyzer",
        )
        yield model, [_cut(clip.path, 1.6)], "stft"


def _crepe(clips: int) -> Iterator[Asked]:
    network = Crepe.load(shared() / "models" / "third-party", every=20)
    labels = [f"bin {number}" for number in range(360)]
    model = xplain.wrap(OverTime(network), sample_rate=RATE, labels=labels, multilabel=True)
    generator = torch.Generator().manual_seed(1)
    tones = []
    for number in range(clips):
        pitch, parts = 100 + 300 * torch.rand(1, generator=generator), torch.arange(1, 9)
        phase = 2 * torch.pi * pitch * torch.arange(RATE)[None] / RATE * parts[:, None]
        tone = (phase.sin() / parts[:, None]).sum(0) / 4
        noise = 0.02 * torch.randn(RATE, generator=generator)
        tones.append(Audio((tone + noise).float(), RATE, f"tone-{number}", {}))
    yield model, tones, "stft"


SUBJECTS = (
    Subject("zoo:digits", "digits, over stft", True, _zoo("zoo:digits", "stft")),
    Subject("zoo:digits-latent", "a head on latents", True, _zoo("zoo:digits-latent", None)),
    Subject("plain", "a plain CNN, speakers it never heard", True, _plain),
    Subject("INA", "speech, music, noise", True, _ina, fast=False),
    Subject("Resemblyzer", "the same speaker?", False, _speaker, fast=False),
    Subject("CREPE", "pitch of harmonic tones", False, _crepe, fast=False),
)


def _cut(path: Path, seconds: float) -> Audio:
    """The middle of a recording at 16 kHz, repeated where it is shorter."""
    audio = resample(read(path), RATE)
    wanted = round(seconds * RATE)
    waveform = audio.waveform.repeat(-(-wanted // len(audio.waveform)))
    start = (len(waveform) - wanted) // 2
    return Audio(waveform[start : start + wanted].clone(), RATE, path.stem, {})
