"""The interfaces a plugin implements, and the values that pass between them.

Shapes, throughout: B clips, n variants of one clip, D channels and N frames of
a representation, L labels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

from xplain.audio import Audio
from xplain.errors import XplainError
from xplain.fingerprint import of_module

Context = Mapping[str, Tensor]
"""What a synthesizer needs beside the latents to give audio back: tensors, batch first."""


@dataclass(frozen=True)
class Latents:
    """A representation of audio, with the context that decoding needs.

    values: (B, D, N) float32. context: each tensor batch first.
    """

    values: Tensor
    context: Context


class Fingerprinted:
    """What may hold weights or data that its parameters only point to."""

    def fingerprint(self) -> str | None:
        """SHA-256 of them, for provenance; None where there are none.

        Given for a torch.nn.Module. One that keeps them elsewhere says it itself.
        """
        return of_module(self) if isinstance(self, nn.Module) else None


class Synthesizer(Fingerprinted, ABC):
    """A representation of audio that can be edited and decoded to audio.

    One whose constructor has a parameter ``sample_rate`` works at any rate and
    is given the model's; the others have a rate of their own, and the pipeline
    resamples at the border. One that has weights is a torch.nn.Module too, and is put on
    the device and into evaluation mode with the model. What it cannot encode it refuses
    with a PluginError.
    """

    sample_rate: int
    """Hz, of the waveforms that go in and come out."""

    encode_differentiable: ClassVar[bool] = False
    """Whether gradients flow from the latents back to the waveform."""

    decode_differentiable: ClassVar[bool] = False
    """Whether gradients flow from the waveform back to the latents."""

    lossy: ClassVar[bool] = False
    """Whether what is decoded is only like what went in, as of a codec that was learnt."""

    values_are_gains: ClassVar[bool] = False
    """Whether latents are factors of parts that the context holds: 0 leaves a part out."""

    frequencies: Sequence[float] | None = None
    """Hz of each of the D channels, where channels are frequencies; for pictures and bands."""

    spectra: tuple[Tensor, Sequence[float]] | None = None
    """Where channels lie that are no frequencies, if that is known, for bands: how much of each
    of F frequencies is in each channel (D, F), not negative, and the Hz of the F."""

    @abstractmethod
    def encode(self, waveform: Tensor) -> Latents:
        """Turn waveforms (B, samples) of equal length into latents (B, D, N)."""

    @abstractmethod
    def decode(self, values: Tensor, context: Context) -> Tensor:
        """Turn n variants (n, D, N) back into (n, samples), the length that went in.

        The context's batch is 1 (one clip's context serves n variants of it) or n.
        """


class Score(nn.Module, ABC):
    """The question: what the target's logit is for variants of one clip.

    The model is a submodule, so that methods that hook layers find them.
    """

    max_batch: int
    """The memory budget: never pass more variants than this at once."""
    target: str = ""
    """What is asked, as people read it."""
    duration: float = 0.0
    """Seconds of the clip."""
    frame_times: Tensor | None = None
    """Seconds at the middle of each frame, (N,)."""
    frequencies: Sequence[float] | None = None
    """Hz of each channel, where channels are frequencies."""
    groups: Groups | None = None
    """Elements to be removed together; None: each by itself."""

    @abstractmethod
    def forward(self, variants: Tensor) -> Tensor:
        """Score variants (n, D, N) of the clip: (n,)."""

    def masked(self, keep: Tensor) -> Tensor:
        """Score the clip with only keep, bool (n, D, N), left: (n,), without gradients.

        The rest is filled by the replacement; over draws of it, the mean score.
        """
        raise NotImplementedError("the pipeline's score has a replacement; this one has none")


class Explainer(Fingerprinted, ABC):
    """A method that says how much each element of the latents added to the score.

    It sees one clip's latents and a score over variants of that clip; never
    audio, a label, a model or a batch. A method that draws numbers draws them
    from torch's, NumPy's or Python's global generator: the pipeline seeds all
    three for each clip, from the seed and the clip's own samples.
    """

    uses_gradients: ClassVar[bool] = False
    """Whether the score has to be differentiable with respect to the variants."""

    uses_baseline: ClassVar[bool] = True
    """Whether another baseline gives another attribution."""

    compares_with: ClassVar[str] = "auto"
    """The replacement that is its baseline where nobody says."""

    completeness_tolerance: float | None = None
    """Where the attribution is meant to add up to score(latents) − score(baseline): the
    relative error under which it is said to have converged. None: no such claim."""

    @abstractmethod
    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor | Attribution:
        """Attribute the score of latents (D, N) to its elements: (D, N), signed.

        baseline: (D, N), or draws (S, D, N) where the replacement gives several. What has more
        to tell than a map returns an Attribution.
        """


@dataclass(frozen=True, eq=False)
class Groups:
    """Which elements of latents belong together.

    numbers: (D, N) int64, the group of each element; every number from 0 to the largest
    occurs. names: of each group, all different; None where groups are only places.
    """

    numbers: Tensor
    names: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        """Refuse numbers with gaps, and names that are not one for each."""
        numbers, names = self.numbers, self.names
        if numbers.ndim != 2 or numbers.dtype != torch.int64 or not numbers.numel():
            raise XplainError("the numbers of groups are (channels, frames), int64")
        sizes = numbers.flatten().bincount() if int(numbers.min()) >= 0 else numbers.new_zeros(1)
        if not bool((sizes > 0).all()):
            raise XplainError("groups are numbered from 0, and each has an element")
        if names is not None and not len(set(names)) == len(names) == len(sizes):
            raise XplainError(
                f"{len(sizes)} groups have as many different names, not {len(set(names))}"
            )

    def sums(self, values: Tensor) -> Tensor:
        """The sum of values (D, N) over each group: (G,) float64."""
        return self.numbers.cpu().flatten().bincount(values.detach().cpu().flatten().double())


Table = Sequence[Mapping[str, str | float | bool | None]]
"""Rows of a table, each by column."""


EXTRA = r"^[a-z0-9]+(-[a-z0-9]+)*$"
"""What the name of an extra is like."""


@dataclass(frozen=True, eq=False)
class Attribution:
    """What a method says about a clip.

    values: (D, N), signed. groups: those that the method spoke about, where it did not speak
    about elements. extras: what else there is to hear or read, by kebab-case name: audio, a
    table or a text.
    """

    values: Tensor
    groups: Groups | None = None
    extras: Mapping[str, Audio | Table | str] = field(default_factory=dict)


@dataclass(frozen=True)
class Clip:
    """What a replacement or a grouping may know of a clip.

    waveform: (samples,) at the synthesizer's rate. latents: of this one clip. generator: seeded
    by the seed and the clip; the only source of chance to draw from. name: the recording's.
    """

    synthesizer: Synthesizer
    waveform: Tensor
    latents: Latents
    generator: torch.Generator
    name: str = ""

    @property
    def samples(self) -> int:
        """Length of the waveform."""
        return len(self.waveform)

    @property
    def context(self) -> Context:
        """The clip's decoding context, batch of 1."""
        return self.latents.context

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.samples / self.synthesizer.sample_rate

    @property
    def shape(self) -> tuple[int, int]:
        """Channels and frames of the latents."""
        return self.latents.values.shape[1], self.latents.values.shape[2]

    @property
    def frame_times(self) -> Tensor:
        """Seconds at the middle of each frame, (N,): frames lie evenly over the clip."""
        return (torch.arange(self.shape[1]) + 0.5) / self.shape[1] * self.duration

    @property
    def frequencies(self) -> Sequence[float] | None:
        """Hz of each channel, where channels are frequencies."""
        return self.synthesizer.frequencies


class Replacement(Fingerprinted, ABC):
    """What stands for "nothing here" in place of the elements that are not kept."""

    depends_on_keep: ClassVar[bool] = True
    """Whether what it gives depends on which elements stay. Where it does not, it is asked
    once for a clip, with nothing kept."""

    @abstractmethod
    def fill(self, latents: Tensor, keep: Tensor, clip: Clip) -> Tensor:
        """Replace what is not kept: latents (D, N), keep bool (D, N) → (D, N), or draws (S, D, N).

        Only the places where ``keep`` is False are read from what is returned. Scores are means
        over draws.
        """


class Grouping(Fingerprinted, ABC):
    """Which elements of a clip's latents belong together, and what each group is called."""

    @abstractmethod
    def groups(self, clip: Clip) -> Groups:
        """Group every element of the clip's latents."""


@dataclass(frozen=True)
class Thresholds:
    """When a label begins and ends.

    onset: it begins with the first frame of at least this probability. offset: it ends
    before the first frame of less than this one; None: the onset. min_off: seconds; what is
    apart by less is joined. min_on: seconds; what is then shorter is dropped.
    """

    onset: float = 0.5
    offset: float | None = None
    min_on: float = 0.0
    min_off: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what could never begin or end, and durations below zero."""
        if not 0 < self.onset <= 1:
            raise XplainError(f"onset is a probability over 0, not {self.onset}")
        if not 0 < self.lower <= self.onset:
            raise XplainError(
                f"offset is a probability over 0 and at most the onset {self.onset}, "
                f"not {self.offset}"
            )
        for name in ("min_on", "min_off"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise XplainError(f"{name} is in seconds, so it cannot be {getattr(self, name)}")

    @property
    def lower(self) -> float:
        """The offset that is meant."""
        return self.onset if self.offset is None else self.offset


class Segmenter(Fingerprinted, ABC):
    """Frame-wise, multilabel decisions over time.

    Frame t stands for the time from frame_step · t to frame_step · (t + 1), and a recording
    of so many samples has ceil(samples / (frame_step · sample_rate)) frames; one that gives
    a few less has none for the last tenth of a second. One that has weights is a
    torch.nn.Module too, and is put on the device and into evaluation mode. What it cannot
    decide it refuses with an XplainError.
    """

    sample_rate: int
    """Hz, of the waveforms that go in."""
    frame_step: float
    """Seconds from one frame to the next."""
    labels: tuple[str, ...]

    latency: float = 0.0
    """Seconds by which its decisions come after what they are about, at most."""
    window: float = 20.0
    """Seconds that are decided at once; of a longer recording, one such window after another."""
    context: float = 2.0
    """Seconds of context on each side of a window. Where no logit depends on more than
    this to either side, windows change nothing."""
    fade: float = 0.5
    """Seconds around a border in which one window's logits go over into the next one's."""
    thresholds: Mapping[str, Thresholds] = MappingProxyType({})
    """When a label begins and ends; Thresholds() for labels that are not named."""

    @abstractmethod
    def logits(self, waveform: Tensor) -> Tensor:
        """Waveforms (B, samples) → logits (B, frames, L), one sigmoid per label."""

    def decide(self, frames: Tensor) -> tuple[tuple[str, ...], Tensor]:
        """The labels of a recording and their probabilities (T, K), from all its frames (T, L).

        As given, its own; a diariser finds them in each recording. Thresholds make segments.
        """
        return self.labels, frames


class AdditiveSegmenter(Segmenter):
    """A segmenter whose logits are a weighted sum of non-negative parts that have spectra.

    logits[t, c] = bias[c] + Σ_k weights[c, k] · parts[k, t]: so over a stretch of time part k
    added weights[c, k] · mean_t parts[k, t] to the logit of label c, and these add up to the
    mean logit minus the bias. Where a part is in the spectrum says its row of ``spectra``.
    """

    weights: Tensor
    """(L, K), of either sign."""
    bias: Tensor
    """(L,)."""
    spectra: Tensor
    """(K, F), not negative: what each part looks like."""
    frequencies: Tensor
    """(F,), Hz, ascending."""

    @abstractmethod
    def parts(self, waveform: Tensor) -> Tensor:
        """Waveforms (B, samples) → parts (B, K, frames), not negative."""

    def logits(self, waveform: Tensor) -> Tensor:
        """Waveforms (B, samples) → logits (B, frames, L)."""
        return self.head(self.parts(waveform))

    def head(self, parts: Tensor) -> Tensor:
        """Parts (B, K, frames) → logits (B, frames, L)."""
        return parts.transpose(1, 2) @ self.weights.T + self.bias
