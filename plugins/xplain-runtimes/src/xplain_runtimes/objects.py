"""Objects of SpeechBrain and pyannote.audio, by what they have; neither library is imported."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn

from xplain import Model, ModelError, Segmenter, Thresholds, wrap


class Encoded(nn.Module):
    """An EncoderClassifier: its embedding, or with labels its classifier's logits."""

    def __init__(self, encoder: Any, classify: bool) -> None:
        """Ask an encoder."""
        super().__init__()
        self.mods = encoder.mods
        self.classify = classify
        self._ask = [encoder]  # not a module of its own

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms (batch, samples) → (batch, E) or (batch, labels)."""
        heard: Tensor = self._ask[0].encode_batch(waveform, torch.ones(len(waveform)))
        given: Tensor = self.mods.classifier(heard) if self.classify else heard
        return given.flatten(1)


def speechbrain(given: Any) -> Model:
    """Make a model of an EncoderClassifier: a classifier if it knows labels, else an embedding."""
    if not hasattr(given, "encode_batch") or not hasattr(given, "mods"):
        raise ModelError(
            f"a {type(given).__name__} of SpeechBrain has no encode_batch; give an "
            "EncoderClassifier, or xplain.wrap(…) a module that gives logits"
        )
    rate = int(getattr(getattr(given, "audio_normalizer", None), "sample_rate", 16000))
    encoder = getattr(getattr(given, "hparams", None), "label_encoder", None)
    named: Any = getattr(encoder, "ind2lab", None)
    classify = bool(named) and hasattr(given.mods, "classifier")
    common: dict[str, Any] = {"sample_rate": rate, "name": type(given).__name__}
    module = Encoded(given, classify)
    if not classify:
        return wrap(module, task="embedding", **common)
    return wrap(module, labels=named, output="log-probabilities", **common)


class Framed(nn.Module):
    """A Model of pyannote: waveforms (batch, 1, samples) → (batch, frames, classes)."""

    def __init__(self, model: nn.Module) -> None:
        """Ask a model."""
        super().__init__()
        self.model = model

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms (batch, samples) → (batch, frames, classes), or (batch, E)."""
        given: Tensor = self.model(waveform[:, None])
        return given


class Speakers(Framed):
    """A powerset model of pyannote: of each speaker the logit, from classes of who speaks at once.

    The classes are nobody, each speaker alone, each pair, … (Plaquet, Bredin 2023,
    arXiv 2310.13025); a speaker's probability is the sum over the classes with them in it.
    """

    among: Tensor

    def __init__(self, model: nn.Module, speakers: int, classes: int) -> None:
        """Ask a model; ModelError where so many speakers have no such number of classes."""
        super().__init__(model)
        sets = [
            chosen for size in range(speakers + 1) for chosen in combinations(range(speakers), size)
        ][:classes]
        if len(sets) < classes:
            raise ModelError(f"{speakers} speakers are no powerset of {classes} classes")
        among = torch.zeros(classes, speakers, dtype=torch.bool)
        for number, chosen in enumerate(sets):
            among[number, list(chosen)] = True
        self.register_buffer("among", among, persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms (batch, samples) → logits (batch, frames, speakers)."""
        given = super().forward(waveform)[..., None]
        here = given.masked_fill(~self.among, -torch.inf).logsumexp(dim=-2)
        return here - given.masked_fill(self.among, -torch.inf).logsumexp(dim=-2)


class Diariser(nn.Module, Segmenter):
    """A model of who speaks when, whose labels are the speakers that a recording has.

    Which speaker is the first is decided anew for every window, so that one of ``window``
    seconds is decided at once; longer recordings need what tells voices apart.
    """

    window = 60.0

    def __init__(self, module: nn.Module, speakers: int, sample_rate: int, step: float) -> None:
        """Name the speakers by their numbers."""
        super().__init__()
        self.module = module
        self.sample_rate, self.frame_step = sample_rate, step
        self.labels = tuple(f"speaker {n + 1}" for n in range(speakers))

    def logits(self, waveform: Tensor) -> Tensor:
        """Waveforms (batch, samples) → logits (batch, frames, speakers)."""
        said: Tensor = self.module(waveform)
        return said

    def decide(self, frames: Tensor) -> tuple[tuple[str, ...], Tensor]:
        """Those who speak at all in the recording: (T, K) of frames (T, L)."""
        there = (frames >= Thresholds().onset).any(dim=0)
        return tuple(n for n, found in zip(self.labels, there, strict=True) if found), frames[
            :, there
        ]


def pyannote(given: Any) -> Model:
    """Make a model of a pyannote Model: per frame with its classes, or an embedding without.

    Classes of who speaks at once (powerset) become speakers; others end in a sigmoid.
    """
    if not isinstance(given, nn.Module) or not hasattr(given, "specifications"):
        raise ModelError(
            f"a {type(given).__name__} of pyannote is no Model; give a Model, or what "
            "Model.from_pretrained gives, not a pipeline"
        )
    told: Any = given.specifications
    rate = int(getattr(getattr(given, "audio", None), "sample_rate", 16000))
    common: dict[str, Any] = {"sample_rate": rate, "name": type(given).__name__}
    module = Framed(given)
    classes = getattr(told, "classes", None)
    if classes is None:
        return wrap(module, task="embedding", **common)
    powerset = bool(getattr(told, "powerset", False))
    names = [str(c) for c in classes]
    with torch.no_grad():
        samples = int(rate * float(told.duration))
        home = next(given.parameters()).device
        frames = module(torch.zeros(1, samples, device=home))
    common |= {"task": "multilabel", "frame_step": float(told.duration) / frames.shape[1]}
    if not powerset:
        return wrap(module, labels=names, output="probabilities", **common)
    speakers = Speakers(given, len(names), frames.shape[-1]).to(home)
    diariser = Diariser(speakers, len(names), rate, common["frame_step"])
    return wrap(speakers, labels=diariser.labels, segmenter=diariser, output="logits", **common)
