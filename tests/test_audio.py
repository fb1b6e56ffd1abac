"""What is read is read right; what is refused is refused with a reason."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile
import soxr
import torch

from xplain import AudioError, XplainWarning, audio

RATE = 8000
SINE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)


@pytest.mark.parametrize(
    ("subtype", "step"),
    [("PCM_U8", 2**-7), ("PCM_16", 2**-15), ("PCM_24", 2**-23), ("PCM_32", 2**-23), ("FLOAT", 0)],
)
def test_every_sample_width_is_read_to_its_own_precision(
    tmp_path: Path, subtype: str, step: float
) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, SINE, RATE, subtype=subtype)
    got = audio.read(path)
    assert got.sample_rate == RATE
    assert got.source["subtype"] == subtype
    assert np.abs(got.waveform.numpy() - SINE).max() <= step + 1e-7


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "aiff"])
def test_formats_are_told_by_content(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    soundfile.write(path, SINE, RATE)
    assert len(audio.read(path).waveform) == RATE


def test_channels_are_mixed_down_by_their_mean(tmp_path: Path) -> None:
    path = tmp_path / "stereo.wav"
    soundfile.write(path, np.stack([SINE, np.zeros(RATE)], axis=1), RATE, subtype="FLOAT")
    got = audio.read(path)
    assert got.source["channels"] == 2
    assert np.allclose(got.waveform.numpy(), SINE / 2, atol=1e-7)


def test_96_khz_is_resampled_without_aliases(tmp_path: Path) -> None:
    time = np.arange(96000) / 96000
    path = tmp_path / "fast.wav"
    heard, unheard = np.sin(2 * np.pi * 440 * time), np.sin(2 * np.pi * 7000 * time)
    soundfile.write(path, 0.4 * heard + 0.4 * unheard, 96000, subtype="PCM_24")
    got = audio.resample(audio.read(path), RATE).waveform.numpy()
    expected = 0.4 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE)
    assert len(got) == RATE
    assert np.abs(got - expected)[200:-200].max() < 1e-3


def test_ten_minutes_are_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "long.flac"
    soundfile.write(path, np.resize(SINE, 600 * RATE), RATE)
    assert audio.read(path).duration == 600


@pytest.mark.parametrize("samples", [1, 2, 79])
def test_a_few_samples_are_a_recording(tmp_path: Path, samples: int) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, SINE[1 : 1 + samples], RATE)
    assert len(audio.read(path).waveform) == samples


@pytest.mark.parametrize("name", ["sp ace.wav", "ü'&<>.wav", "caf\udce9.wav"])
def test_any_name_a_file_can_have_is_read(tmp_path: Path, name: str) -> None:
    soundfile.write(tmp_path / "plain.wav", SINE, RATE)
    (tmp_path / "plain.wav").rename(tmp_path / name)
    assert len(audio.read(tmp_path / name).waveform) == RATE


def broken(folder: Path, fault: str) -> Path:
    path = folder / f"{fault}.wav"
    soundfile.write(path, SINE, RATE)
    whole = path.read_bytes()
    if fault == "text":
        path.write_text("this is not audio, whatever its name says\n" * 20)
    elif fault == "empty":
        path.write_bytes(b"")
    elif fault == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif fault == "truncated-flac":
        path = path.with_suffix(".flac")
        soundfile.write(path, SINE, RATE)
        path.write_bytes(path.read_bytes()[:-2000])
    elif fault == "header-only":
        path.write_bytes(whole[:40])
    elif fault == "no-samples":
        soundfile.write(path, SINE[:0], RATE)
    elif fault in ("nan", "infinite"):
        soundfile.write(
            path, np.append(SINE, np.nan if fault == "nan" else np.inf), RATE, subtype="FLOAT"
        )
    elif fault == "missing":
        path.unlink()
    elif fault == "folder":
        path.unlink()
        path.mkdir()
    return path


REASONS = {
    "text": "not a recording",
    "empty": "is empty",
    "truncated": "truncated",
    "truncated-flac": "truncated|not a recording",
    "header-only": "not a recording|no samples|truncated",
    "no-samples": "no samples",
    "nan": "NaN or infinite.*1.000 s",
    "infinite": "NaN or infinite.*1.000 s",
    "missing": "does not exist",
    "folder": "is a folder",
}


@pytest.mark.parametrize("fault", REASONS)
def test_what_cannot_be_explained_is_refused_by_name_and_reason(tmp_path: Path, fault: str) -> None:
    path = broken(tmp_path, fault)
    with pytest.raises(AudioError, match=REASONS[fault]) as caught:
        audio.read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_stream_whose_length_was_never_filled_in_is_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "stream.wav"
    soundfile.write(path, SINE, RATE)
    whole = bytearray(path.read_bytes())
    at = whole.index(b"data") + 4
    whole[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    path.write_bytes(whole)
    assert len(audio.read(path).waveform) == RATE


def test_silence_warns_and_is_read(tmp_path: Path) -> None:
    path = tmp_path / "silence.wav"
    soundfile.write(path, np.zeros(RATE), RATE)
    with pytest.warns(XplainWarning, match="silent"):
        assert audio.read(path).silent


@pytest.mark.parametrize("bad", [torch.zeros(2, 100), torch.zeros(100, dtype=torch.int16)])
def test_a_tensor_of_another_kind_is_refused(bad: torch.Tensor) -> None:
    with pytest.raises(AudioError, match="float tensor"):
        audio.from_tensor(bad, RATE, "clip")


def test_a_tensor_is_copied_and_not_changed() -> None:
    mine = torch.ones(10)
    got = audio.from_tensor(mine, RATE, "clip")
    mine.zero_()
    assert got.waveform.sum() == 10


def test_writing_rounds_to_16_bits_and_reads_back_the_same(tmp_path: Path) -> None:
    wave = torch.from_numpy(SINE).float()
    assert audio.write(tmp_path / "a.wav", wave, RATE) == 1
    got = audio.read(tmp_path / "a.wav")
    assert got.source["subtype"] == "PCM_16"
    assert torch.equal(got.waveform, audio.from_pcm16(audio.to_pcm16(wave)[0]))
    assert (got.waveform - wave).abs().max() <= 0.5 / 2**15


def test_what_would_clip_is_turned_down_as_a_whole(tmp_path: Path) -> None:
    wave = torch.from_numpy(SINE).float() * 4
    gain = audio.write(tmp_path / "a.wav", wave, RATE)
    got = audio.read(tmp_path / "a.wav").waveform
    assert gain == pytest.approx(32767 / 32768 / float(wave.abs().max()))
    assert (got - gain * wave).abs().max() <= 1 / 2**15


@pytest.mark.parametrize("container", ["AIFF", "AU", "W64", "RF64", "CAF"])
def test_other_containers_are_read_whole_and_refused_truncated(
    tmp_path: Path, container: str
) -> None:
    path = tmp_path / "a.audio"
    soundfile.write(path, SINE, RATE, format=container, subtype="PCM_16")
    assert len(audio.read(path).waveform) == RATE
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(AudioError, match=r"truncated|not a recording"):
        audio.read(path)


@pytest.mark.parametrize("samples", [1, 63, 160, 4000, 4001])
@pytest.mark.parametrize(("rate", "new"), [(8000, 11025), (44100, 16000), (22050, 8000)])
def test_both_resamplers_give_the_same_number_of_samples(samples: int, rate: int, new: int) -> None:
    expected = len(soxr.resample(np.zeros(samples, np.float32), rate, new, quality="VHQ"))
    assert audio.resample_tensor(torch.zeros(1, samples), rate, new).shape == (1, expected)


def test_doubling_the_rate_keeps_the_samples_that_were_there() -> None:
    wave = torch.randn(1, 1001, generator=torch.Generator().manual_seed(0))
    doubled = audio.resample_tensor(wave, 8000, 16000)
    assert (doubled[:, ::2] - wave).abs().max() < 1e-5


@pytest.mark.parametrize(
    ("rate", "new"), [(8000, 16000), (16000, 8000), (24000, 16000), (8000, 11025)]
)
def test_the_differentiable_resampler_agrees_with_scipy_and_passes_gradients(
    rate: int, new: int
) -> None:
    time = torch.arange(rate) / rate
    wave = torch.sin(2 * torch.pi * 440 * time) * torch.hann_window(rate)
    wave.requires_grad_(True)
    got = audio.resample_tensor(wave[None], rate, new)[0]
    expected = scipy.signal.resample_poly(wave.detach().numpy(), new, rate)
    assert len(got) == len(expected)
    assert np.abs(got.detach().numpy() - expected).max() < 2e-3
    got.square().sum().backward()
    assert torch.isfinite(wave.grad).all() and wave.grad.abs().sum() > 0
