"""Copies of a model whose layers are randomised, from the last to all of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import nn

from xplain.borrowing import seeded
from xplain.errors import ModelError
from xplain.models import Model

STAGES = 5
"""Number of copies in a cascade, the last one fully randomised."""


def randomised(model: Model, *, top: int | None = None, seed: int = 0) -> Model:
    """Copy a model and draw the weights of its ``top`` last layers anew; default: of all.

    A layer is a module with weights of its own; the last is the one registered last. It is
    initialised as it was made (``reset_parameters``); weights that this leaves as they were
    are shuffled. Raises ModelError for a model without weights.
    """
    layers = list(_layers(model.module))
    if not layers:
        raise ModelError(f"{model.name}: the model has no weights that could be randomised")
    chosen = layers[::-1][: len(layers) if top is None else top]
    try:
        module = copy.deepcopy(model.module)
    except Exception as error:
        raise ModelError(f"{model.name}: the model cannot be copied: {error}") from error
    with seeded(seed, torch.device("cpu")), torch.no_grad():
        for name in chosen:
            layer = module.get_submodule(name)
            before = [parameter.clone() for parameter in layer.parameters(recurse=False)]
            if callable(reset := getattr(layer, "reset_parameters", None)):
                reset()
            for parameter, was in zip(layer.parameters(recurse=False), before, strict=True):
                if torch.equal(parameter, was):  # no reset, or one of what is made of these
                    flat = parameter.flatten()
                    parameter.copy_(flat[torch.randperm(len(flat))].view_as(parameter))
    return replace(model, module=module, name=f"{model.name}, {len(chosen)} layers randomised")


def cascade(model: Model, *, stages: int = STAGES, seed: int = 0) -> list[Model]:
    """Copies with more and more layers randomised, from the last to all of them.

    Adebayo et al. (2018), "Sanity Checks for Saliency Maps", sec. 4.1. stages: at most as many
    as there are layers, evenly spaced.
    """
    count = sum(1 for _ in _layers(model.module))
    steps = min(stages, count)
    return [
        randomised(model, top=-(-count * step // steps), seed=seed) for step in range(1, steps + 1)
    ] or [randomised(model, seed=seed)]


def _layers(module: nn.Module) -> Iterator[str]:
    for name, layer in module.named_modules():
        if next(layer.parameters(recurse=False), None) is not None:
            yield name
