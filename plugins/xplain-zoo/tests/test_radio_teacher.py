"""The shipped weights: what zoo:radio-teacher hears, and on what it can rely."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

import xplain
from training.clips_manifest import read_clip
from training.measure_radio import scores
from training.radio_data import read_meetings
from training.radio_scores import f1
from xplain_zoo.radio import LABELS, WEIGHTS, RadioSegmenter

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("XPLAIN_SHARED", ROOT.parent / "shared"))
CLIP = WEIGHTS.parents[1] / "clips" / "radio.flac"

HEARD = (  # what make_radio.py puts where: label, from, to (seconds)
    ("music", 0.0, 5.3),  # faded out to 5.6
    ("music", 21.6, 29.7),
    ("noise", 9.7, 20.9),
    ("speech", 5.0, 9.73),
    ("speech", 10.6, 14.91),
    ("speech", 15.6, 18.11),
    ("speech", 23.0, 26.51),
    ("overlap", 13.4, 14.83),
)


@pytest.fixture(scope="module")
def model() -> xplain.Model:
    return xplain.load_model("zoo:radio-teacher")


@pytest.fixture(scope="module")
def clip() -> torch.Tensor:
    return read_clip(CLIP, 16000)


def reference() -> torch.Tensor:
    """Frames (1500, 4) of the clip."""
    labels = torch.zeros(1500, len(LABELS))
    for label, start, end in HEARD:
        labels[round(start * 50) : round(end * 50), LABELS.index(label)] = 1
    return labels


def decided(segmentation: xplain.Segmentation) -> torch.Tensor:
    """Frames (T, 4) inside the segments that were found."""
    frames = torch.zeros(len(segmentation.frames), len(LABELS), dtype=torch.bool)
    for segment in segmentation.segments:
        label = LABELS.index(segment.label)
        frames[round(segment.start * 50) : round(segment.end * 50), label] = True
    return frames


def test_it_says_what_it_is(model):
    assert model.labels == ("speech", "music", "noise", "overlap")
    assert (model.sample_rate, model.frame_step, model.multilabel) == (16000, 0.02, True)
    weights = (WEIGHTS / "model.safetensors").stat().st_size
    assert weights < 2.5e6


def test_the_projects_own_broadcast_is_segmented_sensibly(model):
    speech, music, noise, overlap = f1(decided(xplain.segment(CLIP, model)), reference())
    assert speech > 0.85
    assert music > 0.85
    assert noise > 0.75
    assert overlap > 0.4


def test_windows_give_what_the_whole_gives(model, clip):
    long = torch.cat([clip, clip.flip(0), clip])[: 16000 * 70 + 123]
    segmentation = xplain.segment(long, model)
    with torch.no_grad():
        whole = model.module(long[None])[0].sigmoid()
    torch.testing.assert_close(segmentation.frames, whole, atol=1e-4, rtol=0)


@pytest.mark.parametrize("level", [-20, 20])
def test_decisions_do_not_depend_on_loudness(model, clip, level):
    louder = xplain.segment(clip * 10 ** (level / 20), model)
    changed = decided(louder) != decided(xplain.segment(clip, model))
    assert changed.float().mean() < 0.01


def test_a_meeting_that_was_not_trained_on():
    rttm = SHARED / "data" / "ami" / "dev.rttm"
    if not rttm.exists():
        pytest.skip("needs ../shared/data")
    known = [(meeting.waveform, meeting.labels) for meeting in read_meetings(rttm)]
    # 0.918 by the model card, short of the 0.92 that was aimed at.
    assert scores(RadioSegmenter.from_folder(), known)["speech"] >= 0.91
