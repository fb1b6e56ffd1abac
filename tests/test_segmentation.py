"""Segmentations in files: nothing is lost on the way, and other programs read the same."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pyannote.metrics.detection import DetectionErrorRate
from pyannote.metrics.identification import IdentificationErrorRate

from xplain import ArtifactError, Segmentation, Thresholds
from xplain.bands import Band
from xplain.segmentation.result import read_segments
from xplain.segmentation.segment import Part, Segment

pyannote = pytest.importorskip("pyannote.database.util")

STEP = 0.02
HOUR = 180_000
"""Frames of an hour."""


def segmentation(*segments: Segment, name: str = "radio", duration: float = 10.0) -> Segmentation:
    labels = ("speech", "music")
    return Segmentation(
        name=name,
        frames=torch.rand(round(duration / STEP), 2, generator=torch.Generator().manual_seed(0)),
        labels=labels,
        frame_step=STEP,
        duration=duration,
        thresholds={"speech": Thresholds(0.6, 0.4, 0.2, 0.1), "music": Thresholds()},
        segments=segments,
        provenance={"segmenter": {"name": "by hand"}, "explanation": None},
        warnings=("the recording is silent",),
    )


def overlapping(name: str = "radio") -> Segmentation:
    """Two labels at once, for the same time even; one that ends with the recording."""
    return segmentation(
        Segment("speech", 0.0, 1.0, 0.875, (Band(100.0, 200.0, 1 / 3),), (Part(3, -0.1),)),
        Segment("music", 0.5, 9.98, 0.9, ()),
        Segment("speech", 1.14, 1.34, 0.75),
        Segment("music", 9.99, 10.0, 0.5),
        Segment("speech", 9.99, 10.0, 0.5),
        name=name,
    )


def an_hour() -> Segmentation:
    """Segments all over an hour, at odd frames, to its last frame."""
    firsts = range(1, HOUR, 6011)
    segments = [Segment("music", round(f * STEP, 6), round((f + 7) * STEP, 6), 1.0) for f in firsts]
    last = Segment("music", round((HOUR - 1) * STEP, 6), 3600.0, 1.0)
    return replace(segmentation(*segments, last, duration=3600.0), frames=torch.zeros(1, 2))


@pytest.mark.parametrize("made", [overlapping, an_hour, segmentation], ids=lambda f: f.__name__)
def test_pyannote_reads_the_rttm_and_finds_no_error(made, tmp_path: Path) -> None:
    s = made()
    loaded = pyannote.load_rttm(s.to_rttm(tmp_path / "x.rttm"))
    assert list(loaded) == ["radio"]
    hypothesis = loaded["radio"]
    assert len(hypothesis) == len(s.annotation)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pyannote's, that no evaluation map was given
        for label in s.labels:
            reference = s.annotation.subset([label])
            errors = DetectionErrorRate()(reference, hypothesis.subset([label]), detailed=True)
            assert errors["miss"] == errors["false alarm"] == 0.0
            assert errors["total"] == pytest.approx(
                sum(x.end - x.start for x in s.segments if x.label == label)
            )
        assert IdentificationErrorRate()(s.annotation, hypothesis) == 0.0


def test_the_error_would_show_a_frame(tmp_path: Path) -> None:
    s = an_hour()
    moved = replace(s, segments=(*s.segments[:-1], Segment("music", 3599.96, 3600.0, 1.0)))
    hypothesis = pyannote.load_rttm(moved.to_rttm(tmp_path / "x.rttm"))["radio"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        errors = DetectionErrorRate()(s.annotation, hypothesis, detailed=True)
    assert errors["false alarm"] == pytest.approx(STEP)


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("my radio\tshow", "my_radio_show"),
        ("Sendung über Öl", "Sendung_über_Öl"),
        ("nan", "_nan_"),  # pandas takes it for nothing
        ('"quoted" name', "_quoted_name"),
        ("007", "007"),
        ("", "__"),
    ],
)
def test_names_that_rttm_cannot_hold_come_back_as_one_word(
    name: str, uri: str, tmp_path: Path
) -> None:
    path = overlapping(name).to_rttm(tmp_path / "x.rttm")
    loaded = pyannote.load_rttm(path)
    assert list(loaded) == [uri]
    assert len(list(loaded[uri].itertracks())) == 5
    assert len(read_segments(path, name)) == 5


def test_labels_that_would_become_one_are_refused_in_rttm(tmp_path: Path) -> None:
    s = segmentation(Segment("a b", 0, 1, 0.5), Segment("a_b", 0, 1, 0.5))
    with pytest.raises(ArtifactError, match="'a b', 'a_b'"):
        s.to_rttm(tmp_path / "x.rttm")
    assert not list(tmp_path.iterdir())


def test_json_gives_all_of_it_back(tmp_path: Path) -> None:
    s = overlapping()
    loaded = Segmentation.load(s.to_json(tmp_path / "x.json"))
    assert torch.equal(loaded.frames, s.frames) and loaded.frames.dtype == torch.float32
    fields = ("name", "labels", "frame_step", "duration", "thresholds", "segments")
    for name in (*fields, "provenance", "warnings"):
        assert getattr(loaded, name) == getattr(s, name), name
    assert repr(loaded) == "<Segmentation of radio: 10.00 s, 3 speech, 2 music>"
    assert read_segments(tmp_path / "x.json") == s.segments


@pytest.mark.parametrize("made", [overlapping, an_hour, segmentation], ids=lambda f: f.__name__)
@pytest.mark.parametrize("suffix", ["rttm", "csv", "txt", "TextGrid"])
def test_segments_come_back_from_other_programs_files(made, suffix: str, tmp_path: Path) -> None:
    s = made()
    path = tmp_path / f"x.{suffix}"
    {"rttm": s.to_rttm, "csv": s.to_csv, "txt": s.to_audacity, "TextGrid": s.to_textgrid}[suffix](
        path
    )
    loaded = read_segments(path)
    key = {(x.label, x.start, x.end) for x in s.segments}
    assert len(loaded) == len(s.segments)
    assert {(x.label, x.start, x.end) for x in loaded} == key
    if suffix == "csv":
        assert [x.score for x in loaded] == [x.score for x in s.segments]


def test_csv_and_audacity_as_they_are(tmp_path: Path) -> None:
    s = segmentation(
        Segment('say "a, b"', 0.5, 1.02, 0.75, (Band(100.0, 200.0, 0.4), Band(300.0, 400.0, 0.1)))
    )
    assert s.to_csv(tmp_path / "x.csv").read_text() == (
        "label,start,end,score,bands\n"
        '"say ""a, b""",0.500000,1.020000,0.75,100-200:0.4000 300-400:0.1000\n'
    )
    assert s.to_audacity(tmp_path / "x.txt").read_text() == (
        '0.500000\t1.020000\tsay "a, b"\n\\\t100.000000\t200.000000\n'
    )


def test_a_textgrid_tiles_the_time_of_each_label(tmp_path: Path) -> None:
    s = segmentation(Segment('a "b"', 1.0, 2.0, 0.5), duration=3.0)
    s = replace(s, labels=('a "b"', "music"))
    text = s.to_textgrid(tmp_path / "x.TextGrid").read_text()
    assert text == (
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = 3.000000\n'
        "tiers? <exists>\nsize = 2\nitem []:\n"
        '    item [1]:\n        class = "IntervalTier"\n        name = "a ""b"""\n'
        "        xmin = 0\n        xmax = 3.000000\n        intervals: size = 3\n"
        "        intervals [1]:\n            xmin = 0.000000\n            xmax = 1.000000\n"
        '            text = ""\n'
        "        intervals [2]:\n            xmin = 1.000000\n            xmax = 2.000000\n"
        '            text = "a ""b"""\n'
        "        intervals [3]:\n            xmin = 2.000000\n            xmax = 3.000000\n"
        '            text = ""\n'
        '    item [2]:\n        class = "IntervalTier"\n        name = "music"\n'
        "        xmin = 0\n        xmax = 3.000000\n        intervals: size = 1\n"
        "        intervals [1]:\n            xmin = 0.000000\n            xmax = 3.000000\n"
        '            text = ""\n'
    )


def test_praats_short_text_files_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "x.TextGrid"
    path.write_text(
        'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n2.5\n<exists>\n2\n'
        '"IntervalTier"\n"words"\n0\n2.5\n2\n0\n1.5\n""\n1.5\n2.5\n"ja"\n'
        '"TextTier"\n"points"\n0\n2.5\n1\n0.7\n"here"\n'
    )
    assert read_segments(path) == (Segment("ja", 1.5, 2.5),)


def test_an_rttm_of_several_recordings_needs_a_name(tmp_path: Path) -> None:
    path = tmp_path / "x.rttm"
    line = "SPEAKER {} 1 0.5 0.25 <NA> <NA> ann <NA> <NA>\n"
    path.write_text(line.format("one") + line.format("two"))
    with pytest.raises(ArtifactError, match="one, two"):
        read_segments(path)
    assert read_segments(path, "two") == (Segment("ann", 0.5, 0.75),)
    with pytest.raises(ArtifactError, match="nothing of 'three'"):
        read_segments(path, "three")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.rttm", "SPEAKER x 1 soon 1 <NA> <NA> a <NA> <NA>\n"),
        ("x.csv", "a,b\n1,2\n"),
        ("x.txt", "1.0 2.0 a\n"),
        ("x.TextGrid", "nothing of the kind"),
        ("x.TextGrid", 'File type = "ooTextFile"\nObject class = "TextGrid"\n0\n1\n1\n'),
        ("x.json", "{}"),
    ],
)
def test_other_files_are_refused_by_name(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ArtifactError, match=name):
        read_segments(tmp_path / name)


def test_damaged_json_is_refused(tmp_path: Path) -> None:
    path = overlapping().to_json(tmp_path / "x.json")
    data = json.loads(path.read_text())
    for key, value in {
        "schema": 99,
        "segments": [{}],
        "frames": {"shape": [1, 2], "data": "AAAA"},
        "labels": ["speech"],
        "thresholds": {"speech": {"onset": 7}},
        "duration": -1,
        "frame_step": 0,
        "name": 7,
        "warnings": "none",
        "provenance": [[[[]]]],
    }.items():
        path.write_text(json.dumps({**data, key: value}))
        with pytest.raises(ArtifactError, match=r"x\.json"):
            Segmentation.load(path)
    for origin in (
        {},
        {"segmenter": {"name": 7}},
        {"explanation": {"explainer": {"name": "x"}}},
        {"audio": ["a.wav"]},
        {"audio": {"path": ["a.wav"]}},
    ):
        shown = {} if "segmenter" in origin or not origin else {"segmenter": {"name": "x"}}
        path.write_text(json.dumps({**data, "provenance": {**shown, **origin}}))
        with pytest.raises(ArtifactError, match=r"x\.json, provenance"):
            Segmentation.load(path)
    path.write_text("not json")
    with pytest.raises(ArtifactError, match=r"x\.json"):
        Segmentation.load(path)
    with pytest.raises(ArtifactError, match="nowhere"):
        Segmentation.load(tmp_path / "nowhere.json")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="cannot be written"):
        overlapping().to_rttm(tmp_path)  # a folder
    (tmp_path / "old.csv").write_text("old")
    bad = segmentation(Segment("speech", 0, 1, float("nan")))
    with pytest.raises(ValueError):
        bad.to_json(tmp_path / "old.csv")
    assert (tmp_path / "old.csv").read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["old.csv"]
