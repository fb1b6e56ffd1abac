"""What fitting computes with, against hand calculation and scikit-learn."""

from __future__ import annotations

from pathlib import Path

import pytest
import sklearn.metrics
import torch

from xplain.tensors import to_bytes
from xplain_codecs.fit import latents, training
from xplain_codecs.fit.manifest import Entry
from xplain_codecs.fit.report import Decisions
from xplain_codecs.fit.training import Epoch, History, Training


def test_a_channel_that_never_changes_is_not_scaled(tmp_path: Path) -> None:
    entry = Entry("a", tmp_path / "a", "x", "train")
    (tmp_path / "z").write_bytes(to_bytes({"values": torch.tensor([[2.0, 2.0], [1.0, 3.0]])}))
    mean, std = latents.statistics([latents.LatentClip(entry, 0, 2, tmp_path / "z")])
    assert mean.tolist() == [2.0, 2.0]
    assert std.tolist() == [1.0, 1.0]


def test_balanced_weights_count_each_label_the_same(tmp_path: Path) -> None:
    entry = Entry("a", tmp_path / "a", "x", "train")
    clips = [latents.LatentClip(entry, label, 1, tmp_path) for label in (0, 0, 0, 1)]
    assert training.class_weights(clips, 2, True).tolist() == [pytest.approx(2 / 3), 2.0]
    assert training.class_weights(clips, 2, False).tolist() == [1.0, 1.0]


def test_it_stops_when_nothing_gets_better_and_keeps_the_best() -> None:
    history = History()
    seen = []
    for loss in (1.0, 0.9, 0.7, 0.7, 0.8):
        assert not history.over(Training(epochs=9, patience=2))
        seen.append(history.add(Epoch(0.0, 0.5, loss)))
    assert seen == [True, True, True, False, False]
    assert history.best == 2
    assert history.over(Training(epochs=9, patience=2))
    assert not history.over(Training(epochs=9, patience=3))
    assert history.over(Training(epochs=5, patience=3))


def test_the_figures_are_scikit_learns() -> None:
    truth, said = [0, 0, 1, 1, 1, 3], [0, 1, 1, 1, 0, 0]
    found = Decisions(truth, said)
    expected = sklearn.metrics.confusion_matrix(truth, said, labels=[0, 1, 2, 3])
    assert found.confusion(4) == tuple(map(tuple, expected.tolist()))
    recall = sklearn.metrics.recall_score(truth, said, labels=[0, 1, 3], average=None)
    assert found.recall("abcd") == {
        "a": pytest.approx(recall[0]),
        "b": pytest.approx(recall[1]),
        "c": None,
        "d": pytest.approx(recall[2]),
    }
    assert found.accuracy().mean == sklearn.metrics.accuracy_score(truth, said)
    assert found.majority([3, 1, 1, 0]) == 3 / 6
