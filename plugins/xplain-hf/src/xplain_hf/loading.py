"""Reading configuration, feature extractor and weights, and saying what is wrong with them."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import torch
from huggingface_hub import errors as hub
from transformers import (
    CONFIG_MAPPING,
    FEATURE_EXTRACTOR_MAPPING,
    MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING,
    AutoConfig,
    AutoFeatureExtractor,
    AutoModelForAudioClassification,
    AutoModelForAudioFrameClassification,
    AutoModelForAudioXVector,
    AutoModelForCTC,
    AutoModelForSpeechSeq2Seq,
    AutoTokenizer,
    ClapModel,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto import modeling_auto
from transformers.models.auto.feature_extraction_auto import get_feature_extractor_config
from transformers.utils.hub import cached_file, extract_commit_hash
from transformers.utils.peft_utils import find_adapter_config_file

from xplain import ModelError
from xplain.validated import decode_json
from xplain_hf.joining import TAUGHT, Kind, kind_of
from xplain_hf.modules import FeatureExtractor

HUB_ERRORS: tuple[tuple[type[Exception], str], ...] = (
    (
        hub.HFValidationError,
        "neither a folder nor a repository's name; give OWNER/NAME[@REVISION] or a folder",
    ),
    (hub.GatedRepoError, "access to it has to be asked for on its page; then run `hf auth login`"),
    (
        hub.RepositoryNotFoundError,
        "no such repository, or a private one; check its name, or give a folder",
    ),
    (hub.RevisionNotFoundError, "no such revision; give a branch, tag or commit after the @"),
    (
        hub.LocalEntryNotFoundError,
        "it is not in the cache and the hub was not asked or not reached; check the name, the "
        "connection and HF_HUB_OFFLINE, or give a folder",
    ),
    (hub.HfHubHTTPError, "the hub answered with an error; try again later"),
)
"""What the hub's errors mean, the special ones before their base classes."""

TEXT = "its answer is text, token by token"

OTHER_KINDS: tuple[tuple[dict[str, Any], str, str], ...] = (
    (modeling_auto.MODEL_FOR_RNNT_MAPPING_NAMES, "a speech recogniser (transducer)", TEXT),
    (modeling_auto.MODEL_FOR_TDT_MAPPING_NAMES, "a speech recogniser (transducer)", TEXT),
    (
        {
            name: classes
            for name, classes in modeling_auto.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING_NAMES.items()
            if name not in TAUGHT
        },
        "a generative model such as a speech recogniser (sequence to sequence)",
        "its answer depends on more than audio and tokens",
    ),
    (
        modeling_auto.MODEL_FOR_TEXT_TO_WAVEFORM_MAPPING_NAMES,
        "a speech or music synthesiser",
        "its answer is a waveform",
    ),
)
"""Model types and classes of the audio models that are not read: what they are, and give."""

OTHER_HEADS = ("ForCTC", "ForXVector", "ForAudioFrameClassification")
"""How classes end that are no classifiers of clips."""

UNUSED = "masked_spec_embed"
"""Read in training alone; checkpoints without SpecAugment lack it."""


INDEX = "model.safetensors.index.json"


class _Index(msgspec.Struct):
    """Which file holds which weights."""

    weight_map: dict[str, str]


@dataclass(frozen=True)
class Source:
    """Where a model comes from.

    rest: as it was asked for. name: the folder or repository. local: whether it is a
    folder. revision: of a repository; None for its main branch.
    """

    rest: str
    name: str
    local: bool
    revision: str | None = None

    @classmethod
    def parse(cls, rest: str) -> Source:
        """Tell a folder from a repository; ModelError for what is neither."""
        path = Path(rest).expanduser()
        if rest and path.is_dir():
            for entry in path.iterdir():  # a pipe would wait, a device may never end
                if entry.exists() and not (entry.is_file() or entry.is_dir()):
                    raise ModelError(f"hf:{rest}: {entry.name} is no regular file; remove it")
            return cls(rest, str(path), local=True)
        # Of a path that begins in a folder that is here, the rest is mistyped.
        here = len(path.parts) > 1 and path.parent.is_dir()
        if not rest or path.exists() or here or rest.startswith((".", "/", "~")):
            raise ModelError(
                f"hf:{rest} is not a folder; give the folder that save_pretrained wrote, or a "
                "repository such as hf:superb/wav2vec2-base-superb-ks"
            )
        name, at, revision = rest.partition("@")
        if at and not revision:
            raise ModelError(
                f"hf:{rest} names no revision after the @; give one or leave the @ out"
            )
        return cls(rest, name, local=False, revision=revision or None)

    def pinned(self) -> Source:
        """The same at the commit that its revision now names; ModelError without config.json.

        So that all files are of one state, and so that transformers does not have
        someone else convert a repository's pickled weights, as it does for main.
        """
        try:
            file = cached_file(self.name, "config.json", **self.options)
        except Exception as error:
            raise _error(self, "config.json", error) from error
        if file is None:
            raise ModelError(
                f"{self} has no config.json; give a folder that save_pretrained wrote, or a "
                "repository of a transformers model"
            )
        return self if self.local else replace(self, revision=extract_commit_hash(file, None))

    @property
    def options(self) -> dict[str, Any]:
        """What is passed to every reader of transformers."""
        return {"revision": self.revision, "local_files_only": self.local}

    def __str__(self) -> str:
        """As a person asked for it."""
        return f"hf:{self.rest}"


def read_config(source: Source) -> PreTrainedConfig:
    """The configuration of an audio model; ModelError for one that is not read."""
    if source.local and not Path(source.name, "config.json").is_file():
        raise ModelError(f"{source} has no config.json; give the folder that save_pretrained wrote")
    try:
        settings, _ = PreTrainedConfig.get_config_dict(source.name, **source.options)
        _refuse_backbones(source, settings)
        config: PreTrainedConfig = AutoConfig.from_pretrained(
            source.name, trust_remote_code=False, **source.options
        )
    except ModelError:
        raise
    except Exception as error:
        raise _error(source, "config.json", error) from error
    # A checkpoint can name a kernel of a repository, whose code would be fetched and run.
    config._attn_implementation = None
    config._experts_implementation = None
    refuse_other_kinds(source, config)
    if kind_of(config.architectures or ()) == "classifier":
        kinds: Any = MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING
        other = any(name.endswith(OTHER_HEADS) for name in config.architectures or ())
        if type(config) not in kinds or other:
            known = sorted(c.model_type for c in kinds)
            raise ModelError(
                f"{source}: a {config.model_type!r} model is not an audio classifier, nor "
                f"another audio model that is known; give one of {', '.join(known)}, or a "
                "checkpoint that says by its architectures what it is: …ForCTC, …ForXVector, "
                "…ForAudioFrameClassification"
            )
    return config


def _refuse_backbones(source: Source, settings: dict[str, Any]) -> None:
    """Raise ModelError where a part is of a type whose settings name another repository.

    Those of object detectors and the like, of which transformers asks the hub as soon as it makes
    the configuration. Where no type is named it guesses one by the folder's name.
    """
    known: Any = CONFIG_MAPPING
    parts: list[Any] = [settings]
    wrong = "" if settings.get("model_type") else "has no model_type"
    while parts and not wrong:
        part = parts.pop()
        parts += part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
        kind = part.get("model_type") if isinstance(part, dict) else None
        if isinstance(kind, str) and kind in known and "backbone_config" in known[kind].sub_configs:
            wrong = f"holds a {kind!r} model, which is none of audio"
    if wrong:
        raise ModelError(
            f"{source}: its config.json {wrong}; give the folder that save_pretrained wrote of an "
            "audio model"
        )


def refuse_other_kinds(source: Source, config: PreTrainedConfig) -> None:
    """Raise ModelError for an audio model that is not read, naming its kind.

    A checkpoint says by its class what it is; one without by its type, where no classifier is of
    the same type.
    """
    saved_as = set(config.architectures or ())
    classifies: Any = MODEL_FOR_AUDIO_CLASSIFICATION_MAPPING
    for classes, kind, answer in OTHER_KINDS:
        of_kind = {name for names in classes.values() for name in _listed(names)}
        named = sorted(saved_as & of_kind)
        if not saved_as and config.model_type in classes and type(config) not in classifies:
            named = [f"a {config.model_type!r} model"]
        if named:
            raise ModelError(
                f"{source}: {named[0]} is {kind}: {answer}, and xplain explains classifiers, "
                "embeddings and recognisers by CTC or with a decoder of tokens alone; give such a "
                "checkpoint, or give xplain.wrap(…) a module that turns its output into logits"
            )


def _listed(names: str | tuple[str, ...]) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else names


def read_extractor(source: Source, config: PreTrainedConfig) -> FeatureExtractor:
    """The feature extractor; ModelError where none is saved beside the model."""
    try:
        settings = get_feature_extractor_config(source.name, **source.options)
        if not settings:
            usual: Any = FEATURE_EXTRACTOR_MAPPING[type(config)]
            raise ModelError(
                f"{source} has no preprocessor_config.json, so its sample rate and how its input "
                "is prepared are not known; save the feature extractor that it was trained with "
                f"there: {usual.__name__}(…).save_pretrained(FOLDER)"
            )
        reader: Any = AutoFeatureExtractor  # not typed
        extractor: FeatureExtractor = reader.from_pretrained(
            source.name, config=config, trust_remote_code=False, **source.options
        )
    except ModelError:
        raise
    except Exception as error:
        raise _error(source, "preprocessor_config.json", error) from error
    return extractor


AUTO: dict[Kind, Any] = {
    "classifier": AutoModelForAudioClassification,
    "frames": AutoModelForAudioFrameClassification,
    "ctc": AutoModelForCTC,
    "xvector": AutoModelForAudioXVector,
    "seq2seq": AutoModelForSpeechSeq2Seq,
    "zero-shot": ClapModel,
}
"""What reads a model of each kind."""


def read_tokenizer(source: Source) -> Any:
    """The tokenizer; ModelError where none can be read."""
    reader: Any = AutoTokenizer
    try:
        return reader.from_pretrained(source.name, trust_remote_code=False, **source.options)
    except Exception as error:
        raise _error(source, "tokenizer", error) from error


def read_model(source: Source, config: PreTrainedConfig, kind: Kind) -> PreTrainedModel:
    """The model in float32, whatever it was saved in.

    Raises ModelError for weights that are pickled, or that leave parts to chance.
    """
    # use_safetensors=True does not cover this: a configuration can name a pickle to read.
    named = str(getattr(config, "transformers_weights", None) or "model.safetensors")
    model: PreTrainedModel
    try:
        if not re.fullmatch(r"[\w.-]+\.safetensors", named) and named != INDEX:
            raise OSError(f"config.json names {named}, which is no safetensors file beside it")
        _refuse_other_pieces(source)
        # With peft installed, an adapter would be read too: from a pickle, or from elsewhere.
        if find_adapter_config_file(source.name, **source.options) is not None:
            raise ModelError(
                f"{source} holds an adapter (adapter_config.json), which is not read; merge it "
                "into its model (merge_and_unload) and save that"
            )
        model, report = AUTO[kind].from_pretrained(
            source.name,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,  # they are refused below, by name
            output_loading_info=True,
            **source.options,
        )
    except ModelError:
        raise
    except OSError as error:
        if _hub_error(error) is None and "safetensors" in str(error):
            raise ModelError(
                f"{source} has no weights as safetensors; pickled ones (pytorch_model.bin) are not "
                "read, since unpickling can run code: where you trust them, load the model with "
                "transformers, save it by save_pretrained(FOLDER), and give hf:FOLDER"
            ) from error
        raise _error(source, "weights", error) from error
    except Exception as error:
        raise _error(source, "weights", error) from error
    _refuse_chance(source, model, report)
    return model


def _refuse_other_pieces(source: Source) -> None:
    """Raise ModelError where weights lie in several files, and one is none of the folder's own."""
    path = cached_file(
        source.name, INDEX, _raise_exceptions_for_missing_entries=False, **source.options
    )
    pieces = () if path is None else decode_json(Path(path), _Index).weight_map.values()
    for piece in pieces:
        if not re.fullmatch(r"[\w.-]+\.safetensors", piece):
            raise ModelError(
                f"{source}: {INDEX} names {piece!r}, and weights are read from safetensors beside "
                "it alone; save the model again"
            )


def _refuse_chance(source: Source, model: PreTrainedModel, report: dict[str, Any]) -> None:
    """Raise ModelError where weights are missing, which transformers initialises at random."""
    mismatched = {name for name, *_ in report["mismatched_keys"]}
    missing = sorted(report["missing_keys"] | mismatched)
    drawn = [name for name in missing if not name.endswith(UNUSED)]
    if drawn:
        shown = ", ".join(drawn[:3]) + (f" and {len(drawn) - 3} more" if len(drawn) > 3 else "")
        why = "are of another shape" if mismatched else "are missing"
        raise ModelError(
            f"{source}: weights of the model {why} in the checkpoint ({shown}) and would be "
            "random, so that an explanation would mean nothing; give a checkpoint that was "
            "trained for this"
        )
    with torch.no_grad():
        for name in missing:
            # Never read, but initialised at random it would give each loading another fingerprint.
            model.get_parameter(name).zero_()


def _error(source: Source, part: str, error: Exception) -> ModelError:
    known = _hub_error(error)
    if known is not None:
        return ModelError(f"{source}: {known}")
    if "trust_remote_code" in str(error):
        return ModelError(
            f"{source}: it needs code from its own repository, which is not run; load it yourself "
            "and give xplain.wrap(…)"
        )
    first = str(error).strip().partition("\n")[0] or "no reason given"
    return ModelError(
        f"{source}: its {part} cannot be read ({type(error).__name__}: {first}); download or save "
        "it again"
    )


def _hub_error(error: BaseException | None) -> str | None:
    """What the hub's error behind an error means; None where there is none."""
    while error is not None:
        for kind, meaning in HUB_ERRORS:
            if isinstance(error, kind):
                return meaning
        error = error.__cause__
    return None
