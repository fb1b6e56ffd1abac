"""The folder of an in-painter: config.json and model.safetensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
from msgspec import Meta, Struct

from xplain.errors import ArtifactError, PluginError, one_line
from xplain.storage import whole_folder
from xplain.tensors import read_tensors, to_bytes
from xplain.validated import convert, decode_json
from xplain_codecs.fit.codec_record import Codec
from xplain_codecs.replacements.inpainting.network import MaskedModel

KIND = "xplain in-painter"
CONFIG, WEIGHTS = "config.json", "model.safetensors"
OURS = r"config\.json|model\.safetensors|README\.md"
HOW = "give a folder that xplain fit-inpainter wrote"
Size = Annotated[int, Meta(ge=1, le=2**14)]


class Sizes(Struct):
    """What a network is made with again."""

    channels: Size
    width: Size


@dataclass(frozen=True)
class _Stored:
    kind: str
    synthesizer: Codec
    sizes: Sizes


def write(
    out: Path, codec: Codec, network: MaskedModel, record: Mapping[str, Any], overwrite: bool
) -> None:
    """Write a network in half precision, and what it was trained on, whole or not at all."""
    config = {
        "kind": KIND,
        "synthesizer": asdict(codec.beside(out)),
        "sizes": network.sizes,
        **record,
    }
    half = {name: tensor.half() for name, tensor in network.state_dict().items()}
    with whole_folder(out, ours=OURS, record=CONFIG, overwrite=overwrite) as draft:
        (draft / WEIGHTS).write_bytes(to_bytes(half))
        (draft / CONFIG).write_text(json.dumps(config, indent=1) + "\n", "utf-8")


def read(place: Path) -> tuple[Codec, MaskedModel]:
    """Read a folder; PluginError for one that fit-inpainter has not written."""
    try:
        data = decode_json(place / CONFIG, dict[str, Any])
        stored = convert(
            place / CONFIG, {n: data.get(n) for n in ("kind", "synthesizer", "sizes")}, _Stored
        )
        if stored.kind != KIND:
            raise ArtifactError(f"{place / CONFIG} is no in-painter")
        tensors, _ = read_tensors(place / WEIGHTS)
        with torch.device("meta"):  # no memory for what the file does not hold
            network = MaskedModel({"channels": stored.sizes.channels, "width": stored.sizes.width})
        network.load_state_dict({n: t.float() for n, t in tensors.items()}, assign=True)
    except (ArtifactError, RuntimeError) as error:
        said = str(error) if isinstance(error, ArtifactError) else one_line(error)
        raise PluginError(f"{place} holds no in-painter ({said}); {HOW}") from error
    return stored.synthesizer.found_from(place), network.eval().requires_grad_(False)
