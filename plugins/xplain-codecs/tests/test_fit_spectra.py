"""Spectra that the head ``bands`` learns from, and their changed copies."""

from __future__ import annotations

import math

import torch

from xplain_codecs.fit import spectra


def test_a_tone_is_in_its_band_with_its_power() -> None:
    time = torch.arange(8000) / 8000
    filters = spectra.mel_filters(torch.tensor([1000.0]), 32, 3900.0)[:, 0]
    power = spectra.mel_power(0.5 * torch.sin(2 * math.pi * 1000 * time), 8000, 80, 32, 3900.0)
    assert power.shape == (32, 101)
    middle = power[:, 50]
    assert int(middle.argmax()) == int(filters.argmax())
    # A sine of amplitude a peaks at a² / 4, and Hann's window spreads it: 1.5 bins' worth of it.
    assert 0.5 < float(middle.sum() / (0.25 / 4 * 1.5 * filters.sum())) < 1.5


def test_bands_are_triangles_that_share_every_frequency() -> None:
    frequencies = torch.linspace(150, 3500, 50)
    filters = spectra.mel_filters(frequencies, 32, 3900.0)
    places = [2595 * math.log10(1 + hertz / 700) for hertz in (60.0, 3900.0)]
    edges = torch.linspace(*places, 34)[1:-1]
    centres = 700 * (10 ** (edges / 2595) - 1)
    untilted = filters / ((centres / 1000) ** 0.6)[:, None]
    torch.testing.assert_close(untilted.sum(0), torch.ones(50), rtol=1e-3, atol=1e-3)


def test_changed_copies_are_whole_frames_finite_and_another_each_time() -> None:
    torch.manual_seed(0)
    power = torch.rand(32, 50)
    copies = [spectra.varied(power, 2) for _ in range(50)]
    assert all(c.shape[0] == 32 and c.shape[1] % 2 == 0 and c.isfinite().all() for c in copies)
    assert all((c >= 0).all() and c.any() for c in copies)
    assert len({(c.shape[1], float(c.sum())) for c in copies}) == 50
    torch.manual_seed(0)
    assert torch.equal(spectra.varied(torch.rand(32, 50), 2), copies[0])


def test_one_frame_and_silence_can_be_changed_too() -> None:
    for power in (torch.rand(16, 2), torch.zeros(16, 8)):
        for _ in range(20):
            assert spectra.varied(power, 2).isfinite().all()


def test_of_clips_together_each_knows_its_frames() -> None:
    batch, valid = spectra.together([torch.ones(4, 6), torch.ones(4, 2)], 2)
    assert batch.shape == (2, 4, 6) and batch.sum() == 4 * 8
    assert valid.tolist() == [[True, True, True], [True, False, False]]
