"""Batches to train the radio segmenter on: the parts of scenes, mixed anew every time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from training.radio_data import HOP, RATE, Meeting, Scene
from training.radio_masks import masked

SPEECH, MUSIC, NOISE = range(3)
OWN = ((0, 3), (1,), (2,))
"""The labels that a part brings."""


@dataclass(frozen=True)
class Ranges:
    """How scenes are varied. Shares are of the examples; levels in dB."""

    seconds: float = 10.0
    as_they_are: float = 0.15  # scenes that are not mixed anew
    meetings: float = 0.15  # examples whose speech is of a meeting
    alone: float = 0.0  # examples of one part alone
    speech: float = 0.75
    music: float = 0.6
    noise: float = 0.6
    more_speech: float = 0.3  # of those with speech: the speech of another scene joins
    below: tuple[float, float] = (-6.0, 21.0)  # music and noise below speech, noise below music
    joining: tuple[float, float] = (-7.0, 7.0)  # the speech that joins
    loudness: tuple[float, float] = (-60.0, -10.0)  # of the whole, re full scale
    more_music: float = 0.25  # of those with music: another scene's joins, up to 8 dB more
    ducked: float = 0.0  # of those with music: it is up to 18 dB lower while somebody speaks
    tempo: float = 0.12  # speech and noise are played faster or slower by up to this share
    music_tempo: float = 0.35  # music is: few pieces, and what makes it music stays
    tilt: float = 0.6  # parts are brightened or dulled by a filter of three taps, 1 and up to this
    rooms: float = 0.0  # parts that are played in a room
    narrow: float = 0.0  # examples of which only a band is left, as of a telephone or a codec
    gaps: float = 0.0  # examples in which nothing is heard for a while
    masks_heard: float = 0.0  # examples of which a mask on the spectrum leaves a part
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
    """Draws batches, all examples at once; everything follows from the seed and the device.

    rooms: impulse responses (n, samples) of the time after the direct sound, or none.
    """

    def __init__(
        self,
        scenes: Sequence[Scene],
        meetings: Sequence[Meeting],
        ranges: Ranges,
        seed: int,
        rooms: Tensor | None = None,
        device: str = "cpu",
    ) -> None:
        """Put everything on the device; SystemExit where scenes differ in length or lack a kind."""
        self.ranges, self.device = ranges, device
        self.samples = round(ranges.seconds * RATE)
        self.frames = -(-self.samples // HOP)
        self.generator = torch.Generator(device).manual_seed(seed)
        if len({len(scene.waveform) for scene in scenes}) != 1:
            raise SystemExit("scenes to train on are of one length")
        self.waveforms = torch.stack([scene.waveform for scene in scenes]).to(device)
        self.parts = torch.stack([scene.parts for scene in scenes], 1).to(device)
        self.labels = torch.stack([scene.labels for scene in scenes]).to(device)
        self.having = []
        for part, name in enumerate(("speech", "music", "noise")):
            loud = [_level(scene.parts[part], scene.labels[:, part]) > 0 for scene in scenes]
            self.having.append(torch.tensor(loud).nonzero()[:, 0].to(device))
            if getattr(ranges, name) > 0 and not len(self.having[-1]):
                raise SystemExit(f"no scene has {name}; add some, or set its share to 0")
        self.rooms = None if rooms is None else rooms.to(device)
        self.meetings = bool(meetings)
        if meetings:
            length = min(len(meeting.waveform) for meeting in meetings) // HOP * HOP
            heard = torch.stack([meeting.waveform[:length] for meeting in meetings])
            self.meeting = (heard * 2**15).to(torch.int16).to(device)
            spoken = torch.stack([meeting.labels[: length // HOP] for meeting in meetings])
            said = torch.zeros(*spoken.shape[:2], 4, dtype=torch.uint8)
            said[..., 0], said[..., 3] = spoken[..., 0], spoken[..., 1]
            self.meeting_labels = said.to(device)

    @torch.no_grad()
    def batch(self, size: int) -> Batch:
        """Mix so many examples."""
        ranges = self.ranges
        has = self._drawn(size)
        plain = self._chance(size) < ranges.as_they_are
        stems, labels, known = self._mixed(has)
        mixture = stems.sum(1)
        if ranges.masks_heard:
            asked = ~plain & (self._chance(size) < ranges.masks_heard) & known.all(-1).all(-1)
            rows = asked.nonzero()[:, 0]
            if len(rows):
                heard, left, sure = masked(stems[rows], labels[rows], self.generator)
                mixture[rows], labels[rows] = heard, left
                known[rows] &= sure
        if bool(plain.any()):
            which = self._integers(len(self.waveforms), size)
            whole, said = self._cut(self.waveforms, self.labels, which, torch.ones_like(has[:, 0]))
            mixture = torch.where(plain[:, None], whole / 2**15, mixture)
            labels = torch.where(plain[:, None, None], said, labels)
            known = known | plain[:, None, None]
        if ranges.narrow:
            some = (self._chance(size) < ranges.narrow).nonzero()[:, 0]
            if len(some):
                mixture[some] = self._narrowed(mixture[some])
        return Batch(self._levelled(mixture), labels.float(), known.float())

    def _drawn(self, size: int) -> Tensor:
        """Which parts are there: (size, 3), 0 or 1."""
        ranges = self.ranges
        shares = torch.tensor([ranges.speech, ranges.music, ranges.noise], device=self.device)
        has = torch.rand(size, 3, generator=self.generator, device=self.device) < shares
        one = torch.multinomial(shares.expand(size, 3), 1, generator=self.generator)
        alone = F.one_hot(one[:, 0], 3).bool()
        return torch.where((self._chance(size) < ranges.alone)[:, None], alone, has).float()

    def _mixed(self, has: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Parts of different scenes: stems (B, 3, samples), labels and what of them is known."""
        ranges, size = self.ranges, len(has)
        below_music, below_noise = self._levels(size)
        speech, said = self._part(SPEECH, size)
        known = torch.ones_like(said)
        if self.meetings:
            wanted = self._chance(size) < ranges.meetings / max(ranges.speech, 1e-9)
            meets = (wanted & (has[:, 0] > 0))[:, None]
            which = self._integers(len(self.meeting), size)
            heard, spoken = self._cut(
                self.meeting, self.meeting_labels, which, torch.ones_like(has[:, 0])
            )
            heard = heard / _levels(heard, spoken[..., 0]).clamp_min(1e-4)
            speech = torch.where(meets, heard, speech)
            said = torch.where(meets[..., None], spoken, said)
            # Rooms have noises that nobody has listed.
            known[..., 2] = torch.where(meets, 0, known[..., 2])
        joins = (self._chance(size) < ranges.more_speech).float()[:, None]
        joining, more = self._part(SPEECH, size)
        more = more * joins[..., None].to(more.dtype)
        speech = speech + joins * self._gain(ranges.joining, size) * joining
        both = more[..., 3] | (said[..., 0] & more[..., 0])
        said = torch.stack(
            [said[..., 0] | more[..., 0], said[..., 1], said[..., 2], said[..., 3] | both], -1
        )
        music, played = self._part(MUSIC, size)
        joins = (self._chance(size) < ranges.more_music).float()[:, None]
        joining, more = self._part(MUSIC, size)
        music = music + joins * self._gain(ranges.joining, size) * joining
        played = played | (more * joins[..., None].to(more.dtype))
        if ranges.ducked:
            deep = (self._chance(size) < ranges.ducked).float() * has[:, 0]
            deep = deep * (3 + 15 * self._chance(size))
            smooth = F.avg_pool1d(said[..., 0].float()[:, None], 25, 1, 12)[:, 0]
            gain = 10 ** (-deep[:, None] * smooth / 20)
            music = music * gain.repeat_interleave(HOP, 1)[:, : self.samples]
        noise, sounding = self._part(NOISE, size)
        stems = torch.stack(
            [speech, music * 10 ** (-below_music / 20), noise * 10 ** (-below_noise / 20)], 1
        )
        stems = stems * has[..., None]
        counted = has[:, None].to(said.dtype)
        labels = said * counted[..., :1]
        for part, own in ((MUSIC, played), (NOISE, sounding)):
            labels[..., part] = own[..., part] * counted[..., part]
        known[..., 2] |= labels[..., 2]
        if ranges.gaps:
            there = self._gaps(size)
            stems = stems * there.repeat_interleave(HOP, 1)[:, None, : self.samples]
            labels = labels * there[..., None].to(labels.dtype)
        return stems, labels, known

    def _gaps(self, size: int) -> Tensor:
        """0 in a stretch of some examples, 1 elsewhere: (B, frames)."""
        length = self.frames * (0.05 + 0.35 * self._chance(size))
        first = self.frames * self._chance(size) - length / 2
        here = torch.arange(self.frames, device=self.device)
        silent = (here >= first[:, None]) & (here < (first + length)[:, None])
        return 1 - (silent & (self._chance(size) < self.ranges.gaps)[:, None]).float()

    def _levels(self, size: int) -> tuple[Tensor, Tensor]:
        """How far below speech music and noise are; neither lies deep in the other."""
        low, high = self.ranges.below
        drawn = low + (high - low) * torch.rand(
            16, 2, size, generator=self.generator, device=self.device
        )
        apart = drawn[:, 1] - drawn[:, 0]
        first = ((apart >= low) & (apart <= high)).float().argmax(0)
        music, noise = drawn.gather(0, first.expand(1, 2, size))[0]
        return music[:, None], noise[:, None]

    def _part(self, part: int, size: int) -> tuple[Tensor, Tensor]:
        """A part of any scene that has it, at 0 dB, varied, with its own labels only."""
        if not len(self.having[part]):
            none = torch.zeros(size, self.frames, 4, dtype=torch.uint8, device=self.device)
            return torch.zeros(size, self.samples, device=self.device), none
        which = self.having[part][self._integers(len(self.having[part]), size)]
        tempo = self.ranges.music_tempo if part == MUSIC else self.ranges.tempo
        rate = 1 + (2 * self._chance(size) - 1) * tempo
        waveform, labels = self._cut(self.parts[part], self.labels, which, rate)
        for label in range(4):
            if label not in OWN[part]:
                labels[..., label] = 0
        taps = 2 * torch.rand(size, 2, generator=self.generator, device=self.device) - 1
        taps = F.pad(taps * self.ranges.tilt, (1, 0), value=1.0)
        waveform = F.conv1d(waveform[None], taps[:, None], padding=1, groups=size)[0]
        if self.rooms is not None and self.ranges.rooms:
            played = (self._chance(size) < self.ranges.rooms).nonzero()[:, 0]
            if len(played):
                waveform[played] = self._in_rooms(waveform[played])
        level = _levels(waveform, labels.any(-1))
        # What was short may be gone, now that it is faster.
        return torch.where(level > 0, waveform / level.clamp_min(1e-9), 0.0), labels

    def _cut(
        self, held: Tensor, labels: Tensor, which: Tensor, rate: Tensor
    ) -> tuple[Tensor, Tensor]:
        """From a frame drawn by chance, on round the end, at a tempo and pitch: held is int16."""
        length = held.shape[-1] // HOP
        first = self._integers(length, len(which))
        time = torch.arange(self.samples, device=self.device, dtype=torch.float64)
        place = (time * rate[:, None] + first[:, None] * HOP) % (length * HOP)
        before = place.long().clamp(max=length * HOP - 1)
        share = (place - before).float()
        heard = held[which]
        left = heard.gather(1, before).float()
        right = heard.gather(1, (before + 1) % (length * HOP)).float()
        middle = torch.arange(self.frames, device=self.device, dtype=torch.float64) + 0.5
        frame = ((middle * rate[:, None] + first[:, None]) % length).long().clamp(max=length - 1)
        said = labels[which].gather(1, frame[..., None].expand(-1, -1, 4))
        return torch.lerp(left, right, share), said

    def _in_rooms(self, waveform: Tensor) -> Tensor:
        assert self.rooms is not None
        response = self.rooms[self._integers(len(self.rooms), len(waveform))]
        total = waveform.shape[-1] + response.shape[-1]
        count = 1 << (total - 1).bit_length()
        spectrum = torch.fft.rfft(waveform, count) * torch.fft.rfft(response, count)
        echoed: Tensor = torch.fft.irfft(spectrum, count)[:, : waveform.shape[-1]]
        return echoed

    def _narrowed(self, waveform: Tensor) -> Tensor:
        """Only a band: from 0–400 Hz to 2.5–7.5 kHz, with edges of 200 Hz."""
        size, count = waveform.shape
        frequencies = torch.fft.rfftfreq(count, 1 / RATE).to(self.device)
        low = 400 * self._chance(size)[:, None] * (self._chance(size) < 0.5)[:, None]
        high = 2500 + 5000 * self._chance(size)[:, None]
        band = ((frequencies - low) / 100).sigmoid() * ((high - frequencies) / 100).sigmoid()
        narrow: Tensor = torch.fft.irfft(torch.fft.rfft(waveform) * band, count)
        return narrow

    def _levelled(self, waveform: Tensor) -> Tensor:
        """At a level drawn by chance, over hiss in half of all examples."""
        ranges, size = self.ranges, len(waveform)
        level = waveform.square().mean(1, keepdim=True).sqrt().clamp(min=1e-8)
        waveform = waveform / level * self._gain(ranges.loudness, size)
        hiss = torch.randn(waveform.shape, generator=self.generator, device=self.device)
        low, high = ranges.hiss
        below = self._gain((-high, -low), size) * (self._chance(size) < 0.5).float()[:, None]
        return waveform + hiss * below * waveform.square().mean(1, keepdim=True).sqrt()

    def bend(self, power: Tensor) -> Tensor:
        """Another equaliser for each of (batch, bands, frames), and bands erased."""
        ranges, (batch, bands, _) = self.ranges, power.shape
        points = torch.rand(batch, 1, 6, generator=self.generator, device=self.device) * 2 - 1
        curve = F.interpolate(points * ranges.equaliser, bands, mode="linear", align_corners=True)
        factors = 10 ** (curve[:, 0] / 10)
        here = torch.arange(bands, device=self.device)
        some = self._chance(batch) < 0.5
        for _ in range(ranges.masks):
            width = self._integers(ranges.mask_width + 1, batch)
            first = (self._chance(batch) * (bands - width)).long()
            erased = (here >= first[:, None]) & (here < (first + width)[:, None]) & some[:, None]
            factors = factors.masked_fill(erased, 0.0)
        return power * factors[..., None]

    def _chance(self, size: int) -> Tensor:
        return torch.rand(size, generator=self.generator, device=self.device)

    def _integers(self, below: int, size: int) -> Tensor:
        return torch.randint(below, (size,), generator=self.generator, device=self.device)

    def _gain(self, decibels: tuple[float, float], size: int) -> Tensor:
        low, high = decibels
        return 10 ** ((low + (high - low) * self._chance(size)[:, None]) / 20)


def _level(waveform: Tensor, active: Tensor) -> float:
    """Root mean square of the active frames; 0 where there is none."""
    return float(_levels(waveform[None].float(), active[None]))


def _levels(waveform: Tensor, active: Tensor) -> Tensor:
    """Root mean square of the active frames: (B, samples), (B, frames) → (B, 1)."""
    frames = waveform.shape[-1] // HOP
    energy = waveform[:, : frames * HOP].reshape(len(waveform), frames, HOP).square().mean(-1)
    heard = (active[:, :frames] > 0).float()
    levels: Tensor = ((energy * heard).sum(1) / heard.sum(1).clamp_min(1)).sqrt()[:, None]
    return levels
