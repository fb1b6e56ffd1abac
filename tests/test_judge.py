"""An independent judge: another model of the task is asked about what is kept and removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from toys import tone

import xplain
from xplain import audio
from xplain.cli.explain import explain as command
from xplain_evaluation.measure import measure

RATE = 8000
MODELS = """
import torch, xplain
from torch import nn

class Half(nn.Module):
    def __init__(self, *scales):
        super().__init__()
        self.scales = nn.Parameter(torch.tensor(scales))
    def forward(self, waveform):
        halves = [half.square().mean(dim=1) for half in waveform.chunk(2, 1)]
        return 300 * self.scales * torch.stack(halves, dim=1)

def model():
    return xplain.wrap(Half(1.0, 1.0), sample_rate=8000, labels=("first", "second"))
def judge():
    return xplain.wrap(Half(1.1, 1.0), sample_rate=16000, labels=("first", "second"))
"""


class Half(nn.Module):
    """Which half of the clip is louder?"""

    def __init__(self, *scales: float) -> None:
        super().__init__()
        self.scales = nn.Parameter(torch.tensor(scales))

    def forward(self, waveform: Tensor) -> Tensor:
        halves = [half.square().mean(dim=1) for half in waveform.chunk(2, 1)]
        return 300 * self.scales * torch.stack(halves, dim=1)


def made(*scales: float, rate: int = RATE, labels: str = "ab") -> xplain.Model:
    return xplain.wrap(Half(*scales), sample_rate=rate, labels=list(labels), name=f"{scales}")


@pytest.fixture(scope="module")
def louder() -> Tensor:
    """A tone whose first half is louder."""
    return 0.3 * tone(440) * torch.linspace(1, 0.2, len(tone(440)))


def test_a_judge_follows_at_its_own_rate(louder: Tensor, tmp_path: Path) -> None:
    e = xplain.explain(louder, made(1.0, 1.0)).judged(made(1.1, 1.0, rate=16000), [0.5], [0.5])
    rows = e.extras["judge"]
    assert isinstance(rows, tuple)
    assert [(row["kind"], row["ratio"], row["label"], row["follows"]) for row in rows] == [
        ("keep", 1.0, "a", True), ("keep", 0.5, "a", True), ("remove", 0.5, "b", True)
    ]  # fmt: skip
    loaded = xplain.Explanation.load(e.save(tmp_path / "clip"))
    assert loaded.extras["judge"] == rows
    assert loaded.provenance["judge"]["name"] == "(1.1, 1.0)"


def test_one_that_hears_something_else_cannot_tell(louder: Tensor) -> None:
    e = xplain.explain(louder, made(1.0, 1.0)).judged(made(0.1, 5.0))
    rows = e.extras["judge"]
    assert isinstance(rows, tuple)
    assert (rows[0]["ratio"], rows[0]["label"], rows[0]["follows"]) == (1.0, "b", False)


def test_what_is_no_judge_is_refused(louder: Tensor) -> None:
    e = xplain.explain(louder, made(1.0, 1.0))
    with pytest.raises(xplain.ModelError, match="give another model"):
        e.judged(made(1.0, 1.0))
    with pytest.raises(xplain.TargetError, match="has no label 'a'"):
        e.judged(made(1.1, 1.0, labels="xy"))


def test_metrics_are_measured_of_the_judge_too(louder: Tensor) -> None:
    e = xplain.explain(louder, made(1.0, 1.0))
    found = measure(e, ["removal", "fidelity"], (0.5,), judge=made(0.9, 1.0, rate=16000))
    values = {(one.name, one.control): one.value for one in found}
    assert values["removal", "judge"] == values["removal", None] == 0.0
    assert values["fidelity", "judge"] == values["fidelity", None] == 1.0


def test_the_command_asks_it(
    louder: Tensor, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "models.py").write_text(MODELS)
    audio.write(tmp_path / "a.wav", louder, RATE)
    model, judge = (f"{tmp_path / 'models.py'}:{name}" for name in ("model", "judge"))
    given = {"keep": [0.5], "remove": [0.5], "out": tmp_path / "out", "as_json": True}
    command([str(tmp_path / "a.wav")], model, judge=judge, **given)  # type: ignore[arg-type]
    said = capsys.readouterr()
    assert "follows 2 of 2 times (kept, removed)" in said.err
    told = json.loads(said.out)["judge"]
    assert told["name"] == judge and [row["follows"] for row in told["results"]] == [True] * 3
    assert "judge" in (tmp_path / "out" / "a" / "index.html").read_text("utf-8")
