"""The benchmark's models give what their authors' code gives.

The numbers were made once with the packages' own code (torchcrepe 0.0.24, Resemblyzer 0.1.4 with
librosa, inaSpeechSegmenter 0.6.8), for the tone below; ONNX files are run beside.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import soundfile
import torch
from third_party import crepe, dnsmos, ina, pyannet, silero, speaker
from third_party.mel import htk_edges, slaney_edges, triangles
from torch import Tensor, nn

import xplain

RATE = 16_000


@pytest.fixture
def folder(shared: Path) -> Path:
    return shared / "models" / "third-party"


@pytest.fixture
def tone() -> Tensor:
    """Four harmonics of 220 Hz, one second: (1, samples)."""
    time = torch.arange(RATE) / RATE
    return sum(0.1 / k * torch.sin(2 * math.pi * 220 * k * time + k) for k in range(1, 5))[None]


@pytest.fixture
def meeting(shared: Path) -> Tensor:
    """Five seconds of a meeting: (1, samples)."""
    file = shared / "data" / "ami" / "trn00.flac"
    samples, _ = soundfile.read(file, start=5 * RATE, frames=5 * RATE, dtype="float32")
    return torch.from_numpy(samples)[None]


def test_mel_scales_by_hand() -> None:
    assert slaney_edges(0, 1000, 14)[1] == pytest.approx(200 / 3)
    assert htk_edges(0, 700, 0)[1] == pytest.approx(700)
    area = triangles(torch.tensor([1000.0, 2000.0, 4000.0]), 1024, RATE).sum() * RATE / 1024
    assert area == pytest.approx(1, abs=1e-3)


def test_crepe_hears_the_pitch_its_authors_code_hears(folder: Path, tone: Tensor) -> None:
    said = crepe.Crepe.load(folder)(tone).sigmoid()
    assert said.shape == (1, 101, 360)
    assert int(said[0, 50].argmax()) == 168
    assert crepe.LABELS[168] == "220.8 Hz"
    assert float(said[0, 50].max()) == pytest.approx(0.9008413, abs=1e-5)


def test_speaker_embedding_is_its_authors(folder: Path, tone: Tensor) -> None:
    one_window = tone.repeat(1, 2)[:, :25_440]
    encoder = speaker.VoiceEncoder.load(folder)
    largest = encoder(one_window)[0].topk(3)
    assert largest.indices.tolist() == [101, 110, 10]
    torch.testing.assert_close(
        largest.values, torch.tensor([0.2314, 0.2054, 0.1827]), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(encoder(1e-3 * one_window), encoder(1e-4 * one_window))


def test_broadcast_bands_are_the_packages(folder: Path, tone: Tensor) -> None:
    bands = ina.SpeechMusicNoise.load(folder).bands(tone)[0, 40, [0, 3, 10, 20]]
    expected = torch.tensor([16.10046, 16.062483, -2.1068058, -1.7840985])
    torch.testing.assert_close(bands, expected, atol=2e-3, rtol=0)  # next to silence, in float32


def test_broadcast_network_tells_speech_from_music(shared: Path, folder: Path) -> None:
    network, right = ina.OfClip(ina.SpeechMusicNoise.load(folder)), []
    for place, label in (("emotion/emodb", "speech"), ("music/test", "music")):
        for file in sorted((shared / "data" / place).rglob("*.flac"))[:6]:
            samples, _ = soundfile.read(file, frames=2 * RATE, dtype="float32")
            said = network(torch.from_numpy(samples)[None]).argmax()
            right.append(ina.LABELS[int(said)] == label)
    assert sum(right) >= 9


def test_broadcast_network_asked_less_often_says_the_same(folder: Path, tone: Tensor) -> None:
    often, seldom = (ina.SpeechMusicNoise.load(folder, every)(tone)[0] for every in (2, 8))
    assert (len(often), len(seldom)) == (49, 13)
    # Frame m of 80 ms is patch m − 4 of its own, which is patch 4 m − 16 of the others.
    torch.testing.assert_close(seldom[4:8], often[17:33:4], atol=1e-4, rtol=1e-4)


def test_pyannet_finds_who_spoke(shared: Path, folder: Path, meeting: Tensor) -> None:
    said = pyannet.Speech(pyannet.PyanNet.load(folder))(meeting)[0, :, 0] > 0
    assert len(said) == pyannet.frames_of(meeting.shape[1]) == 293
    spoken = torch.zeros(293, dtype=torch.bool)
    for line in (shared / "data" / "ami" / "train.rttm").read_text().splitlines():
        _, name, _, start, length, *_ = line.split()
        if name == "trn00":
            first = (float(start) - 5) / 5 * 293
            spoken[max(0, round(first)) : max(0, round(first + float(length) / 5 * 293))] = True
    assert float((said == spoken).float().mean()) > 0.85


class Powerset(nn.Module):
    """PyanNet as pyannote's later models are: classes of at most two of three speakers at once."""

    __module__ = "pyannote.audio.models.segmentation.PyanNet"

    def __init__(self, pyannet: nn.Module) -> None:
        super().__init__()
        self.pyannet = pyannet
        self.specifications = SimpleNamespace(classes=("a", "b", "c"), powerset=True, duration=5.0)

    def forward(self, waveforms: Tensor) -> Tensor:
        a, b, c = self.pyannet(waveforms[:, 0]).unbind(dim=-1)  # independent: their logits add up
        return torch.stack([0 * a, a, b, c, a + b, a + c, b + c], dim=-1).log_softmax(dim=-1)


def test_speakers_are_found_in_a_powerset(folder: Path, meeting: Tensor) -> None:
    network = pyannet.PyanNet.load(folder)
    found = xplain.segment((meeting[0], RATE), Powerset(network))
    with torch.no_grad():
        apart = network(meeting)[0].sigmoid()
    alone = apart[:, apart.amax(dim=0) >= 0.5]  # of two at most, so less where three speak
    assert 1 <= len(found.labels) <= alone.shape[1]
    numbers = [int(label.removeprefix("speaker ")) - 1 for label in found.labels]
    assert float((found.frames - apart[: len(found.frames), numbers]).abs().mean()) < 0.05
    assert found.segments and {s.label for s in found.segments} == set(found.labels)


def test_quality_is_the_onnx_files(folder: Path, meeting: Tensor) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    run = onnxruntime.InferenceSession(str(folder / "dnsmos_sig_bak_ovr.onnx"))
    (given,) = run.run(None, {"input_1": meeting.repeat(1, 2)[:, : dnsmos.SAMPLES].numpy()})
    torch.testing.assert_close(
        dnsmos.Dnsmos.load(folder)(meeting), torch.from_numpy(given), atol=1e-4, rtol=0
    )


def test_speech_activity_is_the_onnx_files(shared: Path, meeting: Tensor) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    file = shared / "models" / "silero" / "silero_vad_16k.onnx"
    run, state = onnxruntime.InferenceSession(str(file)), torch.zeros(2, 1, 128).numpy()
    padded, given = torch.nn.functional.pad(meeting[:, :16_384], (64, 0)), []
    for start in range(0, 16_384, 512):
        window = padded[:, start : start + 576].numpy()
        rate = torch.tensor(RATE).numpy()
        said, state = run.run(None, {"input": window, "state": state, "sr": rate})
        given.append(float(said[0, 0]))
    mine = silero.Silero.load(file)(meeting[:, :16_384]).sigmoid()[0, :, 0]
    torch.testing.assert_close(mine, torch.tensor(given), atol=1e-5, rtol=0)
