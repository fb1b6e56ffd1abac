"""The models and clips of the verdict's calibration: on four of them its rules were chosen."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from recordings import Recording, recordings, shared
from third_party.cases import Case, crepe_cases, pyannet_cases, speaker_cases
from third_party.ina import LABELS, OfClip, SpeechMusicNoise

import xplain
from calibration.plain import Recurrent, plain, unheard
from xplain.audio import Audio, read, resample

RATE = 16_000
Asked = tuple[xplain.Model, Sequence[Path | Audio], str | None, str | None]
"""A model, its clips, the synthesizer where it is not what the model reads, and the target."""


@dataclass(frozen=True)
class Subject:
    """A model of the calibration. chosen: whether rules were chosen on it."""

    name: str
    what: str
    chosen: bool
    make: Callable[[int], Iterator[Asked]]
    fast: bool = True


def _some(given: Sequence[Recording], clips: int) -> list[Recording]:
    shuffled = list(given)
    random.Random(1).shuffle(shuffled)
    return shuffled[:clips]


def _zoo(reference: str, synthesizer: str | None) -> Callable[[int], Iterator[Asked]]:
    def make(clips: int) -> Iterator[Asked]:
        chosen = _some(recordings("fsdd", "test"), clips)
        yield xplain.load_model(reference), [clip.path for clip in chosen], synthesizer, None

    return make


def _plain(clips: int) -> Iterator[Asked]:
    yield plain(), [clip.path for clip in _some(unheard(), clips)], "stft", None


def _ina(clips: int) -> Iterator[Asked]:
    network = OfClip(SpeechMusicNoise.load(shared() / "models" / "third-party"))
    model = xplain.wrap(network, sample_rate=RATE, labels=LABELS)
    each = -(-clips // 3)
    given = [
        clip
        for dataset in ("picovoice-wake-words", "music", "esc10")
        for clip in _some(recordings(dataset, "test"), each)
    ]
    yield model, [_cut(clip.path, 1.0) for clip in given[:clips]], "stft", None


def _recurrent(clips: int) -> Iterator[Asked]:
    heard = ("lucas", "theo", "nicolas")
    model = plain(seed=3, network=Recurrent, heard=heard)
    yield model, [clip.path for clip in _some(unheard(heard), clips)], "stft", None


def _of(cases: Callable[[], Iterator[Case]], first: int) -> Callable[[int], Iterator[Asked]]:
    """Cases of the table of other people's models, but for those that come first there."""

    def make(clips: int) -> Iterator[Asked]:
        for case in islice(cases(), first, first + clips):
            yield case.model, [Audio(case.samples, RATE, case.name, {})], "stft", case.target

    return make


SUBJECTS = (
    Subject("zoo:digits", "digits, over stft", True, _zoo("zoo:digits", "stft")),
    Subject("zoo:digits-latent", "a head on latents", True, _zoo("zoo:digits-latent", None)),
    Subject("plain", "a plain CNN, speakers it never heard", True, _plain),
    Subject("INA", "speech, music, noise", True, _ina, fast=False),
    Subject("recurrent", "a CRNN, other speakers it never heard", False, _recurrent),
    Subject("CREPE", "pitch of harmonic tones", False, _of(crepe_cases, 9), fast=False),
    Subject("Resemblyzer", "which speaker?", False, _of(speaker_cases, 21), fast=False),
    Subject("PyanNet", "speech, a second of a meeting", False, _of(pyannet_cases, 14), fast=False),
)


def _cut(path: Path, seconds: float) -> Audio:
    """The middle of a recording at 16 kHz, repeated where it is shorter."""
    audio = resample(read(path), RATE)
    wanted = round(seconds * RATE)
    waveform = audio.waveform.repeat(-(-wanted // len(audio.waveform)))
    start = (len(waveform) - wanted) // 2
    return Audio(waveform[start : start + wanted].clone(), RATE, path.stem, {})
