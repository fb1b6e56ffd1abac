"""xplain fit, on tones of three pitches: what it learns, says, refuses and goes on with."""

from __future__ import annotations

import csv
import json
import math
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch
from typer.testing import CliRunner, Result

import xplain
from xplain import storage
from xplain.errors import ArtifactError, XplainError, XplainWarning
from xplain.tensors import read_tensors
from xplain_codecs.codecs.stft import Stft
from xplain_codecs.fit import latents, training
from xplain_codecs.fit.cli import app
from xplain_codecs.fit.fit import Task, fit
from xplain_codecs.fit.training import Training

RATE = 8000
PITCHES = {"high": 2100, "low": 300, "mid": 900}
"""Hz, by label."""
SMALL = {
    "transformer": {"width": 16, "heads": 2, "layers": 1, "feedforward": 16},
    "conv": {"width": 16, "layers": 2, "kernel": 3},
    "gru": {"width": 16, "layers": 1},
    "statistics": {},
    "bands": {"bands": 16, "width": 16, "layers": 1, "hidden": 24, "attention": 1},
}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tones in noise, of unequal length and level: 8 + 2 + 4 of each label."""
    folder = tmp_path_factory.mktemp("tones")
    chance = torch.Generator().manual_seed(0)
    rows = [["path", "label", "split"]]
    for label, hertz in PITCHES.items():
        for number in range(14):
            seconds, level, detune = torch.rand(3, generator=chance).tolist()
            clock = torch.arange(round((0.1 + 0.15 * seconds) * RATE)) / RATE
            tone = (0.1 + 0.3 * level) * torch.sin(
                2 * math.pi * hertz * (0.95 + 0.1 * detune) * clock
            )
            sound = tone + 0.02 * torch.randn(len(clock), generator=chance)
            soundfile.write(folder / f"{label}-{number}.wav", sound.numpy(), RATE)
            part = "train" if number < 8 else "dev" if number < 10 else "test"
            rows.append([f"{label}-{number}.wav", label, part])
    return write(folder / "manifest.csv", rows)


def write(path: Path, rows: list[list[str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def rows_of(manifest: Path) -> list[list[str]]:
    with manifest.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def task(manifest: Path, head: str = "gru", **settings: Any) -> Task:
    settings = {"epochs": 6, "batch": 8, "learning_rate": 0.02, **settings}
    return Task(
        manifest,
        "stft",
        head,
        synthesizer_params={"window": 0.016},
        head_params=SMALL[head],
        training=Training(**settings),
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_tensors(folder / "model.safetensors")[0]


@pytest.fixture(scope="module")
def fitted(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier that was not interrupted."""
    out = tmp_path_factory.mktemp("fitted") / "gru"
    fit(task(manifest), out)
    return out


@pytest.mark.parametrize("head", [kind for kind in SMALL if kind != "bands"])
def test_every_head_learns_pitches(manifest: Path, tmp_path: Path, head: str) -> None:
    report = fit(task(manifest, head, epochs=12), tmp_path / "out")
    assert report.accuracy.mean == 1.0
    assert report.recall == {"high": 1.0, "low": 1.0, "mid": 1.0}
    assert report.confusion == ((4, 0, 0), (0, 4, 0), (0, 0, 4))
    assert report.majority == pytest.approx(1 / 3)
    assert report.clips == {"train": 24, "dev": 6, "test": 12}
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "config.json",
        "model.safetensors",
        "report.json",
    ]
    assert list(tmp_path.iterdir()) == [tmp_path / "out"]


def test_the_head_of_bands_learns_pitches(manifest: Path, tmp_path: Path) -> None:
    wanted = task(manifest, "bands", epochs=15, patience=15, learning_rate=5e-3)
    assert fit(wanted, tmp_path / "out").accuracy.mean >= 0.9


def test_the_head_of_bands_goes_on_where_it_was_stopped(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, save = task(manifest, "bands", epochs=2, learning_rate=5e-3), training._save
    fit(wanted, tmp_path / "out")

    def stopped(*given: Any) -> None:
        save(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(training, "_save", stopped)
    with pytest.raises(KeyboardInterrupt):
        fit(wanted, tmp_path / "again")
    monkeypatch.undo()
    fit(wanted, tmp_path / "again")
    again = weights(tmp_path / "again")
    assert all(torch.equal(t, again[name]) for name, t in weights(tmp_path / "out").items())


def test_the_head_of_bands_has_no_elements_to_mask(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(XplainError, match="leave --emphasis and --masking out"):
        fit(task(manifest, "bands", masking=0.5), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_the_folder_says_how_it_was_made(manifest: Path, fitted: Path) -> None:
    config = json.loads((fitted / "config.json").read_text("utf-8"))
    assert config["head"] == {"kind": "gru", "width": 16, "layers": 1, "dropout": 0.1}
    assert config["labels"] == ["high", "low", "mid"]
    assert config["sample_rate"] == RATE
    assert config["synthesizer"]["name"] == "xplain-codecs/stft"
    assert config["synthesizer"]["parameters"] == {
        "sample_rate": RATE,
        "window": 0.016,
        "overlap": 4,
        "power": 0.5,
    }
    assert config["synthesizer"]["channels"] == 65
    assert config["training"]["seed"] == 0
    assert config["versions"]["torch"] == torch.__version__
    assert config["data"]["clips"]["test"] == {"high": 4, "low": 4, "mid": 4}
    assert config["accuracy"]["mean"] == 1.0
    assert str(manifest.parent) not in (fitted / "config.json").read_text("utf-8")


def test_a_model_is_loaded_that_gives_what_was_reported(manifest: Path, fitted: Path) -> None:
    model = xplain.load_model(f"latent:{fitted}")
    assert isinstance(model.reads, Stft) and model.labels == ("high", "low", "mid")
    for label, hertz in PITCHES.items():
        clip = 0.3 * torch.sin(2 * math.pi * hertz * torch.arange(RATE) / RATE)
        logits = model(model.reads.encode(clip[None]).values)
        assert model.labels[int(logits.argmax())] == label


def test_it_is_explained_on_the_latents_directly_and_truly(manifest: Path, fitted: Path) -> None:
    e = xplain.explain(manifest.parent / "mid-12.wav", f"latent:{fitted}")
    assert e.provenance["route"] == "head(z)"
    assert e.provenance["synthesizer"]["name"] == "xplain-codecs/stft"
    assert e.target.label == "mid"
    assert e.converged
    assert e.check().kind != "unfaithful"


def test_another_synthesizer_is_decoded_and_reencoded(manifest: Path, fitted: Path) -> None:
    e = xplain.explain(
        manifest.parent / "mid-12.wav", f"latent:{fitted}", synthesizer=Stft(RATE, window=0.032)
    )
    assert e.provenance["route"] == "head(encode(decode(z)))"
    assert e.attribution.shape[0] == 129
    assert e.target.label == "mid"
    assert e.check().kind != "unfaithful"


class Killed(BaseException):
    """The end of the program, which nothing catches."""


KILLS = {
    "while encoding": (latents, "write_bytes", 7, False),
    "before the first step": (training, "_step", 1, False),
    "in the middle of an epoch": (training, "_step", 8, False),
    "before a checkpoint": (training, "write_bytes", 2, False),
    "after a checkpoint": (training, "write_bytes", 2, True),
    "after the last epoch": (training, "write_bytes", 6, True),
    "before the folder is in place": (storage, "_swap", 1, False),
    "after the folder is in place": (storage, "_swap", 1, True),
}


@pytest.mark.parametrize("point", KILLS)
def test_the_same_call_goes_on_to_the_very_same_weights(
    manifest: Path, fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    module, name, count, after = KILLS[point]
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(module, name, killing(getattr(module, name), count, after))
        with pytest.raises(Killed):
            fit(task(manifest), out)
    fit(task(manifest), out)
    assert (out / "model.safetensors").read_bytes() == (fitted / "model.safetensors").read_bytes()
    assert (out / "config.json").read_bytes() == (fitted / "config.json").read_bytes()
    assert list(tmp_path.iterdir()) == [out]


def killing(function: Callable[..., Any], count: int, after: bool) -> Callable[..., Any]:
    calls = 0

    def until(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count and not after:
            raise Killed
        result = function(*arguments, **named)
        if calls == count:
            raise Killed
        return result

    return until


def test_the_weights_of_the_best_epoch_are_kept_across_an_interruption(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With wrong labels on dev, each epoch that learns is worse there than the one before."""
    wrong = {"high": "low", "low": "mid", "mid": "high"}
    rows = [[r[0], wrong[r[1]] if r[2] == "dev" else r[1], r[2]] for r in rows_of(manifest)[1:]]
    turned = write(manifest.parent / "turned.csv", [["path", "label", "split"], *rows])
    with monkeypatch.context() as patch:
        patch.setattr(training, "write_bytes", killing(training.write_bytes, 1, True))
        with pytest.raises(Killed):
            fit(task(turned, patience=2), tmp_path / "out")
    first, _ = read_tensors(tmp_path / "out.partial" / "checkpoint.safetensors")
    report = fit(task(turned, patience=2), tmp_path / "out")
    assert (report.best_epoch, report.epochs) == (1, 3)
    for name, tensor in weights(tmp_path / "out").items():
        assert torch.equal(tensor, first[f"now.{name}"])


def test_a_process_that_is_killed_goes_on_to_the_very_same_weights(
    manifest: Path, fitted: Path, tmp_path: Path
) -> None:
    out, partial = tmp_path / "out", tmp_path / "out.partial"
    options = ["--epochs=6", "--batch=8", "--learning-rate=0.02", f"--out={out}"]
    options += ["--synthesizer=stft", "--synthesizer-param=window=0.016", "--head=gru"]
    options += [f"--head-param={name}={value}" for name, value in SMALL["gru"].items()]
    code = "from xplain.cli.main import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "fit", str(manifest), *options], stderr=subprocess.DEVNULL
    )
    while process.poll() is None and not list(partial.glob("latents/*.safetensors")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert partial.is_dir() and not out.exists()
    fit(task(manifest), out)
    assert (out / "model.safetensors").read_bytes() == (fitted / "model.safetensors").read_bytes()


def test_a_finished_call_gives_its_report_again(
    manifest: Path, fitted: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (fitted / "report.json").read_text("utf-8")
    with monkeypatch.context() as patch:
        patch.setattr(training, "_step", killing(training._step, 1, False))
        report = fit(task(manifest), fitted)
    assert json.loads(before) == json.loads(json.dumps(report.to_dict()))


def test_the_seed_decides_and_the_callers_chance_is_left_alone(
    manifest: Path, fitted: Path, tmp_path: Path
) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    fit(task(manifest, seed=1), tmp_path / "out")
    assert torch.equal(torch.rand(3), expected)
    assert not torch.equal(weights(tmp_path / "out")["out.weight"], weights(fitted)["out.weight"])


def test_encoded_clips_that_are_kept_are_not_encoded_again(
    manifest: Path, fitted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "latents"
    fit(task(manifest), tmp_path / "one", latents=kept)
    assert len(list(kept.iterdir())) == 42
    damaged = min(kept.iterdir())
    damaged.write_bytes(damaged.read_bytes()[:100])
    encoded = []
    encode = Stft.encode

    def counted(self: Stft, waveform: torch.Tensor) -> xplain.Latents:
        encoded.append(waveform)
        return encode(self, waveform)

    monkeypatch.setattr(Stft, "encode", counted)
    fit(task(manifest), tmp_path / "two", latents=kept)
    assert len(encoded) == 2  # the damaged one, and the second of silence that tells the channels
    assert torch.equal(weights(tmp_path / "two")["out.weight"], weights(fitted)["out.weight"])


def test_latents_of_another_setting_of_the_codec_are_not_taken(
    manifest: Path, tmp_path: Path
) -> None:
    kept = tmp_path / "latents"
    fit(task(manifest, epochs=1), tmp_path / "one", latents=kept)
    other = replace(task(manifest, epochs=1), synthesizer_params={"window": 0.016, "power": 1})
    fit(other, tmp_path / "two", latents=kept)
    assert len(list(kept.iterdir())) == 84
    assert not torch.equal(weights(tmp_path / "one")["mean"], weights(tmp_path / "two")["mean"])


def test_normalisation_is_over_all_frames_of_the_training_clips(
    manifest: Path, fitted: Path
) -> None:
    synthesizer = Stft(RATE, window=0.016)
    frames = []
    for name, _, part in rows_of(manifest)[1:]:
        if part == "train":
            samples, _ = soundfile.read(manifest.parent / name, dtype="float32")
            frames.append(synthesizer.encode(torch.from_numpy(samples)[None]).values[0])
    together = torch.cat(frames, dim=1).double()
    found = weights(fitted)
    torch.testing.assert_close(found["mean"], together.mean(1).float())
    torch.testing.assert_close(found["std"], together.std(1, correction=0).float())


def test_balanced_training_hears_a_rare_label(manifest: Path, tmp_path: Path) -> None:
    rows = rows_of(manifest)
    kept = [r for r in rows if not (r[1] == "low" and r[2] == "train" and "low-0" not in r[0])]
    rare = write(manifest.parent / "rare.csv", kept)
    report = fit(task(rare, balanced=True, epochs=12), tmp_path / "out")
    assert report.recall["low"] == 1.0
    assert json.loads((tmp_path / "out/config.json").read_text())["training"]["balanced"] is True


def broken_copy(manifest: Path, folder: Path, broken: int) -> Path:
    """The manifest with absolute paths, and text in place of its first test clips."""
    rows = [[str(manifest.parent / r[0]), *r[1:]] for r in rows_of(manifest)[1:]]
    for number, row in enumerate([r for r in rows if r[2] == "test"][:broken]):
        row[0] = str(folder / f"text-{number}.wav")
        (folder / f"text-{number}.wav").write_text("not a recording")
    return write(folder / "manifest.csv", [["path", "label", "split"], *rows])


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


COMMON = ["--synthesizer=stft", "--head=gru", "--head-param=width=8", "--epochs=1"]


def test_a_clip_that_fails_is_named_and_the_others_go_on(manifest: Path, tmp_path: Path) -> None:
    result = run(broken_copy(manifest, tmp_path, 1), *COMMON, "--out", tmp_path / "out", "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["clips"]["test"] == 11
    ((name, error),) = report["failed"].items()
    assert name == str(tmp_path / "text-0.wav") and "not a recording that can be read" in error
    assert f"failed: {name}" in result.stderr


def test_too_many_clips_that_fail_are_an_error(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(XplainError, match=r"5 of 42 clips cannot be encoded: .*text-0\.wav"):
        fit(task(broken_copy(manifest, tmp_path, 5)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_command_prints_a_table_and_keeps_standard_output_for_json(
    manifest: Path, tmp_path: Path
) -> None:
    result = run(manifest, *COMMON, "--out", tmp_path / "out")
    assert result.exit_code == 0 and result.stdout == ""
    for said in ("accuracy on test", "95 % interval", "always the most frequent label: 0.333"):
        assert said in result.stderr
    assert f"latent:{tmp_path / 'out'}" in result.stderr
    again = run(manifest, *COMMON, "--out", tmp_path / "out", "--json")
    assert json.loads(again.stdout)["labels"] == ["high", "low", "mid"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--where=label"], "--where takes NAME=VALUE, not 'label'"),
        (["--head-param=width"], "--head-param takes NAME=VALUE"),
        (["--head-param=width=NaN"], "width cannot be NaN"),
        (["--epochs=0"], "epochs is at least 1, not 0"),
        (["--patience=0"], "patience is at least 1"),
        (["--batch=0"], "batch is at least 1"),
        (["--learning-rate=0"], "the learning rate is above 0"),
        (["--weight-decay=-1"], "the weight decay is 0 or more"),
        (["--smoothing=1"], "smoothing is a share"),
        (["--masking=2"], "masking is a share from 0 to 1, not 2.0"),
        (["--emphasis=1.5"], "emphasis is a share from 0 to 1, not 1.5"),
        (["--reencoded=-0.1"], "reencoded is a share from 0 to 1"),
        (["--device=nonsense"], "the device 'nonsense' cannot be used"),
        (["--head=lstm"], "no head 'lstm'"),
        (["--synthesizer=stfft"], "no synthesizer 'stfft'; did you mean 'stft'"),
        (["--synthesizer-param=overlap=1"], "overlaps at least 2-fold"),
        (["--synthesizer-param=windw=1"], "no parameter 'windw'"),
    ],
)
def test_wrong_settings_are_refused_before_anything_is_written(
    manifest: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    result = run(manifest, *COMMON, *arguments, "--out", tmp_path / "out")
    assert isinstance(result.exception, XplainError) and said in str(result.exception)
    assert list(tmp_path.iterdir()) == []


def test_recordings_of_several_rates_need_one_to_be_said(manifest: Path, tmp_path: Path) -> None:
    rows = [[str(manifest.parent / r[0]), *r[1:]] for r in rows_of(manifest)[1:]]
    soundfile.write(tmp_path / "fast.wav", torch.randn(4000).numpy() * 0.1, 16000)
    rows.append([str(tmp_path / "fast.wav"), "low", "train"])
    mixed = write(tmp_path / "manifest.csv", [["path", "label", "split"], *rows])
    with pytest.raises(XplainError, match=r"not one \(8000, 16000\).*sample_rate=16000"):
        fit(task(mixed, epochs=1), tmp_path / "out")
    said = replace(task(mixed, epochs=1), synthesizer_params={"sample_rate": 4000})
    fit(said, tmp_path / "out")
    assert xplain.load_model(f"latent:{tmp_path / 'out'}").sample_rate == 4000


def test_a_recording_in_two_parts_is_warned_of(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "copy.wav").write_bytes((manifest.parent / "low-0.wav").read_bytes())
    rows = [[str(manifest.parent / r[0]), *r[1:]] for r in rows_of(manifest)[1:]]
    rows.append([str(tmp_path / "copy.wav"), "low", "test"])
    doubled = write(tmp_path / "manifest.csv", [["path", "label", "split"], *rows])
    with pytest.warns(XplainWarning, match=r"1 recordings are in more than one part.*low-0\.wav"):
        fit(task(doubled, epochs=1), tmp_path / "out")


def test_a_folder_of_anything_else_is_left_alone(
    manifest: Path, fitted: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep me")
    with pytest.raises(ArtifactError, match="is no latent classifier that would be replaced"):
        fit(task(manifest), tmp_path / "mine")
    with pytest.raises(ArtifactError, match="holds a classifier that was fitted otherwise"):
        fit(task(manifest, seed=3), fitted)


def test_an_unfinished_training_with_other_settings_is_left_alone(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, checkpoint = tmp_path / "out", tmp_path / "out.partial" / "checkpoint.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(training, "write_bytes", killing(training.write_bytes, 2, True))
        with pytest.raises(Killed):
            fit(task(manifest), out)
    with pytest.raises(ArtifactError, match="unfinished training of another kind: training differ"):
        fit(task(manifest, seed=3), out)
    checkpoint.write_bytes(checkpoint.read_bytes()[:200])
    with pytest.raises(ArtifactError, match=r"checkpoint\.safetensors is damaged"):
        fit(task(manifest), out)
    (tmp_path / "out.partial" / "job.json").write_text("{")
    with pytest.raises(ArtifactError, match=r"job\.json cannot be read"):
        fit(task(manifest), out)


def test_a_loss_that_is_lost_is_said(manifest: Path, tmp_path: Path) -> None:
    with pytest.raises(XplainError, match="the loss became NaN or infinite in epoch"):
        fit(task(manifest, learning_rate=1e30), tmp_path / "out")


def test_latents_that_are_not_finite_are_a_failure(
    manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode = Stft.encode

    def broken(self: Stft, waveform: torch.Tensor) -> xplain.Latents:
        found = encode(self, waveform)
        return xplain.Latents(found.values / 0, found.context) if waveform.any() else found

    monkeypatch.setattr(Stft, "encode", broken)
    with pytest.raises(XplainError, match=r"42 of 42 clips cannot be encoded.*NaN or infinite"):
        fit(task(manifest), tmp_path / "out")
