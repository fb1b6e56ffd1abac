"""The folder of a trained interpreter: config.json and model.safetensors."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, TypeVar

import torch
from msgspec import Meta, Struct, structs

from xplain.errors import ArtifactError, PluginError, one_line
from xplain.storage import check_replaceable, whole_folder
from xplain.tensors import read_tensors, to_bytes
from xplain.validated import convert, decode_json
from xplain_interpreters.layers import Layer
from xplain_interpreters.trained.interpreter import Interpreter

Kind = TypeVar("Kind", bound=Interpreter)

SCHEMA = 1
CONFIG, WEIGHTS = "config.json", "model.safetensors"
OURS = r"config\.json|model\.safetensors"
Size = Annotated[int, Meta(ge=1, le=2**16)]


class Made(Struct):
    """What an interpreter was trained with: a model or a synthesizer."""

    name: str
    sha256: str | None
    parameters: dict[str, Any] = {}


class _Layer(Struct):
    name: str
    axes: Annotated[tuple[int, ...], Meta(min_length=2, max_length=3)]
    channels: Size
    rows: Size
    folded: bool = False


class Stored(Struct):
    """What config.json holds, as far as it is read."""

    model: Made
    synthesizer: Made
    layers: Annotated[tuple[_Layer, ...], Meta(max_length=64)]
    sizes: dict[str, Size]


def standing(out: Path, record: Mapping[str, Any]) -> float | None:
    """The loss of what is there already, of the same training; ArtifactError for others.

    None where there is nothing yet.
    """
    if (out / CONFIG).is_file():
        data = decode_json(out / CONFIG, dict[str, Any])
        if {name: data.get(name) for name in record} == json.loads(json.dumps(record, default=str)):
            return float(data["loss"])
    check_replaceable(out, ours=OURS, record=CONFIG, overwrite=False)
    return None


def write(out: Path, record: Mapping[str, Any], network: Interpreter, loss: float) -> None:
    """Write an interpreter and what it was trained with, whole or not at all."""
    config = {
        "schema": SCHEMA,
        **record,
        "layers": [asdict(layer) for layer in network.layers],
        "sizes": network.sizes,
        "loss": loss,
    }
    with whole_folder(out, ours=OURS, record=CONFIG, overwrite=False) as draft:
        (draft / WEIGHTS).write_bytes(to_bytes(network.state_dict()))
        text = json.dumps(config, indent=1, allow_nan=False, default=str)
        (draft / CONFIG).write_text(text + "\n", "utf-8")


def read(place: Path, kind: type[Kind]) -> tuple[Stored, Kind]:
    """Read a folder of a kind; PluginError for one that fit-explainer has not written."""
    try:
        data = decode_json(place / CONFIG, dict[str, Any])
        if (data.get("kind"), data.get("schema")) != (kind.kind, SCHEMA):
            raise ArtifactError(f"{place / CONFIG} is no {kind.kind}, or of a newer version")
        stored = convert(place / CONFIG, data, Stored)
        tensors, _ = read_tensors(place / WEIGHTS)
        for layer in stored.layers:
            if sorted(layer.axes) != list(range(1, len(layer.axes) + 1)):
                raise ArtifactError(f"{layer.name} has the axes {layer.axes}")
        layers = [Layer(**structs.asdict(each)) for each in stored.layers]
        with torch.device("meta"):  # no memory for what the file does not hold
            network = kind(layers, stored.sizes)
        network.load_state_dict(tensors, assign=True)
    except (ArtifactError, LookupError, RuntimeError) as error:
        said = str(error) if isinstance(error, ArtifactError) else one_line(error)
        raise PluginError(
            f"{place} holds no trained explainer ({said}); give a folder that xplain "
            "fit-explainer wrote"
        ) from error
    return stored, network.eval()


def remove(partial: Path) -> None:
    """Remove the folder of an unfinished training, which is finished now."""
    shutil.rmtree(partial, ignore_errors=True)
