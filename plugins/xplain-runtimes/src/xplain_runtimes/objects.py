"""Objects of SpeechBrain and pyannote.audio, by what they have; neither library is imported."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from xplain import Model, ModelError, wrap


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


def pyannote(given: Any) -> Model:
    """Make a model of a pyannote Model: per frame with its classes, or an embedding without.

    Classes that exclude each other (powerset) end in log-softmax, others in a sigmoid.
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
    if powerset:
        names = [f"class {n}" for n in range(frames.shape[-1])]
    return wrap(
        module,
        labels=names,
        task="classification" if powerset else "multilabel",
        output="log-probabilities" if powerset else "probabilities",
        frame_step=float(told.duration) / frames.shape[1],
        **common,
    )
