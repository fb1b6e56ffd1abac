"""The proxy: the paper's shapes, its reach, and what is saved."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional
from transformers import (
    HubertConfig,
    HubertModel,
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
    WavLMModel,
)
from transformers.audio_utils import mel_filter_bank

from xplain import ModelError
from xplain_nmf.config import NmfProxyConfig
from xplain_nmf.encoder import Encoder, read_encoder
from xplain_nmf.frames import to_label_frames
from xplain_nmf.model import NmfProxy, _mel_filters
from xplain_nmf.proxy_folder import open_proxy, save_proxy

SMALL = {"components": 6, "bottleneck": 8, "hidden": 12, "repeats": 1, "blocks": 3}
TINY_ENCODER = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "conv_dim": (8, 8),
    "conv_kernel": (10, 8),
    "conv_stride": (20, 16),
    "num_feat_extract_layers": 2,
    "num_conv_pos_embeddings": 4,
    "num_conv_pos_embedding_groups": 2,
}


def proxy(**changes) -> NmfProxy:
    torch.manual_seed(0)
    return NmfProxy(NmfProxyConfig(**{**SMALL, **changes})).eval()


def noise(samples: int, clips: int = 1, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(clips, samples, generator=torch.Generator().manual_seed(seed))


def test_the_default_is_the_papers_architecture():
    model = NmfProxy(NmfProxyConfig())
    convolutions = [m for m in model.psi.modules() if isinstance(m, torch.nn.Conv1d)]
    first, body, last = convolutions[0], convolutions[1:-1], convolutions[-1]
    assert (first.in_channels, first.out_channels, first.kernel_size) == (513, 64, (1,))
    assert (last.in_channels, last.out_channels, last.kernel_size) == (64, 256, (1,))
    assert len(body) == 3 * 15
    depthwise = body[1::3]
    assert [c.dilation[0] for c in depthwise] == [1, 2, 4, 8, 16] * 3
    assert all(c.kernel_size == (3,) and c.groups == c.in_channels == 128 for c in depthwise)
    assert model.theta.weight.shape == (4, 256) and model.dictionary.shape == (513, 256)
    assert model.config.labels == ("speech", "music", "noise", "overlap")


@pytest.mark.parametrize("samples", [1, 320, 321, 16000])
def test_a_frame_for_every_320_samples_or_part_of_them(samples):
    model = proxy()
    out = model(noise(samples, 2))
    frames = math.ceil(samples / 320)
    assert out.logits.shape == (2, frames, 4)
    assert out.activations.shape == (2, 6, frames) and out.spectrum.shape == (2, 513, frames)
    assert (out.activations >= 0).all()


def test_the_papers_spectrum_is_the_default_and_the_logits_are_theta_h_plus_b():
    model = proxy()
    waveform = noise(8000)
    padded = functional.pad(waveform, (352, 1024))
    power = padded.unfold(1, 1024, 320)[:, :25] * torch.hann_window(1024)
    expected = torch.fft.rfft(power).abs().square().log1p().transpose(1, 2)
    torch.testing.assert_close(model.spectrum(waveform), expected, rtol=1e-4, atol=1e-4)
    h = model.activations(waveform)
    by_hand = torch.einsum("lk,bkt->btl", model.theta.weight, h) + model.theta.bias
    torch.testing.assert_close(model(waveform).logits, by_hand)


def test_the_reach_is_what_a_frame_hears():
    model = proxy(norm="frame", scale=3.0, level_seconds=0.1)
    waveform = noise(320 * 100).requires_grad_()
    model(waveform).logits[0, 50].sum().backward()
    heard = waveform.grad[0].nonzero()
    # One repeat of dilations 1, 2, 4 and the levelling's or the window's frames.
    assert model.reach == 7 + 2
    assert heard.min() >= 320 * (50 - model.reach) and heard.max() < 320 * (51 + model.reach)
    assert heard.min() < 320 * (51 - model.reach)
    assert proxy(norm="global").reach is None


def test_what_sounds_nearby_counts_for_decisions():
    model = proxy(norm="frame", scale=3.0, level_seconds=0.1, spread=3)
    plain = proxy(norm="frame", scale=3.0, level_seconds=0.1)
    plain.load_state_dict(model.state_dict(), strict=False)
    torch.nn.init.zeros_(model.spread.kernel)  # each of seven frames counts as much
    waveform = noise(320 * 40)
    h = model.activations(waveform)
    torch.testing.assert_close(h, plain.activations(waveform))
    around = functional.avg_pool1d(h, 7, stride=1, padding=3)  # beyond the ends nothing is active
    by_hand = torch.einsum("lk,bkt->btl", model.theta.weight, around) + model.theta.bias
    torch.testing.assert_close(model(waveform).logits, by_hand, atol=1e-5, rtol=1e-4)
    assert model.reach == plain.reach + 3


def test_a_proxy_that_reads_loudness_hears_a_recording_turned_down():
    waveform = noise(16000)
    for features in ({}, {"features": "mel", "mels": 20}):
        model = proxy(scale=3.0, level_seconds=4.0, loudness=True, **features)
        read = model._features(0.1 * waveform, model.spectrum(0.1 * waveform), None)
        power = (0.01 * waveform.square().mean()).log10()  # the clip is shorter than the window
        torch.testing.assert_close(read[:, -1], (power + 4).expand(1, 50), atol=1e-3, rtol=0)
        torch.testing.assert_close(read[:, :-1].mean(1), torch.zeros(1, 50), atol=1e-4, rtol=0)
        assert (model(waveform).logits - model(0.1 * waveform).logits).abs().max() > 1e-3
    for wrong in ({"level_seconds": None}, {"features": "encoder", "encoder_config": {}}):
        with pytest.raises(ValueError, match="levelled"):
            NmfProxyConfig(**{"loudness": True, "level_seconds": 4.0, **wrong})
    with pytest.raises(ValueError, match="spread is 0 to 500 frames, not -1"):
        NmfProxyConfig(spread=-1)


def test_windows_with_context_equal_the_whole_where_the_reach_is_finite():
    model = proxy(norm="frame", scale=3.0, level_seconds=0.2, refinements=2)
    waveform = noise(320 * 90)
    whole = model(waveform).logits[0, 40:50]
    start, stop = 40 - model.reach, 50 + model.reach
    window = model(waveform[:, 320 * start : 320 * stop]).logits[0, model.reach : -model.reach]
    torch.testing.assert_close(window, whole, atol=1e-5, rtol=1e-4)


def test_a_levelled_proxy_decides_the_same_on_a_recording_turned_up_or_down():
    model = proxy(norm="frame", scale=3.0, level_seconds=4.0)
    waveform = noise(16000)
    for factor in (0.1, 10.0):
        torch.testing.assert_close(
            model(factor * waveform).logits, model(waveform).logits, atol=1e-4, rtol=1e-4
        )


def test_softplus_is_never_zero_and_relu_is():
    waveform = noise(16000)
    assert (proxy(activation="softplus").activations(waveform) > 0).all()
    assert (proxy(activation="relu").activations(waveform) == 0).any()


def test_refinements_bring_w_h_nearer_to_x_and_keep_zeros():
    waveform = noise(16000)
    plain, refined = proxy(), proxy(refinements=20)
    x, h = plain.analyse(waveform)
    _, better = refined.analyse(waveform)
    error = (x - plain.dictionary @ h).square().sum()
    assert (x - refined.dictionary @ better).square().sum() < 0.5 * error
    assert (better[h == 0] == 0).all() and (better >= 0).all()


def test_one_refinement_is_lee_and_seungs_update():
    plain, refined = proxy(), proxy(refinements=1)
    x, h = plain.analyse(noise(1000))
    w = plain.dictionary
    by_hand = h * (w.T @ x) / (w.T @ w @ h + 1e-8)
    torch.testing.assert_close(refined.analyse(noise(1000))[1], by_hand)


def test_gains_come_after_the_updates():
    model = proxy(refinements=1, gains=True)
    waveform = noise(1000)
    found = model.psi(model.spectrum(waveform))
    h, w = found[:, :6].relu(), model.dictionary
    updated = h * (w.T @ model.spectrum(waveform)) / (w.T @ w @ h + 1e-8)
    torch.testing.assert_close(model.activations(waveform), updated * 2 * found[:, 6:].sigmoid())


def test_columns_of_the_dictionary_have_length_one_over_frequency():
    model = proxy()
    model.set_dictionary(torch.rand(513, 6) * 7)
    torch.testing.assert_close(model.dictionary.square().sum(0), torch.ones(6))
    with pytest.raises(ValueError, match="not negative"):
        model.set_dictionary(-torch.rand(513, 6))
    with pytest.raises(ValueError, match=r"\(513, 6\)"):
        model.set_dictionary(torch.rand(513, 5))


def test_the_dictionary_learns_only_where_it_is_trained():
    for trained in (True, False):
        model = proxy(dictionary_trained=trained)
        out = model(noise(1000))
        (out.spectrum - model.dictionary @ out.activations).square().mean().backward()
        learned = {name for name, p in model.named_parameters() if p.requires_grad}
        assert ("spectra" in learned) is trained
        assert (model.spectra.grad is not None) is trained


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "features": "mel",
            "norm": "frame",
            "activation": "softplus",
            "refinements": 2,
            "gains": True,
            "dictionary_trained": True,
            "scale": 3.0,
            "level_seconds": 2.0,
            "component_labels": ["speech"] * 3 + ["music"] * 3,
            "id2label": {0: "speech", 1: "music"},
        },
    ],
)
def test_what_is_saved_comes_back(tmp_path, changes):
    model = proxy(**changes)
    save_proxy(model, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"config.json", "model.safetensors"}
    again = open_proxy(tmp_path)
    assert again.config == model.config
    assert not again.training
    waveform = noise(5000)
    assert torch.equal(again(waveform).logits, model(waveform).logits)
    assert torch.equal(again.dictionary, model.dictionary)
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name for name, p in again.named_parameters() if p.requires_grad} == names


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"component_labels": ["speech"]}, "1 of 6 components"),
        ({"features": "encoder"}, "encoder_config"),
        ({"scale": -1.0}, "above 0"),
        ({"norm": "batch"}, "norm"),
    ],
)
def test_what_cannot_be_a_proxy_is_refused(changes, message):
    with pytest.raises(Exception, match=message):
        NmfProxyConfig(**{**SMALL, **changes})


@pytest.mark.parametrize(
    ("settings", "kind"), [(WavLMConfig, WavLMModel), (HubertConfig, HubertModel)]
)
def test_a_frozen_encoder_gives_the_features(tmp_path, settings, kind):
    torch.manual_seed(1)
    encoder = kind(settings(**TINY_ENCODER)).eval()
    encoder.save_pretrained(tmp_path / "encoder")
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(tmp_path / "encoder")
    loaded, normalises = read_encoder(str(tmp_path / "encoder"))
    assert normalises
    model = proxy(
        features="encoder", encoder_config=loaded.config.to_dict(), encoder_normalises=True
    )
    model.encoder.model.load_state_dict(loaded.state_dict())
    waveform = noise(16000)
    hidden = encoder((waveform - waveform.mean()) / waveform.std(correction=0)).last_hidden_state
    # Each of its frames hears 150 samples every 320, so the label frames lie in between.
    expected = to_label_frames(hidden, (150 - 1) / 2, 320, 50)
    torch.testing.assert_close(model.encoder(waveform, 50), expected, atol=1e-4, rtol=1e-3)
    model.train()
    assert not model.encoder.model.training
    model(waveform).logits.sum().backward()
    assert all(p.grad is None for p in model.encoder.parameters())
    save_proxy(model.eval(), tmp_path / "proxy")
    again = open_proxy(tmp_path / "proxy")
    torch.testing.assert_close(again(waveform).logits, model(waveform).logits)


def test_an_encoder_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ModelError, match="cannot be loaded"):
        read_encoder(str(tmp_path))
    with pytest.raises(ModelError, match="no convolutions over samples"):
        Encoder({"model_type": "bert", "num_hidden_layers": 1, "hidden_size": 12}, False)


def test_frames_of_another_step_are_read_in_between():
    # Frames of 32 ms at samples 256, 768, …; label frames are centred on 160, 480, 800, …
    values = torch.tensor([[[0.0], [1.0], [3.0]]])
    frames = to_label_frames(values, 256, 512, 5)[0, :, 0]
    expected = [0.0, (480 - 256) / 512, 1 + 2 * (800 - 768) / 512, 1 + 2 * (1120 - 768) / 512, 3.0]
    torch.testing.assert_close(frames, torch.tensor(expected))


@pytest.mark.parametrize("mels", [20, 80])
def test_the_mel_filters_are_those_of_transformers(mels):
    filters = torch.from_numpy(mel_filter_bank(513, mels, 0.0, 8000.0, 16000)).float().T
    torch.testing.assert_close(_mel_filters(mels), filters / filters.sum(1, keepdim=True))
