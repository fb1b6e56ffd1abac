"""When two synthesizers make the same latents, and what that changes on the route."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from toys import RATE, tone

import xplain
from xplain.registry import registry
from xplain.score import same_synthesizer
from xplain_devkit.check import RULES
from xplain_devkit.rules.rule import Subject, examine


@dataclasses.dataclass
class Held:
    """What a parameter may be: an object that holds a tensor."""

    values: Any


class Weighted(xplain.Synthesizer):
    """Frames of 8 samples, each sample times its weight."""

    encode_differentiable = decode_differentiable = True

    def __init__(self, weights: Any = None, sample_rate: int = RATE) -> None:
        self.weights = torch.arange(1.0, 9.0) if weights is None else weights
        self.sample_rate = sample_rate

    def encode(self, waveform: Tensor) -> xplain.Latents:
        samples = waveform.shape[-1]
        frames = nn.functional.pad(waveform, (0, -samples % 8)).unflatten(-1, (-1, 8))
        values = (frames * torch.as_tensor(self.weights)).transpose(1, 2)
        return xplain.Latents(values, {"length": torch.full((len(waveform),), samples)})

    def decode(self, values: Tensor, context: xplain.Context) -> Tensor:
        frames = values.transpose(1, 2) / torch.as_tensor(self.weights)
        return frames.flatten(1)[:, : int(context["length"][0])]


def made(kind: str, last: float) -> Any:
    """A parameter that holds numbers, the last of them as given."""
    numbers = [*range(1, 8), last]
    tensor, array = torch.tensor(numbers), np.array(numbers)
    return {
        "tensor": tensor,
        "array": array,
        "list": [tensor, "hann"],
        "tuple": (1, (array, None)),
        "mapping": {"a": {"b": [tensor]}, "c": 1.0},
        "dataclass": Held([tensor]),
        "number": last,
    }[kind]


KINDS = ("tensor", "array", "list", "tuple", "mapping", "dataclass", "number")


@pytest.mark.parametrize("kind", KINDS)
def test_equal_parameters_make_the_same_synthesizer_and_others_another(kind: str) -> None:
    assert same_synthesizer(Weighted(made(kind, 8.0)), Weighted(made(kind, 8.0)))
    assert not same_synthesizer(Weighted(made(kind, 8.0)), Weighted(made(kind, 8.5)))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (torch.ones(8), torch.ones(4)),
        (torch.ones(8), torch.ones(8, dtype=torch.float64)),
        (torch.ones(8), np.ones(8)),
        (torch.ones(8), [1.0] * 8),
        (torch.ones(8), None),
        (np.ones(8), "ones"),
        ({"a": torch.ones(1)}, {"b": torch.ones(1)}),
        ([torch.ones(1)], [torch.ones(1), torch.ones(1)]),
        ((1, torch.ones(2)), [1, torch.ones(2)]),
    ],
)
def test_what_differs_in_kind_or_size_is_another(one: Any, other: Any) -> None:
    a, b = Weighted(one), Weighted(other)
    a.weights, b.weights = one, other
    assert not same_synthesizer(a, b)
    assert not same_synthesizer(b, a)


def test_a_parameter_that_cannot_be_compared_or_read_is_no_proof() -> None:
    class Stubborn:
        def __eq__(self, other: object) -> bool:
            raise RuntimeError("no")

    one, other = Weighted(Stubborn()), Weighted(Stubborn())
    assert same_synthesizer(one, one) and not same_synthesizer(one, other)
    unread = Weighted()
    del unread.weights
    assert not same_synthesizer(unread, Weighted())


@pytest.mark.parametrize(("last", "route"), [(8.0, "head(z)"), (9.0, "head(encode(decode(z)))")])
def test_a_model_that_reads_latents_of_a_tensor_valued_synthesizer(last: float, route: str) -> None:
    head = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 2))
    own, asked = (Weighted(made("tensor", value)) for value in (8.0, last))
    model = xplain.wrap(head, sample_rate=RATE, labels=["a", "b"], reads=own)
    e = xplain.explain(tone(440, 0.1), model, synthesizer=asked, explainer="saliency")
    assert e.provenance["route"] == route
    described = json.loads(json.dumps(e.provenance["synthesizer"]))
    assert described["parameters"]["weights"] == [1, 2, 3, 4, 5, 6, 7, last]


def test_a_tensor_valued_synthesizer_keeps_the_contract() -> None:
    found = examine(Subject("synthesizer", Weighted), RULES["synthesizer"])
    assert found.verdict == "passed", [o.message for o in found.outcomes if o.state == "failed"]


def test_a_large_tensor_is_named_and_not_listed() -> None:
    described = registry().describe("synthesizer", Weighted(torch.zeros(10_000)))
    assert len(json.dumps(described)) < 1000
