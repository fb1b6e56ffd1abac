"""The scheme ``hf:``: an audio model of transformers, as a model for xplain."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from transformers.utils import logging as switches

from xplain import Model
from xplain_hf.joining import Parts, kind_of
from xplain_hf.loading import Source, read_config, read_extractor, read_model, read_tokenizer


def load(rest: str) -> Model:
    """Load what stands after ``hf:``: a repository, a repository@revision, or a folder.

    Models for classification, per clip or per frame, for speaker verification (x-vectors: an
    embedding), for speech recognition (CTC, or sequence to sequence such as Whisper), and CLAP,
    whose labels are given: ``hf:NAME?labels=a dog,rain``.

    wav2vec 2.0 and its kin read waveforms (see RawWaveform), and the features of Whisper and AST
    are computed in torch; models whose features are computed outside it cannot be
    differentiated, so only methods without gradients explain them (see ExtractedFeatures).

    Those for frame classification (``…ForAudioFrameClassification``) decide labels
    independently unless their configuration says otherwise, and can be segmenters and teachers.

    Only safetensors are read and no code of a repository is run. Raises ModelError for
    what cannot be found or read, is no such model, or lacks trained weights.
    """
    rest, _, labels = rest.partition("?labels=")
    source = Source.parse(rest)
    with _quiet(bars=not source.local):
        source = source.pinned()
        config = read_config(source)
        kind = kind_of(config.architectures or ())
        parts = Parts(
            read_model(source, config, kind),
            read_extractor(source, config),
            read_tokenizer(source) if kind in ("ctc", "seq2seq", "zero-shot") else None,
            tuple(label.strip() for label in labels.split(",") if label.strip()),
            f"hf:{rest}",
            source.revision,
        )
        return parts.join()


LOGGERS = ("transformers", "huggingface_hub")
"""What logs what concerns no reader of a message: warnings, and each new try of a request."""


@contextmanager
def _quiet(*, bars: bool) -> Iterator[None]:
    """Have transformers and the hub log errors alone; bars: show how far a download is."""
    bar: Any = switches  # these switches of it are not typed
    had_bars = switches.is_progress_bar_enabled()
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    try:
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        if not bars:
            bar.disable_progress_bar()
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
        if had_bars:
            bar.enable_progress_bar()
