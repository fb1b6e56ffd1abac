"""What a tracker was given is read back by its own reader."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import soundfile
import torch

import xplain
from xplain.discovery import Found
from xplain.errors import PluginError
from xplain.segmentation.segment import Segment

NASTY = "../<img src=x onerror=alert(1)>"
RATE = 8000


class Loud(torch.nn.Module):
    """Two logits of the energy."""

    def forward(self, waveform: torch.Tensor) -> torch.Tensor:
        energy = waveform.square().mean(dim=1)
        return torch.stack([energy, 0.02 - energy], dim=1)


@pytest.fixture(scope="module")
def explanation() -> xplain.Explanation:
    """Of a tone, with a hostile name and label; asked for one part kept and one removed."""
    tone = 0.5 * torch.sin(2800 * torch.arange(RATE // 2) / RATE)
    model = xplain.wrap(Loud(), sample_rate=RATE, labels=(NASTY, "soft"))
    made = xplain.explain(xplain.Audio(tone, RATE, NASTY), model, target=NASTY)
    made.scores(keep=[0.1], remove=[0.3])
    return made


def expected(e: xplain.Explanation) -> dict[str, float]:
    kept, removed = (o.reencoded.probability for o in e.saved)
    assert e.target.probability is not None and kept is not None and removed is not None
    known = {"score": e.score, "probability": e.target.probability}
    return {**known, "keep-0.1": kept, "remove-0.3": removed}


AT = "__img src_x onerror_alert_1__"


def test_tensorboard_shows_numbers_sounds_the_figure_and_facts(
    explanation: xplain.Explanation, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    explanation.log("tensorboard", directory=tmp_path, step=3)
    read: Any = EventAccumulator(str(tmp_path))
    read.Reload()
    for key, value in expected(explanation).items():
        (event,) = read.Scalars(f"{AT}/{key}")
        assert (event.step, event.value) == (3, pytest.approx(value, rel=1e-6)), key
    (sound,) = read.Audio(f"{AT}/keep-0.1")
    samples, rate = soundfile.read(io.BytesIO(sound.encoded_audio_string), dtype="float32")
    assert rate == RATE
    assert torch.allclose(torch.from_numpy(samples), explanation.keep(0.1), atol=1e-4)
    (picture,) = read.Images(f"{AT}/attribution")
    assert picture.encoded_image_string.startswith(b"\x89PNG") and picture.width > 500
    (text,) = read.Tensors(f"{AT}/facts/text_summary")
    lines = text.tensor_proto.string_val[0].decode().split("\n")
    assert all(line.startswith("    ") for line in lines)  # code to Markdown, so never a tag
    assert NASTY in json.loads("\n".join(lines))["target"]


def test_mlflow_keeps_an_explanation_that_can_be_loaded(
    explanation: xplain.Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    flow = pytest.importorskip("mlflow")
    flow.set_tracking_uri(tmp_path.as_uri())
    flow.set_experiment("listening")
    explanation.log("mlflow", step=3)
    assert flow.active_run() is None  # the run of its own has ended
    with flow.start_run() as run:
        explanation.log("mlflow", name="again")
        assert flow.active_run().info.run_id == run.info.run_id
    assert "again/score" in flow.get_run(run.info.run_id).data.metrics
    (other,) = (
        r for r in flow.search_runs(output_format="list") if r.info.run_id != run.info.run_id
    )
    for key, value in expected(explanation).items():
        assert other.data.metrics[f"{AT}/{key}"] == pytest.approx(value), key
    client = flow.MlflowClient()
    (event,) = client.get_metric_history(other.info.run_id, f"{AT}/score")
    assert event.step == 3
    folder = Path(client.download_artifacts(other.info.run_id, AT))
    loaded = xplain.Explanation.load(folder / "explanation")
    assert torch.equal(loaded.attribution, explanation.attribution)
    assert (folder / "index.html").read_text("utf-8").startswith("<!DOCTYPE html>")
    assert json.loads((folder / "facts.json").read_text("utf-8"))["verdict"] == "not checked"


def test_wandb_gets_numbers_and_media(
    explanation: xplain.Explanation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    with wandb.init(dir=tmp_path, project="x") as run:
        explanation.log("wandb")
        summary = dict(run.summary)
        config = dict(run.config)
    for key, value in expected(explanation).items():
        assert summary[f"{AT}/{key}".replace(".", "_")] == pytest.approx(value), key
    assert NASTY in config["xplain"][AT]["target"]
    (media,) = Path(tmp_path).glob("wandb/offline-run-*/files/media")
    assert sorted(p.suffix for p in media.rglob("*.*") if p.is_file()) == [
        ".html", ".png", ".wav", ".wav", ".wav"
    ]  # fmt: skip


def test_a_segmentation_is_logged_by_its_labels(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made = xplain.Segmentation(
        "radio", torch.full((100, 1), 0.9), ("speech",), 0.02, 2.0,
        {"speech": xplain.Thresholds()}, (Segment("speech", 0.0, 1.5, 0.9),),
        {"segmenter": {"name": "mine"}, "xplain": "0"},
    )  # fmt: skip
    made.log("tensorboard", directory=tmp_path)
    read: Any = EventAccumulator(str(tmp_path))
    read.Reload()
    assert read.Scalars("radio/speech-seconds")[0].value == 1.5


def test_a_strangers_logger_comes_in_by_an_entry_point(
    explanation: xplain.Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = EntryPoint("mine", "stranger:log", "xplain.loggers")
    monkeypatch.setattr("xplain.views.installed", lambda: ((Found(entry, "theirs", "1"),), ()))
    with pytest.raises(PluginError, match="'mine' cannot be loaded"):
        explanation.log("mine")
    said: list[Any] = []
    stranger = type(sys)("stranger")
    stranger.log = lambda result, **settings: said.append((result, settings))  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "stranger", stranger)
    explanation.log("mine", folder="x")
    assert said == [(explanation, {"folder": "x"})]


def test_what_is_not_there_is_said_in_one_line(
    explanation: xplain.Explanation, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(PluginError, match=r"no logger 'tensorbord'.*tensorboard"):
        explanation.log("tensorbord")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(PluginError, match="pip install mlflow-skinny"):
        explanation.log("mlflow")


def test_no_tracker_is_imported_before_it_is_asked_for() -> None:
    trackers = ("tensorboard", "mlflow", "wandb", "torch.utils.tensorboard")
    code = (
        f"import sys, xplain_loggers.trackers; print([t for t in {trackers} if t in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
