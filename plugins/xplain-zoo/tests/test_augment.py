"""Augmentation against closed forms."""

from __future__ import annotations

import math

import pytest
import torch

from training import augment
from training.voices import Ranges, Voices
from xplain_zoo.digits import DigitConfig, Spectrum

RATE = 8000


def sine(frequency: float, seconds: float = 1.0) -> torch.Tensor:
    return torch.sin(2 * math.pi * frequency * torch.arange(int(seconds * RATE)) / RATE)


def peak(waveform: torch.Tensor) -> float:
    """Frequency in Hz of the strongest bin."""
    window = torch.hann_window(len(waveform))
    spectrum = torch.fft.rfft(waveform * window, n=8 * len(waveform)).abs()
    return float(spectrum.argmax()) * RATE / (8 * len(waveform))


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.25])
def test_speed_moves_a_sine_by_the_factor_and_shortens_it(factor):
    fast = augment.change_speed(sine(600), factor)
    assert peak(fast) == pytest.approx(600 * factor, abs=1)
    assert len(fast) == pytest.approx(RATE / factor, abs=1)


def test_a_placed_clip_has_zeros_around_it_and_is_cut_at_the_end():
    placed = augment.place(torch.ones(3), 6, 2)
    assert placed.tolist() == [0, 0, 1, 1, 1, 0]
    assert augment.place(torch.ones(3), 4, 2).tolist() == [0, 0, 1, 1]


def test_the_level_is_that_of_the_loudest_tenth():
    waveform = torch.zeros(1, 1000)
    waveform[0, :100] = 0.5
    loud = augment.set_level(waveform, torch.tensor([-20.0]))
    assert loud[0, :100].square().mean().sqrt() == pytest.approx(0.1, rel=1e-4)


def test_noise_has_unit_level_and_falls_by_its_tilt():
    generator = torch.Generator().manual_seed(0)
    noise = augment.noise((1, 80000), torch.tensor([2.0]), generator)
    power = torch.fft.rfft(noise[0]).abs().square()
    low, high = power[8000:10000].mean(), power[16000:20000].mean()
    assert noise.square().mean() == pytest.approx(1.0, rel=1e-3)
    # One octave up at a tilt of 2 is a quarter of the power (the scale starts at 0.02).
    assert float(low / high) == pytest.approx(4.0, rel=0.15)


def test_warping_reads_a_knot_at_its_factor_and_leaves_the_ends():
    frequencies = torch.linspace(0, 4000, 129)
    warped = augment.warp_frequencies(
        frequencies, torch.tensor([[1.1, 0.9], [1.0, 1.0]]), torch.tensor([1000.0, 2000.0])
    )
    assert warped[0, [0, 16, 32, 64, 128]].tolist() == pytest.approx([0, 550, 1100, 1800, 4000])
    torch.testing.assert_close(warped[1], frequencies)


def test_a_tone_moves_between_mel_bands_as_its_frequency_would():
    spectrum = Spectrum(DigitConfig())
    factors, knots = torch.full((1, 1), 1.2), torch.tensor([3000.0])
    filters = spectrum.mel_filters(augment.warp_frequencies(spectrum.frequencies, factors, knots))
    warped = filters[0] @ spectrum.power(sine(1000)[None])[0]
    moved = spectrum.filters @ spectrum.power(sine(1200)[None])[0]
    assert int(warped.mean(-1).argmax()) == int(moved.mean(-1).argmax())


def test_stretching_a_ramp_reads_it_at_the_rate():
    ramp = torch.arange(40.0).expand(2, 3, 40)
    read = augment.stretch(ramp, torch.tensor([[0.5], [2.0]]))
    torch.testing.assert_close(read[0, 0, :70], torch.arange(70) * 0.5)
    torch.testing.assert_close(read[1, 0, :20], torch.arange(20) * 2.0)
    assert (read[1, :, 20:] == 0).all()


def test_an_equaliser_adds_its_decibels():
    out = augment.equalise(torch.ones(1, 5, 2), torch.tensor([[0.0, 10.0, -10.0]]))
    torch.testing.assert_close(out[0, [0, 2, 4], 0], torch.tensor([1.0, 10.0, 0.1]))


def test_a_gate_drops_what_is_far_below_the_peak():
    power = torch.tensor([[[1.0, 0.02, 0.005]]])
    assert augment.gate(power, torch.tensor([20.0])).tolist()[0][0] == pytest.approx([1, 0.02, 0])


def test_masks_hide_adjacent_places_of_the_width():
    generator = torch.Generator().manual_seed(0)
    out = augment.mask(torch.ones(1, 8, 20), 2, torch.tensor([5.0]), generator)
    hidden = (out[0, 0] == 0).nonzero().flatten()
    assert len(hidden) == 5 and int(hidden[-1] - hidden[0]) == 4


def test_drawn_copies_are_repeatable_and_finite():
    spectrum = Spectrum(DigitConfig())
    clips = [0.1 * sine(300, 0.3), 0.5 * sine(900, 0.4), torch.zeros(1000)]
    first = Voices(Ranges(), spectrum, seed=3).batch(clips)
    again = Voices(Ranges(), spectrum, seed=3).batch(clips)
    torch.testing.assert_close(first, again)
    bands, left = first
    assert bands.isfinite().all() and bands.shape[:2] == (3, 32)
    assert ((left >= 0) & (left <= 1)).all()


def test_erasing_nothing_gives_the_clip_back_and_random_erasing_leaves_its_share():
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, 8000, generator=generator)
    out, left = augment.erase(noise, 256, torch.tensor([1.0, 0.1]), torch.zeros(2), generator)
    torch.testing.assert_close(out[0], noise[0], atol=1e-5, rtol=1e-4)
    assert left.tolist() == pytest.approx([1.0, 0.1], abs=0.01)


def test_the_loudest_elements_of_a_sine_carry_it_and_the_quietest_do_not():
    generator = torch.Generator().manual_seed(0)
    tone = sine(1000).expand(2, -1)
    keep, loud = torch.tensor([0.1, 0.9]), torch.tensor([1.0, -1.0])
    _, left = augment.erase(tone, 256, keep, loud, generator)
    assert left[0] > 0.99 and left[1] < 0.01
