"""Training with transformers' Trainer: it learns, and goes on where it stopped."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save
from transformers import EvalPrediction

from xplain import ModelError, XplainError
from xplain.errors import ArtifactError
from xplain_nmf.proxy_folder import open_proxy
from xplain_nmf.training.building import gated
from xplain_nmf.training.objectives import Objective, Weights
from xplain_nmf.training.recordings import read_recordings
from xplain_nmf.training.teachers import load_teacher
from xplain_nmf.training.training import ProxyTrainer, Settings, agreement, last_checkpoint, train

LABELS = ("heard", "loud")
BRIEF = Settings(steps=6, batch=2, every=2, seed=3)


@pytest.fixture
def run(make_proxy, teacher, clips):
    def run(out, settings=BRIEF):
        return train(
            make_proxy(),
            Objective(Weights(10.0, 5.0, 0.1)),
            load_teacher(teacher),
            read_recordings(clips, 1.0, LABELS, "train"),
            out,
            settings,
            read_recordings(clips, 1.0, LABELS, "dev"),
        )

    return run


def weights(folder):
    return open_proxy(folder).state_dict()


def test_a_proxy_learns_what_the_teacher_answers(run, tmp_path):
    record = run(tmp_path / "out", Settings(steps=90, batch=3, every=90, learning_rate=1e-2))
    losses = [entry["distillation"] for entry in record["log"] if "distillation" in entry]
    evaluated = [entry for entry in record["log"] if "eval_loss" in entry][-1]
    assert losses[-1] < 0.5 * 10 * np.log(2)
    assert evaluated["eval_f1_teacher_heard"] > 0.8
    folder = tmp_path / "out"
    assert {p.name for p in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "training.json",
    }
    assert not folder.with_name("out.partial").exists()
    saved = json.loads((folder / "training.json").read_text())
    assert saved["teacher"]["asked"] == list(LABELS) and saved["settings"]["steps"] == 90
    assert saved["objective"]["weights"]["distillation"] == 10.0


def test_a_training_that_is_interrupted_goes_on_to_the_same_weights(
    run, make_proxy, tmp_path, monkeypatch
):
    run(tmp_path / "whole")
    steps = []
    original = ProxyTrainer.training_step

    def interrupted(self, *args, **kwargs):
        steps.append(self.state.global_step)
        if self.state.global_step == 5 and len(steps) == 6:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    monkeypatch.setattr(ProxyTrainer, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    # A checkpoint that an interruption cut short is not gone on from.
    broken = tmp_path / "out.partial" / "checkpoints" / "checkpoint-5"
    broken.mkdir()
    (broken / "model.safetensors").write_bytes(b"half")
    run(tmp_path / "out")
    assert steps == [0, 1, 2, 3, 4, 5, 4, 5]
    expected, found = weights(tmp_path / "whole"), weights(tmp_path / "out")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert any(not torch.equal(found[n], w) for n, w in make_proxy().state_dict().items())


STOPPED = "training cannot go on from .*checkpoint-4"


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("checkpoints/checkpoint-4/trainer_state.json", lambda whole: b"\xff{", STOPPED),
        (
            "checkpoints/checkpoint-4/trainer_state.json",
            lambda whole: json.dumps({**json.loads(whole), "log_history": [1]}).encode(),
            STOPPED,
        ),
        ("checkpoints/checkpoint-4/optimizer.pt", lambda whole: b"\xff{", STOPPED),
        (
            "train.safetensors",
            lambda whole: save({"teacher": torch.zeros(1)}),
            r"holds answers \(1,\), not \(.*the teacher is asked again",
        ),
    ],
)
def test_damage_to_an_unfinished_training_is_named(run, tmp_path, monkeypatch, name, damage, said):
    def interrupted(self, *args, **kwargs):
        if self.state.global_step == 5:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    original = ProxyTrainer.training_step
    with monkeypatch.context() as patched:
        patched.setattr(ProxyTrainer, "training_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "out")
    damaged = tmp_path / "out.partial" / name
    damaged.write_bytes(damage(damaged.read_bytes()))
    with pytest.raises(ArtifactError, match=said) as refused:
        run(tmp_path / "out")
    assert "\n" not in str(refused.value)


def test_a_checkpoint_that_a_full_disk_does_not_take_is_named_and_leaves_nothing(run, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(ArtifactError, match=r"checkpoint-2 cannot be written.*free some space"):
            run(tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list((tmp_path / "out.partial" / "checkpoints").iterdir()) == []
    run(tmp_path / "out")


def test_another_training_in_the_same_folder_is_refused(run, tmp_path, monkeypatch):
    def broken(self, *args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(ProxyTrainer, "training_step", broken)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out")
    with pytest.raises(XplainError, match="another training"):
        run(tmp_path / "out", Settings(steps=7, batch=2, every=2, seed=3))


def test_a_training_that_breaks_down_says_so(run, tmp_path, monkeypatch):
    def burst(self, model, *args, **kwargs):
        with torch.no_grad():
            model.theta.bias.fill_(float("nan"))
        return torch.zeros(())

    monkeypatch.setattr(ProxyTrainer, "training_step", burst)
    with pytest.raises(ModelError, match="broke down"):
        run(tmp_path / "out", Settings(steps=1, batch=2, every=5))
    assert not (tmp_path / "out").exists()


def test_gates_that_are_added_are_open_and_change_no_decision(make_proxy):
    plain = make_proxy(component_labels=["heard"] * 3 + ["loud"] * 3, gains=True).eval()
    with_gates = gated(plain).eval()
    assert with_gates.config.gates and with_gates.config.component_labels[6:] == ["rest"]
    waveform = torch.randn(2, 16000, generator=torch.Generator().manual_seed(1))
    one, two = plain(waveform), with_gates(waveform)
    torch.testing.assert_close(two.logits, one.logits)
    torch.testing.assert_close(two.activations[:, :6], one.activations)
    assert (two.gates == 3).all() and two.gates.shape[1] == 2
    with pytest.raises(XplainError, match="class-wise"):
        gated(make_proxy())


def test_mixed_precision_trains_too(run, tmp_path):
    record = run(tmp_path / "out", Settings(steps=2, batch=2, every=2, precision="bfloat16"))
    assert record["settings"]["precision"] == "bfloat16"
    assert all(w.dtype == torch.float32 for w in weights(tmp_path / "out").values())


@pytest.mark.parametrize("changes", [{"steps": 0}, {"batch": 0}, {"learning_rate": 0.0}])
def test_settings_that_no_training_can_have_are_refused(changes):
    with pytest.raises(XplainError, match="above 0"):
        Settings(**changes)


def test_agreement_by_hand():
    logits = np.array([[[1.0], [1.0], [-1.0], [-1.0]]])
    teacher = np.array([[[0.9], [0.1], [0.8], [0.2]]])
    labels = np.array([[[1.0], [1.0], [0.0], [0.0]]])
    found = agreement(EvalPrediction(predictions=logits, label_ids=(teacher, labels)), ["heard"])
    assert found == {"fidelity_heard": 0.5, "f1_teacher_heard": 0.5, "f1_heard": 1.0}


def test_the_newest_whole_checkpoint_counts(tmp_path):
    assert last_checkpoint(tmp_path) is None
    for step in (9, 10):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        for name in ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth"):
            (folder / name).touch()
    (tmp_path / "checkpoint-9" / "trainer_state.json").touch()
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-9"
    assert not (tmp_path / "checkpoint-10").exists()


class Pickled:
    """What unpickling turns into a marker file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


@pytest.mark.parametrize("name", ["optimizer.pt", "scheduler.pt", "rng_state.pth"])
def test_a_checkpoint_of_a_stranger_runs_nothing(run, tmp_path, monkeypatch, name):
    original = ProxyTrainer.training_step

    def interrupted(self, *args, **kwargs):
        if self.state.global_step == 3:
            raise KeyboardInterrupt
        return original(self, *args, **kwargs)

    monkeypatch.setattr(ProxyTrainer, "training_step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "out")
    file = tmp_path / "out.partial" / "checkpoints" / "checkpoint-2" / name
    assert file.is_file()
    torch.save({"state": Pickled(tmp_path / "marker")}, file)
    with pytest.raises(XplainError, match=r"checkpoint-2 .*remove"):
        run(tmp_path / "out")
    assert not (tmp_path / "marker").exists()
    torch.load(file, weights_only=False)  # it would have
    assert (tmp_path / "marker").exists()
