"""Weights of the models from their files, by the names that the modules use."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn


def filled(module: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """The module in evaluation mode with these weights; each has to have its place."""
    module.load_state_dict(dict(weights))
    return module.eval().requires_grad_(False)


def safetensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a file."""
    found: dict[str, Tensor] = load_file(file)
    return found


def onnx(file: Path) -> dict[str, Tensor]:
    """The constants of an ONNX graph, by their names (pip install onnx)."""
    import onnx as library
    from onnx import numpy_helper

    graph = library.load(str(file)).graph
    return {one.name: torch.tensor(numpy_helper.to_array(one)) for one in graph.initializer}
