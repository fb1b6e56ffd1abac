"""frames_needed keeps the contract, and is right where the answer is known."""

import pytest
import torch
from xplain_frames_needed.metric import frames_needed

from xplain_devkit import MetricContract


class TestContract(MetricContract):
    name = "xplain-frames-needed/frames-needed"


def test_two_of_four_frames_hold_nine_tenths() -> None:
    attribution = torch.tensor([[0.5, -5.0, 0.0, 2.0], [0.5, 0.0, 0.0, -2.0]])  # 1, 5, 0, 4
    assert frames_needed(attribution, mass=0.9) == pytest.approx(2 / 4)
    assert frames_needed(attribution, mass=0.5) == pytest.approx(1 / 4)
