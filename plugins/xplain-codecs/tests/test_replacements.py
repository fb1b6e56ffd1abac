"""Noise, a recording and the mean over data in place of what is removed."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import save_file
from torch import Tensor
from typer.testing import CliRunner

import xplain
from xplain import AudioError, Clip, PluginError, Replacement
from xplain.registry import registry
from xplain_codecs.codecs.stft import Stft
from xplain_codecs.codecs.waveform import Waveform
from xplain_codecs.replacements.cli import app
from xplain_codecs.replacements.data_mean import Average, DataMean, measure
from xplain_codecs.replacements.noise import ColouredNoise, WhiteNoise
from xplain_codecs.replacements.recording import Recording
from xplain_devkit.rules.replacements import RULES, ReplacementSubject
from xplain_devkit.rules.rule import NotApplicable
from xplain_devkit.toys.models import RATE

SAMPLES = 1000


def record(path: Path, sound: Tensor, rate: int = RATE) -> Path:
    soundfile.write(path, sound.numpy(), rate, subtype="FLOAT")
    return path


def clip_of(sound: Tensor, synthesizer: xplain.Synthesizer, seed: int = 0) -> tuple[Tensor, Clip]:
    latents = synthesizer.encode(sound[None])
    generator = torch.Generator().manual_seed(seed)
    return latents.values[0], Clip(synthesizer, sound, latents, generator)


def filled(replacement: Replacement, latents: Tensor, clip: Clip, kept: bool = False) -> Tensor:
    keep = torch.zeros_like(latents, dtype=torch.bool)
    keep[:, :3] = kept
    return replacement.fill(latents, keep, clip)


Maker = Callable[[], Replacement]


@pytest.fixture
def makers(tmp_path: Path) -> dict[str, Maker]:
    sound = record(tmp_path / "tone.wav", torch.sin(torch.arange(300) / 5))
    for name, synthesizer in (("stft", Stft(RATE)), ("waveform", Waveform(RATE))):
        measure([sound], synthesizer).save(tmp_path / name)
    return {
        "white-noise": lambda: registry().create("replacement", "white-noise", {}),
        "noise": lambda: registry().create("replacement", "noise", {}),
        "recording": lambda: registry().create("replacement", "recording", {"file": str(sound)}),
        "data-mean stft": lambda: DataMean(str(tmp_path / "stft")),
        "data-mean waveform": lambda: DataMean(str(tmp_path / "waveform")),
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("synthesizer", ["stft", "waveform"])
@pytest.mark.parametrize("name", ["white-noise", "noise", "recording", "data-mean"])
def test_it_keeps_the_rules_of_replacements(
    name: str, synthesizer: str, rule: Any, makers: dict[str, Maker]
) -> None:
    make = makers.get(name) or makers[f"{name} {synthesizer}"]
    made = Stft(RATE) if synthesizer == "stft" else Waveform(RATE)
    try:
        rule.check(ReplacementSubject("replacement", make, name, synthesizer=made))
    except NotApplicable as reason:
        pytest.skip(str(reason))


def test_noise_has_the_clips_level_and_a_flat_spectrum() -> None:
    sound = 0.3 * torch.sin(torch.arange(200_000) / 5)
    latents, clip = clip_of(sound, Waveform(RATE))
    noise = filled(WhiteNoise(), latents, clip)[0]
    assert float(noise.square().mean().sqrt()) == pytest.approx(0.3 / math.sqrt(2), rel=0.02)
    power = np.abs(np.fft.rfft(noise.numpy()))[1:-1] ** 2
    bands = [band.mean() / power.mean() for band in np.array_split(power, 10)]
    assert max(abs(b - 1) for b in bands) < 0.05


def test_coloured_noise_has_the_clips_spectrum_ten_decibels_below_it() -> None:
    generator = torch.Generator().manual_seed(1)
    white = torch.randn(100_000, generator=generator)
    sound = white[1:] + 0.9 * white[:-1]  # |1 + .9 exp(-iω)|² = 1.81 + 1.8 cos ω
    latents, clip = clip_of(sound, Waveform(RATE))
    noise = filled(ColouredNoise(), latents, clip)[0]
    assert float(noise.std() / sound.std()) == pytest.approx(10**-0.5, rel=1e-3)
    power = np.abs(np.fft.rfft(noise.numpy())) ** 2
    angle = np.linspace(0, math.pi, len(power))
    expected = (1.81 + 1.8 * np.cos(angle)) * power.mean() / 1.81
    for part, whole in zip(np.array_split(power, 8), np.array_split(expected, 8), strict=True):
        assert part.mean() == pytest.approx(
            float(whole.mean()), rel=0.1, abs=0.01 * float(power.mean())
        )


@pytest.mark.parametrize("kind", [WhiteNoise, ColouredNoise])
def test_noise_in_place_of_silence_is_silence(kind: Any) -> None:
    latents, clip = clip_of(torch.zeros(SAMPLES), Waveform(RATE))
    assert not filled(kind(), latents, clip).any()


def test_draws_of_noise_are_many_where_nothing_is_kept_and_begin_alike() -> None:
    sound = torch.sin(torch.arange(SAMPLES) / 5)
    latents, clip = clip_of(sound, Stft(RATE))
    three = filled(WhiteNoise(draws=3), latents, clip)
    assert three.shape == (3, *latents.shape)
    assert not torch.equal(three[0], three[1])
    for kept in (True, False):
        one = filled(WhiteNoise(), *clip_of(sound, Stft(RATE)), kept=kept)
        assert torch.equal(one, three[0])
    with pytest.raises(ValueError, match="draws"):
        WhiteNoise(draws=0)


@pytest.mark.parametrize("samples", [100, 300, 301, 1000])
def test_a_recording_is_cut_or_repeated(samples: int, tmp_path: Path) -> None:
    sound = torch.sin(torch.arange(300) / 5)
    latents, clip = clip_of(torch.zeros(samples), Waveform(RATE))
    got = filled(Recording(str(record(tmp_path / "a.wav", sound))), latents, clip)[0]
    assert torch.equal(got, sound[torch.arange(samples) % 300])


def test_a_recording_is_brought_to_the_codecs_rate(tmp_path: Path) -> None:
    time = torch.arange(2 * RATE) / (2 * RATE)
    path = record(tmp_path / "a.wav", torch.sin(2 * math.pi * 440 * time), 2 * RATE)
    latents, clip = clip_of(torch.zeros(RATE), Waveform(RATE))
    expected = torch.sin(2 * math.pi * 440 * torch.arange(RATE) / RATE)
    inner = slice(RATE // 4, -RATE // 4)
    assert torch.allclose(
        filled(Recording(str(path)), latents, clip)[0, inner], expected[inner], atol=1e-3
    )


def test_the_mean_counts_every_frame_of_every_clip_once(tmp_path: Path) -> None:
    ones = record(tmp_path / "a.wav", torch.full((300,), 0.5))
    more = record(tmp_path / "b.wav", torch.full((100,), -0.5))
    average = measure([ones, more], Waveform(RATE))
    assert (average.clips, average.frames) == (2, 400)
    assert average.mean.tolist() == [0.25]  # (300 · 0.5 − 100 · 0.5) / 400
    average.save(tmp_path / "mean")
    latents, clip = clip_of(torch.zeros(50), Waveform(RATE))
    assert torch.equal(
        filled(DataMean(str(tmp_path / "mean")), latents, clip), torch.full((1, 50), 0.25)
    )


def test_the_command_measures_the_training_clips_of_a_manifest(tmp_path: Path) -> None:
    rows = ["path,label,split"]
    for number, split in enumerate(["train", "train", "dev", "test"]):
        record(tmp_path / f"{number}.wav", torch.full((100,), 0.25 * number))
        rows.append(f"{number}.wav,{'ab'[number % 2]},{split}")
    manifest, out = tmp_path / "manifest.csv", tmp_path / "mean.safetensors"
    manifest.write_text("\n".join(rows))
    arguments = [str(manifest), "--synthesizer", "waveform", "--out", str(out)]
    result = CliRunner().invoke(app, [*arguments, "--synthesizer-param", f"sample_rate={RATE}"])
    assert result.exit_code == 0, result.output
    average = Average.load(out)
    assert (average.clips, average.mean.tolist()) == (2, [0.125])
    assert average.synthesizer["name"] == "xplain-codecs/waveform"


def test_a_clip_is_explained_against_noise_against_a_recording_and_against_the_mean(
    makers: dict[str, Maker],
) -> None:
    class Loudness(torch.nn.Module):
        def forward(self, waveform: Tensor) -> Tensor:
            return torch.stack([c.abs().mean(-1) for c in waveform.chunk(2, dim=-1)], dim=-1)

    model = xplain.wrap(Loudness(), sample_rate=RATE, labels=["early", "late"])
    sound = torch.sin(torch.arange(SAMPLES) / 5) * (torch.arange(SAMPLES) < 500)
    for name in ("white-noise", "recording", "data-mean stft"):
        made = makers[name]()
        e = xplain.explain(sound, model, synthesizer="stft", replacement=made)
        assert e.provenance["baseline"]["name"] == f"xplain-codecs/{name.split()[0]}"
        assert len(e.keep(0.1)) == SAMPLES
    several = xplain.explain(sound, model, synthesizer="stft", baseline=WhiteNoise(draws=3))
    assert several.baseline.shape == (3, *several.attribution.shape)


def test_what_is_not_given_or_cannot_be_read_is_said(tmp_path: Path) -> None:
    for name, needed in (("recording", "a recording"), ("data-mean", "xplain data-mean")):
        with pytest.raises(PluginError, match=f"'{name}'.*file=|'{name}'.*{needed}"):
            registry().create("replacement", name, {})
    latents, clip = clip_of(torch.zeros(50), Waveform(RATE))
    with pytest.raises(AudioError, match="does not exist"):
        filled(Recording(str(tmp_path / "absent.wav")), latents, clip)
    with pytest.raises(PluginError, match="holds no mean over data"):
        DataMean(str(tmp_path / "absent"))
    save_file({"other": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(PluginError, match="holds no mean over data"):
        DataMean(str(tmp_path / "other"))


def test_the_mean_of_another_synthesizer_is_refused(makers: dict[str, Maker]) -> None:
    latents, clip = clip_of(torch.zeros(SAMPLES), Stft(RATE, power=1))
    with pytest.raises(PluginError, match=r"power=0\.5.*these are latents of.*power=1"):
        filled(makers["data-mean stft"](), latents, clip)


def test_the_mean_of_a_codec_with_other_weights_is_refused(tmp_path: Path, make: Any) -> None:
    codec, sound = make("encodec"), record(tmp_path / "a.wav", torch.sin(torch.arange(900) / 5))
    measure([sound], codec).save(tmp_path / "mean")
    clip = (torch.zeros(SAMPLES), codec)
    assert filled(DataMean(str(tmp_path / "mean")), *clip_of(*clip)).shape[0] == codec.channels
    with torch.no_grad():
        next(codec.parameters()).add_(1e-3)
    with pytest.raises(PluginError, match=r"weights \w{8}\).*these are latents of.*weights"):
        filled(DataMean(str(tmp_path / "mean")), *clip_of(*clip))


def test_what_a_file_holds_is_in_the_fingerprint(tmp_path: Path) -> None:
    sound = torch.sin(torch.arange(300) / 5)
    prints = []
    for number, heard in enumerate((sound, sound, 0.5 * sound)):
        path = record(tmp_path / f"{number}.wav", heard)
        measure([path], Waveform(RATE)).save(tmp_path / f"{number}.mean")
        for made in (Recording(str(path)), DataMean(str(tmp_path / f"{number}.mean"))):
            prints.append(registry().describe("replacement", made)["sha256"])
    assert prints[:2] == prints[2:4]
    assert len(set(prints)) == 4
    assert registry().describe("replacement", WhiteNoise())["sha256"] is None
