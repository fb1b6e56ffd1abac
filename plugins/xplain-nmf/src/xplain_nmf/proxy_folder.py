"""Proxies in the folder that save_pretrained wrote: opened, and with components switched off."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import safetensors
from transformers.utils import logging

from xplain.errors import ModelError, nearest
from xplain_nmf.config import NmfProxyConfig
from xplain_nmf.model import NmfProxy

Off = str | Sequence[str | int]
"""Components to switch off: numbers, or the labels of a class-wise dictionary, or both; as a
text with commas between them."""


def open_proxy(folder: str | Path) -> NmfProxy:
    """Load the proxy in a folder, in evaluation mode; ModelError where there is none."""
    folder = Path(folder).expanduser()
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{folder} holds no proxy ({error}); give a folder that xplain nmf train wrote"
        ) from error
    if kind != NmfProxyConfig.model_type:
        raise ModelError(
            f"{folder} holds a model of the type {kind!r}, no proxy; give a folder that xplain "
            "nmf train wrote"
        )
    try:
        with quietly():
            read: Any = NmfProxy.from_pretrained  # typed as if it returned the proxy alone
            proxy, loaded = read(
                folder, local_files_only=True, use_safetensors=True, output_loading_info=True
            )
    except (OSError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        raise ModelError(
            f"{folder}: the proxy cannot be loaded ({error}); copy it or train it again"
        ) from error
    lacking = sorted([*loaded["missing_keys"], *loaded["mismatched_keys"]], key=str)
    if lacking:
        raise ModelError(
            f"{folder}: the weights lack {', '.join(map(str, lacking[:3]))}; copy the proxy or "
            "train it again"
        )
    opened: NmfProxy = proxy.eval()
    return opened


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


@contextmanager
def quietly() -> Iterator[None]:
    """Without transformers' bar, as the weights of a proxy are read in no time."""
    switches: Any = logging  # not typed
    shown = logging.is_progress_bar_enabled()
    switches.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            switches.enable_progress_bar()
