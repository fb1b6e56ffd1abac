"""Recordings read in blocks are the recordings read whole, with all of the same checks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from xplain import AudioError, XplainWarning, audio, recording


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "BLOCK", 1000)
    monkeypatch.setattr(recording, "BLOCK", 1000)


def sound(samples: int = 12_345, channels: int = 2) -> np.ndarray:
    return np.random.default_rng(0).uniform(-0.5, 0.5, (samples, channels))


def joined(stream: audio.Stream) -> torch.Tensor:
    return torch.cat(list(stream.blocks))


@pytest.mark.parametrize("name", ["x.wav", "x.flac", "x.ogg"])
def test_blocks_are_the_samples_of_the_whole(small_blocks: None, name: str, tmp_path: Path) -> None:
    soundfile.write(tmp_path / name, sound(), 8000)
    whole = audio.read(tmp_path / name)
    stream = audio.stream(tmp_path / name, 8000)
    assert (stream.name, stream.sample_rate, stream.source) == ("x", 8000, whole.source)
    assert stream.duration == whole.duration == pytest.approx(12_345 / 8000)
    assert torch.equal(joined(stream), whole.waveform)


@pytest.mark.parametrize("rate", [16000, 22050, 5000])
def test_blocks_at_another_rate_are_the_whole_resampled(
    small_blocks: None, rate: int, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "x.wav", sound(), 8000)
    whole = audio.resample(audio.read(tmp_path / "x.wav"), rate).waveform
    for stream in (
        audio.stream(tmp_path / "x.wav", rate),
        audio.as_stream(audio.read(tmp_path / "x.wav"), rate),
    ):
        got = joined(stream)
        assert len(got) == pytest.approx(len(whole), abs=1)
        length = min(len(got), len(whole))
        torch.testing.assert_close(got[:length], whole[:length], rtol=0, atol=1e-5)


def test_a_part_is_the_part_of_the_whole(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", sound(), 8000)
    whole = audio.read(tmp_path / "x.wav").waveform
    assert torch.equal(audio.read_part(tmp_path / "x.wav", 0.25, 1.0).waveform, whole[2000:8000])
    assert torch.equal(audio.read_part(tmp_path / "x.wav", 1.5, 9.0).waveform, whole[12_000:])
    with pytest.raises(AudioError, match="no samples"):
        audio.read_part(tmp_path / "x.wav", 2.0, 3.0)


def test_what_is_wrong_with_a_file_is_said_before_the_first_block(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", sound(), 8000)
    (tmp_path / "cut.wav").write_bytes((tmp_path / "x.wav").read_bytes()[:-2000])
    (tmp_path / "text.wav").write_text("nothing to hear")
    (tmp_path / "empty.wav").touch()
    for name, says in {
        "cut.wav": "truncated",
        "text.wav": "not a recording",
        "empty.wav": "empty",
        "none.wav": "does not exist",
        ".": "is a folder",
    }.items():
        with pytest.raises(AudioError, match=says):
            audio.stream(tmp_path / name, 8000)


def test_what_is_wrong_with_samples_is_said_when_they_are_reached(
    small_blocks: None, tmp_path: Path
) -> None:
    bad = sound()[:, 0].copy()
    bad[[10_000, 10_001]] = np.nan, np.inf
    soundfile.write(tmp_path / "x.wav", bad, 8000, "FLOAT")
    blocks = audio.stream(tmp_path / "x.wav", 8000).blocks
    assert len(next(blocks)) == 1000
    with pytest.raises(AudioError, match=r"2 of them\), the first at 1\.250 s"):
        list(blocks)


def test_silence_and_nothing(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "zero.wav", np.zeros(5000), 8000)
    with pytest.warns(XplainWarning, match="silent"):
        assert len(joined(audio.stream(tmp_path / "zero.wav", 8000))) == 5000
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 8000)
    with pytest.raises(AudioError, match="no samples"):
        joined(audio.stream(tmp_path / "none.wav", 8000))
    soundfile.write(tmp_path / "one.wav", np.ones(1) / 2, 48000)
    with pytest.raises(AudioError, match="shorter than one sample"):
        joined(audio.stream(tmp_path / "one.wav", 100))


def test_samples_so_large_that_their_sum_overflows_are_still_finite(tmp_path: Path) -> None:
    huge = np.full(100, 3e38, np.float32)
    soundfile.write(tmp_path / "x.wav", huge, 8000, "FLOAT")
    assert len(audio.read(tmp_path / "x.wav").waveform) == 100
