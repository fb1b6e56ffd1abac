"""Reading a codec of transformers from a folder or a repository; safetensors only."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import msgspec
import torch
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.utils import logging as switches
from transformers.utils.hub import cached_file, extract_commit_hash
from transformers.utils.peft_utils import find_adapter_config_file

from xplain import PluginError, XplainError
from xplain.validated import decode_json

INDEX = "model.safetensors.index.json"
SAFE = (".safetensors", INDEX)
LOGGERS = ("transformers", "huggingface_hub")
"""What logs what concerns no reader of a message: warnings, and each new try of a request."""


class _Index(msgspec.Struct):
    """Which file holds which weights."""

    weight_map: dict[str, str]


def read_codec(
    kind: Any, checkpoint: str | None, example: str, dtype: torch.dtype
) -> PreTrainedModel:
    """A frozen codec of a kind, in evaluation mode.

    checkpoint: the folder that save_pretrained wrote, or OWNER/NAME[@REVISION] of a
    repository. example: such a repository, for the error. Raises PluginError for what
    cannot be found or read, is another kind of model, is pickled, or lacks weights.
    """
    name = kind.config_class.model_type  # its class is typed as if there may be none
    if not checkpoint:
        raise PluginError(
            f"the codec {name!r} has weights of its own to read: give checkpoint= the folder "
            f"that save_pretrained wrote, or a repository such as {example!r}"
        )
    bar: Any = switches  # these switches of it are not typed
    bars = switches.is_progress_bar_enabled()
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    try:
        for logger in LOGGERS:
            logging.getLogger(logger).setLevel(logging.ERROR)
        bar.disable_progress_bar()
        return _read(kind, checkpoint, dtype)
    except XplainError:
        raise
    except Exception as error:
        first = str(error).strip().partition("\n")[0] or "no reason given"
        raise PluginError(
            f"{checkpoint}: its {name} codec cannot be read ({type(error).__name__}: {first}); "
            "check the name and the connection, or save it again and give its folder"
        ) from error
    finally:
        for logger, level in levels.items():
            logging.getLogger(logger).setLevel(level)
        if bars:
            bar.enable_progress_bar()


def _read(kind: Any, checkpoint: str, dtype: torch.dtype) -> PreTrainedModel:
    source, options = _source(checkpoint)
    # Its type first: configurations of other types may fetch further ones.
    settings, _ = PreTrainedConfig.get_config_dict(source, **options)
    name, held = kind.config_class.model_type, settings.get("model_type")
    if held != name:
        raise PluginError(
            f"{checkpoint} holds a {held!r} model, and not a {name!r} codec; "
            "choose the synthesizer of that name, or another checkpoint"
        )
    config: PreTrainedConfig = kind.config_class.from_pretrained(source, **options)
    # A checkpoint can name a kernel of a repository, whose code would be fetched and run.
    config._attn_implementation = None
    config._experts_implementation = None
    _refuse_what_is_not_its_weights(checkpoint, source, config, options)
    model, report = kind.from_pretrained(
        source,
        config=config,
        dtype=dtype,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # they are refused below, by name
        output_loading_info=True,
        **options,
    )
    drawn = sorted(report["missing_keys"] | {key for key, *_ in report["mismatched_keys"]})
    if drawn:
        raise PluginError(
            f"{checkpoint}: {len(drawn)} of its weights are missing or of another shape "
            f"({', '.join(drawn[:3])}) and would be random; give a whole checkpoint"
        )
    frozen: PreTrainedModel = model.requires_grad_(False).eval()
    return frozen


def _source(checkpoint: str) -> tuple[str, dict[str, Any]]:
    """A folder, or a repository at the commit that its revision now names."""
    path = Path(checkpoint).expanduser()
    if path.is_dir():
        for entry in path.iterdir():  # a pipe would wait, a device may never end
            if entry.exists() and not (entry.is_file() or entry.is_dir()):
                raise PluginError(f"{checkpoint}: {entry.name} is no regular file; remove it")
        if not (path / "config.json").is_file():
            raise PluginError(
                f"{checkpoint} has no config.json; give the folder that save_pretrained wrote"
            )
        return str(path), {"local_files_only": True}
    if path.exists() or checkpoint.startswith((".", "/", "~")):
        raise PluginError(
            f"{checkpoint} is not a folder; give the folder that save_pretrained wrote"
        )
    name, _, revision = checkpoint.partition("@")
    # One commit for all files, so that transformers does not look for someone else's
    # conversion of pickled weights, as it does for main.
    file = cached_file(name, "config.json", revision=revision or None)
    return name, {"revision": extract_commit_hash(file, None)}


def _refuse_what_is_not_its_weights(
    checkpoint: str, source: str, config: PreTrainedConfig, options: dict[str, Any]
) -> None:
    # use_safetensors=True does not cover these: a configuration can name a pickle to read, and
    # with peft installed an adapter is read too.
    named = str(getattr(config, "transformers_weights", None) or "model.safetensors")
    safe = re.fullmatch(r"[\w.-]+\.safetensors", named) or named == INDEX
    if not safe or (options.get("local_files_only") and not _has_safe(source)):
        raise PluginError(
            f"{checkpoint} has no weights as safetensors; pickled ones (pytorch_model.bin) are not "
            "read, since unpickling can run code: where you trust them, load the model with "
            "transformers, save it by save_pretrained(FOLDER), and give that folder"
        )
    index = cached_file(source, INDEX, _raise_exceptions_for_missing_entries=False, **options)
    for piece in decode_json(Path(index), _Index).weight_map.values() if index else ():
        if not re.fullmatch(r"[\w.-]+\.safetensors", piece):
            raise PluginError(
                f"{checkpoint}: {INDEX} names {piece!r}, and weights are read from safetensors "
                "beside it alone; save the codec again"
            )
    if find_adapter_config_file(source, **options) is not None:
        raise PluginError(
            f"{checkpoint} holds an adapter, which is not read; merge it into its model "
            "(merge_and_unload) and save that"
        )


def _has_safe(folder: str) -> bool:
    return any(path.name.endswith(SAFE) for path in Path(folder).iterdir())
