"""``xplain segment``, run as a user runs it."""

from __future__ import annotations

import base64
import io
import json
import sys
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from pyannote.core import Annotation
from test_report import held

import xplain
from xplain.cli.main import main
from xplain.report.segments import write_page
from xplain.segmentation.result import read_segments

RATE = 8000

FILE = """
import sys
sys.path.insert(0, {tests!r})
import torch
import xplain
from wrong_plugins import Additive

class Logits(torch.nn.Module):
    def forward(self, waveform):
        print("hello from the model")
        return Additive().logits(waveform)

def make():
    return xplain.wrap(Logits(), sample_rate=8000, labels=Additive.labels, multilabel=True,
                       frame_step=0.02, segmenter=Additive(), name="bands")

def black_box():
    return xplain.wrap(Logits(), sample_rate=8000, labels=Additive.labels, multilabel=True,
                       frame_step=0.02, differentiable=False, name="box")

def own():
    return Additive()

def clips():
    return xplain.wrap(Logits(), sample_rate=8000, labels=Additive.labels, multilabel=True)
"""


@dataclass(frozen=True)
class Done:
    """How a run ended."""

    status: int
    out: str
    err: str


@pytest.fixture
def xplain_segment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """The command, in a folder with a recording: low from 0.2 to 0.6 s, high from 1 to 1.4 s."""
    time = np.arange(round(1.6 * RATE)) / RATE
    sound = 0.3 * np.sin(2 * np.pi * 500 * time) * ((time >= 0.2) & (time < 0.6))
    sound += 0.3 * np.sin(2 * np.pi * 3500 * time) * ((time >= 1) & (time < 1.4))
    soundfile.write(tmp_path / "radio.wav", sound, RATE)
    (tmp_path / "s.py").write_text(FILE.format(tests=str(Path(__file__).parent)))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["xplain", "segment", *arguments])
        with warnings.catch_warnings():
            try:
                main()
                status = 0
            except SystemExit as end:
                status = int(end.code or 0)
        captured = capsys.readouterr()
        return Done(status, captured.out, captured.err)

    return run


KNOWN = [("low", 0.2, 0.6), ("high", 1.0, 1.4)]


def test_a_recording_becomes_rttm_and_people_read_what_was_found(xplain_segment) -> None:
    done = xplain_segment("radio.wav", "--segmenter", "s.py:make")
    assert done.status == 0
    assert done.out == ""
    for said in ("radio: 1.60 s", "low: 1 segments, 0.40 s", "1.00 – 1.40 s  high", "radio.rttm"):
        assert said in done.err
    assert [(s.label, s.start, s.end) for s in read_segments("out/radio.rttm")] == KNOWN
    assert sorted(p.name for p in Path("out").iterdir()) == ["radio.html", "radio.rttm"]


def test_json_holds_what_is_promised_and_nothing_else_is_printed(xplain_segment) -> None:
    done = xplain_segment("radio.wav", "--segmenter", "s.py:make", "--explain", "--json")
    assert done.status == 0
    (line,) = done.out.splitlines()
    data = json.loads(line)
    promised = {"audio", "segmenter", "duration", "frame_step", "labels", "segments", "files"}
    assert promised <= set(data)
    assert data["audio"]["path"] == "radio.wav"
    assert (data["segmenter"], data["duration"], data["frame_step"]) == ("bands", 1.6, 0.02)
    assert data["labels"] == ["low", "high"]
    assert [(s["label"], s["start"], s["end"]) for s in data["segments"]] == KNOWN
    for found in data["segments"]:
        assert {"label", "start", "end", "score", "bands"} <= set(found)
        assert 0.5 <= found["score"] <= 1
        assert all(0 < band["share"] <= 1 for band in found["bands"])
    # The parts' spectra are four bands of 1 kHz each, up to 4 kHz.
    assert data["segments"][0]["bands"][0]["high"] <= 1080
    assert data["segments"][1]["bands"][0]["low"] >= 2700
    assert "relevance" in data["explanation"]["method"]
    for path in data["files"].values():
        assert Path(path).is_file()


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("rttm", "radio.rttm"),
        ("csv", "radio.csv"),
        ("audacity", "radio.txt"),
        ("textgrid", "radio.TextGrid"),
    ],
)
def test_every_format_has_a_file_that_is_read_back(xplain_segment, kind: str, name: str) -> None:
    done = xplain_segment("radio.wav", "--segmenter", "s.py:make", "--format", kind, "--out", "x")
    assert done.status == 0
    assert [(s.label, s.start, s.end) for s in read_segments(Path("x") / name)] == KNOWN


def test_the_json_file_is_the_whole_segmentation(xplain_segment) -> None:
    xplain_segment("radio.wav", "--segmenter", "s.py:make", "--format", "json", "--format", "csv")
    loaded = xplain.Segmentation.load("out/radio.json")
    assert loaded.frames.shape == (80, 2)
    assert isinstance(loaded.annotation, Annotation)
    assert Path("out/radio.csv").is_file()


def test_black_boxes_are_explained_and_the_method_is_named(xplain_segment) -> None:
    done = xplain_segment("radio.wav", "--segmenter", "s.py:black_box", "--explain", "--json")
    assert done.status == 0
    (line,) = done.out.splitlines()  # what the model prints goes elsewhere
    data = json.loads(line)
    assert data["explanation"]["explainer"]["name"] == "xplain-captum/feature-ablation"
    for found, hertz in zip(data["segments"], (500, 3500), strict=True):
        assert found["bands"][0]["low"] - 320 <= hertz <= found["bands"][0]["high"] + 320
    page = Path(data["files"]["page"]).read_text()
    assert "feature-ablation" in page


@pytest.mark.parametrize("made", ["make", "black_box"])
def test_segments_are_explained_by_the_method_that_is_named(xplain_segment, made: str) -> None:
    method = ("--explainer", "occlusion", "--param", "window=9x999", "--param", "stride=9x999")
    nothing = ("--baseline", "zero", "--replacement", "zero")
    asked = ("--segmenter", f"s.py:{made}", "--explain", *method, *nothing, "--json")
    done = xplain_segment("radio.wav", *asked)
    assert done.status == 0
    data = json.loads(done.out)
    assert data["explanation"]["explainer"]["name"] == "xplain-captum/occlusion"
    assert data["explanation"]["baseline"]["name"] == "xplain-codecs/zero"
    for found, hertz in zip(data["segments"], (500, 3500), strict=True):
        assert found["bands"][0]["low"] - 320 <= hertz <= found["bands"][0]["high"] + 320


def test_a_method_without_explain_is_refused(xplain_segment) -> None:
    done = xplain_segment("radio.wav", "--segmenter", "s.py:make", "--explainer", "occlusion")
    assert done.status == 2
    assert "--explain" in done.err


def test_the_others_go_on_and_the_failed_are_named(xplain_segment) -> None:
    Path("empty.wav").touch()
    done = xplain_segment("empty.wav", "radio.wav", "no.wav", "--segmenter", "s.py:make", "--json")
    assert done.status == 1
    assert len(done.out.splitlines()) == 1
    assert "empty.wav: the file is empty" in done.err
    assert "2 of 3 recordings failed: empty.wav, no.wav" in done.err


def test_a_file_may_make_a_segmenter_itself(xplain_segment) -> None:
    done = xplain_segment("radio.wav", "--segmenter", "s.py:own", "--json")
    assert json.loads(done.out)["segmenter"] == "wrong_plugins:Additive"
    assert [(s.label, s.start, s.end) for s in read_segments("out/radio.rttm")] == KNOWN


def test_two_recordings_of_one_name_have_files_of_their_own(xplain_segment) -> None:
    Path("other").mkdir()
    Path("other/radio.wav").write_bytes(Path("radio.wav").read_bytes())
    assert xplain_segment("radio.wav", "other/radio.wav", "--segmenter", "s.py:make").status == 0
    assert sorted(p.name for p in Path("out").glob("*.rttm")) == ["radio-2.rttm", "radio.rttm"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--segmenter", "s.py:clips"), "once per clip"),
        (("--segmenter", "nobody"), "no segmenter 'nobody'"),
        (("--segmenter", "s.py:make", "--segmenter-param", "x=1"), "params go with"),
        (("--segmenter", "s.py:make", "--format", "mp3"), "mp3"),
        (("--segmenter", "s.py:make", "--device", "nowhere"), "nowhere"),
        (("--segmenter", "s.py:make", "--out", "radio.wav"), "is a file"),
    ],
)
def test_wrong_usage_is_status_2(xplain_segment, arguments: tuple[str, ...], says: str) -> None:
    done = xplain_segment("radio.wav", *arguments)
    assert done.status == 2
    assert says in done.err
    assert done.out == ""


def test_every_recording_has_a_page_that_holds_its_frames_and_its_sound(
    xplain_segment, tmp_path: Path
) -> None:
    xplain_segment("radio.wav", "--segmenter", "s.py:make", "--format", "json")
    s = xplain.Segmentation.load("out/radio.json")
    page = held(Path("out/radio.html"))
    frames = np.frombuffer(zlib.decompress(base64.b64decode(page["frames"])), "<u2") / 65535
    np.testing.assert_allclose(frames.reshape(2, -1), s.frames.numpy().T, atol=1e-5)
    sound, rate = soundfile.read(io.BytesIO(base64.b64decode(page["audio"])))
    assert rate == RATE and len(sound) == pytest.approx(1.6 * RATE, abs=64)
    assert [(s["label"], s["start"], s["end"]) for s in page["segments"]] == KNOWN
    object.__setattr__(s, "name", "<script>alert(1)</script>")
    assert "<script>a" not in write_page(s, tmp_path / "x.html").read_text()
    low, _high = s.plot().axes
    (span,) = low.patches
    assert (span.get_x(), span.get_width()) == pytest.approx((0.2, 0.4))
    assert list(s.to_dataframe()["label"]) == [label for label, *_ in KNOWN]


def test_nothing_of_another_recording_or_other_settings_is_overwritten(xplain_segment) -> None:
    def written() -> dict[str, bytes]:
        return {p.name: p.read_bytes() for p in Path("out").glob("*.[!h]*")}

    Path("b").mkdir()
    silence = np.zeros(RATE)
    soundfile.write("b/radio.wav", silence, RATE)
    call = ("--segmenter", "s.py:make", "--format", "rttm", "--format", "csv")
    assert xplain_segment("radio.wav", "b/radio.wav", *call).status == 0
    first = written()
    assert set(first) == {"radio.rttm", "radio.csv", "radio-2.rttm", "radio-2.csv"}
    assert {line.split()[1] for line in first["radio-2.rttm"].decode().splitlines()} == {"radio-2"}
    # The very same call again, and one for another file of the same segments, change nothing.
    assert xplain_segment("radio.wav", "b/radio.wav", *call).status == 0
    xplain_segment("radio.wav", "--segmenter", "s.py:make", "--format", "audacity")
    assert written() == {**first, "radio.txt": written()["radio.txt"]}
    # Others of the name: another recording alone, and what somebody else wrote.
    Path("out/talk.txt").write_text("my notes")
    soundfile.write("talk.wav", silence, RATE)
    xplain_segment("talk.wav", *call)
    assert Path("out/talk.txt").read_text() == "my notes" and "talk-2.rttm" in written()
    xplain_segment("b/radio.wav", *call, "--overwrite")
    assert written()["radio.rttm"] != first["radio.rttm"]
