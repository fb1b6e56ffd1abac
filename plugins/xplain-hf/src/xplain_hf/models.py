"""The scheme ``hf:``: an audio classifier of transformers, as a model for xplain."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from transformers import PreTrainedModel, Wav2Vec2FeatureExtractor
from transformers.utils import logging

from xplain import Model, ModelError, wrap
from xplain_hf.loading import (
    Source,
    decides_per_frame,
    read_classifier,
    read_config,
    read_extractor,
)
from xplain_hf.modules import ExtractedFeatures, FeatureExtractor, RawWaveform

PROBED = (4, 8)
"""Seconds of silence that are asked about to measure how far frames are apart."""


def load(rest: str) -> Model:
    """Load what stands after ``hf:``: a repository, a repository@revision, or a folder.

    wav2vec 2.0 and its kin read waveforms (see RawWaveform). Models whose features are
    computed outside torch, such as AST and Whisper, cannot be differentiated, so only
    methods without gradients explain them (see ExtractedFeatures).

    Those for frame classification (``…ForAudioFrameClassification``) decide per frame, labels
    independently unless their configuration says otherwise, and can be segmenters and teachers.

    Only safetensors are read and no code of a repository is run. Raises ModelError for
    what cannot be found or read, is not an audio classifier, or lacks trained weights.
    """
    source = Source.parse(rest)
    with _quiet(bars=not source.local):
        source = source.pinned()
        config = read_config(source)
        extractor = read_extractor(source, config)
        classifier = read_classifier(source, config)
    module = _join(source, classifier, extractor).eval()
    labels = cast(dict[int, str], config.id2label)
    multilabel, frame_step = config.problem_type == "multi_label_classification", None
    if decides_per_frame(config):
        # Speakers of a diarisation may speak at once; transformers' own documentation takes
        # the sigmoid of these logits.
        multilabel = config.problem_type != "single_label_classification"
        frame_step = _frame_step(source, module)
    return wrap(
        module,
        sample_rate=extractor.sampling_rate,
        labels=[labels[index] for index in sorted(labels)],
        multilabel=multilabel,
        frame_step=frame_step,
        differentiable=isinstance(module, RawWaveform),
        name=f"hf:{rest}",
        version=source.revision,
    )


def _join(
    source: Source, classifier: PreTrainedModel, extractor: FeatureExtractor
) -> RawWaveform | ExtractedFeatures:
    # Every encoder of waveforms begins with convolutions over samples, which its
    # configuration lists as conv_kernel; AST has the same input name without them.
    reads_waveforms = hasattr(classifier.config, "conv_kernel")
    fits = classifier.main_input_name in extractor.model_input_names
    if fits and isinstance(extractor, Wav2Vec2FeatureExtractor):
        if reads_waveforms and extractor.feature_size == 1:
            return RawWaveform(classifier, extractor)
    elif fits:
        return ExtractedFeatures(classifier, extractor)
    raise ModelError(
        f"{source}: its preprocessor_config.json is one of {type(extractor).__name__}, which does "
        f"not make what a {classifier.config.model_type!r} model reads; save there the feature "
        "extractor that the model was trained with"
    )


def _frame_step(source: Source, module: RawWaveform | ExtractedFeatures) -> float:
    """Seconds from frame to frame: of convolutions by their strides, otherwise measured."""
    rate, config = module.sample_rate, module.model.config
    if isinstance(module, RawWaveform):
        return float(math.prod(config.conv_stride) / rate)
    with torch.inference_mode():
        short, long = (module(torch.zeros(1, seconds * rate)) for seconds in PROBED)
    labels, frames = len(config.id2label or ()), long.shape[1] - short.shape[1]
    if long.ndim != 3 or frames < 1:
        raise ModelError(
            f"{source}: {PROBED[1]} s of audio give as many frames as {PROBED[0]} s, so that it is "
            "not known when a frame is; give xplain.wrap(…) a module whose frames follow the audio"
        )
    if long.shape[2] != labels:
        raise ModelError(
            f"{source}: it gives {long.shape[2]} logits per frame and config.json names {labels} "
            "labels; name all of them in id2label there"
        )
    return float((PROBED[1] - PROBED[0]) / frames)


@contextmanager
def _quiet(*, bars: bool) -> Iterator[None]:
    """Have transformers log errors alone; bars: show how far a download is."""
    switches: Any = logging  # these switches of it are not typed
    verbosity, had_bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    switches.set_verbosity_error()
    if not bars:
        switches.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if had_bars:
            switches.enable_progress_bar()
