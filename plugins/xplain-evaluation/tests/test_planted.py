"""Audio with a planted cue: what is promised of the sounds, of the model, and what follows."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest
import scipy.signal
import torch
from torch import Tensor

import xplain
from xplain import audio
from xplain_evaluation.metrics.localisation import (
    pointing_game,
    relevance_mass,
    time_localisation_auc,
)
from xplain_evaluation.planted.backgrounds import BACKGROUNDS
from xplain_evaluation.planted.planted import (
    CUES,
    NONE,
    PlantedClip,
    planted,
    planted_clips,
    planted_model,
)

RATES = (8000, 16000, 44100)

FAITHFUL: dict[str, dict[str, object]] = {
    "integrated-gradients": {},
    "input-x-gradient": {},
    # A window places a cue no finer than its own size, so it has to be smaller than the cue:
    # four channels of an STFT are 125 Hz, sixteen frames 0.128 s.
    "occlusion": {"window": "4x16", "stride": "4x16"},
}
"""Methods that have to find the cue, with their parameters; those installed are tested."""

INSTALLED = {p.name for p in xplain.list_plugins() if p.kind == "explainer"}
THERE = [name for name in FAITHFUL if name in INSTALLED]


def background_of(clip: PlantedClip) -> Tensor:
    return clip.waveform - clip.cue


def power(waveform: Tensor, sample_rate: int) -> tuple[npt.NDArray[np.float64], ...]:
    """Power spectrum and its frequencies in Hz."""
    samples = waveform.double().numpy()
    hertz = np.fft.rfftfreq(len(samples), 1 / sample_rate)
    return np.abs(np.fft.rfft(samples)) ** 2, hertz


class TestSounds:
    @pytest.mark.parametrize("sample_rate", RATES)
    def test_levels_are_sensible_at_any_rate(self, sample_rate: int) -> None:
        for clip in planted_clips(9, seed=1, sample_rate=sample_rate):
            assert (
                clip.waveform.shape == (2 * sample_rate,) and clip.waveform.dtype == torch.float32
            )
            assert 0.1 < clip.waveform.abs().max() < 0.6
            assert background_of(clip).square().mean().sqrt() == pytest.approx(0.05, rel=1e-3)

    @pytest.mark.parametrize("sample_rate", RATES)
    def test_backgrounds_have_nothing_in_any_cues_band(self, sample_rate: int) -> None:
        for clip in planted_clips(9, seed=2, sample_rate=sample_rate):
            spectrum, hertz = power(background_of(clip), sample_rate)
            for low, high in CUES.values():
                inside = spectrum[(hertz >= low) & (hertz <= high)].sum()
                assert inside < 1e-13 * spectrum.sum()

    @pytest.mark.parametrize("sample_rate", RATES)
    def test_a_cue_lies_in_its_band_and_time(self, sample_rate: int) -> None:
        for clip in planted_clips(9, seed=3, sample_rate=sample_rate):
            time = torch.arange(len(clip.cue), dtype=torch.float64) / sample_rate
            sounding = time[clip.cue != 0]
            assert clip.start <= sounding.min() < sounding.max() < clip.end
            spectrum, hertz = power(clip.cue, sample_rate)
            outside = spectrum[(hertz < clip.low) | (hertz > clip.high)].sum()
            assert outside < 1e-13 * spectrum.sum()

    @pytest.mark.parametrize("level", [-6.0, 0.0, 6.0])
    def test_the_level_is_the_cues_over_its_backgrounds(self, level: float) -> None:
        clip = planted(4, level=level)
        sounding = clip.cue[round((clip.start + 0.08) * 16000) : round((clip.end - 0.08) * 16000)]
        ratio = sounding.square().mean() / background_of(clip).square().mean()
        assert 10 * math.log10(ratio) == pytest.approx(level, abs=0.1)

    def test_a_seed_gives_the_same_again_and_another_something_else(self) -> None:
        for name in BACKGROUNDS:
            one, again, other = (planted(seed, background=name) for seed in (5, 5, 6))
            assert torch.equal(one.waveform, again.waveform)
            assert one.start != other.start
            assert not torch.allclose(background_of(one), background_of(other), atol=0.01)

    def test_in_another_background_the_cue_stays_as_it_is(self) -> None:
        speech, music, noise = (planted(7, background=b) for b in ("speech", "music", "noise"))
        assert torch.equal(speech.cue, music.cue) and torch.equal(speech.cue, noise.cue)

    def test_many_clips_have_every_cue_in_every_background(self) -> None:
        clips = planted_clips(9, seed=8)
        assert len({(c.background, c.label) for c in clips}) == len(CUES) * len(BACKGROUNDS) == 9
        assert len({c.start for c in clips}) == 9

    def test_speech_comes_in_syllables_and_noise_does_not(self) -> None:
        """Speech's loudness moves at 2 to 8 Hz (Houtgast, Steeneken 1985, figure 4)."""

        def share(name: str) -> float:
            sound = background_of(planted(9, background=name, seconds=6.0))
            loudness = sound.view(-1, 160).square().mean(1).sqrt().numpy()
            hertz, spectrum = scipy.signal.periodogram(loudness, fs=100, window="hann")
            syllabic = spectrum[(hertz >= 2) & (hertz < 8)].sum()
            return float(syllabic / spectrum[hertz > 0.5].sum())

        assert share("speech") > 0.5 and share("noise") < 0.3

    def test_music_stands_at_the_pitches_of_the_scale_and_noise_does_not(self) -> None:
        def share(name: str) -> float:
            sound = background_of(planted(9, background=name, seconds=6.0))
            spectrum, hertz = power(sound, 16000)
            heard = (hertz > 200) & (hertz < 700)
            semitones = 12 * np.log2(hertz[heard] / 440)
            near = np.abs(semitones - np.round(semitones)) < 0.2
            return float(spectrum[heard][near].sum() / spectrum[heard].sum())

        # Two fifths of a noise's power lie within a fifth of a semitone of some pitch.
        assert share("music") > 0.9 and share("noise") == pytest.approx(0.4, abs=0.1)


class TestModel:
    def test_logits_are_those_worked_out_by_hand(self) -> None:
        # A sine of amplitude 0.1 for 0.5 s: energy 0.1² / 2 · 0.5 = 2.5e-3, 12.5 thresholds.
        time = torch.arange(4000) / 8000
        logits = planted_model(8000)(0.1 * torch.sin(2 * math.pi * 2000 * time)[None])
        expected = torch.tensor([[4 * math.log(2), 0.0, 4 * math.log(13.5), 0.0]])
        assert torch.allclose(logits, expected, atol=1e-3)

    @pytest.mark.parametrize("samples", [1, 2, 17, 999])
    def test_silence_of_any_length_has_no_cue_and_a_finite_slope(self, samples: int) -> None:
        waveform = torch.zeros(3, samples, requires_grad=True)
        logits = planted_model()(waveform)
        logits.sum().backward()
        assert (logits.argmax(1) == 0).all()
        assert waveform.grad is not None and torch.equal(waveform.grad, torch.zeros(3, samples))

    @pytest.mark.parametrize("sample_rate", RATES)
    def test_decides_for_the_cue_and_without_it_for_none(self, sample_rate: int) -> None:
        model = planted_model(sample_rate)
        for clip in planted_clips(18, seed=10, sample_rate=sample_rate):
            said = model(torch.stack([clip.waveform, background_of(clip)])).softmax(-1)
            assert [model.labels[i] for i in said.argmax(1)] == [clip.label, NONE]
            assert said[0].max() > 0.9 and said[1].max() > 0.8

    def test_does_not_hear_a_cue_that_is_too_faint(self) -> None:
        model = planted_model()
        for seed in range(5):
            said = model(planted(seed, level=-10.0).waveform[None])
            assert model.labels[int(said.argmax())] == NONE

    def test_says_the_same_in_any_background_and_in_none(self) -> None:
        clips = [planted(11, background=b) for b in BACKGROUNDS]
        said = planted_model()(torch.stack([*(c.waveform for c in clips), clips[0].cue]))
        assert (said - said[-1]).abs().max() < 1e-4

    def test_says_the_same_whatever_loud_sound_is_added_outside_the_bands(self) -> None:
        clip = planted(12)
        spectrum = torch.fft.rfft(torch.randn(32000, generator=torch.Generator().manual_seed(0)))
        hertz = torch.fft.rfftfreq(32000, 1 / 16000)
        for low, high in CUES.values():
            spectrum[(hertz >= low) & (hertz <= high)] = 0
        loud = clip.waveform + torch.fft.irfft(spectrum, n=32000)  # 26 dB above the clip
        model = planted_model()
        assert (model(loud[None]) - model(clip.waveform[None])).abs().max() < 1e-4

    def test_says_the_same_of_a_longer_or_resampled_clip(self) -> None:
        for clip in planted_clips(3, seed=13, sample_rate=24000):
            said = planted_model(24000)(clip.waveform[None])
            longer = torch.nn.functional.pad(clip.waveform, (777, 12345))
            assert (planted_model(24000)(longer[None]) - said).abs().max() < 1e-3
            at_16k = audio.resample(audio.from_tensor(clip.waveform, 24000, "clip"), 16000)
            assert (planted_model(16000)(at_16k.waveform[None]) - said).abs().max() < 1e-2


@pytest.mark.parametrize(
    "clip", planted_clips(9, seed=14), ids=lambda c: f"{c.background}-{c.label}"
)
class TestTheCueAloneMatters:
    def score(self, clip: PlantedClip, waveform: Tensor) -> Tensor:
        model = planted_model()
        return model(waveform[None])[0, model.labels.index(clip.label)]

    def test_the_gradient_is_zero_outside_its_time_and_band(self, clip: PlantedClip) -> None:
        waveform = clip.waveform.double().requires_grad_()
        self.score(clip, waveform).backward()
        gradient = waveform.grad
        assert gradient is not None
        outside = ~clip.event(len(gradient))
        assert gradient[outside].abs().max() < 1e-6 * gradient.abs().max()
        spectrum, hertz = power(gradient, clip.sample_rate)
        beside = (hertz < clip.low) | (hertz > clip.high)
        assert spectrum[beside].sum() < 1e-13 * spectrum.sum()

    def test_small_changes_outside_its_time_or_band_change_nothing(self, clip: PlantedClip) -> None:
        event = clip.event(len(clip.waveform))
        white = torch.randn(
            len(event), generator=torch.Generator().manual_seed(0), dtype=torch.float64
        )
        spectrum = torch.fft.rfft(white)
        hertz = torch.fft.rfftfreq(len(event), 1 / clip.sample_rate)
        spectrum[(hertz >= clip.low) & (hertz <= clip.high)] = 0

        def slope(direction: Tensor) -> float:
            step = 1e-4 * direction / direction.square().mean().sqrt()
            here = clip.waveform.double()
            return float(self.score(clip, here + step) - self.score(clip, here - step)) / 2e-4

        inside = abs(slope(clip.cue.double()))
        assert inside > 1
        assert abs(slope(white * ~event)) < 1e-6 * inside
        assert abs(slope(torch.fft.irfft(spectrum, n=len(event)))) < 1e-6 * inside


def by_hand() -> PlantedClip:
    """Ten seconds of 10 samples each; the cue sounds from 2 to 4 s."""
    silence = torch.zeros(100)
    return PlantedClip(silence, silence, 10, "noise", "cue-1k", 2.0, 4.0, 800.0, 1200.0)


class TestWhereTheCueIs:
    @pytest.mark.parametrize(
        ("frames", "first", "last"),
        [
            (100, 20, 39),  # samples: exactly those from 2 to 4 s
            (10, 2, 3),  # seconds
            (4, 1, 1),  # 2.5 s each, middles at 1.25, 3.75, …
            (7, 1, 2),  # 10/7 s each, middles at 0.71, 2.14, 3.57, 5.0, …
        ],
    )
    def test_a_frame_counts_if_the_cue_sounds_in_its_middle(
        self, frames: int, first: int, last: int
    ) -> None:
        found = by_hand().event(frames).nonzero().flatten().tolist()
        assert found == list(range(first, last + 1))

    def test_frames_that_are_too_long_are_refused(self) -> None:
        with pytest.raises(xplain.XplainError, match=r"no middle of 1 frames .* shorter frames"):
            by_hand().event(1)

    def test_the_frames_of_an_stft_are_told_to_half_a_hop(self) -> None:
        """Frame t is centred on sample t · hop; the rule puts it at most half a hop beside that."""
        for clip in planted_clips(9, seed=15):
            explained = xplain.explain(clip.waveform, planted_model(), sample_rate=16000)
            event = clip.event(explained.attribution.shape[1])
            centres = torch.arange(len(event), dtype=torch.float64) * 128 / 16000
            exact = (centres >= clip.start) & (centres < clip.end)
            assert (event != exact).sum() <= 2

    def test_a_region_is_the_band_in_the_events_frames(self) -> None:
        region = by_hand().region((4, 10), [799.0, 800.0, 1200.0, 1201.0])
        assert region.nonzero().tolist() == [[1, 2], [1, 3], [2, 2], [2, 3]]

    def test_where_channels_are_no_frequencies_all_of_them_count(self) -> None:
        assert by_hand().region((3, 10)).nonzero()[:, 1].tolist() == [2, 3] * 3

    @pytest.mark.parametrize("frequencies", [[100.0, 700.0], [1000.0]])
    def test_frequencies_that_do_not_fit_are_refused(self, frequencies: list[float]) -> None:
        with pytest.raises(xplain.XplainError, match=r"between 800 and 1200 Hz"):
            by_hand().region((2, 10), frequencies)


class TestMethods:
    """What explanations make of it, in the representation stft unless it says otherwise."""

    rate = 8000
    clips = planted_clips(12, seed=16, sample_rate=rate)
    model = planted_model(rate)

    def region(self, clip: PlantedClip, e: xplain.Explanation) -> Tensor:
        return clip.region(e.attribution.shape, e.frequencies)

    def test_a_method_that_has_to_find_the_cue_is_installed(self) -> None:
        assert THERE, f"install one of {', '.join(FAITHFUL)}"

    @pytest.mark.parametrize("name", THERE)
    def test_a_faithful_method_finds_the_cue(self, name: str) -> None:
        auc, mass = [], []
        for clip in self.clips:
            e = xplain.explain(
                clip.waveform,
                self.model,
                explainer=name,
                params=FAITHFUL[name],
                sample_rate=self.rate,
            )
            assert e.target.label == clip.label
            auc.append(time_localisation_auc(e.attribution, clip.event(e.attribution.shape[1])))
            mass.append(relevance_mass(e.attribution, self.region(clip, e)))
        assert np.mean(auc) >= 0.95
        assert np.mean(mass) >= 0.8

    @pytest.mark.parametrize("name", THERE)
    def test_of_samples_too_what_speaks_for_the_label_is_the_cues(self, name: str) -> None:
        """Time AUC of single samples would not do: one after another they speak for the label
        and against it, as cue and background have the same sign or not."""
        for clip in self.clips[:3]:
            e = xplain.explain(
                clip.waveform,
                self.model,
                explainer=name,
                params=FAITHFUL[name],
                synthesizer="waveform",
                sample_rate=self.rate,
            )
            assert relevance_mass(e.attribution, self.region(clip, e)) >= 0.95

    def test_a_random_attribution_finds_nothing(self) -> None:
        torch.manual_seed(0)
        auc, mass, hits = [], [], []
        for clip in planted_clips(60, seed=17, sample_rate=8000):
            region = clip.region((129, 251), [k * 31.25 for k in range(129)])
            drawn = torch.randn(129, 251)
            auc.append(time_localisation_auc(drawn, clip.event(251)))
            mass.append(relevance_mass(drawn, region))
            hits.append(pointing_game(drawn, region))
        assert np.mean(auc) == pytest.approx(0.5, abs=0.05)
        # The region's share of the elements: 13 of 129 channels, 0.3 to 0.5 of 2 s.
        assert np.mean(mass) == pytest.approx(13 / 129 * 0.2, abs=0.005)
        assert np.mean(hits) < 0.1

    def test_to_point_at_what_is_loud_is_not_enough(self) -> None:
        auc, mass = [], []
        for clip in self.clips:
            e = xplain.explain(clip.waveform, self.model, sample_rate=self.rate)
            auc.append(time_localisation_auc(e.latents, clip.event(e.latents.shape[1])))
            mass.append(relevance_mass(e.latents, self.region(clip, e)))
        assert np.mean(auc) < 0.8 and np.mean(mass) < 0.1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"background": "speach"}, r"no background 'speach'; did you mean 'speech'"),
        ({"label": "cue-2"}, r"no cue 'cue-2'; did you mean 'cue-2k'"),
        ({"sample_rate": 6000}, r"up to 3200 Hz.* 8000 Hz or more"),
        ({"seconds": 0.5}, r"at least 1 s"),
    ],
)
def test_what_cannot_be_made_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(xplain.XplainError, match=message):
        planted(0, **wrong)  # type: ignore[arg-type]


def test_a_model_that_cannot_hear_the_cues_is_refused() -> None:
    with pytest.raises(xplain.XplainError, match="8000 Hz or more"):
        planted_model(6000)


def test_naming_the_package_loads_nothing() -> None:
    code = "import sys, xplain_evaluation.planted; assert not {'torch', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
