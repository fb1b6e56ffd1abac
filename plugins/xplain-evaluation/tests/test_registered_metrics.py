"""What every registered metric has to do, whoever wrote it, and the list of those made here."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import itertools
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

import xplain
from xplain import Score
from xplain.metric import Evidence, Metric, Undefined
from xplain.registry import Plugin, registry
from xplain_evaluation import metrics

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"


class Weighted(Score):
    """A score that is linear in the variants, so that what each element adds is known."""

    max_batch = 4
    weights: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weights", torch.tensor([[0.0, 2.0, 1.0, 0.0], [0.0, 1.0, -1.0, 0.0]]))

    def forward(self, variants: Tensor) -> Tensor:
        return (variants * self.weights).sum(dim=(1, 2)) - 1


def example() -> Evidence:
    """The worked example of docs/metrics.md."""
    score = Weighted()
    return Evidence(
        label=0,
        multilabel=False,
        probabilities=torch.tensor([0.80, 0.15, 0.05]),
        p=0.80,
        score=5.0,
        baseline_score=-2.0,
        attribution=torch.tensor([[0.0, 4.0, 2.0, 0.0], [0.0, 1.0, -1.0, 0.0]]),
        latents=torch.tensor([[1.0, 2.0, 2.0, 0.0], [1.0, 1.0, 1.0, 0.0]]),
        baseline=torch.zeros(2, 4),
        randomised=torch.tensor([[[0.0, 1.0, -1.0, 0.0], [0.0, 4.0, 2.0, 0.0]]]),
        ask=score,
        attribute=lambda latents: latents * score.weights,
        ratios=torch.tensor([0.0, 0.25, 0.5, 1.0]),
        keep_curve=torch.tensor([0.1, 0.6, 0.9, 0.8]),
        remove_curve=torch.tensor([0.8, 0.3, 0.2, 0.1]),
        kept=torch.tensor([0.90, 0.06, 0.04]),
        removed=torch.tensor([0.20, 0.70, 0.10]),
        o=0.90,
        u=0.20,
        reencoded_kept=torch.tensor([0.70, 0.20, 0.10]),
        reencoded_removed=torch.tensor([0.30, 0.60, 0.10]),
        round_trip=torch.tensor([0.75, 0.15, 0.10]),
        event=torch.tensor([False, True, True, True]),
        region=torch.tensor([[False, True, True, False], [False, False, False, False]]),
        given={
            "truth": torch.tensor([True, True, True, False, False]),
            "teacher": torch.tensor([True, True, True, True, False]),
            "proxy": torch.tensor([True, True, False, True, False]),
            "proxy_without": torch.tensor([False, False, False, True, False]),
            "logits": torch.tensor([2.0, 1.0, -1.0, 0.5, -2.0]),
            "logits_without": torch.tensor([-1.0, -1.0, -1.0, -1.0, -2.0]),
            "spectrum": torch.tensor([[1.0, 3.0], [2.0, 2.0]]),
            "reconstruction": torch.tensor([[1.0, 2.0], [2.0, 2.0]]),
            "activations": torch.tensor([[0.0, 0.5], [1e-9, 2.0]]),
        },
    )


def registered() -> list[Plugin]:
    return [p for p in xplain.list_plugins() if p.kind == "metric"]


def made(name: str) -> Metric:
    metric = registry().create("metric", name, {})
    assert isinstance(metric, Metric)
    return metric


def same(one: object, other: object) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    return one == other


@pytest.mark.parametrize("name", [p.full_name for p in registered()])
class TestMetric:
    def test_declares_what_one_has_to_know_to_read_it(self, name: str) -> None:
        metric = made(name)
        assert metric.better in ("higher", "lower")
        low, high = metric.range
        assert low < high
        assert metric.category and metric.source
        assert metric.needs

    def test_is_registered_under_its_name_and_says_what_it_is(self, name: str) -> None:
        metric = made(name)
        plugin = registry().find("metric", name)
        assert plugin.name == metric.name
        assert plugin.summary
        assert metric.summary.endswith(".")

    def test_says_what_its_parameters_are_by_keyword_alone(self, name: str) -> None:
        metric = made(name)
        for parameter in metric.settable:
            default = inspect.signature(metric.function).parameters[parameter].default
            assert default is not inspect.Parameter.empty, parameter

    def test_gives_a_float_in_its_range_and_the_same_again(self, name: str) -> None:
        metric = made(name)
        torch.manual_seed(0)
        value = metric.measure(example())
        assert type(value) is float
        low, high = metric.range
        assert low <= value <= high
        torch.manual_seed(0)
        assert metric.measure(example()) == value

    def test_changes_nothing_it_is_given(self, name: str) -> None:
        metric = made(name)
        given = example()
        values = {f.name: getattr(given, f.name) for f in dataclasses.fields(given)}
        before = {key: copy.deepcopy(value) for key, value in values.items() if key != "attribute"}
        metric.measure(given)
        for key, value in before.items():
            if key != "ask":
                assert same(getattr(given, key), value), key

    def test_is_undefined_without_what_it_needs(self, name: str) -> None:
        metric = made(name)
        for need in metric.needs:
            with pytest.raises(Undefined, match=f"needs {need}"):
                known = example()
                given = need in known.given
                lacking = {"given": {**known.given, need: None}} if given else {need: None}
                metric.measure(dataclasses.replace(known, **lacking))


# Those of this distribution


def declared() -> dict[str, Metric]:
    """Every metric that a module of xplain_evaluation.metrics declares, by its function's name."""
    folder = Path(metrics.__file__).parent
    modules = [
        importlib.import_module(f"xplain_evaluation.metrics.{p.stem}")
        for p in folder.glob("[a-z]*.py")
    ]
    return {
        name: value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, Metric) and value.function.__module__ == module.__name__
    }


def own() -> list[str]:
    return [p.name for p in registered() if p.distribution == "xplain-evaluation"]


def test_every_metric_that_is_declared_is_registered_and_handed_on() -> None:
    assert sorted(m.name for m in declared().values()) == sorted(own())
    handed_on = {name for name in metrics.__all__ if isinstance(getattr(metrics, name), Metric)}
    assert handed_on == set(declared())
    for name, metric in declared().items():
        assert getattr(metrics, name) is metric
        plugin = registry().find("metric", f"xplain-evaluation/{metric.name}")
        assert plugin.target == f"{metric.function.__module__}:{name}"
        assert plugin.summary == metric.summary


def test_no_module_hides_a_name_that_is_handed_on() -> None:
    modules = {path.stem for path in Path(metrics.__file__).parent.glob("*.py")}
    assert modules.isdisjoint(metrics.__all__)


def test_type_checkers_are_told_of_the_same_names() -> None:
    stub = Path(metrics.__file__).with_suffix(".pyi").read_text("utf-8")
    told = set(re.findall(r"from \.(\w+) import (\w+) as \2\n", stub))
    assert len(told) == len(stub.splitlines())
    assert told == {
        (metric.function.__module__.rpartition(".")[2], name) for name, metric in declared().items()
    }


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = (
        "import sys, xplain_evaluation.metrics, xplain_evaluation.plugin\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)\n"
        "from xplain_evaluation.metrics import *\n"
        "print(average_drop(0.8, 0.2))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("75.0\n", "")


# The document


def entries() -> dict[str, str]:
    """What docs/metrics.md says of each metric: the line under its heading."""
    text = DOCUMENT.read_text("utf-8")
    return dict(re.findall(r"^### `([a-z0-9-]+)`\n\n\*(.+?)\*$", text, flags=re.MULTILINE))


def as_documented(metric: Metric) -> str:
    low, high = ({math.inf: "∞", -math.inf: "−∞"}.get(v, f"{v:g}") for v in metric.range)
    span = f"{low} to {high}".replace("-", "−")
    return f"{metric.better} is better · {span} · needs {', '.join(metric.needs)}"


def test_the_document_says_of_every_metric_what_it_declares() -> None:
    assert sorted(entries()) == sorted(own())
    for name, line in entries().items():
        assert line == as_documented(made(f"xplain-evaluation/{name}")), name


def test_the_document_orders_metrics_by_category() -> None:
    categories = [made(f"xplain-evaluation/{name}").category for name in entries()]
    headings = re.findall(r"^## ([A-Z][\w -]+)$", DOCUMENT.read_text("utf-8"), flags=re.MULTILINE)
    assert sorted(set(categories), key=categories.index) == [
        h.lower() for h in headings if h.lower() in categories
    ]
    changes = sum(a != b for a, b in itertools.pairwise(categories))
    assert changes == len(set(categories)) - 1


def test_the_worked_example_of_the_document_holds() -> None:
    text = DOCUMENT.read_text("utf-8")
    rows = re.findall(r"^\| `([a-z0-9-]+)` \|.*\| ([−0-9.]+) \|$", text, flags=re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(own())
    for name, printed in rows:
        digits = len(printed.partition(".")[2])
        value = made(f"xplain-evaluation/{name}").measure(example())
        assert f"{value:.{digits}f}" == printed.replace("−", "-"), name
