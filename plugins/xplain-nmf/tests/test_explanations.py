"""A proxy heard, explained and asked "what if", against numbers worked out by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.testing import assert_close

import xplain
from xplain.errors import ModelError, PluginError
from xplain_devkit.check import RULES, registered
from xplain_devkit.rules.rule import NotApplicable
from xplain_nmf.model import NmfProxy
from xplain_nmf.proxy_folder import open_proxy, save_proxy
from xplain_nmf.segmenter import NmfSegmenter
from xplain_nmf.synthesizer import NmfSynthesizer, soft_mask

LABELS = ("speech", "music")
KINDS = ["speech", "speech", "speech", "music", "music", "music"]


def noise(samples: int, batch: int = 1) -> torch.Tensor:
    return 0.1 * torch.randn(batch, samples, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def folder(make_proxy: Callable[..., NmfProxy], tmp_path: Path) -> Path:
    """A small proxy as it is shipped: levelled, refined, class-wise."""
    proxy = make_proxy(
        LABELS, norm="frame", refinements=2, scale=3.0, level_seconds=1.0, component_labels=KINDS
    )
    save_proxy(proxy, tmp_path / "proxy")
    return tmp_path / "proxy"


@pytest.fixture
def papers(make_proxy: Callable[..., NmfProxy], tmp_path: Path) -> Path:
    """A small proxy as the paper has it: neither levelled nor refined."""
    save_proxy(make_proxy(LABELS), tmp_path / "papers")
    return tmp_path / "papers"


@pytest.mark.parametrize("which", ["folder", "papers"])
@pytest.mark.parametrize("samples", [1, 700, 20000])
def test_with_everything_kept_the_input_comes_back(which, samples, request):
    made = NmfSynthesizer(str(request.getfixturevalue(which)))
    waveform = noise(samples, batch=2)
    latents = made.encode(waveform)
    with torch.no_grad():
        back = made.decode(latents.values, latents.context)
    error = (back - waveform).square().sum() / waveform.square().sum()
    assert 10 * math.log10(float(error) + 1e-20) < -60


def test_the_mask_is_the_share_of_what_is_left():
    # Two components, two bins: W = [[.6, 0], [.8, 1]], h = (5, 2): W h = (3, 6).
    dictionary = torch.tensor([[0.6, 0.0], [0.8, 1.0]])
    active = torch.tensor([[[5.0], [2.0]]])
    first, second = (
        active * torch.tensor([1.0, 0.0])[:, None],
        active * torch.tensor([0.0, 1.0])[:, None],
    )
    assert_close(
        soft_mask(dictionary, first, active)[0, :, 0],
        torch.tensor([1.0, 4 / 6]),
        rtol=1e-5,
        atol=1e-5,
    )
    assert_close(
        soft_mask(dictionary, second, active)[0, :, 0],
        torch.tensor([0.0, 2 / 6]),
        rtol=1e-5,
        atol=1e-5,
    )
    assert_close(soft_mask(dictionary, active, active), torch.ones(1, 2, 1))


def test_a_frame_without_active_components_passes_unchanged():
    dictionary = torch.rand(5, 3)
    active = torch.rand(1, 3, 2)
    active[..., 1] = 0
    mask = soft_mask(dictionary, torch.zeros(1, 3, 2), active)
    assert_close(mask[..., 1], torch.ones(1, 5))
    assert_close(mask[..., 0], torch.zeros(1, 5))


def test_a_bin_that_no_component_reaches_goes_as_its_frame_does():
    dictionary = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    active = torch.tensor([[[3.0], [1.0]]])
    changed = torch.tensor([[[3.0], [0.0]]])
    assert float(soft_mask(dictionary, changed, active)[0, 2, 0]) == pytest.approx(0.75)


def test_parts_that_are_kept_and_parts_that_are_removed_add_up_to_the_input(folder):
    made = NmfSynthesizer(str(folder))
    waveform = noise(8000)
    latents = made.encode(waveform)
    keep = torch.zeros_like(latents.values)
    keep[:, :2] = 1
    with torch.no_grad():
        parts = [made.decode(latents.values * k, latents.context) for k in (keep, 1 - keep)]
    assert_close(parts[0] + parts[1], waveform, rtol=1e-4, atol=1e-4)
    assert all(float(part.square().mean()) > 1e-5 for part in parts)


@pytest.mark.parametrize("which", ["folder", "papers"])
def test_relevance_is_theta_times_h_over_the_span(which, request):
    checkpoint = request.getfixturevalue(which)
    waveform = noise(32000)[0]
    # Against silence without being asked: for a model that takes loudness out, "auto" is noise.
    span = xplain.Target("music", start=0.4, end=1.2)
    asked = {"target": span, "sample_rate": 16000}
    e = xplain.explain(waveform, f"nmf:{checkpoint}", explainer="relevance", **asked)
    weights = load_file(checkpoint / "model.safetensors")
    with torch.no_grad():
        h = open_proxy(checkpoint).activations(waveform[None])[0]
    expected = torch.zeros_like(h)
    expected[:, 20:60] = weights["theta.weight"][1][:, None] * h[:, 20:60] / 40
    assert_close(e.attribution, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    # They add up to the logit minus the bias.
    logit = float((weights["theta.weight"][1] @ h[:, 20:60]).mean() + weights["theta.bias"][1])
    assert float(e.attribution.sum()) == pytest.approx(
        logit - float(weights["theta.bias"][1]), rel=1e-4
    )
    assert e.score == pytest.approx(logit, rel=1e-4)
    assert e.converged
    other = xplain.explain(waveform, f"nmf:{checkpoint}", explainer="input-x-gradient", **asked)
    assert_close(e.attribution, other.attribution, rtol=1e-5, atol=1e-7)


def test_relevance_against_another_label_is_of_the_difference(folder):
    model = xplain.load_model(f"nmf:{folder}")
    settings = {"explainer": "relevance", "sample_rate": 16000}
    one, other, both = (
        xplain.explain(noise(8000)[0], model, target=label, versus=versus, **settings).attribution
        for label, versus in (("speech", None), ("music", None), ("speech", "music"))
    )
    assert_close(both, one - other, rtol=1e-4, atol=1e-6)


class Bent(nn.Module):
    """Nearly linear in the latents: bent where they are large."""

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        level = values.mean(dim=(1, 2))
        return torch.stack([level, level + (level - 1e3).relu()], dim=1)


def test_relevance_refuses_what_is_not_linear(folder):
    reads = NmfSynthesizer(str(folder))
    networks = [
        nn.Sequential(
            nn.Conv1d(6, 4, 1), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 2)
        ),
        nn.Sequential(nn.Conv1d(6, 2, 1), nn.Sigmoid(), nn.AdaptiveAvgPool1d(1), nn.Flatten()),
    ]
    for network in networks:
        model = xplain.wrap(network, sample_rate=16000, labels=LABELS, multilabel=True, reads=reads)
        with pytest.raises(PluginError, match="linear in the latents"):
            xplain.explain(noise(8000)[0], model, explainer="relevance", sample_rate=16000)


def test_other_explainers_work_on_activations_too(folder):
    asked = {"target": "speech", "sample_rate": 16000}
    e = xplain.explain(noise(8000)[0], f"nmf:{folder}", baseline="silence", **asked)
    relevance = xplain.explain(noise(8000)[0], f"nmf:{folder}", explainer="relevance", **asked)
    assert_close(e.attribution, relevance.attribution, rtol=1e-3, atol=1e-6)


def test_an_explanation_names_the_frequencies_of_the_components_that_count(folder):
    e = xplain.explain(noise(8000)[0], f"nmf:{folder}", target="speech", sample_rate=16000)
    spectra = open_proxy(folder).dictionary.T.detach().double()
    shares = spectra / spectra.sum(dim=1, keepdim=True)
    counted = e.attribution.double().clamp(min=0).sum(dim=1) @ shares  # (513,), 15.625 Hz apart
    hertz = torch.arange(513) * 15.625
    for band in e.bands:
        inside = (hertz >= band.low) & (hertz < band.high)
        share = float(counted[inside].sum() / counted.sum())
        assert band.share == pytest.approx(share, abs=1e-3)
    assert 0.5 <= sum(band.share for band in e.bands) < 0.9


def test_a_proxy_segments_and_says_which_frequencies_decided(folder):
    waveform = noise(48000)[0]
    s = xplain.segment(waveform, f"nmf:{folder}", sample_rate=16000, explain=True)
    proxy = open_proxy(folder)
    with torch.no_grad():
        logits = proxy(waveform[None]).logits[0]
    assert_close(s.frames, logits.sigmoid(), rtol=1e-4, atol=1e-5)
    assert s.labels == LABELS
    assert all(segment.bands is not None for segment in s.segments)


def test_the_further_a_proxy_hears_the_longer_its_windows(folder, monkeypatch):
    monkeypatch.setattr(NmfProxy, "reach", 300)  # frames: 6 s to either side
    segmenter = NmfSegmenter(str(folder))
    assert segmenter.context == pytest.approx(6.0)
    assert 2 * segmenter.context / segmenter.window < 0.1  # what is heard twice


def test_a_frame_in_which_nothing_sounds_is_explained_by_those_beside_it(make_proxy, tmp_path):
    save_proxy(make_proxy(LABELS, norm="frame", spread=10), tmp_path / "spread")
    waveform = noise(32000)[0]
    waveform[16000:] = 0
    beside = xplain.Target("music", start=1.06, end=1.1)  # frames 53 and 54, both of silence
    e = xplain.explain(
        waveform, f"nmf:{tmp_path / 'spread'}", explainer="relevance", target=beside,
        sample_rate=16000,
    )  # fmt: skip
    bias = float(open_proxy(tmp_path / "spread").theta.bias[1])
    assert float(e.attribution.sum()) == pytest.approx(e.score - bias, rel=1e-3)
    blamed = e.attribution.abs().sum(0).nonzero().flatten().tolist()
    assert min(blamed) == 53 - 10 and max(blamed) <= 52  # a window of 1,024 samples hears the end


@pytest.mark.parametrize("spread", [0, 4])
def test_a_segmenters_parts_are_the_proxys(make_proxy, tmp_path, spread):
    made = make_proxy(LABELS, norm="frame", scale=3.0, level_seconds=1.0, spread=spread)
    save_proxy(made, tmp_path / "proxy")
    segmenter = NmfSegmenter(str(tmp_path / "proxy"))
    proxy, waveform = segmenter.proxy, noise(8000)
    with torch.no_grad():
        assert_close(segmenter.parts(waveform), proxy.spread(proxy.activations(waveform)))
        assert_close(segmenter.logits(waveform), proxy(waveform).logits, rtol=1e-4, atol=1e-5)
    assert_close(segmenter.spectra, proxy.dictionary.T)
    assert segmenter.frequencies[64] == 1000.0
    assert segmenter.context == pytest.approx(proxy.reach * 0.02)


@pytest.mark.parametrize(
    ("off", "gone"),
    [("3", [3]), ("music", [3, 4, 5]), ("speech,5", [0, 1, 2, 5]), ([1, "4"], [1, 4]), ("", [])],
)
def test_components_are_switched_off(folder, off, gone):
    waveform = noise(8000)
    plain, without = NmfSegmenter(str(folder)), NmfSegmenter(str(folder), off=off)
    with torch.no_grad():
        h = plain.parts(waveform)
        h[:, gone] = 0
        assert_close(without.parts(waveform), h)
        expected = h.transpose(1, 2) @ plain.weights.T + plain.bias
        assert_close(without.logits(waveform), expected, rtol=1e-4, atol=1e-5)
        latents = NmfSynthesizer(str(folder), off=off).encode(waveform)
        assert_close(latents.values, h)


def test_a_reference_may_switch_components_off_and_they_are_not_heard(folder):
    model = xplain.load_model(f"nmf:{folder}?off=music")
    waveform = noise(16000)[0]
    e = xplain.explain(waveform, model, target="speech", explainer="relevance", sample_rate=16000)
    assert not e.attribution[3:].any() and e.attribution[:3].any()
    plain = NmfSynthesizer(str(folder))
    latents = plain.encode(waveform[None])
    values = latents.values.clone()
    values[:, 3:] = 0
    with torch.no_grad():
        heard = plain.decode(values, latents.context)[0]
    assert_close(e.keep(1.0), heard, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("rest", "says"),
    [
        ("{folder}?off=6", "numbered 0 to 5"),
        ("{folder}?off=musik", "did you mean 'music'"),
        ("{folder}?on=1", "after \\? comes off="),
        ("{folder}/nowhere", "holds no whole proxy"),
    ],
)
def test_wrong_references_say_what_is_wrong(folder, rest, says):
    with pytest.raises(ModelError, match=says):
        xplain.load_model("nmf:" + rest.format(folder=folder))


def test_damaged_and_foreign_folders_are_refused(folder):
    config = folder / "config.json"
    text = config.read_text()
    config.write_text(text.replace('"model_type": "nmf-proxy"', '"model_type": "bert"'))
    with pytest.raises(ModelError, match="'bert', no proxy"):
        xplain.load_model(f"nmf:{folder}")
    changed = json.loads(text)
    changed["components"] = 7
    changed["component_labels"] = None
    config.write_text(json.dumps(changed))
    with pytest.raises(ModelError, match=r"cannot be loaded|lack"):
        xplain.load_model(f"nmf:{folder}")
    config.write_text(text)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match=r"model\.safetensors cannot be read"):
        xplain.load_model(f"nmf:{folder}")
    weights.unlink()
    with pytest.raises(ModelError, match=r"model\.safetensors cannot be read"):
        xplain.load_model(f"nmf:{folder}")


@pytest.mark.parametrize("kind", ["synthesizer", "segmenter"])
def test_without_a_folder_it_is_said_what_to_give(kind):
    with pytest.raises(PluginError, match="give folder= "):
        registered(kind, "nmf").make()


@pytest.mark.parametrize("which", ["folder", "papers"])
@pytest.mark.parametrize("kind", ["synthesizer", "segmenter"])
def test_proxies_keep_the_rules_of_their_kind(kind, which, request):
    subject = registered(kind, "nmf", {"folder": str(request.getfixturevalue(which))})
    for rule in RULES[kind]:
        try:
            rule.check(subject)
        except NotApplicable:
            continue


def test_two_proxies_of_the_same_folder_are_the_same_representation(folder):
    # So that the head reads what the synthesizer gives, without decoding and encoding.
    model = xplain.load_model(f"nmf:{folder}")
    e = xplain.explain(
        noise(8000)[0],
        model,
        synthesizer="nmf",
        synthesizer_params={"folder": str(folder)},
        sample_rate=16000,
    )
    assert e.provenance["route"] == "head(z)"
    assert np.isfinite(e.attribution.numpy()).all()
