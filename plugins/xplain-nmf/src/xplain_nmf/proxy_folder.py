"""Proxies in their folder: written, opened, and with components switched off."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from xplain.borrowing import seeded
from xplain.errors import ArtifactError, ModelError, nearest, one_line
from xplain.tensors import read_tensors
from xplain.validated import convert, decode_json
from xplain_nmf.config import NmfProxyConfig
from xplain_nmf.model import NmfProxy

MODEL_TYPE = "nmf-proxy"
"""What config.json says that it is of."""
REFUSED = (ValueError, TypeError, KeyError, RuntimeError, AttributeError)
"""What a configuration raises that describes no network."""
Off = str | Sequence[str | int]
"""Components to switch off: numbers, or the labels of a class-wise dictionary, or both; as a
text with commas between them."""


def save_proxy(proxy: NmfProxy, folder: Path) -> None:
    """Write config.json and model.safetensors into a folder, which is made where it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = {"model_type": MODEL_TYPE, **asdict(proxy.config)}
    text = json.dumps(fields, indent=2, sort_keys=True)
    (folder / "config.json").write_text(text + "\n", encoding="utf-8")
    tensors = {name: tensor.contiguous() for name, tensor in proxy.state_dict().items()}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def open_proxy(folder: str | Path) -> NmfProxy:
    """Load the proxy in a folder, in evaluation mode; ModelError where there is none.

    A folder is data: config.json and model.safetensors are read, and nothing that they name is
    run. Nothing is drawn from torch's global generators.
    """
    folder = Path(folder).expanduser()
    try:
        fields = decode_json(folder / "config.json", dict[str, Any])
        kind = fields.get("model_type")
        if kind == MODEL_TYPE:
            config = convert(folder / "config.json", fields, NmfProxyConfig)
            return _build(config, read_tensors(folder / "model.safetensors")[0])
    except ArtifactError as error:
        raise ModelError(
            f"{folder} holds no whole proxy ({error}); give a folder that xplain nmf train wrote"
        ) from error
    except (*REFUSED, ModelError) as error:
        text = str(error) if isinstance(error, ModelError) else one_line(error)
        raise ModelError(
            f"{folder}: the proxy cannot be loaded ({text}); copy it or train it again"
        ) from error
    raise ModelError(
        f"{folder} holds a model of the type {kind!r}, no proxy; give a folder that xplain "
        "nmf train wrote"
    )


def _build(config: NmfProxyConfig, tensors: dict[str, Tensor]) -> NmfProxy:
    if config.features == "model" and not config.model_sha256:
        raise ValueError("config.json has no model_sha256, so the model that it reads is not known")
    with torch.device("meta"):  # no memory for what the file does not hold, no chance
        proxy = NmfProxy(config)
    shapes = {name: tensor.shape for name, tensor in proxy.state_dict().items()}
    wrong = sorted(
        name
        for name in {*shapes, *tensors}
        if name not in tensors
        or shapes.get(name) != tensors[name].shape
        or tensors[name].dtype != torch.float32
    )
    if wrong:
        raise ValueError(
            f"config.json and the weights do not fit: {', '.join(wrong[:3])} missing, unknown or "
            "of another shape"
        )
    if any(buffer.is_meta and name not in shapes for name, buffer in proxy.named_buffers()):
        with seeded(0, torch.device("cpu")):
            proxy = NmfProxy(config)
    proxy.load_state_dict(tensors, assign=True)
    return proxy.train(False)


def components_off(proxy: NmfProxy, off: Off) -> list[int]:
    """The components that are asked to be switched off; ModelError for others than there are."""
    items = off.split(",") if isinstance(off, str) else off
    kinds = proxy.config.component_labels or []
    chosen: set[int] = set()
    for item in (str(item).strip() for item in items):
        if item in kinds:
            chosen |= {k for k, kind in enumerate(kinds) if kind == item}
        elif item.isdecimal() and int(item) < proxy.config.components:
            chosen.add(int(item))
        elif item:
            known = f"0 to {proxy.config.components - 1}"
            raise ModelError(
                f"the proxy has no component {item!r}; they are numbered {known}"
                + (f", or by label: {nearest(item, kinds)}" if kinds else "")
            )
    return sorted(chosen)
