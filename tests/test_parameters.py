"""K=V means what the constructor's annotation says it means."""

from collections.abc import Sequence
from typing import Literal

import pytest
import torch

from xplain.cli.parameters import pairs, parameters
from xplain.errors import PluginError
from xplain.parameters import typed


class Made:
    def __init__(
        self,
        folder: str = "",
        label: str | None = None,
        steps: int = 1,
        share: float | None = None,
        fast: bool = False,
        mode: Literal["a", "b"] = "a",
        sizes: tuple[int, ...] = (),
        off: str | Sequence[str | int] = "",
        weights: torch.Tensor | None = None,
        anything=None,
    ) -> None: ...


def read(*texts: str) -> dict[str, object]:
    return typed(Made, parameters("--param", texts), "explainer 'made'")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("folder=2024", "2024"),
        ("folder=null", "null"),
        ("folder=a=b", "a=b"),
        ("folder=", ""),
        ("label=null", "null"),
        ("label=[1]", "[1]"),
        ("steps=20", 20),
        ("share=3", 3.0),
        ("share=1e-3", 1e-3),
        ("share=null", None),
        ("fast=true", True),
        ("fast=0", False),
        ("mode=b", "b"),
        ("sizes=[1, 2]", (1, 2)),
        ("off=3,5", "3,5"),
        ("anything=2024", 2024),
        ("anything=null", None),
        ("anything=2024a", "2024a"),
        ('anything={"a": [1]}', {"a": [1]}),
    ],
)
def test_the_annotation_says_what_a_text_means(text, value):
    (made,) = read(text).values()
    assert made == value and type(made) is type(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps=2.5", r"explainer 'made': steps is int, not '2\.5'"),
        ("steps=many", "steps is int, not 'many'"),
        ("steps=null", "steps is int, not 'null'"),
        ("share=nan", "share cannot be nan; give a finite number"),
        ("share=1e999", "share cannot be 1e999|share is"),
        ("share=Infinity", "share cannot be Infinity"),
        ("anything=NaN", "anything cannot be NaN"),
        ("fast=maybe", "fast is bool, not 'maybe'"),
        ("mode=c", "mode is .*'a', 'b'.*, not 'c'"),
        ("sizes=[1, x]", "sizes is tuple"),
        ("sizes=[1, null]", "sizes is tuple"),
    ],
)
def test_a_wrong_type_is_one_line_with_name_type_and_text(text, words):
    with pytest.raises(PluginError, match=words) as caught:
        read(text)
    assert "\n" not in str(caught.value)


def test_what_python_callers_give_is_checked_where_it_is_plain_and_else_left_alone():
    tensor = torch.zeros(2)
    given = {"weights": tensor, "share": 3, "sizes": [1, 2], "off": (1, "a")}
    made = typed(Made, given, "made")
    assert made["weights"] is tensor and made["sizes"] == (1, 2) and made["off"] == (1, "a")
    assert type(made["share"]) is int
    with pytest.raises(PluginError, match="folder is str, not 2024"):
        typed(Made, {"folder": 2024}, "made")


def test_pairs():
    assert pairs("--where", ["a=1", "b="]) == {"a": "1", "b": ""}
    assert pairs("--where", ["a=1", "a=2"]) == {"a": "2"}  # the last counts
    for text in ("a", "=1"):
        with pytest.raises(PluginError, match="--where takes NAME=VALUE"):
            pairs("--where", [text])
