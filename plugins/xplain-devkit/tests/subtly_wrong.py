"""Plugins that look right and are subtly wrong, and the rule that is meant for each."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from wrong_plugins import Loud, Right

from xplain import (
    Clip,
    Context,
    Explainer,
    Grouping,
    Groups,
    Latents,
    PluginError,
    Replacement,
    Score,
)
from xplain.score import ClipScore
from xplain_devkit.toys.models import Frames

# Explainers


class FirstDraw(Right):
    """Takes the first draw of the baseline for all."""

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        return super().attribute(score, latents, baseline.reshape(-1, *latents.shape)[0])


class LastDraw(Right):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        return super().attribute(score, latents, baseline.reshape(-1, *latents.shape)[-1])


class IgnoresTheBaseline(Right):
    """Gradient times input, that does not say so."""

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        return super().attribute(score, latents, torch.zeros_like(baseline))


class SaysThatItIgnoresIt(Right):
    uses_baseline = False


class Path(Explainer):
    """Integrated gradients by 32 steps over every draw: right."""

    uses_gradients = True
    completeness_tolerance = 0.05

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        draws = baseline.reshape(-1, *latents.shape)
        return torch.stack([self.path(score, latents, draw) for draw in draws]).mean(dim=0)

    def path(self, score: Score, latents: Tensor, draw: Tensor) -> Tensor:
        gradients = torch.zeros_like(latents)
        for step in range(32):
            variant = draw + (step + 0.5) / 32 * (latents - draw)
            variant = variant.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(score(variant[None]).sum(), variant)
            gradients += gradient / 32
        return gradients * (latents - draw)


class AddsUpOverOneDraw(Path):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        return self.path(score, latents, baseline.reshape(-1, *latents.shape)[0])


class SumsOverDraws(Path):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        return super().attribute(score, latents, baseline) * len(
            baseline.reshape(-1, *latents.shape)
        )


class Without(Explainer):
    """What the score loses without a frame, over every draw, within the budget: right."""

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        draws = baseline.reshape(-1, *latents.shape)
        return torch.stack([self.drops(score, latents, draw) for draw in draws]).mean(dim=0)

    def drops(self, score: Score, latents: Tensor, draw: Tensor) -> Tensor:
        frames = latents.shape[1]
        found = torch.zeros(frames)
        with torch.no_grad():
            whole = score(latents[None])
            for first in range(0, frames, score.max_batch):
                part = torch.arange(first, min(first + score.max_batch, frames))
                variants = latents.repeat(len(part), 1, 1)
                for variant, frame in zip(variants, part.tolist(), strict=True):
                    variant[:, frame] = draw[:, frame]
                found[part] = self.scaled(whole - score(variants))
        return (found / len(latents)).expand_as(latents).contiguous()

    def scaled(self, drops: Tensor) -> Tensor:
        return drops


class NormalisesEachBatch(Without):
    def scaled(self, drops: Tensor) -> Tensor:
        return drops / drops.abs().max().clamp(min=1e-9)


class CentresEachBatch(Without):
    def scaled(self, drops: Tensor) -> Tensor:
        return drops - drops.mean() if len(drops) > 1 else drops


class LeavesTheTailOut(Right):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        found = super().attribute(score, latents, baseline)
        frames = latents.shape[1]
        return found * (torch.arange(frames) < max(11, 0.9 * frames))


class WholeWindowsOnly(Right):
    """Of windows of ten frames those that are whole, in clips of more than one."""

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        found = super().attribute(score, latents, baseline)
        frames = latents.shape[1]
        whole = frames // 10 * 10 if frames > 20 else frames
        return found * (torch.arange(frames) < whole)


class MostlyNoise(Right):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        found = super().attribute(score, latents, baseline)
        return found + 5 * found.std(correction=0) * torch.randn_like(found)


class SignsByChance(Right):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        found = super().attribute(score, latents, baseline)
        return found * torch.randn_like(found).sign()


class ExplainsTheDecision(Right):
    """Goes past the score to the model, and explains what that decides, whatever is asked."""

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        assert isinstance(score, ClipScore)
        variant = latents.detach().clone().requires_grad_()
        said = score.route(variant[None], score.clip.context).max()
        return torch.autograd.grad(said, variant)[0] * (latents - baseline).reshape(
            -1, *latents.shape
        ).mean(dim=0)


class TheFirstLabel(ExplainsTheDecision):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        assert isinstance(score, ClipScore)
        variant = latents.detach().clone().requires_grad_()
        said = score.route(variant[None], score.clip.context)[0, 0]
        (gradient,) = torch.autograd.grad(said, variant)
        return gradient * (latents - baseline).reshape(-1, *latents.shape).mean(dim=0)


class KeepsTheLastScore(Right):
    """For a later look, with the model's outputs for the clip."""

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        self.score = score
        return super().attribute(score, latents, baseline)


class KeepsEveryClip(Right):
    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        self.seen.append(latents)
        return super().attribute(score, latents, baseline)


class Determined(Right):
    """Makes the whole process deterministic, which other people's layers may refuse."""

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        torch.use_deterministic_algorithms(True)
        return super().attribute(score, latents, baseline)


class LooksForAnomalies(Right):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        torch.autograd.set_detect_anomaly(True)
        return super().attribute(score, latents, baseline)


# Synthesizers


class HasARateOfItsOwn(Frames):
    def __init__(self, sample_rate: int = 8000) -> None:
        super().__init__(8000)


class FrequenciesOfOneRate(Frames):
    def __init__(self, sample_rate: int = 8000) -> None:
        super().__init__(sample_rate)
        self.frequencies = [500.0 * k for k in range(8)]


class ClipsWhatIsLoud(Frames):
    """As a file of 16 bits does, half way up."""

    def decode(self, values: Tensor, context: Context) -> Tensor:
        return super().decode(values, context).clamp(-0.5, 0.5)


class ForgetsWhatIsQuiet(Frames):
    def encode(self, waveform: Tensor) -> Latents:
        found = super().encode(waveform)
        return Latents(found.values * (found.values.abs() > 1e-4), found.context)


class Backwards(Frames):
    def encode(self, waveform: Tensor) -> Latents:
        found = super().encode(waveform)
        return Latents(found.values.flip(2), found.context)

    def decode(self, values: Tensor, context: Context) -> Tensor:
        return super().decode(values.flip(2), context)


class LateByAQuarter(Frames):
    def encode(self, waveform: Tensor) -> Latents:
        found = super().encode(waveform)
        return Latents(found.values.roll(found.values.shape[2] // 4, 2), found.context)

    def decode(self, values: Tensor, context: Context) -> Tensor:
        return super().decode(values.roll(-(values.shape[2] // 4), 2), context)


class Halves(Frames):
    """Gains of two parts, each one half of the clip: right."""

    values_are_gains: ClassVar[bool] = True
    encode_differentiable = False

    def encode(self, waveform: Tensor) -> Latents:
        return Latents(torch.ones(len(waveform), 2, 1), {"sound": waveform})

    def decode(self, values: Tensor, context: Context) -> Tensor:
        return values.mean(dim=(1, 2))[:, None] * context["sound"]


class GainsThatAreNotOne(Halves):
    def encode(self, waveform: Tensor) -> Latents:
        return Latents(torch.full((len(waveform), 2, 1), 2.0), {"sound": waveform / 2})


class GainsThatLeaveARest(Halves):
    def decode(self, values: Tensor, context: Context) -> Tensor:
        return (0.05 + 0.95 * values.mean(dim=(1, 2))[:, None]) * context["sound"]


class GainsThatDoNotAddUp(Halves):
    def decode(self, values: Tensor, context: Context) -> Tensor:
        return values.mean(dim=(1, 2))[:, None].square() * context["sound"]


class Phaseless(Frames):
    """Loses every sign of its latents' frames, as what guesses phases does: right, and lossy."""

    lossy = True

    def decode(self, values: Tensor, context: Context) -> Tensor:
        heard = super().decode(values, context)
        generator = torch.Generator().manual_seed(heard.shape[1])
        frames = -(-heard.shape[1] // 160)
        signs = torch.randn(frames, generator=generator).sign().repeat_interleave(160)
        return heard * signs[: heard.shape[1]]


class GriffinLim(Frames):
    """Magnitudes alone; phases by so many rounds (Griffin and Lim 1984): right, and lossy."""

    lossy = True
    decode_differentiable = encode_differentiable = False

    def __init__(self, sample_rate: int = 8000, rounds: int = 8) -> None:
        super().__init__(sample_rate)
        self.rounds = rounds

    def encode(self, waveform: Tensor) -> Latents:
        if waveform.shape[1] < 256:
            raise PluginError("too short: give 256 samples or more")
        length = torch.full((len(waveform),), waveform.shape[1])
        return Latents(self.spectrum(waveform).abs(), {"length": length})

    def spectrum(self, waveform: Tensor) -> Tensor:
        window = torch.hann_window(256)
        return torch.stft(waveform, 256, 64, window=window, return_complex=True)

    def decode(self, values: Tensor, context: Context) -> Tensor:
        spectrum, samples = values.clamp(min=0) + 0j, int(context["length"][0])
        for _ in range(self.rounds + 1):
            heard = torch.istft(spectrum, 256, 64, window=torch.hann_window(256), length=samples)
            spectrum = torch.polar(values.clamp(min=0), self.spectrum(heard).angle())
        return heard


class ManyRounds(GriffinLim):
    def __init__(self, sample_rate: int = 8000, rounds: int = 60) -> None:
        super().__init__(sample_rate, rounds)


class LosesMoreOfShortClips(Phaseless):
    """Its bandwidth depends on the length of the clip."""

    def decode(self, values: Tensor, context: Context) -> Tensor:
        heard = super().decode(values, context)
        spectrum = torch.fft.rfft(heard)
        highest = min(1.0, heard.shape[1] / 16000) * spectrum.shape[1]
        low = torch.arange(spectrum.shape[1]) < highest
        return torch.fft.irfft(spectrum * (0.03 + 0.97 * low), heard.shape[1])


class LosesTheLevelOfPieces(Phaseless):
    def decode(self, values: Tensor, context: Context) -> Tensor:
        heard = super().decode(values, context)
        return heard * min(1.0, heard.shape[1] / 16000) ** 2


# Segmenters


class Late(Loud):
    """Decides half a second after it has heard."""

    def logits(self, waveform: Tensor) -> Tensor:
        found = super().logits(waveform)
        return torch.cat([found[:, :1].expand(-1, 25, -1), found], dim=1)[:, : found.shape[1]]


class HoldsOn(Loud):
    """Goes on for 0.6 s after a label has ended."""

    def logits(self, waveform: Tensor) -> Tensor:
        found = nn.functional.pad(super().logits(waveform).mT, (30, 0), value=-50.0)
        return nn.functional.max_pool1d(found, 31, 1).mT


class LateAndSaysSo(Late):
    latency = 0.5


# Replacements


class OfTheClip(Replacement):
    """Each channel's mean, which may be known of a clip: right."""

    depends_on_keep = False

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        return latents.mean(dim=1, keepdim=True).expand_as(latents)


class GoesOn(Replacement):
    """The mean of the frames around that are kept, in two draws with noise: right."""

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        around = self.around(latents * keep) / self.around(keep.float()).clamp(min=1e-3)
        return torch.stack([around + self.noise(latents, clip) for _ in range(2)])

    def around(self, values: Tensor) -> Tensor:
        return nn.functional.avg_pool1d(values[None], 5, 1, padding=2)[0]

    def noise(self, latents: Tensor, clip: Clip) -> Tensor:
        return 0.01 * torch.randn(latents.shape, generator=clip.generator)


class GoesOnWithAll(GoesOn):
    """The mean of the frames around, whether they are kept or not."""

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        return super().fill(latents, torch.ones_like(keep), clip)


class AtTheLevelOfAll(GoesOn):
    """From what is kept, and as loud as what was removed."""

    def noise(self, latents: Tensor, clip: Clip) -> Tensor:
        return latents.std() * super().noise(latents, clip)


class OneDrawKnows(GoesOn):
    """The last draw is a hundredth of what was there."""

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        return torch.cat([super().fill(latents, keep, clip), 0.01 * latents[None]])


class GoesOnWithTheRecording(GoesOn):
    """From what is kept, with noise that is as loud as the recording."""

    def noise(self, latents: Tensor, clip: Clip) -> Tensor:
        return super().noise(latents, clip) * clip.waveform.abs().max()


class TheSecondDrawIsTheClip(OfTheClip):
    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        return torch.stack([super().fill(latents, keep, clip), 0.5 * latents])


class Quieter(OfTheClip):
    """A tenth of what was there."""

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        return 0.1 * latents


class Inverted(OfTheClip):
    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        return -latents


class Blurred(OfTheClip):
    """The mean of the frames around, removed or not."""

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        return nn.functional.avg_pool1d(latents[None], 5, 1, padding=2)[0]


class FromTheRecording(OfTheClip):
    """Noise, and some of the clip's own recording."""

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        noise = 0.1 * torch.randn(latents.shape, generator=clip.generator)
        return noise + 0.3 * clip.synthesizer.encode(clip.waveform[None]).values[0]


class ALittleLater(OfTheClip):
    """What was removed, three frames later."""

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        return latents.roll(3, 1)


class PlayedBackwards(OfTheClip):
    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        return latents.flip(1)


class FromTheChannelBelow(OfTheClip):
    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        return 0.5 * latents.roll(1, 0) + 0.05 * torch.randn(
            latents.shape, generator=clip.generator
        )


# Groupings


class Thirds(Grouping):
    """The three thirds of a clip: right."""

    def groups(self, clip: Clip) -> Groups:
        frames = clip.shape[1]
        numbers = 3 * torch.arange(frames) // frames
        return Groups(numbers.expand(clip.shape).contiguous(), ("first", "second", "third"))


class ByFrames(Thirds):
    def groups(self, clip: Clip) -> Groups:
        found = super().groups(clip)
        return Groups(found.numbers[:1].contiguous(), found.names)


class Unreadable(Thirds):
    def groups(self, clip: Clip) -> Groups:
        return Groups(super().groups(clip).numbers, ("first", "second\n", "third"))


class Endless(Thirds):
    def groups(self, clip: Clip) -> Groups:
        return Groups(super().groups(clip).numbers, ("a", "b", "c" * 100))


class ByChance(Thirds):
    def groups(self, clip: Clip) -> Groups:
        return Groups(super().groups(clip).numbers.roll(random.randrange(100), 1), ("a", "b", "c"))


class ByTheClipBefore(Thirds):
    def __init__(self) -> None:
        self._loudest = 0.0

    def groups(self, clip: Clip) -> Groups:
        self._loudest = max(self._loudest, float(clip.waveform.abs().max()))
        found = super().groups(clip)
        return Groups(found.numbers, ("a", "b", f"up to {self._loudest:.5f}"))


class Normalising(Thirds):
    def groups(self, clip: Clip) -> Groups:
        clip.waveform.div_(clip.waveform.abs().max())
        return super().groups(clip)


RIGHT_TOO: tuple[tuple[str, type], ...] = (
    ("explainer", Path),
    ("explainer", Without),
    ("synthesizer", Halves),
    ("synthesizer", Phaseless),
    ("synthesizer", GriffinLim),
    ("synthesizer", ManyRounds),
    ("segmenter", LateAndSaysSo),
    ("replacement", OfTheClip),
    ("replacement", GoesOn),
    ("grouping", Thirds),
)

SUBTLY_WRONG: Mapping[str, Mapping[type, str]] = {
    "explainer": {
        FirstDraw: "counts-every-draw",
        LastDraw: "counts-every-draw",
        IgnoresTheBaseline: "follows-the-baseline-or-says-not",
        SaysThatItIgnoresIt: "follows-the-baseline-or-says-not",
        AddsUpOverOneDraw: "adds-up-over-draws-where-it-says-so",
        SumsOverDraws: "adds-up-over-draws-where-it-says-so",
        NormalisesEachBatch: "is-the-same-for-every-budget",
        CentresEachBatch: "is-the-same-for-every-budget",
        LeavesTheTailOut: "attributes-the-last-tenth",
        WholeWindowsOnly: "attributes-the-last-tenth",
        MostlyNoise: "has-little-noise-of-its-own",
        SignsByChance: "has-little-noise-of-its-own",
        ExplainsTheDecision: "follows-the-target",
        TheFirstLabel: "follows-the-target",
        KeepsTheLastScore: "holds-on-to-no-clip",
        KeepsEveryClip: "holds-on-to-no-clip",
        Determined: "leaves-torchs-settings-as-they-were",
        LooksForAnomalies: "leaves-torchs-settings-as-they-were",
    },
    "synthesizer": {
        Backwards: "moves-the-frame-of-a-click",
        LateByAQuarter: "moves-the-frame-of-a-click",
        GainsThatAreNotOne: "gains-are-factors-of-parts",
        GainsThatLeaveARest: "gains-are-factors-of-parts",
        GainsThatDoNotAddUp: "gains-are-factors-of-parts",
        LosesMoreOfShortClips: "agrees-with-its-pieces",
        LosesTheLevelOfPieces: "agrees-with-its-pieces",
        HasARateOfItsOwn: "works-at-the-rate-it-is-given",
        FrequenciesOfOneRate: "works-at-the-rate-it-is-given",
        ClipsWhatIsLoud: "gives-back-what-went-in",
        ForgetsWhatIsQuiet: "gives-back-what-went-in",
    },
    "segmenter": {Late: "reacts-within-its-latency", HoldsOn: "reacts-within-its-latency"},
    "replacement": {
        Quieter: "leaks-nothing-of-what-was-removed",
        Inverted: "leaks-nothing-of-what-was-removed",
        Blurred: "leaks-nothing-of-what-was-removed",
        ALittleLater: "leaks-nothing-of-what-was-removed",
        PlayedBackwards: "leaks-nothing-of-what-was-removed",
        FromTheChannelBelow: "leaks-nothing-of-what-was-removed",
        FromTheRecording: "leaks-nothing-of-what-was-removed",
        GoesOnWithAll: "leaks-nothing-of-what-was-removed",
        AtTheLevelOfAll: "leaks-nothing-of-what-was-removed",
        OneDrawKnows: "leaks-nothing-of-what-was-removed",
        GoesOnWithTheRecording: "leaks-nothing-of-what-was-removed",
        TheSecondDrawIsTheClip: "leaks-nothing-of-what-was-removed",
    },
    "grouping": {
        ByFrames: "groups-every-element",
        Unreadable: "gives-names-that-can-be-read",
        Endless: "gives-names-that-can-be-read",
        ByChance: "draws-from-the-clips-generator-alone",
        ByTheClipBefore: "remembers-no-clip",
        Normalising: "changes-no-input",
    },
}
"""What is wrong, and the rule that is meant for it; others may see some of them too."""
