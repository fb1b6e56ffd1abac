"""The models and clips of the verdict's calibration: on five of them its rules were chosen."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from recordings import Recording, recordings, shared
from third_party.cases import Case, crepe_cases, pyannet_cases, silero_cases, speaker_cases
from third_party.ina import LABELS, OfClip, SpeechMusicNoise

import xplain
from calibration.plain import Attentive, Recurrent, latent, plain, unheard
from xplain.audio import Audio, read, resample
from xplain_evaluation.gallery import BLOCKS, RIGHT

RATE = 16_000
Asked = tuple[xplain.Model, Sequence[Path | Audio], Mapping[str, Any]]
"""A model, its clips, and how they are explained: settings of xplain.explain()."""
STFT = {"synthesizer": "stft"}
COMPONENTS = {
    "synthesizer": "stems",
    "synthesizer_params": {"separator": "nmf", "components": 10},
    "grouping": "stems",
}
"""Ten components of each clip's spectrogram and what they leave: a group each."""
CHEAP = ("integrated gradients", "GradientSHAP", BLOCKS)
"""Right attributions of slow models; the others take thousands of evaluations."""
OF_GROUPS = ("integrated gradients", "Shapley values of blocks", BLOCKS)
"""Right attributions by named groups."""


@dataclass(frozen=True)
class Subject:
    """A model of the calibration.

    chosen: whether rules were chosen on it. right: methods that are right about it.
    """

    name: str
    what: str
    chosen: bool
    make: Callable[[int], Iterator[Asked]]
    right: Sequence[str] = tuple(RIGHT)


def _some(given: Sequence[Recording], clips: int) -> list[Recording]:
    shuffled = list(given)
    random.Random(1).shuffle(shuffled)
    return shuffled[:clips]


def _zoo(reference: str, synthesizer: str | None) -> Callable[[int], Iterator[Asked]]:
    def make(clips: int) -> Iterator[Asked]:
        chosen = _some(recordings("fsdd", "test"), clips)
        settings = {"synthesizer": synthesizer}
        yield xplain.load_model(reference), [clip.path for clip in chosen], settings

    return make


def _plain(clips: int) -> Iterator[Asked]:
    yield plain(), [clip.path for clip in _some(unheard(), clips)], STFT


def _ina(clips: int) -> Iterator[Asked]:
    network = OfClip(SpeechMusicNoise.load(shared() / "models" / "third-party"))
    model = xplain.wrap(network, sample_rate=RATE, labels=LABELS)
    each = -(-clips // 3)
    given = [
        clip
        for dataset in ("picovoice-wake-words", "music", "esc10")
        for clip in _some(recordings(dataset, "test"), each)
    ]
    yield model, [_cut(clip.path, 1.0) for clip in given[:clips]], STFT


HEARD, OTHERS = ("lucas", "theo", "nicolas"), ("yweweler", "jackson", "lucas")
"""Speakers that the recurrent networks are trained on: the GRU, and the LSTM."""


def _sure(model: xplain.Model, given: Sequence[Recording], clips: int) -> Iterator[Recording]:
    """Clips whose decision the model gives .6 or more, whether it is right or not."""

    def sure(clip: Recording) -> bool:
        waveform = resample(read(clip.path), model.sample_rate).waveform[None]
        with torch.no_grad():
            said = model(waveform if model.reads is None else model.reads.encode(waveform).values)
        return float(said.softmax(dim=-1).max()) >= 0.6

    return islice(filter(sure, _some(given, len(given))), clips)


def _recurrent(clips: int) -> Iterator[Asked]:
    model = plain(seed=3, network=Recurrent, heard=HEARD)
    yield model, [clip.path for clip in _sure(model, unheard(HEARD), clips)], STFT


@cache
def _lstm() -> xplain.Model:
    return plain(seed=11, network=Attentive, heard=OTHERS)


def _attentive(clips: int) -> Iterator[Asked]:
    model = _lstm()
    yield model, [clip.path for clip in _sure(model, unheard(OTHERS), clips)], STFT


def _attentive_phones(clips: int) -> Iterator[Asked]:
    model = _lstm()
    for clip in _sure(model, unheard(OTHERS), clips):
        word = model.labels[int(clip.label)]
        settings = {"grouping": "phones", "grouping_params": {"transcript": word}}
        yield model, [clip.path], {**STFT, **settings}


def _attentive_components(clips: int) -> Iterator[Asked]:
    model = _lstm()
    yield model, [clip.path for clip in _sure(model, unheard(OTHERS), clips)], COMPONENTS


def _latent(clips: int) -> Iterator[Asked]:
    model = latent()
    yield model, [clip.path for clip in _sure(model, recordings("fsdd", "test"), clips)], {}


def _of(
    cases: Callable[[], Iterator[Case]], first: int, settings: Mapping[str, Any] = STFT
) -> Callable[[int], Iterator[Asked]]:
    """Cases of the table of other people's models, but for those that come first there."""

    def make(clips: int) -> Iterator[Asked]:
        for case in islice(cases(), first, first + clips):
            asked = {**settings, "target": case.target} if case.target else settings
            yield case.model, [Audio(case.samples, RATE, case.name, {})], asked

    return make


SUBJECTS = (
    Subject("zoo:digits", "digits, over stft", True, _zoo("zoo:digits", "stft")),
    Subject("zoo:digits-latent", "a head on latents", True, _zoo("zoo:digits-latent", None)),
    Subject("plain", "a plain CNN, speakers it never heard", True, _plain),
    Subject("INA", "speech, music, noise", True, _ina, CHEAP),
    Subject("recurrent", "a CRNN, other speakers it never heard", True, _recurrent),
    Subject("LSTM", "with attention, others again", False, _attentive),
    Subject("latent", "a head on latents, trained as usual", False, _latent),
    Subject("CREPE", "pitch of harmonic tones", False, _of(crepe_cases, 13), CHEAP),
    Subject("Resemblyzer", "which speaker?", False, _of(speaker_cases, 26), CHEAP),
    Subject("PyanNet", "speech, a second of a meeting", False, _of(pyannet_cases, 14), CHEAP),
    Subject("Silero", "speech, half a second", False, _of(silero_cases, 10), CHEAP),
    Subject("LSTM, phones", "as above, by sounds", False, _attentive_phones, OF_GROUPS),
    Subject("LSTM, components", "by NMF", False, _attentive_components, OF_GROUPS),
    Subject(
        *("Resemblyzer, components", "by NMF", False),
        *(_of(speaker_cases, 26, COMPONENTS), OF_GROUPS),
    ),
    Subject(
        *("Silero, words", "by words that PocketSphinx hears", False),
        *(_of(silero_cases, 10, {**STFT, "grouping": "words"}), OF_GROUPS),
    ),
)
"""What takes part. CREPE's, Resemblyzer's and Silero's first clips are left to those who chose
rules or looked at a table; the right methods of each are in RIGHT of the gallery."""


def _cut(path: Path, seconds: float) -> Audio:
    """The middle of a recording at 16 kHz, repeated where it is shorter."""
    audio = resample(read(path), RATE)
    wanted = round(seconds * RATE)
    waveform = audio.waveform.repeat(-(-wanted // len(audio.waveform)))
    start = (len(waveform) - wanted) // 2
    return Audio(waveform[start : start + wanted].clone(), RATE, path.stem, {})
