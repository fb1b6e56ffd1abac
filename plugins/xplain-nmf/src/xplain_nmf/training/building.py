"""From a dictionary, a teacher and a preset to a proxy that has learned nothing yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from xplain.errors import ModelError, XplainError, nearest
from xplain.models import runs_file
from xplain_nmf.config import KIND_OF, REST, NmfProxyConfig
from xplain_nmf.dictionary.dictionary import Dictionary
from xplain_nmf.encoder import read_encoder
from xplain_nmf.hidden import LayerFeatures
from xplain_nmf.model import NmfProxy
from xplain_nmf.proxy_folder import open_proxy
from xplain_nmf.spectrum import SAMPLE_RATE
from xplain_nmf.training.presets import Preset
from xplain_nmf.training.teachers import Teacher, teachers_encoder

TEACHER = "teacher"
"""In the place of an encoder's reference: the one inside the teacher."""


@dataclass(frozen=True)
class Features:
    """What a proxy is to read: the spectrum, or one of these.

    encoder: repository or folder of a transformers encoder, or "teacher". layer_of: a model
    reference, one of whose layers is read beside the spectrum, and layer: which. loudness: whether
    it also reads how loud the audio is.
    """

    encoder: str | None = None
    layer_of: str | None = None
    layer: str | None = None
    loudness: bool = False


def build(
    preset: Preset,
    dictionary: Dictionary,
    teacher: Teacher,
    features: Features = Features(),
    seed: int = 0,
    changes: Mapping[str, Any] | None = None,
) -> NmfProxy:
    """A proxy of the teacher's labels on a dictionary, its other weights drawn by the seed.

    changes: to the preset's configuration. Raises XplainError where the dictionary does not
    suit the preset, ModelError where there are no such features.
    """
    if preset.classwise:
        dictionary = with_parts(dictionary, teacher.labels)
    if {**preset.config, **(changes or {})}.get("gates"):
        dictionary = with_rest(dictionary)
    config: dict[str, Any] = {
        **preset.config,
        "id2label": dict(enumerate(teacher.labels)),
        "thresholds": {label: asdict(chosen) for label, chosen in teacher.thresholds.items()},
        "components": dictionary.spectra.shape[1],
        "component_labels": None if dictionary.labels is None else list(dictionary.labels),
        "scale": dictionary.spectrum.scale,
        "level_seconds": dictionary.spectrum.level_seconds,
        "level_floor": dictionary.spectrum.level_floor,
    }
    encoder: PreTrainedModel | None = None
    if features.encoder is not None:
        asked = features.encoder
        encoder, normal = teachers_encoder(teacher) if asked == TEACHER else read_encoder(asked)
        config |= {"features": "encoder", "encoder_config": encoder.config.to_dict()}
        config |= {"encoder_normalises": normal}
    elif features.layer_of is not None:
        config |= _layer(features.layer_of, features.layer or "")
        if preset.classwise:
            # The layer has heard the surroundings: half of the network does as well.
            config |= {"repeats": 2, "blocks": 4}
    config["loudness"] = features.loudness
    torch.manual_seed(seed)
    try:
        proxy = NmfProxy(NmfProxyConfig(**{**config, **(changes or {})}))
    except ValueError as error:
        raise ModelError(f"there is no such proxy: {error}") from error
    if encoder is not None and proxy.encoder is not None:
        proxy.encoder.model.load_state_dict(encoder.state_dict())
    proxy.set_dictionary(dictionary.spectra)
    if preset.classwise:
        _begin(proxy)
    return proxy


def begun(folder: Path, teacher: Teacher, gates: bool = False, spread: int = 0) -> NmfProxy:
    """The proxy in a folder, to be trained on: as it is, but for a teacher that has changed.

    Its thresholds become the teacher's, and of the model whose layer it reads the weights that are
    there now. gates, spread: what it is to have where it does not, see :func:`gated` and the
    configuration. Raises ModelError where the folder has no proxy, or one of other labels.
    """
    found = open_proxy(folder)
    if found.config.labels != teacher.labels:
        raise ModelError(
            f"the proxy in {folder} decides {', '.join(found.config.labels)}, and the teacher "
            f"{', '.join(teacher.labels)}; give the proxy's labels with --label, in its order"
        )
    found.config.thresholds = {c: asdict(chosen) for c, chosen in teacher.thresholds.items()}
    if found.config.model is not None:
        read = LayerFeatures.load(found.config.model, found.config.layer or "")
        found.config.model_sha256 = read.model.fingerprint()
    if gates and not found.config.gates:
        found = gated(found)
    if spread and not found.config.spread:
        made = NmfProxy(replace(found.config, spread=spread))
        made.load_state_dict(found.state_dict(), strict=False)
        return made
    return found


@torch.no_grad()
def gated(proxy: NmfProxy) -> NmfProxy:
    """A class-wise proxy with gates, which are open, and components of no label.

    Those begin as every sixth of its own, and speak for nothing. Raises XplainError for a
    dictionary that is not class-wise.
    """
    named, count = proxy.config.component_labels, proxy.config.components
    if named is None:
        raise XplainError("gates are of a class-wise dictionary, which the proxy does not have")
    more = list(range(0, count, 6))
    names = [*named, *[REST] * len(more)]
    config = replace(proxy.config, components=count + len(more), component_labels=names, gates=True)
    made = NmfProxy(config)
    state = proxy.state_dict()
    state["spectra"] = torch.cat([state["spectra"], state["spectra"][:, more]], 1)
    silent = torch.zeros(len(proxy.config.labels), len(more))
    state["theta.weight"] = torch.cat([state["theta.weight"], silent], 1)
    rows = [*range(count), *more]
    rows += [count + row for row in rows] if proxy.config.gains else []
    for name in (name for name in state if name.startswith("psi.outputs.1.")):
        gates = torch.full_like(state[name][: len(made.config.gated)], 3.0 * (name[-4:] == "bias"))
        state[name] = torch.cat([state[name][rows], gates])
    made.load_state_dict(state)
    return made


def with_parts(dictionary: Dictionary, labels: Sequence[str]) -> Dictionary:
    """A class-wise dictionary with atoms for labels that are part of another.

    Overlapped speech has no spectrum of its own: its atoms begin as every third of speech's.
    Raises XplainError where the dictionary is not class-wise or lacks a label's dictionary.
    """
    if dictionary.labels is None:
        raise XplainError(
            "this preset needs a dictionary whose atoms are of one label each; make it class-wise"
        )
    spectra, names = [dictionary.spectra], list(dictionary.labels)
    for label in labels:
        if label in dictionary.labels:
            continue
        whole = [n for n, name in enumerate(dictionary.labels) if name == KIND_OF.get(label)]
        if not whole:
            raise XplainError(
                f"the dictionary has no atoms of the label {label!r} ({nearest(label, names)}); "
                "make it of recordings of that label too, or leave the label out"
            )
        spectra.append(dictionary.spectra[:, whole[::3]])
        names += [label] * len(whole[::3])
    return replace(dictionary, spectra=torch.cat(spectra, dim=1), labels=tuple(names))


def with_rest(dictionary: Dictionary) -> Dictionary:
    """A class-wise dictionary with atoms of no label, which begin as every sixth of all."""
    more = dictionary.spectra[:, ::6]
    names = (*(dictionary.labels or ()), *[REST] * more.shape[1])
    return replace(dictionary, spectra=torch.cat([dictionary.spectra, more], 1), labels=names)


@torch.no_grad()
def _begin(proxy: NmfProxy) -> None:
    """Every component active, and speaking for the labels whose own it is."""
    last: Any = proxy.psi.outputs[-1]
    last.bias[: proxy.config.components] = 0.5
    last.bias[proxy.config.components :] = 0.0
    proxy.theta.weight.zero_()
    for row, label in zip(proxy.theta.weight, proxy.config.labels, strict=True):
        own = proxy.config.own_components(label)
        row[own] = 0.05 * torch.rand(len(own))
    proxy.theta.bias.fill_(-2.0)


def _layer(reference: str, layer: str) -> dict[str, Any]:
    if runs_file(reference):
        raise ModelError(
            f"the proxy's folder would name {reference!r}, whose layer it reads, and a folder may "
            "not name a Python file that is run; register the model in a plugin, or leave out "
            "--layer"
        )
    read = LayerFeatures.load(reference, layer)
    channels = read(torch.zeros(1, SAMPLE_RATE)).shape[1]
    return {
        "features": "model",
        "model": reference,
        "layer": layer,
        "layer_channels": channels,
        "model_sha256": read.model.fingerprint(),
        "model_reach": read.reach,
    }
