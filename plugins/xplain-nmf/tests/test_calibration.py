"""Biases that are moved to where the proxy decides as its teacher does."""

from __future__ import annotations

import pytest
import torch

from xplain_nmf.training.calibration import best_shift, calibrate
from xplain_nmf.training.recordings import read_recordings


def test_the_best_shift_by_hand():
    margins = torch.tensor([-1.0, -0.52, 0.2, 0.7])
    # By 0 two of three are found; from 0.52 on all three, and below 1 without a false one.
    assert best_shift(margins, torch.tensor([False, True, True, True])) == pytest.approx(0.55)
    assert best_shift(margins, torch.tensor([False, False, True, True])) == 0.0
    assert best_shift(margins, torch.tensor([False, False, False, True])) == pytest.approx(-0.25)
    assert best_shift(margins, torch.zeros(4, dtype=torch.bool)) == 0.0


def test_a_bias_that_is_off_is_moved_back(make_proxy, clips):
    proxy = make_proxy()
    pieces = read_recordings(clips, 1.0, proxy.config.labels, "train")
    with torch.no_grad():
        said = torch.stack([proxy.eval()(p["waveform"][None]).logits[0] for p in pieces])
        middle = said.flatten(0, 1).median(0).values
        proxy.theta.bias -= middle
        pieces.answer((said - middle).sigmoid())
        right = proxy.theta.bias.clone()
        proxy.theta.bias += torch.tensor([1.0, -1.5])
    shifts = calibrate(proxy, pieces)
    # Logits lie so close together that a step of the grid may part them alike.
    torch.testing.assert_close(proxy.theta.bias, right, atol=0.06, rtol=0)
    assert shifts == pytest.approx([-1.0, 1.5], abs=0.06)
