"""The spectrum: frames in their place, back without loss, the same at every level."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from xplain_nmf.spectrum import FREQUENCIES, Spectrum, istft, stft


def noise(samples: int, batch: int = 1, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("samples", [1, 2, 319, 320, 321, 1023, 1024, 5000, 16000])
def test_unchanged_spectra_give_the_waveform_back(samples):
    waveform = noise(samples, batch=2)
    spectrum = stft(waveform)
    assert spectrum.shape == (2, 513, math.ceil(samples / 320))
    back = istft(spectrum, samples)
    assert back.shape == waveform.shape
    error = (back - waveform).square().sum() / waveform.square().sum()
    assert 10 * math.log10(float(error) + 1e-30) < -80


def test_frame_t_is_the_windowed_transform_around_sample_320_t_plus_160():
    waveform = noise(4000).double()
    spectrum = stft(waveform)[0].numpy()
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    for frame in (2, 6):
        first = 320 * frame + 160 - 512
        expected = np.fft.rfft(waveform[0, first : first + 1024].numpy() * hann)
        assert_close(spectrum[:, frame], expected)


def test_a_tone_is_at_its_frequency():
    time = torch.arange(16000) / 16000
    spectrum = stft(torch.sin(2 * math.pi * 1000 * time)[None])[0].abs()
    peak = int(spectrum[:, 25].argmax())
    assert FREQUENCIES[peak] == 1000.0
    # A sine of amplitude 1 at a bin has half the window's sum there.
    assert float(spectrum[peak, 25]) == pytest.approx(256, rel=1e-4)


def test_the_papers_spectrum_is_log_of_one_plus_power():
    waveform = noise(3000)
    expected = torch.log(1 + stft(waveform).abs().square())
    assert_close(Spectrum.paper()(waveform), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("gain", [0.1, 0.01, 10.0])
def test_turning_a_recording_up_or_down_changes_nothing(gain):
    waveform = noise(48000)
    spectrum = Spectrum()
    assert_close(spectrum(gain * waveform), spectrum(waveform), rtol=1e-4, atol=1e-4)


def test_the_level_is_the_mean_power_around_each_frame():
    # Two seconds of 0.5, then two of 0.01, both constant: known power everywhere.
    waveform = torch.cat([torch.full((32000,), 0.5), torch.full((32000,), 0.01)])[None]
    levelled = Spectrum(scale=1.0, level_seconds=0.1)  # 5 frames
    plain = Spectrum.paper()
    ratio = plain(waveform)[0, 0].expm1() / levelled(waveform)[0, 0].expm1()
    assert float(ratio[50]) == pytest.approx(0.25, rel=1e-4)
    assert float(ratio[150]) == pytest.approx(1e-4, rel=1e-3)
    # Frame 99 is the last loud one: 3 of the 5 frames around it are loud.
    assert float(ratio[99]) == pytest.approx(0.6 * 0.25 + 0.4 * 1e-4, rel=1e-4)


def test_a_last_frame_that_is_not_full_counts_by_its_samples():
    waveform = torch.full((1, 330), 0.5)
    ratio = Spectrum.paper()(waveform)[0, 0].expm1() / Spectrum(1.0)(waveform)[0, 0].expm1()
    assert_close(ratio, torch.full((2,), 0.25))


def test_silence_stays_silence_and_near_silence_is_not_turned_up():
    spectrum = Spectrum(scale=1.0, level_floor=-60.0)
    assert not spectrum(torch.zeros(1, 4000)).any()
    quiet = 1e-5 * noise(16000)
    assert_close(spectrum(quiet), (stft(quiet).abs().square() * 1e6).log1p())


def test_nothing_beyond_its_reach_changes_a_frame():
    spectrum = Spectrum(level_seconds=1.0)
    waveform = noise(64000)
    changed = waveform.clone()
    changed[:, 32000:] = noise(32000, seed=1)
    same = (spectrum(waveform) == spectrum(changed)).all(dim=1)[0]
    first_changed = 32000 // 320
    assert same[: first_changed - spectrum.reach].all()
    assert not same[first_changed - spectrum.reach]


def test_gradients_reach_the_waveform_and_are_right():
    waveform = noise(400).double().requires_grad_()
    spectrum = Spectrum(level_seconds=0.1)
    assert torch.autograd.gradcheck(lambda x: spectrum(x)[:, ::100], waveform)
    assert torch.autograd.gradcheck(lambda x: istft(2 * stft(x), 400)[:, ::50], waveform)


def test_gradients_of_silence_are_finite():
    waveform = torch.zeros(1, 1000, requires_grad=True)
    Spectrum()(waveform).sum().backward()
    assert waveform.grad is not None and waveform.grad.isfinite().all()


@pytest.mark.parametrize("wrong", [{"scale": 0.0}, {"scale": math.nan}, {"level_seconds": 0.0}])
def test_settings_that_mean_nothing_are_refused(wrong):
    with pytest.raises(ValueError, match="above 0"):
        Spectrum(**wrong)
