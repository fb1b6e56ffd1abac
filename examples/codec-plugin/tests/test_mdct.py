"""Mdct keeps the contract, and is right where the answer is known."""

import torch
from scipy.fft import dct
from xplain_mdct.synthesizer import Mdct

from xplain_devkit import SynthesizerContract


class TestContract(SynthesizerContract):
    name = "xplain-mdct/mdct"


def test_a_window_is_the_dct_iv_of_what_it_folds_over() -> None:
    a, b = torch.rand(2, 4, generator=torch.Generator().manual_seed(0)).double()
    window = torch.sin(torch.pi * (torch.arange(8) + 0.5) / 8).double()
    # The second of three windows reads all of a and b: its quarters fold to (−c_r − d, a − b_r).
    heard = window * torch.cat([a, b])
    q = heard.reshape(4, 2)
    folded = torch.cat([-q[2].flip(0) - q[3], q[0] - q[1].flip(0)])
    values = Mdct(8000, size=4).encode(torch.cat([a, b])[None].float()).values[0, :, 1]
    expected = torch.from_numpy(dct(folded.numpy(), type=4, norm="ortho")).float()
    torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-5)
