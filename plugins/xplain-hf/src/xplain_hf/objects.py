"""What people hold of transformers: a pipeline, or a model with its processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedModel

from xplain import Model, ModelError
from xplain_hf.joining import Parts


def adopt(given: Any) -> Model:
    """Make a model of an audio pipeline, of (model, processor), or (model, processor, texts).

    texts: labels, of a model that compares sounds with texts (CLAP). Raises ModelError for a
    model alone, of which it is not known how its input is prepared.
    """
    texts: Sequence[str] = ()
    extractor: Any
    if isinstance(given, tuple | list):
        model, processor, *more = given
        texts = more[0] if more else ()
        extractor = getattr(processor, "feature_extractor", processor)
        tokenizer = getattr(processor, "tokenizer", None)
    else:
        model = getattr(given, "model", None)
        extractor = getattr(given, "feature_extractor", None)
        tokenizer = getattr(given, "tokenizer", None)
    if not isinstance(model, PreTrainedModel) or not hasattr(extractor, "sampling_rate"):
        raise ModelError(
            f"a {type(given).__name__} of transformers does not say how audio is prepared for it; "
            "give an audio pipeline, or a pair (model, processor)"
        )
    name = getattr(model.config, "_name_or_path", "") or type(model).__name__
    return Parts(model, extractor, tokenizer, tuple(texts), str(name)).join()
