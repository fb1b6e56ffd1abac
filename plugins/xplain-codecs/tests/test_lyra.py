"""Lyra: the published codec, on real digits. Needs both folders beside the project."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import xplain
from xplain import PluginError
from xplain.audio import read, resample
from xplain.registry import registry
from xplain_codecs.codecs.lyra import FILES, Lyra
from xplain_devkit.rules.rule import NotApplicable, Subject
from xplain_devkit.rules.synthesizers import RULES

SHARED = Path(__file__).parents[4] / "shared"
FOLDER = SHARED / "models" / "lyra"
DIGITS = SHARED / "data" / "fsdd" / "test"

needs_codec = pytest.mark.skipif(not FOLDER.is_dir(), reason="needs ../shared/models/lyra")
needs_digits = pytest.mark.skipif(not DIGITS.is_dir(), reason="needs ../shared/data/fsdd")


def lyra(**settings: Any) -> Lyra:
    pytest.importorskip("ai_edge_litert", reason="needs the extra lyra")
    return Lyra(str(FOLDER), **settings)


def noise(*shape: int) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@needs_codec
@pytest.mark.parametrize("quantised", [False, True], ids=["continuous", "quantised"])
@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_it_keeps_the_rules_of_synthesizers(rule: Any, quantised: bool) -> None:
    pytest.importorskip("ai_edge_litert", reason="needs the extra lyra")
    parameters = {"folder": str(FOLDER), "quantised": quantised}
    make = lambda: registry().create("synthesizer", "lyra", parameters)  # noqa: E731
    try:
        rule.check(Subject("synthesizer", make, "lyra"))
    except NotApplicable as reason:
        pytest.skip(str(reason))


@needs_codec
@pytest.mark.parametrize("samples", [1, 319, 320, 321, 16000, 48000])
def test_every_length_comes_back_exactly(samples: int) -> None:
    codec = lyra()
    latents = codec.encode(noise(2, samples))
    assert latents.values.shape == (2, 64, -(-samples // 320))
    assert codec.decode(latents.values, latents.context).shape == (2, samples)


@needs_codec
@needs_digits
def test_real_digits_sound_as_they_did() -> None:
    codec = lyra()
    alike = []
    for file in sorted(DIGITS.rglob("*.flac"))[::20]:
        sound = resample(read(file), codec.sample_rate).waveform
        latents = codec.encode(sound[None])
        heard = codec.decode(latents.values, latents.context)[0]
        alike.append(np.corrcoef(sound.numpy(), heard.numpy())[0, 1])
    assert np.median(alike) > 0.85
    assert min(alike) > 0.7


@needs_codec
def test_fewer_codebooks_lose_more_and_none_lose_least() -> None:
    sound = noise(1, 16000)
    continuous = lyra(quantised=False).encode(sound).values
    lost = [
        float((lyra(codebooks=books).encode(sound).values - continuous).square().mean())
        for books in (4, 16, 46)
    ]
    assert lost[0] > lost[1] > lost[2] > 0


@needs_codec
def test_a_clip_never_begins_with_the_end_of_another() -> None:
    codec, sound = lyra(), noise(1, 4000)
    first = codec.encode(sound)
    codec.encode(torch.ones(1, 16000))
    codec.decode(5 * torch.ones_like(first.values), first.context)
    assert torch.equal(codec.encode(sound).values, first.values)


@needs_codec
def test_a_frame_is_not_changed_by_what_comes_after_it() -> None:
    codec, sound = lyra(), noise(1, 6400)
    changed = torch.cat([sound[:, :3200], torch.zeros(1, 3200)], dim=1)
    assert torch.equal(codec.encode(sound).values[..., :10], codec.encode(changed).values[..., :10])


@needs_codec
def test_it_is_sent_to_other_processes_as_what_it_is() -> None:
    codec, sound = lyra(codebooks=16), noise(1, 4000)
    again = pickle.loads(pickle.dumps(codec))
    assert torch.equal(again.encode(sound).values, codec.encode(sound).values)


@needs_codec
def test_methods_with_gradients_are_refused_and_others_work() -> None:
    class Loudness(torch.nn.Module):
        def forward(self, waveform: Tensor) -> Tensor:
            return torch.stack([c.abs().mean(-1) for c in waveform.chunk(2, dim=-1)], dim=-1)

    model = xplain.wrap(Loudness(), sample_rate=16000, labels=["early", "late"])
    clip = noise(1600) * (torch.arange(1600) < 800)
    with pytest.raises(xplain.ModelError, match="decode cannot be differentiated"):
        xplain.explain(clip, model, synthesizer=lyra(), explainer="integrated-gradients")
    e = xplain.explain(
        clip, model, synthesizer=lyra(), explainer="occlusion", params={"window": "64x1"}
    )
    assert e.provenance["synthesizer"]["name"] == "xplain-codecs/lyra"
    assert e.attribution.shape == (64, 5)


def test_without_a_folder_or_a_network_it_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"give folder= .*google/lyra"):
        registry().create("synthesizer", "lyra", {})
    with pytest.raises(PluginError, match=r"soundstream_encoder\.tflite cannot be read"):
        Lyra(str(tmp_path))
    for file in FILES:
        (tmp_path / file).write_bytes(b"not a network")
    pytest.importorskip("ai_edge_litert", reason="needs the extra lyra")
    with pytest.raises(PluginError, match="is no network"):
        Lyra(str(tmp_path))
    with pytest.raises(ValueError, match="codebooks is 1 to 46"):
        Lyra(str(tmp_path), codebooks=47)


@needs_codec
def test_latents_that_are_not_its_own_are_refused() -> None:
    codec = lyra()
    latents = codec.encode(noise(1, 3200))
    with pytest.raises(PluginError, match=r"this clip has \(variants, 64, 10\) here"):
        codec.decode(latents.values[:, :32], latents.context)
    with pytest.raises(PluginError, match="a context without a length"):
        codec.decode(latents.values, {})
