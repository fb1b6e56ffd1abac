"""benchmarks/proxies/figures.py: what counts of recordings add up to, worked out by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


def recording(**counts: float) -> dict[str, float]:
    return {f"{name.replace('_', ' ')} speech": value for name, value in counts.items()}


@pytest.fixture
def figures(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    known = set(sys.modules)
    from proxies import figures

    monkeypatch.setattr(figures, "RESAMPLES", 99)
    yield figures.figures
    for name in set(sys.modules) - known:
        if name.partition(".")[0] == "proxies":
            del sys.modules[name]


def test_figures_of_recordings(figures):
    said = {f"{kind}_random_{n}": 5.0 for n in range(5) for kind in ("said", "hit")}
    whole = {"error": 1.0, "variance": 4.0, "active": 0.5, "prototype cosine": 0.3}
    first = recording(
        frames=20, agree=18, truth=10, absent=10, said_teacher=10, hit_teacher=10, said_proxy=10,
        hit_proxy=5, said_without=0, hit_without=0, false_audio=1, false_alone=4, there=10,
        heard_audio=9, heard_explanation=1, heard_shifted=8, heard_shuffled=5, heard_alone=7,
        heard_random_components=6, **said,
    )  # fmt: skip
    second = recording(
        frames=20, agree=20, truth=30, absent=10, said_teacher=30, hit_teacher=30, said_proxy=30,
        hit_proxy=30, said_without=0, hit_without=0, false_audio=0, false_alone=0, there=30,
        heard_audio=30, heard_explanation=3, heard_shifted=3, heard_shuffled=25, heard_alone=30,
        heard_random_components=6, **said,
    )  # fmt: skip
    # A recording without the label says nothing of F1, and something of false alarms.
    third = recording(frames=10, agree=10, truth=0, absent=10, false_audio=0, false_alone=2)
    third |= recording(said_teacher=0, hit_teacher=0, said_proxy=0, hit_proxy=0)
    third |= recording(said_without=0, hit_without=0, **dict.fromkeys(said, 0.0))
    found = dict(figures([first | whole, second | whole, third | whole], ["speech", "noise"]))
    assert not [name for name in found if name.endswith("noise")]
    assert found["R2"].mean == 0.75
    means = {
        "F1 gap": 0.25,  # 1 − ½ and 1 − 1, the mean over two recordings
        "F1 proxy": 0.75,
        "agreement": 48 / 50,
        "necessity": 2 * 35 / 80,
        "necessity beyond random": 2 * 10 / (10 + 40),
        "recall audio": 39 / 40,
        # Shifted leaves 11 of 40 frames, shuffled 30, random components 12: the first is hardest.
        "lost beyond hardest": 11 / 40 - 4 / 40,
        "false alone": 6 / 30,
    }
    assert {name: found[f"{name} speech"].mean for name in means} == pytest.approx(means)
    gap = found["F1 gap speech"]
    assert gap.low is not None and 0 <= gap.low <= gap.mean <= gap.high <= 0.5
    assert found["recall audio speech"].high == 1.0
    alone = dict(figures([first | whole], ["speech"]))["F1 gap speech"]
    assert (alone.mean, alone.low, alone.high) == (0.5, None, None)
