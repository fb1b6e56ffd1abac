"""A frozen encoder of transformers (WavLM, wav2vec 2.0, HuBERT, …) as a proxy's features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CONFIG_MAPPING, AutoModel, PreTrainedModel
from transformers.utils.hub import cached_file

from xplain.errors import ArtifactError, ModelError
from xplain.validated import decode_json
from xplain_nmf.frames import to_label_frames


class Encoder(nn.Module):
    """Last hidden states of an encoder of waveforms, one vector for each label frame."""

    def __init__(self, config: dict[str, Any], normalises: bool) -> None:
        """Take the configuration as ``to_dict`` wrote it; ModelError where it is no encoder."""
        super().__init__()
        fields = dict(config)
        kind = fields.pop("model_type", None)
        try:
            # Not what may name code: a kernel, a module of a repository.
            for name in ("attn_implementation", "_attn_implementation", "auto_map"):
                fields.pop(name, None)
            # Asked of the class, since configurations of some other kinds fetch things by name.
            if not hasattr(CONFIG_MAPPING[kind], "conv_kernel"):
                raise ModelError(
                    f"a {kind!r} model has no convolutions over samples, so that its frames "
                    "cannot be placed in time; give WavLM, wav2vec 2.0, HuBERT or their kin"
                )
            settings = CONFIG_MAPPING[kind](**fields)
            make: Any = AutoModel.from_config  # not typed
            self.model: PreTrainedModel = make(settings, trust_remote_code=False)
        except (ValueError, KeyError) as error:
            raise ModelError(f"the encoder {kind!r} cannot be built: {error}") from error
        self.normalises = normalises
        self.channels = int(settings.hidden_size)
        self.field, self.step = 1, 1
        for kernel, stride in zip(settings.conv_kernel, settings.conv_stride, strict=True):
            self.field += (int(kernel) - 1) * self.step
            self.step *= int(stride)
        self.requires_grad_(False)

    def forward(self, waveform: Tensor, frames: int) -> Tensor:
        """Waveforms (B, samples) at 16 kHz → features (B, frames, channels) at label frames."""
        if self.normalises:
            variance, mean = torch.var_mean(waveform, dim=-1, correction=0, keepdim=True)
            waveform = (waveform - mean) / torch.sqrt(variance + 1e-7)
        missing = max(0, self.field + self.step - waveform.shape[-1])
        hidden: Tensor = self.model(functional.pad(waveform, (0, missing))).last_hidden_state
        # A frame is centred on the middle of the samples that it is computed from.
        return to_label_frames(hidden, (self.field - 1) / 2, self.step, frames)


def read_encoder(reference: str) -> tuple[PreTrainedModel, bool]:
    """An encoder by repository or folder, and whether it wants waveforms of variance 1.

    Only safetensors are read and no code of a repository is run. ModelError for what cannot
    be loaded.
    """
    local = Path(reference).is_dir()
    try:
        model: PreTrainedModel = AutoModel.from_pretrained(
            reference,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            local_files_only=local,
        )
        settings = cached_file(
            reference,
            "preprocessor_config.json",
            local_files_only=local,
            _raise_exceptions_for_missing_entries=False,
        )
    except Exception as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(
            f"the encoder {reference} cannot be loaded ({type(error).__name__}: {reason}); give a "
            "folder that save_pretrained wrote, or a repository with safetensors"
        ) from error
    if settings is None:
        return model, False
    try:
        prepared = decode_json(Path(settings), dict[str, Any])
    except ArtifactError as error:
        raise ModelError(f"the encoder {reference} cannot be loaded ({error})") from error
    return model, bool(prepared.get("do_normalize", False))
