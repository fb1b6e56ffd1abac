"""Recordings from pipes, and what is said of recordings in which hardly anything is heard."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from mutations import RATE, encoded, sound

from xplain import AudioError, XplainWarning, audio, recording

READ = (
    "import sys, json; from xplain import audio; a = audio.read(sys.argv[1]);"
    "s = audio.stream(sys.argv[2], a.sample_rate) if len(sys.argv) > 2 else a;"
    "print(json.dumps([a.name, len(a.waveform), dict(a.source)]))"
)


def run(*arguments: str, data: bytes) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", READ, *arguments]
    return subprocess.run(command, input=data, capture_output=True, check=False)


@pytest.mark.parametrize("path", ["-", "/dev/stdin"])
def test_standard_input_is_read_once_and_recorded(path: str, tmp_path: Path) -> None:
    data = encoded("wav")
    (tmp_path / "x.wav").write_bytes(data)
    done = run(path, data=data)
    name, samples, source = json.loads(done.stdout)
    assert (name, samples, source["path"]) == ("stdin", 8000, path)
    assert source["sha256"] == audio.read(tmp_path / "x.wav").source["sha256"]


def test_what_libmpg123_prints_does_not_reach_the_user() -> None:
    noise = np.random.default_rng(0).normal(0, 0.01, 48000).astype(np.float32)
    damaged = bytearray(encoded("mp3", noise))
    damaged[len(damaged) // 2 :: 97] = b"\x55" * len(damaged[len(damaged) // 2 :: 97])
    done = run("-", data=bytes(damaged))
    assert b"mpg123" not in done.stderr and b"cffi" not in done.stderr


def test_what_others_print_meanwhile_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.mp3").write_bytes(encoded("mp3", sound(160_000)))
    stop = threading.Event()
    lines = 0

    def write() -> None:
        nonlocal lines
        while not stop.is_set():
            os.write(2, f"line {lines}\n".encode())
            lines += 1

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(3):
        audio.read(tmp_path / "x.mp3")
    stop.set()
    writer.join()
    said = capfd.readouterr().err.splitlines()
    assert sorted(said) == sorted(f"line {n}" for n in range(lines))


def test_a_named_pipe_is_read_to_its_end_and_in_parts(tmp_path: Path) -> None:
    data, pipe = encoded("flac"), tmp_path / "live.flac"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    stream = audio.stream(pipe, RATE)
    writer.join()
    whole = torch.cat(list(stream.blocks))
    assert (stream.name, len(whole), stream.duration) == ("live", 8000, 0.5)
    # It is not opened again, which would wait for another writer.
    assert torch.equal(stream.part(0.25, 0.5).waveform, whole[4000:])


def test_a_process_substitution_is_a_pipe() -> None:
    reader, writer = os.pipe()
    os.write(writer, encoded("wav", sound(1000)))
    os.close(writer)
    got = audio.read(f"/dev/fd/{reader}")
    os.close(reader)
    assert (got.name, len(got.waveform)) == ("pipe", 1000)


def test_what_no_recording_comes_out_of_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AudioError, match="a device is not a recording"):
        audio.read("/dev/zero")
    assert b"-: the file is empty" in run("-", data=b"").stderr
    monkeypatch.setattr(recording, "SPOOLED", 1000)
    reader, writer = os.pipe()
    os.write(writer, encoded("wav", sound(1000)))
    os.close(writer)
    with pytest.raises(AudioError, match="more than"):
        audio.read(f"/dev/fd/{reader}")
    os.close(reader)


def said_of(samples: np.ndarray, folder: Path, kind: str = "wav") -> list[str]:
    path = folder / "x"
    path.write_bytes(encoded(kind, samples.astype(np.float32)))
    found = []
    for read in (audio.read, lambda p: list(audio.stream(p, RATE).blocks)):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", XplainWarning)
            read(path)
        found.append([str(w.message).split(": ", 1)[1] for w in caught])
    assert found[0] == found[1]
    return found[0]


def test_channels_that_cancel_are_told(tmp_path: Path) -> None:
    one, other = sound(), np.random.default_rng(1).normal(0, 0.2, 8000)
    for channels, loss in {(1, -1): "all", (1, -0.8): "19 dB"}.items():
        (text,) = said_of(np.stack([one * c for c in channels], axis=1), tmp_path, "float")
        assert f"cancel when they are mixed down ({loss} of" in text
    for pair in ((one, one * 0), (one, other), (one, one), (one, -0.2 * one)):
        assert not said_of(np.stack(pair, axis=1), tmp_path)
    assert not said_of(np.stack([one, *[one * 0] * 7], axis=1), tmp_path)


def test_hardly_any_sound_is_told(tmp_path: Path) -> None:
    dither = np.random.default_rng(0).integers(-1, 2, 8000)
    assert said_of(np.zeros(8000), tmp_path) == ["the recording is silent"]
    for samples, kind, says in [
        (dither / 2**15, "wav", r"nearly silent (peak -90 dBFS)"),
        (dither / 2**7, "u8", r"nearly silent (peak"),
        (np.full(8000, 0.25), "wav", "nearly silent, but for a constant offset (every sample"),
        (0.25 + dither / 2**15, "wav", "nearly silent, but for a constant offset (peak -90"),
        (sound() * 1e-4, "float", "nearly silent (peak"),
    ]:
        (text,) = said_of(samples, tmp_path, kind)
        assert says in text
    assert not said_of(sound() * 1e-3, tmp_path)
    with pytest.warns(XplainWarning, match="nearly silent"):
        audio.from_tensor(torch.full((100,), 1e-6).cumsum(0), RATE, "x")
