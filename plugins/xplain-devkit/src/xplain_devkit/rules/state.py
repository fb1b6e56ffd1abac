"""Checks of modules with weights: using them changes nothing in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from xplain_devkit.rules.rule import NotApplicable, demand


def leaves_weights_alone(made: object, use: Callable[[], object]) -> None:
    """Demand that weights, buffers, gradients and modes are the same after a use."""
    if not isinstance(made, nn.Module):
        raise NotApplicable("it is no torch.nn.Module")
    made.eval()
    before = {name: tensor.clone() for name, tensor in made.state_dict().items()}
    use()
    for name, tensor in made.state_dict().items():
        demand(torch.equal(tensor, before[name]), f"other values in {name}.")
    for name, parameter in made.named_parameters():
        demand(parameter.grad is None, f"a gradient in {name}.")
    training = [name or "itself" for name, part in made.named_modules() if part.training]
    demand(not training, f"training mode in {', '.join(training)}.")


def leaves_grad_mode(use: Callable[[], object]) -> None:
    """Demand that torch records gradients after a use where it did before, and only there."""
    for on in (True, False):
        with torch.set_grad_enabled(on):
            use()
            after = torch.is_grad_enabled()
        demand(after == on, f"on={after} after on={on}.")


def changed(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that are not what they were."""
    return [
        name
        for name, tensor in before.items()
        if name not in after or not torch.equal(tensor, after[name])
    ]


def copied(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors as they are now."""
    return {name: tensor.clone() for name, tensor in tensors.items()}


def close(one: Tensor, other: Tensor, tolerance: float) -> bool:
    """Whether two tensors differ by no more than a share of the largest value; NaN is itself."""
    if one.shape != other.shape:
        return False
    largest = float(torch.nan_to_num(one).abs().max()) if one.numel() else 0.0
    return torch.allclose(one, other, rtol=0, atol=tolerance * largest, equal_nan=True)


def hooks_of(module: nn.Module) -> set[tuple[int, str, int]]:
    """Identify every hook on a module and its submodules."""
    # torch has no public way to list hooks.
    tables = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        (id(part), table, key)
        for part in module.modules()
        for table in tables
        for key in getattr(part, table)
    }
