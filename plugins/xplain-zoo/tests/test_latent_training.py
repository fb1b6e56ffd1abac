"""Training of zoo:digits-latent: a classifier of spectra, and an estimate of them from latents."""

from __future__ import annotations

import random

import pytest
import torch

pytest.importorskip("xplain_codecs")

from training import train_digits_latent as latent
from training.clips_manifest import Clip
from xplain_codecs.fit.heads import make_head
from xplain_zoo.digits import DigitClassifier, DigitConfig


def test_what_hears_decides_alike_in_the_head_whatever_the_number_of_frames():
    torch.manual_seed(0)
    heard = DigitClassifier(DigitConfig(tilt=0.6, hop=80)).eval()
    for module in heard.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-1, 1)
            module.running_var.uniform_(0.5, 2)
    head = make_head(latent.SIZES, 4, 10)
    latent.adopt(head, heard)
    for frames in (24, 25, 1):
        pictures = torch.rand(2, 32, 2 * frames)
        with torch.no_grad():
            logits = head.out(head.network.look(pictures, None).mean(-1))
            torch.testing.assert_close(logits, heard.classify(pictures), rtol=1e-4, atol=1e-5)
    latents = torch.randn(2, 4, 25)
    latents[1, :, 16:] = 1e3
    with torch.no_grad():  # padding that would be heard
        logits = head(latents, torch.tensor([25, 16]))
        torch.testing.assert_close(logits[1:], head(latents[1:, :, :16]), rtol=1e-4, atol=1e-5)


def test_nothing_is_learnt_of_the_speaker_who_is_left_out():
    def clip(speaker, split):
        return Clip(torch.zeros(1), 0, speaker, split)

    clips = [clip("ann", "train"), clip("ann", "test"), clip("ben", "train"), clip("ben", "test")]
    known = [clips[0], clips[2], clip("voice", "train")]
    assert latent.parted(known, clips, "ann") == ([1, 2], clips[:2])
    assert latent.parted(known, clips, "") == ([0, 1, 2], [clips[1], clips[3]])


def test_another_hop_is_refused():
    with pytest.raises(SystemExit, match="digits-latent"):
        latent.adopt(make_head(latent.SIZES, 4, 10), DigitClassifier(DigitConfig(tilt=0.6)))


def test_latents_are_edited_towards_silence_cut_or_mixed():
    torch.manual_seed(0)
    draw = random.Random(0)
    values, silence, other = torch.rand(1, 3, 20) + 1, torch.zeros(1, 3, 20), torch.ones(1, 3, 9)
    faded = cut = mixed = 0
    for _ in range(60):
        found = latent.edited(values, silence, other, draw)
        share = found / values
        if torch.allclose(share, share[0, 0, 0].expand_as(share)) and share.max() < 1:
            faded += 1
        elif ((found == 0) | (found == values)).all():
            cut += 1
        else:
            mixed += 1
            assert torch.equal(found[..., 9:], values[..., 9:])
            torch.testing.assert_close((found - values)[..., :9].std(), torch.tensor(0.0))
    assert min(faded, cut, mixed) > 5
