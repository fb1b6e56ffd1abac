"""Scenes mixed from clips: two speakers, music and noise, at levels and with pauses like radio's.

    mixer = Mixer(load_sources(manifest, "train"), seconds=10, seed=0)
    scene = mixer.scene(3)            # always the same one, whatever else is made

Stems are in the order of STEMS, labels in that of LABELS. Levels, in dB of the parts that are
active: the second speaker within ±8 of the first, music and noise 5 above to 20 below the
speakers, noise 5 above to 20 below the music, each section of music or noise within ±3 of that,
the scene as a whole −45 to −10 re full scale (and turned down where it would clip).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import soxr

from xplain.errors import XplainError
from xplain_nmf.scenes.activity import (
    FRAME,
    Frames,
    activity,
    audible,
    frames,
    label_frames,
    level,
    power,
)
from xplain_nmf.scenes.rooms import colour, filter_stems, room, telephone
from xplain_nmf.scenes.sources import KINDS, RATE, Samples, Source

STEMS = ("speech_1", "speech_2", "music", "noise")
LABELS = ("speech", "music", "noise", "overlap")
FRAMES_A_SECOND = RATE // FRAME
LOUDEST = 0.98  # of full scale
BELOW = (-5.0, 20.0)  # dB, music and noise below speech, and noise below music

Section = tuple[Samples, Frames]
"""Audio (samples,) and where it is active (frames,)."""


@dataclass(frozen=True)
class Scene:
    """A mixture that is known in parts.

    stems: (4, samples) float32, zero where there is none. labels: (frames, 4) uint8.
    """

    stems: Samples
    labels: npt.NDArray[np.uint8]

    @property
    def mixture(self) -> Samples:
        """The sum of the stems: (samples,)."""
        total: Samples = self.stems.sum(axis=0)
        return total


class Mixer:
    """Mixes scenes of clips; scene i depends on the clips, the seed and i, on nothing else."""

    def __init__(
        self, sources: Sequence[Source], seconds: float, seed: int, augment: bool = False
    ) -> None:
        """Prepare to mix scenes of so many seconds.

        augment: change the tempo of clips and the sound of stems (equaliser, room, telephone),
        for training on few clips. Raises XplainError where a kind has no clip.
        """
        if frames(round(seconds * RATE)) < FRAMES_A_SECOND:
            raise XplainError(f"a scene lasts at least a second, not {seconds}")
        self.samples = round(seconds * RATE)
        self.seed = seed
        self.augment = augment
        self.shelves = {
            kind: Shelf([s for s in sources if s.dataset.kind == kind]) for kind in KINDS
        }
        empty = [kind for kind, shelf in self.shelves.items() if not shelf.groups]
        if empty:
            raise XplainError(f"no clip of {', '.join(empty)} to mix; add some to the manifest")

    def scene(self, index: int) -> Scene:
        """Mix the scene of this number."""
        chance = np.random.default_rng([self.seed, index])
        sections = self._sections(chance)
        stems = np.stack([waveform for waveform, _ in sections])
        active = np.stack([where for _, where in sections])
        stems *= _gains(chance, active)[:, None]
        if self.augment:
            stems = self._change(chance, stems)
        heard = audible(stems)
        stems = _set_level(chance, stems, active & heard)
        return Scene(stems, label_frames(active, heard))

    def _sections(self, chance: np.random.Generator) -> list[Section]:
        """Draw who takes part, and make each stem at 0 dB."""
        speech = music = noise = False
        while not (speech or music or noise):
            speech, music, noise = (chance.random(3) < (0.75, 0.6, 0.6)).tolist()
        sections = [self._nothing() for _ in STEMS]
        if speech:
            first = self.shelves["speech"].group(chance)
            sections[0] = self._turns(chance, first, turn=(2.0, 10.0), silence=(0.2, 3.0))
            if chance.random() < 0.6:
                second = self.shelves["speech"].group(chance, apart_from=first[0])
                sections[1] = self._turns(chance, second, turn=(0.5, 5.0), silence=(0.5, 6.0))
        if music:
            sections[2] = self._sound(chance, "music")
        if noise:
            sections[3] = self._sound(chance, "noise")
        return sections

    def _nothing(self) -> Section:
        return np.zeros(self.samples, np.float32), np.zeros(frames(self.samples), np.bool_)

    def _turns(
        self,
        chance: np.random.Generator,
        group: Sequence[Source],
        turn: tuple[float, float],
        silence: tuple[float, float],
    ) -> Section:
        """Utterances of one speaker, strung to turns with short pauses in them."""
        waveform, active = self._nothing()
        place = _draw_frames(chance, (0.0, silence[1])) if chance.random() < 0.7 else 0
        while place < len(active):
            end = min(place + _draw_frames(chance, turn), len(active))
            while place < end:
                clip = group[int(chance.integers(len(group)))]
                said = _spoken(_normalised(self._tempo(chance, clip.waveform, 0.1), "speech"))
                said *= 10 ** (chance.uniform(-2, 2) / 20)
                place += _put(waveform, active, place, end, said, "speech")
                place += _draw_frames(chance, (0.05, 0.5))
            place += _draw_frames(chance, silence)
        return waveform, active

    def _sound(self, chance: np.random.Generator, kind: str) -> Section:
        """Sections of music or noise, from one end of the scene to the other in half of all."""
        waveform, active = self._nothing()
        length = len(active) / FRAMES_A_SECOND
        throughout = chance.random() < 0.5
        place = 0 if throughout else _draw_frames(chance, (0.0, length / 2))
        while place < len(active):
            wanted = (length, length) if throughout else (1.5, max(3.0, length / 2))
            count = min(_draw_frames(chance, wanted), len(active) - place)
            section = self._section(chance, kind, min(count * FRAME, len(waveform) - place * FRAME))
            section *= 10 ** (chance.uniform(-3, 3) / 20)
            place += _put(waveform, active, place, place + count, section, kind)
            place += _draw_frames(chance, (0.5, max(1.0, length / 3)))
        return waveform, active

    def _section(self, chance: np.random.Generator, kind: str, samples: int) -> Samples:
        """So many samples of one recording, or of several of the same label, faded in and out."""
        group = self.shelves[kind].group(chance)
        pieces: list[Samples] = []
        while sum(map(len, pieces)) < samples:
            clip = group[int(chance.integers(len(group)))]
            piece = self._tempo(chance, clip.waveform, 0.12)
            start = chance.integers(max(1, len(piece) - samples)) if len(piece) > samples else 0
            # Sounds of one label follow one another, bark on bark.
            pieces.append(_faded(_normalised(piece[start : start + samples], kind), 0.02, 0.02))
            group = self.shelves[kind].alike(clip)
        section: Samples = np.concatenate(pieces)[:samples]
        return _faded(section, chance.uniform(0.02, 1.0), chance.uniform(0.02, 1.0))

    def _tempo(self, chance: np.random.Generator, waveform: Samples, spread: float) -> Samples:
        """Faster and higher, or slower and lower, by up to this share."""
        if not self.augment:
            return waveform
        ratio = 1 + chance.uniform(-spread, spread)
        changed: Samples = soxr.resample(waveform, RATE, RATE * ratio, quality="LQ")
        return changed

    def _change(self, chance: np.random.Generator, stems: Samples) -> Samples:
        """Another room, other microphones, another line."""
        shared = telephone(chance) if chance.random() < 0.3 else None
        speaking = room(chance) if chance.random() < 0.35 else None
        responses = [
            [speaking if number < 2 else None, colour(chance) if chance.random() < 0.4 else None]
            for number in range(len(stems))
        ]
        return filter_stems(stems, [[*parts, shared] for parts in responses])


class Shelf:
    """The clips of a kind, by data set and by group (speaker, recording)."""

    def __init__(self, sources: Sequence[Source]) -> None:
        """Sort the clips."""
        self.groups: dict[str, list[Source]] = defaultdict(list)
        self.labels: dict[tuple[str, str], list[Source]] = defaultdict(list)
        for source in sources:
            if source.waveform.any():
                self.groups[source.group].append(source)
                self.labels[source.dataset.name, source.label].append(source)
        self.names = list(self.groups)
        shares = np.array([self._share(self.groups[name]) for name in self.names])
        self.shares = shares / shares.sum() if len(shares) else shares

    def _share(self, clips: Sequence[Source]) -> float:
        """How often a group is drawn: its data set's share, by the root of its length."""
        dataset = clips[0].dataset

        def weight(members: Sequence[Source]) -> float:
            return float(np.sqrt(sum(len(clip.waveform) for clip in members)))

        whole = sum(
            weight(group) for group in self.groups.values() if group[0].dataset.name == dataset.name
        )
        return dataset.share * weight(clips) / whole

    def group(self, chance: np.random.Generator, apart_from: Source | None = None) -> list[Source]:
        """Draw the clips of a group; XplainError where another is asked for and there is none."""
        if apart_from is not None and len(self.names) == 1:
            raise XplainError(
                f"all speech is of {self.names[0]}, a second speaker needs clips of another; "
                "name them in the column speaker"
            )
        while True:
            drawn = self.groups[self.names[chance.choice(len(self.names), p=self.shares)]]
            if apart_from is None or drawn[0].group != apart_from.group:
                return drawn

    def alike(self, clip: Source) -> list[Source]:
        """What can follow a clip: a piece of the same music, a noise of the same label."""
        if clip.dataset.kind == "music":
            return self.groups[clip.group]
        return self.labels[clip.dataset.name, clip.label]


def _draw_frames(chance: np.random.Generator, seconds: tuple[float, float]) -> int:
    return round(chance.uniform(*seconds) * FRAMES_A_SECOND)


def _normalised(waveform: Samples, kind: str) -> Samples:
    """At 0 dB where it is active; silence stays silence."""
    powers = power(waveform)
    loud = powers[activity(waveform, kind)]
    scale = 1 / np.sqrt(loud.mean()) if len(loud) else 0.0
    return (waveform * scale).astype(np.float32)


def _spoken(waveform: Samples) -> Samples:
    """Without the silence before the first word and after the last one, but for 60 ms."""
    heard = np.flatnonzero(activity(waveform, "speech"))
    if not len(heard):
        return waveform
    return waveform[max(0, heard[0] - 3) * FRAME : (heard[-1] + 4) * FRAME]


def _faded(waveform: Samples, seconds_in: float, seconds_out: float) -> Samples:
    """Faded in and out, over a third of it at most."""
    faded = waveform.copy()
    for seconds, end in ((seconds_in, faded), (seconds_out, faded[::-1])):
        count = min(round(seconds * RATE), len(faded) // 3)
        end[:count] *= np.linspace(0, 1, count, endpoint=False, dtype=np.float32)
    return faded


def _put(waveform: Samples, active: Frames, place: int, end: int, clip: Samples, kind: str) -> int:
    """Write a clip from frame ``place`` to ``end`` at most; gives how many frames it took."""
    where = activity(clip, kind)[: end - place]
    start = place * FRAME
    clip = _faded(clip[: min(len(where) * FRAME, len(waveform) - start)], 0.01, 0.01)
    waveform[start : start + len(clip)] = clip
    active[place : place + len(where)] = where
    return len(where)


def _gains(chance: np.random.Generator, active: Frames) -> npt.NDArray[np.float32]:
    """Factors of the stems, drawn in dB."""
    speech, others = active[:2].any(), active[2:].any(axis=1).all()
    while True:
        below = np.array([0.0, chance.uniform(-8, 8), *chance.uniform(*BELOW, size=2)])
        if not speech:
            below[2] = 0.0  # without speakers, noise is relative to the music
        # Music that lies deep in noise cannot be heard, whatever there is of speech.
        if not others or BELOW[0] <= below[3] - below[2] <= BELOW[1]:
            return (10 ** (-below / 20)).astype(np.float32)


def _set_level(chance: np.random.Generator, stems: Samples, heard: Frames) -> Samples:
    """Bring the parts where something is heard to a level, clip nothing."""
    powers = power(stems.sum(axis=0))
    anything = heard.any(axis=0)
    wanted = 10 ** (chance.uniform(-45, -10) / 20)
    loud = powers[anything].mean() if anything.any() else level(powers)
    peak = max(np.abs(stems).max(), np.abs(stems.sum(axis=0)).max())
    if peak == 0:
        return stems
    gain = np.float32(min(wanted / np.sqrt(loud), LOUDEST / peak))
    return stems * gain
