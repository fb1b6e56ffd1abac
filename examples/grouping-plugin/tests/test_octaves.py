"""Channels of 0, 100, 200, 300 and 400 Hz lie in the octaves from 100, 200 and 400 Hz."""

import pytest
import torch
from xplain_octaves.grouping import Octaves

from xplain import Clip, Latents, PluginError, Synthesizer
from xplain_devkit import GroupingContract
from xplain_devkit.toys.models import Frames


class TestContract(GroupingContract):
    name = "xplain-octaves/octaves"


def clip_of(synthesizer: Synthesizer) -> Clip:
    latents = Latents(torch.ones(1, 5, 3), {})
    return Clip(synthesizer, torch.zeros(24), latents, torch.Generator())


def test_each_channel_belongs_to_its_octave() -> None:
    synthesizer = Frames()
    synthesizer.frequencies = [0, 100, 200, 300, 400]
    groups = Octaves(lowest=100).groups(clip_of(synthesizer))
    assert groups.names == ("below 100 Hz", "100–200 Hz", "200–400 Hz", "400–800 Hz")
    assert groups.numbers[:, 0].tolist() == [0, 1, 2, 2, 3]
    assert torch.equal(groups.numbers, groups.numbers[:, :1].expand(5, 3))


def test_channels_that_are_no_frequencies_are_refused() -> None:
    with pytest.raises(PluginError, match="choose stft"):
        Octaves().groups(clip_of(Frames()))
