"""What a score is seen to do with a variant."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from xplain_captum.effects import Effect
from xplain_captum.tracing import trace

LATENTS = torch.zeros(1, 2, 3)


class Custom(nn.Module):
    """A layer of the caller's own, with no parts that could be hooked."""

    def forward(self, variants: Tensor) -> Tensor:
        return variants.flatten(1).cos()


def test_layers_are_named_and_counted_in_the_order_of_their_calls(over: Any) -> None:
    act = nn.ReLU()
    seen = trace(over(nn.Sequential(nn.Flatten(), act, nn.Linear(6, 2), act)), LATENTS)
    assert [(layer.name, seen.calls[layer]) for layer in seen.layers] == [
        ("head.0", 1),
        ("head.1", 2),
        ("head.2", 1),
    ]
    assert [layer.name for layer in seen.repeated] == ["head.1"]


def test_functions_in_a_module_of_the_callers_own_are_seen_with_its_name(over: Any) -> None:
    seen = trace(over(nn.Sequential(Custom(), nn.Linear(6, 2))), LATENTS)
    assert [(o.name, o.owner, o.effects) for o in seen.operations] == [
        ("flatten", "Custom", {Effect.MOVE}),
        ("cos", "Custom", {Effect.SMOOTH}),
        ("__getitem__", "Headed", {Effect.MOVE}),
    ]
    assert seen.operations[1].where == "test_tracing.py, line 21"
    assert [o.name for o in seen.beyond(Effect.MOVE)] == ["cos"]


def test_what_happens_inside_a_layer_is_its_own_business(headed: Any, clip: Any) -> None:
    seen = trace(headed("transformer"), clip[0][None])
    assert [layer.name for layer in seen.layers] == ["head.body", "head.out"]
    assert [o.name for o in seen.beyond(Effect.MOVE)] == ["mean"]


def test_what_does_not_depend_on_the_variant_is_not_counted(closed: Any) -> None:
    weights = torch.arange(6.0).reshape(2, 3)
    seen = trace(closed(lambda z: (z * weights.exp().cumsum(1)).sum(dim=(1, 2))), LATENTS)
    assert [o.name for o in seen.operations] == ["mul", "sum"]


def test_an_attribute_is_called_by_its_name(closed: Any) -> None:
    seen = trace(closed(lambda z: z.mT.sum(dim=(1, 2))), LATENTS)
    assert [o.name for o in seen.operations] == ["mT", "sum"]


def test_scores_are_told_with_whether_they_depend_on_the_variant(closed: Any) -> None:
    seen = trace(closed(lambda z: z.sum(dim=(1, 2))), LATENTS + 2)
    assert seen.followed and torch.equal(seen.scores, torch.tensor([12.0]))
    assert not trace(closed(lambda z: torch.ones_like(z).sum(dim=(1, 2))), LATENTS).followed
    by_numpy = trace(closed(lambda z: torch.tensor(z.detach().numpy().sum(axis=(1, 2)))), LATENTS)
    assert not by_numpy.followed


def test_a_score_that_fails_leaves_no_hook_behind(closed: Any) -> None:
    def fails(variants: Tensor) -> Tensor:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        trace(closed(fails), LATENTS)
    hooks = torch.nn.modules.module
    assert not (hooks._global_forward_hooks or hooks._global_forward_pre_hooks)
