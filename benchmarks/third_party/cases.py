"""What the models are asked: real clips that fit each, and the decision to explain."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import soundfile
import torch
from recordings import recordings, shared
from torch import Tensor, nn

import xplain
from third_party import crepe, dnsmos, ina, pyannet, silero, speaker

RATE = 16_000


@dataclass(frozen=True)
class Case:
    """A clip (samples,) at 16 kHz and what is asked of it.

    target: a label with its seconds, or None for the model's own decision. truth: bool
    (channels, frames) → the places of the STFT where the evidence is known to be.
    """

    name: str
    samples: Tensor
    model: xplain.Model
    target: str | None = None
    truth: Callable[[Tensor, int], Tensor] | None = None


def folder() -> Path:
    """Where the weights are."""
    return shared() / "models" / "third-party"


def _heard(file: Path, start: float = 0.0, seconds: float | None = None) -> Tensor:
    frames = -1 if seconds is None else round(seconds * RATE)
    samples, _ = soundfile.read(file, start=round(start * RATE), frames=frames, dtype="float32")
    return torch.from_numpy(samples)


def _loudest(logits: Tensor, step: float, seconds: float) -> str:
    """The seconds over which a label's logits (frames,) are highest, as "@start-end"."""
    width = max(1, round(seconds / step))
    best = int(logits.unfold(0, width, 1).mean(dim=1).argmax())
    return f"@{best * step:.3f}-{(best + width) * step:.3f}"


def pyannet_cases() -> Iterator[Case]:
    """Who speaks in 2.5 s of a meeting: the most certain second of it."""
    network = pyannet.Speech(pyannet.PyanNet.load(folder()))
    model = xplain.wrap(
        network,
        sample_rate=RATE,
        labels=pyannet.LABELS,
        multilabel=True,
        frame_step=pyannet.FRAME_STEP,
        name="pyannet",
    )
    files = [r.path for split in ("dev", "train") for r in recordings("ami", split)]
    for start in range(2, 26, 4):
        for file in files:
            clip = _heard(file, start, 2.5)
            with torch.no_grad():
                said = network(clip[None])[0, :, 0]
            asked = "speech" + _loudest(said, pyannet.FRAME_STEP, 1.0)
            yield Case(f"{file.stem}@{start}", clip, model, asked)


def ina_cases() -> Iterator[Case]:
    """Speech, music or noise in 1.2 s."""
    network = ina.OfClip(ina.SpeechMusicNoise.load(folder()))
    model = xplain.wrap(network, sample_rate=RATE, labels=ina.LABELS, name="ina")
    for rows in zip(*(recordings(d, "test") for d in ("emodb", "music", "esc10")), strict=False):
        for row in rows:
            yield Case(row.path.stem, _heard(row.path, 0.2, 1.2), model)


class _Identify(nn.Module):
    """Which enrolled speaker is it? Cosines to each one's embedding, times a slope."""

    enrolled: Tensor

    def __init__(self, encoder: speaker.VoiceEncoder, enrolled: Tensor) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("enrolled", enrolled)

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits (B, speakers)."""
        cosines: Tensor = self.encoder(waveform) @ self.enrolled.T
        return 40 * cosines


def speaker_cases() -> Iterator[Case]:
    """Which of EmoDB's speakers is it, each enrolled with three recordings? 1.6 s."""
    encoder = speaker.VoiceEncoder.load(folder())
    by: dict[str, list[Path]] = defaultdict(list)
    for row in (*recordings("emodb", "test"), *recordings("emodb", "train")):
        by[row.speaker].append(row.path)
    with torch.no_grad():
        voices = [sum(encoder(_heard(f)[None]) for f in files[-3:]) for files in by.values()]
    enrolled = nn.functional.normalize(torch.cat(voices), dim=1)
    model = xplain.wrap(
        _Identify(encoder, enrolled), sample_rate=RATE, labels=list(by), name="resemblyzer"
    )
    for place in range(8):
        for name, files in by.items():
            if place < len(files) - 3:
                file = files[place]
                yield Case(f"{name}-{file.stem}", _heard(file, 0.0, 1.6), model)


def harmonic(pitch: float, glide: float, seed: int, seconds: float = 0.8) -> tuple[Tensor, Tensor]:
    """Eight harmonics in noise 10 dB below them, and their fundamental (samples,).

    glide: octaves a second.
    """
    time = torch.arange(round(seconds * RATE)) / RATE
    course = pitch * 2 ** (glide * time)
    phase = 2 * math.pi * torch.cumsum(course, 0) / RATE
    clean = torch.stack([torch.sin(k * phase + k) / k**0.5 for k in range(1, 9)]).sum(dim=0)
    hiss = torch.randn(len(time), generator=torch.Generator().manual_seed(seed))
    return 0.1 * (clean / clean.std() + hiss * 10**-0.5), course


def _at_harmonics(course: Tensor, harmonics: int = 8) -> Callable[[Tensor, int], Tensor]:
    def near(frequencies: Tensor, frames: int) -> Tensor:
        hop = len(course) / (frames - 1)
        pitch = course[(torch.arange(frames) * hop).long().clamp(max=len(course) - 1)]
        apart = [(frequencies[:, None] - k * pitch).abs() for k in range(1, harmonics + 1)]
        return (torch.stack(apart).amin(dim=0)) <= 1.5 * frequencies[1]

    return near


def crepe_cases() -> Iterator[Case]:
    """The pitch of harmonic tones, steady and gliding; every fourth frame is asked about."""
    network = crepe.Crepe.load(folder(), every=4)
    glides = cycle((0.0, 0.0, 0.3, -0.3))
    for seed, (place, glide) in enumerate(zip(range(36), glides, strict=False)):
        clip, course = harmonic(90 * 2 ** (place / 15), glide, seed)
        with torch.no_grad():
            bins = network(clip[None])[0].argmax(dim=-1)
        model = xplain.wrap(
            crepe.ThisPitch(network, bins),
            sample_rate=RATE,
            labels=["this pitch"],
            multilabel=True,
            name="crepe",
        )
        name = f"{float(course[0]):.0f} Hz{glide:+.1f}"
        yield Case(name, clip, model, truth=_at_harmonics(course))


def singing_cases() -> Iterator[Case]:
    """The pitch of singing, 0.8 s at a time, where Praat hears the same as CREPE.

    A woman, and a Carnatic phrase beside its drone; excerpts begin every 0.2 s, so they overlap.
    """
    import parselmouth

    network = crepe.Crepe.load(folder(), every=4)
    step = 4 * crepe.FRAME_STEP
    music = shared() / "data" / "music"
    woman = music / "test" / "smstools_singing_female_00.flac"
    phrase = music / "train" / "smstools_carnatic_00.flac"
    places = [("singing", woman, n) for n in range(27)] + [
        ("carnatic", phrase, n) for n in range(13)
    ]
    for called, file, place in places:
        start = 0.1 + 0.2 * place
        clip = _heard(file, start, 0.8)
        with torch.no_grad():
            bins = network(clip[None])[0].argmax(dim=-1)
        praat = parselmouth.Sound(clip.double().numpy(), RATE).to_pitch(0.005, 75, 1000)
        heard = [praat.get_value_at_time(step * n) for n in range(len(bins))]
        pitch = torch.tensor(heard, dtype=torch.float32)  # NaN where there is none
        agrees = (1200 * torch.log2(crepe.hertz(bins.float()) / pitch)).abs() < 50
        if agrees.float().mean() < 0.5:
            continue
        asked = crepe.ThisPitch(network, torch.where(agrees, bins, -1))
        model = xplain.wrap(
            asked, sample_rate=RATE, labels=["this pitch"], multilabel=True, name="crepe-singing"
        )
        seconds = np.arange(len(clip)) / RATE
        times, hertz = praat.xs(), praat.selected_array["frequency"]
        course = torch.from_numpy(np.interp(seconds, times[hertz > 0], hertz[hertz > 0])).float()
        yield Case(f"{called}@{start:.1f}", clip, model, truth=_at_harmonics(course, 20))


def dnsmos_cases() -> Iterator[Case]:
    """How good 1.2 s of speech sound overall, repeated to nine seconds."""
    model = xplain.wrap(
        dnsmos.Dnsmos.load(folder()),
        sample_rate=RATE,
        labels=dnsmos.LABELS,
        task="regression",
        unit="MOS",
        name="dnsmos",
    )
    for row in recordings("emodb", "test"):
        clip = _heard(row.path, 0.2, 1.2)
        if len(clip) == 1.2 * RATE:
            yield Case(row.path.stem, clip, model, "overall")


def silero_cases() -> Iterator[Case]:
    """Does anybody speak, over the most certain half second of 1.6 s?"""
    network = silero.Silero.load(shared() / "models" / "silero" / "silero_vad_16k.onnx")
    model = xplain.wrap(
        network,
        sample_rate=RATE,
        labels=["speech"],
        multilabel=True,
        frame_step=silero.FRAME_STEP,
        name="silero",
    )
    for row in recordings("picovoice-speech-to-intent", "train"):
        for start in (0.3, 1.0):
            clip = _heard(row.path, start, 1.6)
            if len(clip) < RATE:
                continue
            with torch.no_grad():
                said = network(clip[None])[0, :, 0]
            asked = "speech" + _loudest(said, silero.FRAME_STEP, 0.5)
            yield Case(f"{row.path.stem}@{start}", clip, model, asked)


CASES = {
    "silero": silero_cases,
    "pyannet": pyannet_cases,
    "crepe": crepe_cases,
    "crepe-singing": singing_cases,
    "resemblyzer": speaker_cases,
    "ina": ina_cases,
    "dnsmos": dnsmos_cases,
}
TRAINING = ("silero", "pyannet", "resemblyzer")
"""What rules were chosen on, beside zoo:digits, by their first CHOSEN clips; the other models
were only reported on."""

CHOSEN = 5


def cases(name: str, most: int) -> Iterator[Case]:
    """The first so many clips of a model; those it is not sure of are sorted out later."""
    return islice(CASES[name](), most)
