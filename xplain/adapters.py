"""What people hold, as a model or a segmenter: another library's object, one as the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from xplain.borrowing import borrowed, seeded, usable_device
from xplain.errors import ModelError, PluginError
from xplain.interfaces import Segmenter
from xplain.models import Model, follow, load_model, wrap
from xplain.registry import registry


def adopted(given: object) -> object:
    """Make what a plugin can of another library's object; anything else stays as it is.

    A plugin names the package that a class comes from, so that nothing is imported for what was
    not given. Of a pair, such as a model and its processor, the first says whose it is.
    """
    first = given[0] if isinstance(given, tuple | list) and given else given
    homes = {cls.__module__.partition(".")[0] for cls in type(first).__mro__}
    for plugin in registry().plugins:
        if plugin.kind == "adapter" and plugin.name in homes:
            return registry().factory(plugin)(given)
    return given


def model_of(given: object) -> Any:
    """The model that was given: by reference, as itself, as a segmenter, or as another object."""
    if isinstance(given, str):
        return load_model(given)
    found = given if isinstance(given, Model | Segmenter) else adopted(given)
    return as_model(found, type(found).__name__) if isinstance(found, Segmenter) else found


def resolve(asked: object, params: Mapping[str, object]) -> tuple[Segmenter, dict[str, Any]]:
    """A segmenter from what was asked for, and its record for provenance."""
    if params and not (isinstance(asked, str) and ":" not in asked):
        raise PluginError("params go with a registered segmenter's name; set them on the instance")
    model = follow(asked) if isinstance(asked, str) and ":" in asked else asked
    model = model if isinstance(model, str | Model | Segmenter) else adopted(model)
    if isinstance(model, Model):
        segmenter = model.segmenter or ModelSegmenter(model)
        record: dict[str, Any] = {"name": model.name, "version": model.version, "parameters": {}}
        sha256 = model.fingerprint()
    else:
        plugin = registry().find("segmenter", model) if isinstance(model, str) else None
        if isinstance(model, str):
            model = registry().create("segmenter", model, params)
        if not isinstance(model, Segmenter):
            raise PluginError(
                "a segmenter is a name, a reference, an xplain.Segmenter or a model that decides "
                f"per frame, not {model!r}"
            )
        segmenter, sha256 = model, model.fingerprint()
        record = registry().describe("segmenter", segmenter, plugin)
    shown = {name: getattr(segmenter, name) for name in ("window", "context", "fade", "latency")}
    about = {"sample_rate": segmenter.sample_rate, "labels": list(segmenter.labels)}
    about |= {"frame_step": segmenter.frame_step, "sha256": sha256}
    return segmenter, {**record, **about, **shown}


class ModelSegmenter(nn.Module, Segmenter):
    """A model that decides per frame, as a segmenter.

    Of labels that exclude each other, logit c becomes z_c − log Σ_{j≠c} exp z_j, whose
    sigmoid is the softmax.
    """

    def __init__(self, model: Model) -> None:
        """Take a model's logits; ModelError for one that decides once per clip."""
        super().__init__()
        if model.frame_step is None:
            raise ModelError(
                f"{model.name} decides once per clip, so it cannot segment a recording; wrap one "
                "that decides per frame with frame_step=, or explain this one: xplain explain"
            )
        self.model, self.module = model, model.module
        self.reads = model.reads
        self.sample_rate, self.frame_step = model.sample_rate, model.frame_step
        self.labels = model.labels

    def logits(self, waveform: Tensor) -> Tensor:
        """Waveforms (B, samples) → logits (B, frames, L)."""
        reads = self.model.reads
        logits = self.model(waveform if reads is None else reads.encode(waveform).values)
        if self.model.multilabel:
            return logits
        others = torch.eye(len(self.labels), dtype=torch.bool, device=logits.device)
        rest = logits[..., None, :].masked_fill(others, -torch.inf).logsumexp(dim=-1)
        return logits - rest


class LogitsOf(nn.Module):
    """A segmenter as the module of a model."""

    def __init__(self, segmenter: Segmenter) -> None:
        """Ask a segmenter."""
        super().__init__()
        self.segmenter = segmenter

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveforms (B, samples) → logits (B, frames, L)."""
        return self.segmenter.logits(waveform)


def as_model(segmenter: Segmenter, name: str) -> Model:
    """A segmenter as a model to explain, with gradients where they pass."""
    if isinstance(segmenter, ModelSegmenter):
        return segmenter.model
    model = wrap(
        LogitsOf(segmenter),
        sample_rate=segmenter.sample_rate,
        labels=segmenter.labels,
        multilabel=True,
        frame_step=segmenter.frame_step,
        name=name,
    )
    home = usable_device(None, model.module)
    # Borrowed: a module in training mode would learn from the probe (BatchNorm) or draw by chance.
    with (
        torch.inference_mode(False),
        borrowed(model.module, home),
        seeded(0, home),
        torch.enable_grad(),
    ):
        probe = torch.zeros(1, segmenter.sample_rate, device=home, requires_grad=True)
        try:
            differentiable = model(probe).requires_grad
        except ModelError:  # it cannot decide on a second of silence: each segment is tried
            differentiable = False
    return replace(model, differentiable=differentiable)
