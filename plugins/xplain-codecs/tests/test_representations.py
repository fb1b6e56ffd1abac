"""The representations hold what they say they hold."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal
import torch

import xplain_codecs.replacements.silence as replacements
from xplain import Clip, Latents
from xplain_codecs.codecs.stft import Stft
from xplain_codecs.codecs.waveform import Waveform

RATE = 16000
SINE = 0.5 * torch.sin(2 * math.pi * 1000 * torch.arange(RATE) / RATE)


def test_the_waveform_is_its_own_representation() -> None:
    latents = Waveform(RATE).encode(SINE[None])
    assert latents.values.shape == (1, 1, RATE)
    assert torch.equal(latents.values[0, 0], SINE)


@pytest.mark.parametrize("power", [0.3, 0.5, 1.0])
def test_stft_magnitudes_are_scipys_to_the_power(power: float) -> None:
    synthesizer = Stft(RATE, power=power)
    size, hop = 512, 128
    transform = scipy.signal.ShortTimeFFT(scipy.signal.get_window("hann", size), hop, RATE)
    expected = np.abs(transform.stft(SINE.double().numpy(), p0=0, p1=RATE // hop + 1))
    got = synthesizer.encode(SINE[None]).values[0].double().numpy() ** (1 / power)
    assert got.shape == expected.shape == (size // 2 + 1, RATE // hop + 1)
    assert np.abs(got - expected).max() < 1e-5 * expected.max()


def test_a_tone_lies_in_the_channel_of_its_frequency() -> None:
    synthesizer = Stft(RATE)
    loudest = int(synthesizer.encode(SINE[None]).values[0].mean(-1).argmax())
    assert synthesizer.frequencies[loudest] == 1000


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
@pytest.mark.parametrize("settings", [{}, {"window": 0.02, "overlap": 2}, {"power": 1}])
def test_stft_inverts_to_the_sample_at_any_rate(rate: int, settings: dict[str, float]) -> None:
    torch.manual_seed(0)
    waveform = torch.randn(2, rate // 2 + 13).clamp(-1, 1)
    synthesizer = Stft(rate, **settings)  # type: ignore[arg-type]
    latents = synthesizer.encode(waveform)
    back = synthesizer.decode(latents.values, latents.context)
    assert back.shape == waveform.shape
    assert (back - waveform).abs().max() < 1e-4


def test_stft_refuses_settings_that_cannot_be_inverted() -> None:
    with pytest.raises(ValueError, match="overlap"):
        Stft(RATE, overlap=1)
    with pytest.raises(ValueError, match="power"):
        Stft(RATE, power=0)


def test_the_mean_is_taken_over_the_frames_of_each_channel() -> None:
    values = torch.tensor([[1.0, 2.0, 6.0], [0.0, -1.0, 1.0]])
    clip = Clip(Waveform(RATE), values[0], Latents(values[None], {}), torch.Generator())
    filled = replacements.Mean().fill(values, torch.zeros_like(values, dtype=torch.bool), clip)
    assert filled.tolist() == [[3.0, 3.0, 3.0], [0.0, 0.0, 0.0]]


def test_silence_is_what_silence_encodes_to_and_zero_is_zero() -> None:
    class Offset(Waveform):
        """A representation in which silence is not zero."""

        def encode(self, waveform: torch.Tensor):  # type: ignore[no-untyped-def]
            return super().encode(waveform + 1)

    values, keep = torch.full((1, 100), 5.0), torch.zeros(1, 100, dtype=torch.bool)
    clip = Clip(Offset(RATE), values[0], Latents(values[None], {}), torch.Generator())
    assert torch.equal(replacements.Silence().fill(values, keep, clip), torch.ones(1, 100))
    assert torch.equal(replacements.Zero().fill(values, keep, clip), torch.zeros(1, 100))
