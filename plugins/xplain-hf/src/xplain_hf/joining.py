"""A loaded model of transformers and what prepares its input, as a model for xplain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import nn
from transformers import (
    ASTFeatureExtractor,
    ClapModel,
    PreTrainedModel,
    Wav2Vec2FeatureExtractor,
    WhisperFeatureExtractor,
)
from transformers.models.auto import modeling_auto

from xplain import Model, ModelError, wrap
from xplain.targets import Task
from xplain_hf.modules import (
    Answers,
    ASTFeatures,
    ExtractedFeatures,
    FeatureExtractor,
    Front,
    RawWaveform,
    WhisperFeatures,
    Writes,
    ZeroShot,
    embedding,
)

PROBED = (4, 8)
"""Seconds of silence that are asked about to measure how far frames are apart."""
SENTENCE = "This is a sound of {}."
"""What a label is to CLAP, as in transformers' own pipeline."""

Kind = Literal["classifier", "frames", "ctc", "xvector", "seq2seq", "zero-shot"]
TAUGHT = ("whisper", "speech_to_text", "moonshine", "speech-encoder-decoder")
"""Types of recognisers whose decoder takes tokens alone, beside what the encoder heard."""


def _names(mapping: Any) -> set[str]:
    listed = ((names,) if isinstance(names, str) else names for names in mapping.values())
    return {name for names in listed for name in names}


KINDS: tuple[tuple[Kind, set[str]], ...] = (
    ("frames", _names(modeling_auto.MODEL_FOR_AUDIO_FRAME_CLASSIFICATION_MAPPING_NAMES)),
    ("ctc", _names(modeling_auto.MODEL_FOR_CTC_MAPPING_NAMES)),
    ("xvector", _names(modeling_auto.MODEL_FOR_AUDIO_XVECTOR_MAPPING_NAMES)),
    (
        "seq2seq",
        _names(
            {name: modeling_auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES[name] for name in TAUGHT}
        ),
    ),
    ("zero-shot", {"ClapModel"}),
)
"""What a model answers, by the name of its class."""

TASKS: dict[str | None, Task] = {
    "multi_label_classification": "multilabel",
    "regression": "regression",
}
"""By the problem_type of a configuration, where it is no classification of one label."""


def kind_of(architectures: Sequence[str]) -> Kind:
    """What a model of these classes answers; a classifier where nothing else is known of it."""
    for kind, names in KINDS:
        if names & set(architectures):
            return kind
    return "classifier"


@dataclass(frozen=True)
class Parts:
    """A model, its feature extractor, its tokenizer where it has one; texts: labels for CLAP."""

    model: PreTrainedModel
    extractor: FeatureExtractor
    tokenizer: Any = None
    texts: tuple[str, ...] = ()
    name: str = "hf"
    version: str | None = None

    def join(self) -> Model:
        """Join them; ModelError where they do not fit each other."""
        config: Any = self.model.config
        kind, front = kind_of([type(self.model).__name__]), self._front()
        common: dict[str, Any] = {
            "sample_rate": self.extractor.sampling_rate,
            "differentiable": front.differentiable,
            "name": self.name,
            "version": self.version,
        }
        module: nn.Module
        if kind == "xvector":
            module = Answers(self.model, front, "embeddings").eval()
            return wrap(module, task="embedding", **common)
        if kind == "zero-shot":
            return wrap(self._zero_shot(front), labels=self.texts, **common)
        if kind == "seq2seq":
            texts = pieces(self._writes(), int(config.get_text_config().vocab_size))
            return wrap(Writes(self.model, front).eval(), labels=texts, task="seq2seq", **common)
        module = Answers(self.model, front).eval()
        if kind == "ctc":
            texts = pieces(self._writes(), int(config.vocab_size))
            texts = ["" if n == config.pad_token_id else t for n, t in enumerate(texts)]
            step = self._frame_step(module, len(texts))
            return wrap(module, labels=texts, task="ctc", frame_step=step, **common)
        labels = cast(dict[int, str], config.id2label)
        names = [labels[index] for index in sorted(labels)]
        problem, frame_step = config.problem_type, None
        if kind == "frames":
            # Speakers of a diarisation may speak at once; transformers' own documentation takes
            # the sigmoid of these logits.
            problem = problem or "multi_label_classification"
            frame_step = self._frame_step(module, len(names))
        elif problem is None and len(names) == 1:
            problem = "regression"  # as transformers trains one output
        task = TASKS.get(problem, "classification")
        return wrap(module, labels=names, task=task, frame_step=frame_step, **common)

    def _front(self) -> Front:
        config, extractor = self.model.config, self.extractor
        reads = self.model.main_input_name
        if isinstance(self.model, ClapModel):
            reads = "input_features"
        elif config.model_type == "speech-encoder-decoder":
            config, reads = cast(Any, config).encoder, cast(Any, self.model).encoder.main_input_name
        # Every encoder of waveforms begins with convolutions over samples, which its
        # configuration lists as conv_kernel; AST has the same input name without them.
        reads_waveforms = hasattr(config, "conv_kernel") and hasattr(config, "conv_stride")
        fits = reads in extractor.model_input_names
        if fits and isinstance(extractor, Wav2Vec2FeatureExtractor):
            if reads_waveforms and extractor.feature_size == 1:
                return RawWaveform(config, extractor, reads)
            if config.model_type == "moonshine" and extractor.feature_size == 1:
                return ExtractedFeatures(extractor, reads)
        elif fits and isinstance(extractor, WhisperFeatureExtractor) and not extractor.dither:
            if not hasattr(extractor, "spectrogram"):
                return WhisperFeatures(extractor, reads)
        elif fits and isinstance(extractor, ASTFeatureExtractor):
            return ASTFeatures(extractor, reads)
        elif fits:
            return ExtractedFeatures(extractor, reads)
        raise ModelError(
            f"{self.name}: its preprocessor_config.json is one of {type(extractor).__name__}, "
            f"which does not make what a {config.model_type!r} model reads; save there the feature "
            "extractor that the model was trained with"
        )

    def _writes(self) -> Any:
        if self.tokenizer is None:
            raise ModelError(
                f"{self.name}: a recogniser needs its tokenizer, and there is none beside it; save "
                "its processor there, or give (model, processor)"
            )
        return self.tokenizer

    def _zero_shot(self, front: Front) -> ZeroShot:
        if len(self.texts) < 2:
            raise ModelError(
                f"{self.name}: this model compares sounds with texts; name at least two labels: "
                "hf:NAME?labels=a dog,rain"
            )
        model = cast(Any, self.model).eval()
        sentences = [SENTENCE.format(text) for text in self.texts]
        with torch.no_grad():
            read = self._writes()(sentences, padding=True, return_tensors="pt")
            texts = embedding(model.get_text_features(**read))
        return ZeroShot(self.model, front, texts).eval()

    def _frame_step(self, module: Answers, labels: int) -> float:
        """Seconds from frame to frame: of convolutions by their strides, otherwise measured."""
        rate, front = module.front.sample_rate, module.front
        config = module.model.config
        if isinstance(front, RawWaveform) and not getattr(config, "add_adapter", False):
            return float(math.prod(config.conv_stride) / rate)
        with torch.inference_mode():
            short, long = (module(torch.zeros(1, seconds * rate)) for seconds in PROBED)
        frames = long.shape[1] - short.shape[1]
        if long.ndim != 3 or frames < 1:
            raise ModelError(
                f"{self.name}: {PROBED[1]} s of audio give as many frames as {PROBED[0]} s, so "
                "that it is not known when a frame is; give xplain.wrap(…) a module whose frames "
                "follow the audio"
            )
        if long.shape[2] != labels:
            raise ModelError(
                f"{self.name}: it gives {long.shape[2]} logits per frame and config.json names "
                f"{labels} labels; name all of them in id2label there"
            )
        return float((PROBED[1] - PROBED[0]) / frames)


def pieces(tokenizer: Any, count: int) -> list[str]:
    """The text of each of ``count`` tokens, spaces included; "" of those that are not text."""
    ids = list(range(min(count, len(tokenizer))))
    tokens = [str(token) for token in tokenizer.convert_ids_to_tokens(ids)]
    if any(token.startswith("Ġ") for token in tokens):  # bytes, as of GPT-2
        texts = list(tokenizer.batch_decode([[i] for i in ids], clean_up_tokenization_spaces=False))
    else:
        texts = [token.replace("▁", " ") for token in tokens]
    for special in tokenizer.all_special_ids:
        if special < len(texts):
            texts[special] = ""
    delimiter = getattr(tokenizer, "word_delimiter_token_id", None)
    if delimiter is not None and delimiter < len(texts):
        texts[delimiter] = " "
    return texts + [""] * (count - len(texts))
