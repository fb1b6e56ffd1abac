"""The shipped proxy: zoo:radio stands for zoo:radio-teacher, and says what decided."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import xplain
from training.clips_manifest import read_clip
from xplain_zoo.radio import LABELS, WEIGHTS

pytest.importorskip("xplain_nmf", reason="zoo:radio is read by xplain-nmf")

CLIP = WEIGHTS.parents[1] / "clips" / "radio.flac"


@pytest.fixture(scope="module")
def segmentation() -> xplain.Segmentation:
    return xplain.segment(CLIP, "zoo:radio", explain=True)


def test_both_together_are_small() -> None:
    folders = (WEIGHTS, WEIGHTS.parent / "radio")
    assert sum(file.stat().st_size for f in folders for file in Path(f).iterdir()) < 6e6


def test_it_decides_as_its_teacher(segmentation: xplain.Segmentation) -> None:
    teacher = xplain.segment(CLIP, "zoo:radio-teacher")
    assert segmentation.labels == teacher.labels == LABELS
    onsets = torch.tensor([teacher.thresholds[label].onset for label in LABELS])
    alike = (segmentation.frames >= onsets) == (teacher.frames >= onsets)
    assert (alike.float().mean(dim=0) > 0.9).all(), alike.float().mean(dim=0)


def test_its_segments_say_which_frequencies_speak_for_them(
    segmentation: xplain.Segmentation,
) -> None:
    assert {segment.label for segment in segmentation.segments} >= {"speech", "music"}
    for segment in segmentation.segments:
        assert segment.bands and segment.parts
        assert all(0 <= band.low < band.high <= 8000 for band in segment.bands)


def test_a_clip_turned_down_is_decided_alike(segmentation: xplain.Segmentation) -> None:
    waveform = read_clip(CLIP, 16000)
    for gain in (0.1, 3.0):
        again = xplain.segment(gain * waveform, "zoo:radio")
        assert (again.frames - segmentation.frames).abs().max() < 0.02


def test_without_the_components_of_music_no_music_is_decided() -> None:
    without = xplain.segment(CLIP, f"nmf:{WEIGHTS.parent / 'radio'}?off=music")
    assert "music" not in {segment.label for segment in without.segments}
    assert "speech" in {segment.label for segment in without.segments}
