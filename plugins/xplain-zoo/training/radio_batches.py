"""Batches to train the radio segmenter on: the parts of scenes, mixed anew every time."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from training.radio_data import HOP, RATE, Meeting, Scene

SPEECH, MUSIC, NOISE = range(3)


@dataclass(frozen=True)
class Ranges:
    """How scenes are varied. Shares are of the examples; levels in dB."""

    seconds: float = 10.0
    as_they_are: float = 0.15  # scenes that are not mixed anew
    meetings: float = 0.15  # examples whose speech is of a meeting
    speech: float = 0.75
    music: float = 0.6
    noise: float = 0.6
    more_speech: float = 0.3  # of those with speech: the speech of another scene joins
    below: tuple[float, float] = (-6.0, 21.0)  # music and noise below speech, noise below music
    joining: tuple[float, float] = (-7.0, 7.0)  # the speech that joins
    loudness: tuple[float, float] = (-60.0, -10.0)  # of the whole, re full scale
    more_music: float = 0.25  # of those with music: another scene's joins, up to 8 dB more
    tempo: float = 0.12  # speech and noise are played faster or slower by up to this share
    music_tempo: float = 0.35  # music is: few pieces, and what makes it music stays
    tilt: float = 0.6  # parts are brightened or dulled by a filter of three taps, 1 and up to this
    hiss: tuple[float, float] = (45.0, 80.0)  # below the whole, in half of all examples
    equaliser: float = 10.0  # the features are tilted and bent by up to so much
    masks: int = 2  # bands erased, in half of all examples
    mask_width: int = 8  # bands of one, at most


@dataclass(frozen=True)
class Batch:
    """waveform: (batch, samples). labels, known: (batch, frames, 4); what is not known is 0."""

    waveform: Tensor
    labels: Tensor
    known: Tensor


class Mixer:
    """Draws batches; the order and everything else follow from the seed."""

    def __init__(
        self, scenes: Sequence[Scene], meetings: Sequence[Meeting], ranges: Ranges, seed: int
    ) -> None:
        """Find out which scene has speech, music or noise that is heard."""
        self.scenes, self.meetings, self.ranges = scenes, meetings, ranges
        self.chance = random.Random(seed)
        self.generator = torch.Generator().manual_seed(seed)
        self.samples = round(ranges.seconds * RATE)
        self.having = [
            [s for s in scenes if _level(s.parts[part], s.labels[:, part]) > 0] for part in range(3)
        ]
        shares = {"speech": ranges.speech, "music": ranges.music, "noise": ranges.noise}
        for (name, share), having in zip(shares.items(), self.having, strict=True):
            if share > 0 and not having:
                raise SystemExit(f"no scene has {name}; add some, or set its share to 0")

    def batch(self, size: int) -> Batch:
        """Mix so many examples."""
        examples = [self._example() for _ in range(size)]
        return Batch(*(torch.stack(column) for column in zip(*examples, strict=True)))

    def _example(self) -> tuple[Tensor, Tensor, Tensor]:
        if self.chance.random() < self.ranges.as_they_are:
            scene = self.chance.choice(self.scenes)
            waveform, labels = self._cut(scene.waveform.float() / 2**15, scene.labels)
            known = torch.ones_like(labels)
        else:
            waveform, labels, known = self._mixed()
        return self._levelled(waveform), labels.float(), known.float()

    def _mixed(self) -> tuple[Tensor, Tensor, Tensor]:
        """Speech, music and noise of different scenes: waveform, labels, known."""
        ranges, chance = self.ranges, self.chance
        waveform = torch.zeros(self.samples)
        labels = torch.zeros(-(-self.samples // HOP), 4, dtype=torch.uint8)
        known = torch.ones_like(labels)
        if chance.random() < ranges.speech:
            if self.meetings and chance.random() < ranges.meetings / ranges.speech:
                waveform, spoken = self._cut_meeting()
                labels[:, 0], labels[:, 3] = spoken.unbind(1)
                known[:, 2] = 0  # rooms have noises that nobody has listed
            else:
                waveform, labels = self._part(SPEECH)
            if chance.random() < ranges.more_speech:
                joining, said = self._part(SPEECH)
                waveform = waveform + joining * 10 ** (chance.uniform(*ranges.joining) / 20)
                labels[:, 3] |= said[:, 3] | (labels[:, 0] & said[:, 0])
                labels[:, 0] |= said[:, 0]
        for (part, share), below in zip(
            ((MUSIC, ranges.music), (NOISE, ranges.noise)), self._levels(), strict=True
        ):
            if chance.random() < share:
                sound, heard = self._part(part)
                if part == MUSIC and chance.random() < ranges.more_music:
                    joining, played = self._part(part)
                    sound = sound + joining * 10 ** (chance.uniform(*ranges.joining) / 20)
                    heard = heard | played
                waveform = waveform + sound * 10 ** (-below / 20)
                labels[:, part] = heard[:, part]
                known[:, part] |= heard[:, part]
        return waveform, labels, known

    def _levels(self) -> tuple[float, float]:
        """How far below speech music and noise are; neither lies deep in the other."""
        low, high = self.ranges.below
        while True:
            music, noise = self.chance.uniform(low, high), self.chance.uniform(low, high)
            if low <= noise - music <= high:
                return music, noise

    def _part(self, part: int) -> tuple[Tensor, Tensor]:
        """A part of any scene that has it, at 0 dB, with its own labels only."""
        scene = self.chance.choice(self.having[part])
        own = torch.zeros_like(scene.labels)
        for label in (0, 3) if part == SPEECH else (part,):
            own[:, label] = scene.labels[:, label]
        tempo = self.ranges.music_tempo if part == MUSIC else self.ranges.tempo
        waveform, labels = self._varied(scene.parts[part].float(), own, tempo)
        level = _level(waveform, labels.any(dim=1))
        # What was short may be gone, now that it is faster.
        waveform = waveform / level if level > 0 else torch.zeros_like(waveform)
        return self._cut(waveform, labels)

    def _varied(self, waveform: Tensor, labels: Tensor, tempo: float) -> tuple[Tensor, Tensor]:
        """At another tempo and pitch, and of another colour."""
        frames = round(len(labels) / (1 + self.chance.uniform(-1, 1) * tempo))
        stretched = F.interpolate(waveform[None, None], size=frames * HOP, mode="linear")
        taps = [1.0, *(self.chance.uniform(-1, 1) * self.ranges.tilt for _ in range(2))]
        coloured = F.conv1d(stretched, torch.tensor(taps)[None, None], padding=1)
        nearest = (torch.arange(frames) + 0.5) * len(labels) / frames
        return coloured[0, 0], labels[nearest.long()]

    def _cut(self, waveform: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """From a frame drawn by chance, on round the end."""
        first = self.chance.randrange(len(labels))
        waveform = waveform[: len(labels) * HOP].roll(-first * HOP)
        labels = labels.roll(-first, dims=0)
        times = -(-self.samples // len(waveform))
        return waveform.repeat(times)[: self.samples], labels.repeat(times, 1)[
            : -(-self.samples // HOP)
        ]

    def _cut_meeting(self) -> tuple[Tensor, Tensor]:
        meeting = self.chance.choice(self.meetings)
        waveform, labels = self._cut(meeting.waveform, meeting.labels)
        return waveform / _level(waveform, labels[:, 0]).clamp(min=1e-4), labels

    def _levelled(self, waveform: Tensor) -> Tensor:
        """At a level drawn by chance, over hiss in half of all examples."""
        ranges, chance = self.ranges, self.chance
        level = waveform.square().mean().sqrt().clamp(min=1e-8)
        waveform = waveform / level * 10 ** (chance.uniform(*ranges.loudness) / 20)
        if chance.random() < 0.5:
            hiss = torch.randn(len(waveform), generator=self.generator)
            below = 10 ** (-chance.uniform(*ranges.hiss) / 20)
            waveform = waveform + hiss * below * waveform.square().mean().sqrt()
        return waveform

    def bend(self, power: Tensor) -> Tensor:
        """Another equaliser for each of (batch, bands, frames), and bands erased."""
        ranges, generator = self.ranges, self.generator
        batch, bands, _ = power.shape
        points = (torch.rand(batch, 1, 6, generator=generator) * 2 - 1) * ranges.equaliser
        curve = F.interpolate(points, bands, mode="linear", align_corners=True)
        factors = 10 ** (curve[:, 0, :, None] / 10)
        for row in range(batch):
            if self.chance.random() < 0.5:
                for _ in range(ranges.masks):
                    width = self.chance.randint(0, ranges.mask_width)
                    first = self.chance.randrange(bands - width)
                    factors[row, first : first + width] = 0
        return power * factors


def _level(waveform: Tensor, active: Tensor) -> Tensor:
    """Root mean square of the active frames; 0 where there is none."""
    whole = waveform[: len(waveform) // HOP * HOP].float().reshape(-1, HOP)
    heard = whole[active[: len(whole)] > 0]
    return heard.square().mean().sqrt() if len(heard) else torch.zeros(())
