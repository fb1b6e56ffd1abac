"""A right plugin of each kind, and wrong ones: each breaks one rule and keeps all others."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from wrong_metrics import (
    changing,
    declared,
    is_sparse,
    largest_share,
    percents,
    remembering,
    share_or_nan,
    tensor_share,
    unexplained,
)

from xplain import (
    AdditiveSegmenter,
    Clip,
    Context,
    Explainer,
    Latents,
    Replacement,
    Score,
    Segmenter,
    Thresholds,
)
from xplain_devkit.toys.models import Frames

# Explainers


class Right(Explainer):
    """Gradient times the difference from the baseline, one draw after another."""

    uses_gradients = True

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        draws = baseline if baseline.ndim == 3 else baseline[None]
        variant = latents.detach().clone().requires_grad_()
        (gradient,) = torch.autograd.grad(score(variant[None]).sum(), variant)
        return gradient * (latents - draws).mean(dim=0)


class WrongShape(Right):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        return super().attribute(score, latents, baseline)[None]


class Float64(Right):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        return super().attribute(score, latents, baseline).double()


class GivesNaN(Right):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        attribution = super().attribute(score, latents, baseline)
        # Divided by the baseline's size: that is zero, and every good test has such a baseline.
        attribution[0, 0] = (baseline.sum() - baseline.sum()) / (baseline.sum() - baseline.sum())
        return attribution


class ChangesItsInput(Right):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        attribution = super().attribute(score, latents, baseline)
        latents.sub_(1)
        return attribution


class LeavesAHook(Right):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        layer = list(score.modules())[-1]
        layer.register_forward_hook(lambda module, inputs, output: None)
        return super().attribute(score, latents, baseline)


class LeavesAHookOnError(Right):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        hook = score.register_forward_hook(lambda module, inputs, output: None)
        attribution = super().attribute(score, latents, baseline)
        hook.remove()
        return attribution


class LeavesGradModeOff(Right):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        attribution = super().attribute(score, latents, baseline)
        torch.set_grad_enabled(False)
        return attribution


class LeavesTrainingMode(Right):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        attribution = super().attribute(score, latents, baseline)
        score.train()
        return attribution


class LeavesGradients(Right):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        for parameter in score.parameters():
            parameter.grad = torch.zeros_like(parameter)
        return super().attribute(score, latents, baseline)


class NotDeterministic(Right):
    chance = torch.Generator()  # of its own, so that nobody's seed reaches it

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        drawn = 1 + 1e-3 * torch.rand(latents.shape, generator=self.chance)
        return super().attribute(score, latents, baseline) * drawn


class RemembersTheClipBefore(Right):
    largest = 0.0

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        attribution = super().attribute(score, latents, baseline)
        self.largest = max(self.largest, float(attribution.abs().max()))
        return attribution / self.largest


class IgnoresTheBudget(Explainer):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        draws = baseline if baseline.ndim == 3 else baseline[None]
        frames = latents.shape[1]
        without = torch.eye(frames, dtype=torch.bool)[:, None]
        variants = torch.where(without, draws.mean(dim=0), latents)
        with torch.no_grad():
            drops = score(latents[None]) - score(variants)
        return (drops / len(latents)).expand_as(latents).contiguous()


class DoesNotAddUp(Right):
    completeness_tolerance = 0.05


class GivesOneForEachDraw(Right):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        attribution = super().attribute(score, latents, baseline)
        return attribution.expand_as(baseline)


class IsUpsideDown(Right):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        return -super().attribute(score, latents, baseline)


class IsScrambled(Right):
    """A forgotten transpose: the memory of (N, D) read as (D, N)."""

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        attribution = super().attribute(score, latents, baseline)
        return attribution.T.reshape(attribution.shape)


class IsFlipped(Right):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        return super().attribute(score, latents, baseline).flip(0)


class IsLate(Right):
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        return super().attribute(score, latents, baseline).roll(1, 1)


class GivesTheSameMemory(Right):
    """Writes every clip of a shape into one tensor, and gives that."""

    def __init__(self) -> None:
        self._memory: dict[torch.Size, Tensor] = {}

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        attribution = super().attribute(score, latents, baseline)
        memory = self._memory.setdefault(attribution.shape, torch.zeros_like(attribution))
        return memory.copy_(attribution)


class ForgetsItsParameter(Right):
    def __init__(self, steps: int = 5) -> None:
        if not isinstance(steps, int):
            raise ValueError("steps is a number")


class IgnoresItsParameter(Right):
    def __init__(self, steps: int = 5) -> None:
        if not isinstance(steps, int):
            raise ValueError("steps is a number")
        self.steps = 5


class IgnoresItsShare(Right):
    def __init__(self, share: float = 0.5) -> None:
        if not isinstance(share, float):
            raise ValueError("share is a number")
        self.share = 0.5


# Synthesizers


class OffByOne(Frames):
    def decode(self, values: Tensor, context: Context) -> Tensor:
        heard = super().decode(values, context)
        return nn.functional.pad(heard, (0, 1))


class NotDifferentiable(Frames):
    def decode(self, values: Tensor, context: Context) -> Tensor:
        return super().decode(values.detach(), context)


class LosesSomething(Frames):
    def decode(self, values: Tensor, context: Context) -> Tensor:
        return 0.9 * super().decode(values, context)


class Lossy(LosesSomething):
    lossy = True


class MixesTheBatch(Frames):
    def encode(self, waveform: Tensor) -> Latents:
        encoded = super().encode(waveform)
        level = waveform.abs().max().clamp(min=1e-9)
        return Latents(
            encoded.values / level,
            {**encoded.context, "level": level.detach().expand(len(waveform))},
        )

    def decode(self, values: Tensor, context: Context) -> Tensor:
        return super().decode(values, context) * context["level"][:, None]


class NeedsItsOwnContext(Frames):
    def decode(self, values: Tensor, context: Context) -> Tensor:
        rows = [
            super(NeedsItsOwnContext, self).decode(values[n : n + 1], context)
            for n in range(len(context["length"]))
        ]
        return torch.cat(rows).repeat(len(values) // len(rows), 1)


class KeepsTheSoundInTheContext(Frames):
    def encode(self, waveform: Tensor) -> Latents:
        encoded = super().encode(waveform)
        return Latents(0.01 * encoded.values, {**encoded.context, "rest": 0.99 * waveform})

    def decode(self, values: Tensor, context: Context) -> Tensor:
        return super().decode(values, context) + context["rest"]


class NamesFrequenciesUpsideDown(Frames):
    def __init__(self, sample_rate: int = 8000) -> None:
        super().__init__(sample_rate)
        self.frequencies = [k * sample_rate / 16 for k in reversed(range(8))]


class HasSpectraBelowZero(Frames):
    def __init__(self, sample_rate: int = 8000) -> None:
        super().__init__(sample_rate)
        self.spectra = -torch.eye(8), [k * sample_rate / 16 for k in range(8)]


# Segmenters


class Loud(Segmenter):
    """Whether a frame is louder than a threshold, in dB."""

    sample_rate = 8000
    frame_step = 0.02
    labels = ("loud",)

    def logits(self, waveform: Tensor) -> Tensor:
        size = 160
        padded = nn.functional.pad(waveform, (0, -waveform.shape[1] % size))
        power = padded.reshape(len(waveform), -1, size).square().mean(dim=2)
        return (10 * torch.log10(power + 1e-10) + 30)[..., None] / 3


class NonFiniteLogits(Loud):
    def logits(self, waveform: Tensor) -> Tensor:
        logits = super().logits(waveform)
        return torch.where(logits < -20, -torch.inf, logits)


class OutOfStep(Loud):
    frame_step = 0.01


class GivesProbabilities(Loud):
    def logits(self, waveform: Tensor) -> Tensor:
        return super().logits(waveform).sigmoid()


class NormalisesTheRecording(Loud):
    def logits(self, waveform: Tensor) -> Tensor:
        level = waveform.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-5)
        return super().logits(0.03 * waveform / level)


class ThresholdOfNoLabel(Loud):
    thresholds: Mapping[str, Thresholds] = {"quiet": Thresholds()}


class HearsNoContext(Loud):
    """Loudness over a second, decided from windows that do not overlap."""

    context = 0.0
    fade = 0.0

    def logits(self, waveform: Tensor) -> Tensor:
        logits = super().logits(waveform).transpose(1, 2)
        return 3 * nn.functional.avg_pool1d(nn.functional.pad(logits, (25, 25)), 51, 1).mT


class Additive(AdditiveSegmenter):
    """Two labels from the energy in four bands of a frame."""

    sample_rate = 8000
    frame_step = 0.02
    labels = ("low", "high")

    def __init__(self) -> None:
        self.weights = torch.tensor([[3.0, 1.0, -1.0, 0.0], [-1.0, 0.0, 1.0, 3.0]])
        self.bias = torch.tensor([-1.0, -2.0])
        self.spectra = torch.eye(4).repeat_interleave(20, dim=1)
        self.frequencies = torch.arange(80) * 50.0

    def parts(self, waveform: Tensor) -> Tensor:
        padded = nn.functional.pad(waveform, (0, -waveform.shape[1] % 160))
        frames = padded.reshape(len(waveform), -1, 160)
        bins = torch.fft.rfft(frames).abs()[..., :80]
        return bins.reshape(*bins.shape[:2], 4, 20).mean(dim=3).mT


class AddsMoreThanItsParts(Additive):
    def logits(self, waveform: Tensor) -> Tensor:
        return super().logits(waveform).tanh() - 0.5


class NegativeParts(Additive):
    def parts(self, waveform: Tensor) -> Tensor:
        return super().parts(waveform) - 0.5


class SpectraOfTheOtherSide(Additive):
    def __init__(self) -> None:
        super().__init__()
        self.frequencies = self.frequencies.flip(0)


class NegativeSpectra(Additive):
    def __init__(self) -> None:
        super().__init__()
        self.spectra = self.spectra - 0.1


# Replacements


class Zeros(Replacement):
    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        return torch.zeros_like(latents)


class DrawsFromTheGlobalGenerator(Replacement):
    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        return torch.randn(latents.shape)


class ChangesTheLatents(Replacement):
    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        filled = torch.zeros_like(latents)
        latents[~keep] = 0
        return filled


class LooksAtWhatIsKept(Zeros):
    depends_on_keep = False

    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        return keep.float()


class GivesTheLatentsBack(Replacement):
    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        return latents


RIGHT: Mapping[str, object] = {
    "explainer": Right,
    "synthesizer": Frames,
    "segmenter": Loud,
    "replacement": Zeros,
    "metric": lambda: declared(largest_share),
}

WRONG: Mapping[str, Mapping[object, str]] = {
    "explainer": {
        WrongShape: "gives-the-latents-shape",
        Float64: "gives-float32",
        GivesNaN: "gives-finite-values",
        ChangesItsInput: "changes-neither-latents-nor-baseline",
        LeavesAHook: "leaves-no-hook",
        LeavesAHookOnError: "tidies-up-when-the-score-fails",
        LeavesGradModeOff: "leaves-grad-mode-as-it-was",
        LeavesTrainingMode: "leaves-the-mode-as-it-was",
        LeavesGradients: "leaves-weights-and-gradients-alone",
        NotDeterministic: "is-the-same-again-for-a-seed",
        RemembersTheClipBefore: "remembers-no-clip",
        IgnoresTheBudget: "keeps-the-memory-budget",
        DoesNotAddUp: "adds-up-where-it-says-so",
        GivesOneForEachDraw: "takes-draws-of-the-baseline",
        GivesTheSameMemory: "remembers-no-clip",
        IsUpsideDown: "finds-a-planted-cue",
        IsScrambled: "puts-the-element-that-decides-in-its-place",
        IsFlipped: "puts-the-element-that-decides-in-its-place",
        IsLate: "puts-the-element-that-decides-in-its-place",
        ForgetsItsParameter: "comes-back-from-its-description",
        IgnoresItsParameter: "follows-its-parameters",
        IgnoresItsShare: "follows-its-parameters",
    },
    "synthesizer": {
        OffByOne: "gives-the-length-back",
        NotDifferentiable: "is-differentiable-where-it-says-so",
        LosesSomething: "gives-back-what-went-in",
        MixesTheBatch: "separates-the-clips-of-a-batch",
        NeedsItsOwnContext: "serves-many-variants-with-one-context",
        KeepsTheSoundInTheContext: "keeps-the-sound-in-the-latents",
        NamesFrequenciesUpsideDown: "names-the-frequency-of-a-tone",
        HasSpectraBelowZero: "says-where-each-channel-lies-or-nothing",
    },
    "segmenter": {
        NonFiniteLogits: "gives-finite-logits",
        OutOfStep: "keeps-step-with-time",
        GivesProbabilities: "gives-logits-not-probabilities",
        NormalisesTheRecording: "agrees-with-its-windows",
        ThresholdOfNoLabel: "segments-a-recording",
        HearsNoContext: "leaves-no-seam-between-windows",
        AddsMoreThanItsParts: "adds-up-its-parts",
        NegativeParts: "adds-up-its-parts",
        SpectraOfTheOtherSide: "says-what-its-parts-are",
        NegativeSpectra: "says-what-its-parts-are",
    },
    "replacement": {
        DrawsFromTheGlobalGenerator: "draws-from-the-clips-generator-alone",
        ChangesTheLatents: "changes-no-input",
        GivesTheLatentsBack: "replaces-something",
        LooksAtWhatIsKept: "depends-on-what-is-kept-only-where-it-says-so",
    },
    "metric": {
        share_or_nan: "says-undefined-instead-of-nan",
        changing: "changes-no-evidence",
        remembering: "is-pure",
        tensor_share: "gives-a-python-float",
        is_sparse: "gives-a-python-float",
        percents: "gives-a-value-in-its-range",
        unexplained: "says-how-to-read-it",
    },
}
"""What is wrong, and the one rule that each of them breaks."""
