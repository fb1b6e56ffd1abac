"""When something counts as heard, on signals whose frames are known."""

from __future__ import annotations

import numpy as np
import pytest

from xplain_nmf.scenes.activity import (
    activity,
    audible,
    fill_pauses,
    frames,
    label_frames,
    level,
    power,
)

FRAME = 320


def blocks(*amplitudes: float) -> np.ndarray:
    """A square wave of one frame for each amplitude: its power is the amplitude's square."""
    wave = np.tile(np.array([1.0, -1.0], np.float32), FRAME // 2)
    return np.concatenate([a * wave for a in amplitudes]).astype(np.float32)


def test_the_power_of_a_frame_is_the_mean_of_its_squares_and_a_cut_frame_ends_in_silence():
    waveform = np.concatenate([blocks(0.5), np.full(80, 0.4, np.float32)])
    np.testing.assert_allclose(power(waveform), [0.25, 0.16 * 80 / 320], rtol=1e-6)
    assert frames(len(waveform)) == 2
    assert (frames(320), frames(321), frames(0)) == (1, 2, 0)


def test_silence_around_a_word_does_not_lower_its_level():
    assert level(np.array([0.0, 4.0, 0.0, 0.0])) == 4.0
    assert level(np.array([1.0, 3.0])) == (1 + 9) / 4
    assert level(np.zeros(3)) == 0.0


@pytest.mark.parametrize(("kind", "range_db"), [("speech", 30), ("music", 40), ("noise", 40)])
def test_what_is_too_far_below_the_clips_level_is_not_active(kind, range_db):
    above, below = 10 ** (-(range_db - 1) / 20), 10 ** (-(range_db + 1) / 20)
    long = [1.0] * 40
    heard = activity(blocks(*long, *[above] * 40, *[below] * 40), kind)
    # The level is that of the loud part to a hair: the rest has a thousandth of its energy.
    assert heard[:80].all()
    assert not heard[80:].any()


@pytest.mark.parametrize(("kind", "pause"), [("speech", 10), ("music", 30), ("noise", 30)])
def test_a_pause_is_filled_until_it_is_too_long(kind, pause):
    short = activity(blocks(1, *[0] * (pause - 1), 1), kind)
    assert short.all()
    long = activity(blocks(1, *[0] * pause, 1), kind)
    assert long.tolist() == [True, *[False] * pause, True]


def test_silence_before_and_after_is_not_filled():
    active = np.array([0, 0, 1, 0, 1, 0, 0], bool)
    assert fill_pauses(active, 10).tolist() == [False, False, True, True, True, False, False]


def test_digital_silence_is_never_active():
    assert not activity(np.zeros(3200, np.float32), "noise").any()


def test_a_stem_is_covered_more_than_30_db_below_the_others_together():
    steady = np.ones(100)
    stems = np.stack([blocks(*steady), blocks(*steady * 10 ** (-29 / 20)), blocks(*steady * 0.03)])
    # The third is 30.5 dB below the first.
    assert audible(stems).all(axis=1).tolist() == [True, True, False]
    assert not audible(stems)[2].any()


def test_a_click_is_heard_over_what_is_quiet_within_a_quarter_of_a_second_only():
    loud = np.zeros(200)
    loud[100] = 1.0
    quiet = np.full(200, 10 ** (-32 / 20))  # of the click's half second: 25 frames' power
    covered = ~audible(np.stack([blocks(*loud), blocks(*quiet)]))[1]
    assert not covered.any()  # 32 dB below for one frame of 25 is 18 dB below on average
    quiet = np.full(200, 10 ** (-50 / 20))
    covered = ~audible(np.stack([blocks(*loud), blocks(*quiet)]))[1]
    assert np.flatnonzero(covered).tolist() == list(range(88, 113))


def test_overlap_is_two_speakers_at_once_and_what_is_not_heard_has_no_label():
    active = np.array([[1, 1, 0, 0], [0, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 1]], bool)
    heard = np.ones_like(active)
    heard[2, 1] = heard[1, 2] = False
    labels = label_frames(active, heard)
    #                          speech music noise overlap
    assert labels.tolist() == [[1, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 0]]
    assert labels.dtype == np.uint8
