"""Codecs of transformers: what they compute, and that pieces, types and contexts change nothing."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf
from torch import Tensor, nn

import xplain
from xplain import Synthesizer
from xplain.registry import registry
from xplain.score import same_synthesizer
from xplain_codecs.codecs.neural import NeuralCodec
from xplain_devkit.rules.rule import NotApplicable, Subject
from xplain_devkit.rules.synthesizers import RULES

RATE = 8000
NAMES = ["encodec", "encodec-windows", "dac", "mimi"]

Make = Callable[..., NeuralCodec]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def apart(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("quantised", [False, True], ids=["continuous", "quantised"])
@pytest.mark.parametrize("name", NAMES)
def test_it_keeps_the_rules_of_synthesizers(
    name: str, quantised: bool, rule: Any, folders: dict[str, Path]
) -> None:
    if rule.name == "gives-back-what-went-in":
        pytest.skip("random weights tell no sounds apart")
    registered = f"xplain-codecs/{name.removesuffix('-windows')}"
    parameters = {"checkpoint": str(folders[name]), "quantised": quantised}
    subject = Subject(
        "synthesizer",
        lambda: registry().create("synthesizer", registered, parameters),
        registered,
    )
    try:
        rule.check(subject)
    except NotApplicable as reason:
        pytest.skip(str(reason))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("samples", [1, 2, 39, 40, 41, 79, 200, 1999, 2000, 2001, 8000, 24000])
def test_every_length_comes_back_exactly(name: str, samples: int, make: Make) -> None:
    codec = make(name)
    latents = codec.encode(noise(2, samples))
    assert codec.decode(latents.values, latents.context).shape == (2, samples)
    assert latents.values.shape == (2, codec.channels, codec.frames(samples))


def test_encodec_gives_what_transformers_gives(make: Make, random_codec: Any) -> None:
    codec, model, clip = make("encodec"), random_codec("encodec"), noise(1, RATE)
    with torch.no_grad():
        encoded = model.encode(clip[None], bandwidth=3.2)
        expected = model.decode(encoded.audio_codes, encoded.audio_scales).audio_values
        quantised = model.quantizer.decode(encoded.audio_codes[0].transpose(0, 1))
    latents = codec.encode(clip)
    assert apart(latents.values, quantised) < 1e-6
    assert apart(codec.decode(latents.values, latents.context), expected[:, 0]) < 1e-5


@pytest.mark.parametrize("samples", [500, 2000, 2001, 5700, 8000])
def test_encodec_with_windows_gives_what_transformers_gives(
    samples: int, make: Make, random_codec: Any
) -> None:
    codec, model = make("encodec-windows"), random_codec("encodec-windows")
    clip = noise(1, samples)
    stereo = clip[None].expand(1, 2, -1)
    with torch.no_grad():
        expected = model(stereo, bandwidth=3.2).audio_values[..., :samples].mean(dim=1)
    latents = codec.encode(clip)
    assert apart(codec.decode(latents.values, latents.context), expected) < 1e-4


@pytest.mark.parametrize("codebooks", [1, 2, 3])
def test_dac_gives_what_transformers_gives(codebooks: int, make: Make, random_codec: Any) -> None:
    codec, model = make("dac", codebooks=codebooks), random_codec("dac")
    clip = noise(1, RATE - 20)  # whole frames, for the decoder too
    with torch.no_grad():
        padded = nn.functional.pad(clip, (0, 20))[None]
        encoded = model.encode(padded, n_quantizers=codebooks)
        expected = model.decode(encoded.quantized_representation).audio_values
    latents = codec.encode(clip)
    assert apart(latents.values, encoded.quantized_representation) < 1e-5
    heard = codec.decode(latents.values, latents.context)
    assert apart(heard, expected[:, : RATE - 20]) < 1e-4


@pytest.mark.parametrize("codebooks", [1, 2, 3])
def test_mimi_gives_what_transformers_gives(codebooks: int, make: Make, random_codec: Any) -> None:
    codec, model = make("mimi", codebooks=codebooks), random_codec("mimi")
    clip = noise(1, RATE)
    with torch.no_grad():
        codes = model.encode(clip[None], num_quantizers=codebooks).audio_codes
        quantised = model.quantizer.decode(codes)
        expected = model.decode(codes).audio_values[:, 0]
    latents = codec.encode(clip)
    assert apart(latents.values, quantised) < 1e-5
    assert apart(codec.decode(latents.values, latents.context), expected) < 1e-4


def test_the_real_sizes_are_those_that_are_stated() -> None:
    encodec, mimi = hf.EncodecConfig(), hf.MimiConfig()
    assert (encodec.hidden_size, encodec.sampling_rate / encodec.hop_length) == (128, 75)
    assert (mimi.hidden_size, mimi.frame_rate) == (512, 12.5)


@pytest.mark.parametrize("name", NAMES)
def test_the_straight_through_gradient_is_that_of_the_continuous_latents(
    name: str, make: Make
) -> None:
    weight = noise(*make(name).encode(noise(1, 3000)).values.shape, seed=5)
    gradients = []
    for quantised in (False, True):
        sound = noise(1, 3000).requires_grad_()
        values = make(name, quantised=quantised).encode(sound).values
        (gradient,) = torch.autograd.grad((weight * values).sum(), sound)
        gradients.append((values.detach(), gradient))
    (continuous, expected), (quantised_values, found) = gradients
    assert not torch.allclose(continuous, quantised_values, atol=1e-2)
    assert apart(found, expected) < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_decoding_never_quantises(name: str, make: Make) -> None:
    codec = make(name)
    latents = codec.encode(noise(1, 3000))
    moved = latents.values + 1e-3 * noise(*latents.values.shape, seed=3)
    one, other = (codec.decode(v, latents.context) for v in (latents.values, moved))
    assert not torch.equal(one, other)
    continuous = make(name, quantised=False)
    assert torch.equal(continuous.decode(moved, latents.context), other)


@pytest.mark.parametrize("quantised", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_finite_at_silence(name: str, quantised: bool, make: Make) -> None:
    codec = make(name, quantised=quantised)
    sound = torch.zeros(1, 3000, requires_grad=True)
    latents = codec.encode(sound)
    codec.decode(latents.values, latents.context).sum().backward()
    assert sound.grad is not None
    assert torch.isfinite(sound.grad).all()


@pytest.mark.parametrize("chunk", [0.01, 0.2, 0.7])
@pytest.mark.parametrize("name", NAMES)
def test_nothing_depends_on_how_long_pieces_are(name: str, chunk: float, make: Make) -> None:
    clip = noise(1, RATE + 17)
    whole, cut = (make(name, quantised=False, chunk=c) for c in (None, chunk))
    latents = whole.encode(clip)
    assert apart(cut.encode(clip).values, latents.values) < 1e-4
    expected = whole.decode(latents.values, latents.context)
    assert apart(cut.decode(latents.values, latents.context), expected) < 1e-4


@pytest.mark.parametrize("name", ["encodec", "dac", "mimi"])
def test_gradients_through_pieces_are_those_of_the_whole(name: str, make: Make) -> None:
    gradients = []
    for chunk in (None, 0.2):
        codec = make(name, quantised=False, chunk=chunk)
        sound = noise(1, RATE).requires_grad_()
        latents = codec.encode(sound)
        heard = codec.decode(latents.values, latents.context)
        (gradient,) = torch.autograd.grad(heard.square().sum(), sound)
        gradients.append(gradient)
    assert apart(gradients[1], gradients[0]) < 1e-4


@pytest.mark.parametrize("name", ["encodec", "dac", "mimi"])
def test_pieces_bound_what_is_computed_at_once(name: str, fresh: Make) -> None:
    longest = {}
    for seconds in (8, 16):
        codec, sizes = fresh(name, chunk=0.5), [0]

        def note(layer: nn.Module, given: Any, gave: Tensor, sizes: list[int] = sizes) -> None:
            sizes.append(gave.shape[-1])

        for place, layer in codec.named_modules():
            # Mimi's first and last convolution run over all, at the rate of its frames.
            if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d) and "sample." not in place:
                layer.register_forward_hook(note)
        latents = codec.encode(noise(1, seconds * RATE))
        codec.decode(latents.values, latents.context)
        longest[seconds] = max(sizes)
    # Pieces of a clip are equally long, and at most so long.
    assert longest[16] <= 1.05 * longest[8]


@pytest.mark.parametrize("name", NAMES)
def test_the_context_of_one_clip_serves_all_its_variants(name: str, make: Make) -> None:
    codec = make(name)
    latents = codec.encode(noise(1, 3000))
    variants = latents.values * torch.tensor([1.0, 0.5, 0.0])[:, None, None]
    together = codec.decode(variants, latents.context)
    alone = torch.cat([codec.decode(v[None], latents.context) for v in variants])
    assert apart(together, alone) < 1e-5


def test_a_level_that_is_divided_out_comes_back_from_the_context(make: Make) -> None:
    codec = make("encodec-windows", quantised=False)
    quiet, loud = (codec.encode(gain * noise(1, 3000)) for gain in (0.1, 1.0))
    assert apart(quiet.values, loud.values) < 1e-3
    assert apart(10 * quiet.context["level"], loud.context["level"]) < 1e-4
    heard = [codec.decode(loud.values, latents.context) for latents in (quiet, loud)]
    assert apart(10 * heard[0], heard[1]) < 1e-4


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("name", NAMES)
def test_half_precision_computes_half_and_gives_float32(name: str, dtype: str, make: Make) -> None:
    exact, half = make(name, quantised=False), make(name, quantised=False, dtype=dtype)
    assert {p.dtype for p in half.parameters()} == {getattr(torch, dtype)}
    clip = noise(1, 3000)
    latents, rough = exact.encode(clip), half.encode(clip)
    assert rough.values.dtype == torch.float32
    assert apart(rough.values, latents.values) < 0.1
    heard = half.decode(latents.values, rough.context)
    assert heard.dtype == torch.float32
    assert torch.isfinite(heard).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_codec_moved_between_types_and_back_works_on(name: str, fresh: Make) -> None:
    codec, clip = fresh(name), noise(1, 3000)
    before = codec.encode(clip).values
    codec.double().encode(clip)
    assert torch.equal(codec.float().encode(clip).values, before)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_frozen_and_its_memory_is_freed(name: str, fresh: Make) -> None:
    codec = fresh(name)
    assert not codec.training
    assert not any(p.requires_grad for p in codec.parameters())
    latents = codec.encode(noise(1, 3000))
    codec.decode(latents.values, latents.context)
    gone = weakref.ref(next(codec.parameters()))
    del codec
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("name", NAMES)
def test_its_description_makes_it_again(name: str, make: Make) -> None:
    codec = make(name, quantised=False, codebooks=1, chunk=2.5, dtype="bfloat16")
    described = registry().describe("synthesizer", codec)
    again: Synthesizer = registry().create(
        "synthesizer", described["name"], json.loads(json.dumps(described["parameters"]))
    )
    assert registry().describe("synthesizer", again) == described
    assert same_synthesizer(codec, again)
    assert not same_synthesizer(codec, make(name))


@pytest.mark.parametrize("name", NAMES)
def test_other_weights_are_another_codec_and_provenance_says_which(name: str, fresh: Make) -> None:
    codec, same, other = (fresh(name, quantised=False) for _ in range(3))
    with torch.no_grad():
        next(other.parameters()).add_(1e-3)
    assert codec.fingerprint() == same.fingerprint() != other.fingerprint()
    assert same_synthesizer(codec, same) and not same_synthesizer(codec, other)
    head = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(codec.channels, 2))
    model = xplain.wrap(head, sample_rate=RATE, labels=["a", "b"], reads=codec)
    inside, outside = (
        xplain.explain(noise(1600), model, synthesizer=s, explainer="saliency").provenance
        for s in (same, other)
    )
    assert (inside["route"], outside["route"]) == ("head(z)", "head(encode(decode(z)))")
    assert inside["synthesizer"]["sha256"] == inside["model"]["reads"]["sha256"]
    assert outside["synthesizer"]["sha256"] == other.fingerprint()
    assert outside["model"]["reads"]["sha256"] == codec.fingerprint()


@pytest.mark.parametrize("name", NAMES)
def test_a_model_that_reads_a_codec_is_explained_in_it_and_through_it(
    name: str, make: Make
) -> None:
    class Levels(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            return values.square().mean(dim=2)[:, :2]

    codec = make(name)
    model = xplain.wrap(Levels(), sample_rate=RATE, labels=["a", "b"], reads=codec)
    clip = noise(1600)
    inside = xplain.explain(clip, model)
    assert inside.provenance["route"] == "head(z)"
    assert inside.attribution.shape == (codec.channels, codec.frames(1600))
    through = xplain.explain(clip, model, synthesizer="stft", explainer="saliency")
    assert through.provenance["route"] == "head(encode(decode(z)))"
    assert through.attribution.any()


@pytest.mark.parametrize("name", NAMES)
def test_clips_of_unequal_length_are_each_explained_as_if_alone(name: str, make: Make) -> None:
    codec = make(name)
    torch.manual_seed(0)
    head = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(codec.channels, 2))
    model = xplain.wrap(head, sample_rate=RATE, labels=["a", "b"], reads=codec)
    clips = [noise(samples, seed=samples) for samples in (900, 2417, 1600)]
    together = xplain.explain(clips, model)
    for clip, e in zip(clips, together, strict=True):
        alone = xplain.explain(clip, model)
        assert e.attribution.shape == (codec.channels, codec.frames(len(clip)))
        assert torch.equal(e.attribution, alone.attribution)
        assert torch.equal(e.keep(0.1), alone.keep(0.1)) and len(e.keep(0.1)) == len(clip)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
def test_it_computes_where_it_is_asked_to_and_gives_the_memory_back(
    name: str, dtype: str, fresh: Make
) -> None:
    here = fresh(name, quantised=False, dtype=dtype)
    expected = here.encode(noise(1, 4 * RATE))
    close = 1e-3 if dtype == "float32" else 0.1

    def use_there() -> int:
        there = fresh(name, quantised=False, dtype=dtype).to("cuda")
        latents = there.encode(noise(1, 4 * RATE).to("cuda"))
        heard = there.decode(latents.values, latents.context)
        assert latents.values.device.type == heard.device.type == "cuda"
        assert apart(latents.values.cpu(), expected.values) < close
        assert apart(heard.cpu(), here.decode(latents.values.cpu(), expected.context)) < close
        del there, latents, heard
        gc.collect()
        return torch.cuda.memory_allocated()

    # What torch's libraries keep for themselves is there after the first time.
    assert use_there() >= use_there()


def test_a_clip_is_explained_through_a_codec(make: Make) -> None:
    class Loudness(nn.Module):
        def forward(self, waveform: Tensor) -> Tensor:
            early, late = waveform.abs().chunk(2, dim=-1)
            return torch.stack([early.mean(-1), late.mean(-1)], dim=-1)

    model = xplain.wrap(Loudness(), sample_rate=16000, labels=["early", "late"])
    clip = noise(16000) * (torch.arange(16000) < 8000)
    e = xplain.explain(clip, model, synthesizer=make("encodec"), target="early")
    assert e.provenance["route"] == "model(decode(z))"
    assert e.provenance["synthesizer"]["name"] == "xplain-codecs/encodec"
    assert e.attribution.shape == (12, 200)
    assert len(e.keep(0.1)) == RATE
