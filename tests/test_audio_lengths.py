"""How long a recording is: what its file holds, whatever its header states."""

from __future__ import annotations

import random
import re
import resource
import struct
import warnings
from pathlib import Path

import mutations
import numpy as np
import pytest
import torch
from mutations import RATE, encoded, sound

from xplain import AudioError, XplainWarning, audio

SAMPLES = 8000
UNKNOWN = (0, 0x7FFFF000, 2**31, 2**31 - 37, 2**31 - 1, 2**32 - 37, 2**32 - 1)
LENGTH_OF_DATA = {"wav": ("data", 4, "<I"), "w64": ("data", 16, "<Q"), "caf": ("data", 4, ">q")}


def rewritten(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def with_length(kind: str, length: int) -> bytes:
    """A file whose header states so many bytes of samples."""
    data = encoded(kind)
    if kind == "au":
        return rewritten(data, 8, struct.pack(">I", length))
    if kind == "rf64":
        return rewritten(data, data.index(b"ds64") + 16, struct.pack("<Q", length))
    if kind == "aiff":
        at = data.index(b"COMM") + 10
        data = rewritten(data, at, struct.pack(">I", min(length // 2, 2**32 - 1)))
        return rewritten(data, data.index(b"SSND") + 4, struct.pack(">I", (length + 8) % 2**32))
    name, offset, code = LENGTH_OF_DATA[kind]
    return rewritten(data, data.index(name.encode()) + offset, struct.pack(code, length))


def unknown_flac() -> bytes:
    data = bytearray(encoded("flac"))
    data[21] &= 0xF0
    data[22:26] = bytes(4)
    return bytes(data)


def heard(path: Path, data: bytes) -> torch.Tensor:
    """All samples of a file: the same however it is read."""
    path.write_bytes(data)
    whole = audio.read(path)
    stream = audio.stream(path, whole.sample_rate)
    assert torch.equal(torch.cat(list(stream.blocks)), whole.waveform)
    assert stream.duration == whole.duration == whole.source["duration"]
    third = whole.duration / 3
    first, last = round(third * whole.sample_rate), round(2 * third * whole.sample_rate)
    part = audio.read_part(path, third, 2 * third)
    assert part.source["sha256"] is None
    assert torch.equal(part.waveform, whole.waveform[first:last])
    assert torch.equal(stream.part(third, 2 * third).waveform, part.waveform)
    return whole.waveform


@pytest.mark.filterwarnings("error::xplain.XplainWarning")
@pytest.mark.parametrize("kind", mutations.CONTAINERS)
def test_every_container_is_read_whole_and_in_part(kind: str, tmp_path: Path) -> None:
    rate = 48000 if kind == "opus" else RATE
    assert abs(len(heard(tmp_path / "x", encoded(kind, rate=rate))) - SAMPLES) < 600


@pytest.mark.filterwarnings("error::xplain.XplainWarning")
@pytest.mark.parametrize("length", UNKNOWN)
@pytest.mark.parametrize("kind", ["wav", "rf64", "w64", "au", "caf", "aiff"])
def test_a_length_that_no_file_could_keep_is_unknown(
    kind: str, length: int, tmp_path: Path
) -> None:
    got = heard(tmp_path / "x", with_length(kind, length))
    np.testing.assert_allclose(got, sound(), atol=2**-15)


@pytest.mark.filterwarnings("error::xplain.XplainWarning")
@pytest.mark.parametrize(
    "data",
    [
        with_length("w64", 2**63 - 1),
        with_length("rf64", 2**64 - 1),
        with_length("caf", -1),
        rewritten(with_length("wav", 0), 4, bytes(4)),
        unknown_flac(),
        unknown_flac() + b"TAG" + bytes(125),
    ],
    ids=["w64", "rf64", "caf", "gstreamer", "flac", "flac-tag"],
)
def test_other_ways_to_say_unknown(data: bytes, tmp_path: Path) -> None:
    np.testing.assert_allclose(heard(tmp_path / "x", data), sound(), atol=2**-15)


@pytest.mark.parametrize("kind", ["wav", "rf64", "w64", "au", "caf", "aiff", "flac"])
def test_a_length_short_of_the_data_is_told_with_both(kind: str, tmp_path: Path) -> None:
    short = SAMPLES + 24 * (kind == "w64")  # bytes: half of the samples
    data = (
        rewritten(encoded("flac"), 22, struct.pack(">I", SAMPLES // 2))
        if kind == "flac"
        else with_length(kind, short)
    )
    with pytest.warns(XplainWarning, match=r"states 0\.250 s .* holds 0\.500 s"):
        got = heard(tmp_path / "x", data)
    np.testing.assert_allclose(got, sound(), atol=2**-15)


@pytest.mark.parametrize("kind", ["wav", "rf64", "w64", "au", "caf", "aiff"])
def test_a_promise_of_256_gib_is_not_believed_nor_allocated(kind: str, tmp_path: Path) -> None:
    length = 2**38 if kind in ("rf64", "w64", "caf") else 10**9
    (tmp_path / "x").write_bytes(with_length(kind, length))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for read in (audio.read, lambda path: audio.stream(path, RATE)):
        with pytest.raises(AudioError, match="truncated"):
            read(tmp_path / "x")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # KiB


@pytest.mark.filterwarnings("error::xplain.XplainWarning")
@pytest.mark.parametrize("kind", ["wav", "flac", "vorbis", "opus", "mp3"])
def test_joined_files_are_read_one_after_another(kind: str, tmp_path: Path) -> None:
    one = encoded(kind, rate=48000 if kind == "opus" else RATE)
    other = encoded(kind, -sound(), rate=48000 if kind == "opus" else RATE)
    expected = torch.cat([heard(tmp_path / "1", one), heard(tmp_path / "2", other)])
    assert torch.equal(heard(tmp_path / "x", one + other), expected)


def test_a_link_at_another_rate_is_told(tmp_path: Path) -> None:
    joined = encoded("vorbis") + encoded("vorbis", rate=8000)
    with pytest.warns(XplainWarning, match=r"only 0\.500 of 1\.500 s"):
        assert len(heard(tmp_path / "x", joined)) == SAMPLES


@pytest.mark.filterwarnings("error::xplain.XplainWarning")
def test_an_mp3_without_a_count_of_its_frames_is_counted(tmp_path: Path) -> None:
    # Loud after silence: a bit rate that varies, so that the first frame says little.
    loud = np.concatenate([np.zeros(16000, np.float32), sound(48000)])
    data = encoded("mp3", loud)
    frames = data[data.index(b"\xff\xf3", 4) :]
    tag = b"ID3\x04\x00\x00\x00\x00\x00\x0a" + bytes(10)
    counted = len(heard(tmp_path / "x", frames))
    # It holds the encoder's delay and its padding, at most three frames.
    assert len(loud) <= counted < len(loud) + 3 * 1152
    assert len(heard(tmp_path / "x", tag + frames + b"TAG" + bytes(125))) == counted
    twice = len(heard(tmp_path / "x", tag + frames + tag + frames))
    assert twice == pytest.approx(2 * counted, abs=529)
    assert len(heard(tmp_path / "x", frames[: len(frames) // 2])) > 0.3 * counted


def mp3(count: int | None = None, junk: bytes = b"") -> tuple[bytes, int]:
    """Two seconds, of which the header counts other frames, or with junk between two of them.

    Returns the file and how many samples its frames hold.
    """
    data = encoded("mp3", sound(2 * RATE))
    begins = [m.start() for m in re.finditer(rb"\xff\xf3[\x10-\xef]", data)]
    place = begins[len(begins) // 2]
    field = data.index(b"Xing") + 8
    held = int.from_bytes(data[field : field + 4], "big")
    assert len(begins) == held + 1
    data = data[:field] + (held if count is None else count).to_bytes(4, "big") + data[field + 4 :]
    return data[:place] + junk + data[place:], held * 576


@pytest.mark.parametrize("times", [0.5, 1.5, 1000])
def test_an_mp3_whose_header_counts_other_frames_is_read_whole(
    times: float, tmp_path: Path
) -> None:
    _, samples = mp3()
    data, _ = mp3(count=int(samples // 576 * times))
    with pytest.warns(XplainWarning, match=r"the header states .* s of audio, but the file holds"):
        got = heard(tmp_path / "x", data)
    # A decoder has one frame less, or one more where the counting frame is played.
    assert abs(len(got) - samples) <= 576
    right = heard(tmp_path / "x", mp3()[0])  # without the encoder's delay
    delay = int(np.argmax(np.correlate(got[: len(right)], right[:RATE], "valid")))
    assert torch.allclose(got[delay : delay + RATE], right[:RATE], atol=1e-4)


@pytest.mark.parametrize("length", [900, 1200, 70_000])
def test_junk_between_frames_is_left_out(length: int, tmp_path: Path) -> None:
    right = heard(tmp_path / "x", mp3()[0])
    data, samples = mp3(junk=b"\x55" * length)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", XplainWarning)
        got = heard(tmp_path / "x", data)
    told = [
        w for w in said if f": {length} bytes between its frames are no sound" in str(w.message)
    ]
    assert bool(told) == (length > 1000)  # libmpg123 itself skips fewer
    assert abs(len(got) - samples) < 3 * 576  # the encoder's delay and padding
    first, last = got[: samples // 3], got[-samples // 3 :]
    for part, whole in ((first, right[: samples // 2]), (last, right[samples // 2 :])):
        heard_ = float(part.square().mean())
        assert heard_ == pytest.approx(float(whole.square().mean()), rel=0.2)
    pictured = mp3(junk=b"ID3\x04\0\0\0\0\x7f\x7f" + bytes(16383))[0]
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="no sound")
        assert abs(len(heard(tmp_path / "x", pictured)) - samples) < 3 * 576


@pytest.mark.filterwarnings("error::xplain.XplainWarning")
def test_an_mp3_may_begin_amid_a_frame_or_after_another_tag(tmp_path: Path) -> None:
    data, samples = mp3()
    frames = data[data.index(b"\xff\xf3", 4) :]
    tag = b"APETAGEX" + struct.pack("<4I", 2000, 50, 0, 0xA0000000) + bytes(48)
    assert len(heard(tmp_path / "x", frames[7:])) == pytest.approx(samples, abs=2 * 576)
    assert len(heard(tmp_path / "x", tag + frames)) == pytest.approx(samples, abs=2 * 576)


def test_a_cut_file_is_called_truncated(tmp_path: Path) -> None:
    for kind in ("wav", "rf64", "w64", "au", "caf", "aiff", "flac", "vorbis", "opus", "mp3"):
        data = encoded(kind, rate=48000 if kind == "opus" else RATE)
        for kept in (len(data) - 1, len(data) // 2):
            if kind == "mp3" and kept > len(data) // 2:
                continue  # a last frame that is cut is left out
            (tmp_path / "x").write_bytes(data[:kept])
            with pytest.raises(AudioError, match="truncated"):
                audio.read(tmp_path / "x")
    (tmp_path / "x").write_bytes(unknown_flac()[:-10])
    with pytest.raises(AudioError, match="truncated"):
        audio.read(tmp_path / "x")


@pytest.mark.filterwarnings("error::xplain.XplainWarning")
def test_what_follows_the_samples_is_not_heard(tmp_path: Path) -> None:
    for rest in (b"LIST\x04\0\0\0INFO", b"abcd\x02\0\0\0xy", b"TAG" + bytes(125), bytes(900)):
        assert len(heard(tmp_path / "x", encoded("wav") + rest)) == SAMPLES
    empty = encoded("wav", sound(0)) + b"LIST\x04\0\0\0INFO"
    (tmp_path / "x").write_bytes(empty)
    with pytest.raises(AudioError, match="no samples"):
        audio.read(tmp_path / "x")


def test_damaged_files_are_read_alike_or_refused_in_one_line(tmp_path: Path) -> None:
    rng = random.Random(0)
    path, read = tmp_path / "x", 0
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kinds = {k: encoded(k, rate=48000 if k == "opus" else RATE) for k in mutations.CONTAINERS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", XplainWarning)
        for _ in range(40):
            for data in kinds.values():
                path.write_bytes(mutations.mutate(data, rng))
                try:
                    whole = audio.read(path)
                    read += 1
                except AudioError as error:
                    assert "\n" not in str(error)
                    with pytest.raises(AudioError):
                        list(audio.stream(path, RATE).blocks)
                    continue
                stream = audio.stream(path, whole.sample_rate)
                assert torch.equal(torch.cat(list(stream.blocks)), whole.waveform)
    assert read > 100
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KiB
