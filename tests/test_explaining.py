"""explain(): the score is the model's, the attribution the method's, the audio what is heard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch
from torch import Tensor, nn
from toys import RATE, BandEnergies, Convolutions, Noisy, tone

import xplain
from xplain.job import Settings
from xplain.models import make_synthesizer

Noise = Callable[..., Tensor]


def test_the_band_that_decides_gets_the_attribution(bands: xplain.Model) -> None:
    clip = tone(440) + 0.05 * tone(1200)
    e = xplain.explain(clip, bands)
    assert e.target.label == "low"
    hertz = torch.tensor(e.frequencies)
    inside = (hertz > 100) & (hertz < 700)
    positive = e.attribution.clamp(min=0)
    assert positive[inside].sum() / positive.sum() > 0.95
    assert e.bands is not None
    (band,) = e.bands
    assert 300 <= band.low < 440 < band.high <= 630 and band.share > 0.5


def test_keep_and_remove_are_what_is_heard(bands: xplain.Model) -> None:
    clip = tone(440) + 0.2 * tone(1200)
    e = xplain.explain(clip, bands)
    kept, removed = e.scores(keep=[0.02], remove=[0.1])
    assert kept.label == kept.reencoded.label == "low" and kept.agrees
    assert removed.label == removed.reencoded.label == "mid" and not removed.agrees
    assert len(e.keep(0.02)) == len(e.remove(0.1)) == len(clip)
    logits = BandEnergies()(e.remove(0.1)[None])
    assert float(logits.softmax(-1)[0, 0]) == pytest.approx(removed.probability, abs=1e-5)


def test_everything_kept_is_the_clip_and_nothing_kept_is_the_replacement(
    bands: xplain.Model,
) -> None:
    clip = tone(440)
    e = xplain.explain(clip, bands)
    assert (e.keep(1) - clip).abs().max() < 1e-4
    assert (e.remove(0) - clip).abs().max() < 1e-4
    assert e.keep(0).abs().max() < 1e-6


def test_versus_explains_the_difference_of_two_logits(bands: xplain.Model) -> None:
    clip = tone(440) + tone(1200)
    e = xplain.explain(clip, bands, target="low", versus="mid")
    ends = BandEnergies()(torch.stack([clip, torch.zeros_like(clip)]))
    difference = (ends[0, 0] - ends[0, 1]) - (ends[1, 0] - ends[1, 1])
    assert float(e.attribution.sum()) == pytest.approx(float(difference), abs=0.05)


def test_alone_and_among_others_of_other_lengths_is_the_same(
    convolutions: xplain.Model, noise: Noise
) -> None:
    clips = [noise(0.3, 1), noise(0.5, 2), noise(0.3, 3), noise(1.01, 4)]
    for explainer in ("integrated-gradients", Noisy()):
        for synthesizer in ("waveform", "stft"):
            settings = {"explainer": explainer, "synthesizer": synthesizer}
            among = xplain.explain(clips, convolutions, **settings)
            for clip, e in zip(clips, among, strict=True):
                alone = xplain.explain(clip, convolutions, **settings)
                assert torch.allclose(e.attribution, alone.attribution, atol=1e-5, rtol=0)
                assert torch.allclose(e.keep(0.1), alone.keep(0.1), atol=1e-5, rtol=0)
                assert torch.allclose(e.remove(0.1), alone.remove(0.1), atol=1e-5, rtol=0)


def test_a_seed_decides_what_is_drawn_and_nothing_else_does(
    convolutions: xplain.Model, noise: Noise
) -> None:
    first = xplain.explain(noise(0.3), convolutions, explainer=Noisy(), seed=1)
    torch.manual_seed(99)
    again = xplain.explain(noise(0.3), convolutions, explainer=Noisy(), seed=1)
    other = xplain.explain(noise(0.3), convolutions, explainer=Noisy(), seed=2)
    assert torch.equal(first.attribution, again.attribution)
    assert not torch.equal(first.attribution, other.attribution)


class Counting(nn.Module):
    """Records how many clips come at once."""

    def __init__(self) -> None:
        super().__init__()
        self.model = BandEnergies()
        self.seen: list[int] = []

    def forward(self, waveform: Tensor) -> Tensor:
        self.seen.append(len(waveform))
        return self.model(waveform)


@pytest.mark.parametrize("explainer", ["integrated-gradients", "saliency"])
def test_the_memory_budget_is_kept(explainer: str) -> None:
    module = Counting()
    model = xplain.wrap(module, sample_rate=RATE, labels=[*"abc"])
    e = xplain.explain(tone(440), model, explainer=explainer, max_batch=7)
    e.scores(keep=[i / 10 for i in range(11)], remove=[0.1])
    assert max(module.seen) <= 7


def test_integrated_gradients_costs_its_steps_and_five_evaluations_more() -> None:
    module = Counting()
    model = xplain.wrap(module, sample_rate=RATE, labels=[*"abc"])
    xplain.explain(tone(440), model, params={"steps": 20})
    # The clip, and the same 20 dB fainter, each alone, where what they hold is measured; and again
    # beside each other and silence, to see whether the answers are the same, whether silence is a
    # baseline, and for the completeness error.
    assert module.seen[:3] == [1, 1, 3] and sum(module.seen) == 20 + 5


class Gru(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(80, 8, batch_first=True)
        self.head = nn.Linear(8, 2)

    def forward(self, waveform: Tensor) -> Tensor:
        padded = nn.functional.pad(waveform, (0, -waveform.shape[-1] % 80))
        logits: Tensor = self.head(self.gru(padded.unflatten(-1, (-1, 80)))[0][:, -1])
        return logits


def test_recurrent_models_are_explained(noise: Noise) -> None:
    torch.manual_seed(0)
    model = xplain.wrap(Gru().train(), sample_rate=RATE, labels=[*"ab"])
    e = xplain.explain(noise(0.3), model, synthesizer="waveform")
    assert e.attribution.abs().max() > 0


class Framewise(nn.Module):
    """Logit of "loud" per 20 ms: its energy; of "quiet": the negative of it."""

    def forward(self, waveform: Tensor) -> Tensor:
        energy = waveform.unflatten(-1, (-1, 160)).square().mean(-1)
        return torch.stack([energy, -energy], dim=-1)


def test_a_time_span_of_a_framewise_model_is_explained_by_that_span_alone() -> None:
    model = xplain.wrap(
        Framewise(), sample_rate=RATE, labels=("loud", "quiet"), multilabel=True, frame_step=0.02
    )
    e = xplain.explain(tone(440, 1.0), model, synthesizer="waveform", target="loud@0.4-0.6")
    attributed = e.attribution[0].abs() > 0
    assert attributed[3200:4800].sum() > 1500
    assert not attributed[:3200].any() and not attributed[4800:].any()


class Head(nn.Module):
    """Reads stft latents: the mean of each third of the channels."""

    def forward(self, latents: Tensor) -> Tensor:
        thirds = latents[:, :126].unflatten(1, (3, 42))
        return thirds.mean(dim=(2, 3))


def test_a_model_that_reads_latents_is_explained_on_them_directly() -> None:
    model = xplain.wrap(Head(), sample_rate=RATE, labels=[*"abc"], reads="stft")
    e = xplain.explain(tone(440), model)
    assert e.provenance["route"] == "head(z)"
    # The score is linear: the attribution is weight times value, in closed form.
    expected = torch.zeros_like(e.latents)
    expected[:42] = e.latents[:42] / (42 * e.latents.shape[1])
    assert torch.allclose(e.attribution, expected, atol=1e-6)


def test_a_model_of_other_latents_is_explained_through_decode_and_encode() -> None:
    model = xplain.wrap(Head(), sample_rate=RATE, labels=[*"abc"], reads="stft")
    e = xplain.explain(tone(440), model, synthesizer="waveform")
    assert e.provenance["route"] == "head(encode(decode(z)))"
    assert torch.isfinite(e.attribution).all() and e.attribution.abs().max() > 0


def test_a_synthesizer_of_another_rate_is_resampled_at_the_border(bands: xplain.Model) -> None:
    e = xplain.explain(tone(440), bands, synthesizer=make_synthesizer("stft", 16000))
    assert e.sample_rate == 16000 and len(e.keep(0.1)) == 2 * len(tone(440))
    assert e.target.label == "low" and e.scores(keep=[0.05])[0].label == "low"
    assert e.completeness_error is not None and e.completeness_error < 0.05


def test_silence_is_explained_with_a_warning_and_no_completeness(bands: xplain.Model) -> None:
    with pytest.warns(xplain.XplainWarning, match="silent"):
        e = xplain.explain(torch.zeros(RATE), bands)
    assert e.completeness_error is None and e.converged is None
    assert any("silent" in w for w in e.warnings)


class Loudnessless(nn.Module):
    """Divides the level out, as speech encoders do: a step at the start of IG's path."""

    def forward(self, waveform: Tensor) -> Tensor:
        level = waveform.square().mean(-1, keepdim=True).add(1e-12).sqrt()
        return BandEnergies()(waveform / level)


def test_what_did_not_converge_is_warned_of_and_another_baseline_helps() -> None:
    model = xplain.wrap(Loudnessless(), sample_rate=RATE, labels=("low", "mid", "high"))
    clip = tone(440) + 0.2 * tone(1200)
    with pytest.warns(xplain.XplainWarning, match=r"did not converge.*baseline"):
        e = xplain.explain(clip, model, versus="mid", baseline="silence", params={"steps": 50})
    assert e.converged is False and "did not converge" in e.warnings[0]
    assert xplain.explain(clip, model, versus="mid", baseline="mean").converged


def test_provenance_says_where_everything_came_from(bands: xplain.Model, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(440).numpy(), RATE, subtype="PCM_24")
    e = xplain.explain(tmp_path / "a.wav", bands, params={"steps": 7}, baseline="zero", seed=3)
    p = e.provenance
    assert p["explainer"]["name"] == "xplain-captum/integrated-gradients"
    assert p["explainer"]["parameters"] == {"steps": 7, "tolerance": 0.01}
    assert p["synthesizer"]["parameters"]["sample_rate"] == RATE
    assert (p["baseline"]["name"], p["replacement"]["name"]) == (
        "xplain-codecs/zero",
        "xplain-codecs/silence",
    )
    assert p["audio"]["subtype"] == "PCM_24" and len(p["audio"]["sha256"]) == 64
    assert p["seed"] == 3 and p["route"] == "model(decode(z))"
    assert p["reconstruction"]["label"] == "low"


def test_one_recorded_choice_is_baseline_and_replacement_unless_they_are_separated(
    bands: xplain.Model, tmp_path: Path
) -> None:
    hum, clip = tone(100), tone(440)
    soundfile.write(tmp_path / "hum.wav", hum.numpy(), RATE, subtype="FLOAT")
    chosen: Settings = {
        "synthesizer": "waveform",
        "replacement": "recording",
        "replacement_params": {"file": str(tmp_path / "hum.wav")},
    }
    one = xplain.explain(clip, bands, **chosen)
    assert one.provenance["baseline"] == one.provenance["replacement"]
    assert one.provenance["replacement"]["parameters"] == {"file": str(tmp_path / "hum.wav")}
    assert torch.equal(one.baseline[0], hum) and torch.equal(one.keep(0), hum)
    noisy: Settings = {"baseline": "white-noise", "baseline_params": {"draws": 3}}
    two = xplain.explain(clip, bands, **chosen, **noisy)
    assert two.baseline.shape == (3, 1, len(clip))
    assert two.provenance["baseline"]["parameters"] == {"draws": 3}
    assert two.provenance["replacement"] == one.provenance["replacement"]
    assert torch.equal(two.keep(0), hum)


def test_a_synthesizer_by_name_takes_parameters(bands: xplain.Model) -> None:
    e = xplain.explain(tone(440), bands, synthesizer_params={"window": 0.016, "power": 1})
    described = e.provenance["synthesizer"]
    assert described["name"] == "xplain-codecs/stft"
    assert described["parameters"] == {
        "sample_rate": RATE, "window": 0.016, "overlap": 4, "power": 1,
    }  # fmt: skip
    made = make_synthesizer("stft", RATE, {"window": 0.016, "power": 1})
    by_hand = xplain.explain(tone(440), bands, synthesizer=made)
    assert torch.equal(e.attribution, by_hand.attribution)


def test_the_fingerprint_changes_with_any_weight() -> None:
    module = Convolutions()
    model = xplain.wrap(module, sample_rate=RATE, labels=[*"abc"])
    before = model.fingerprint()
    assert model.fingerprint() == before
    with torch.no_grad():
        module.head.weight[2, 7] += 1e-3
    assert model.fingerprint() != before


def test_a_label_that_looks_like_a_span_is_a_label() -> None:
    model = xplain.wrap(BandEnergies(), sample_rate=RATE, labels=("a@0-1", "b", "c"))
    assert xplain.explain(tone(440), model, target="a@0-1").target.label == "a@0-1"


class Chance(xplain.Explainer):
    """Nothing but noise."""

    def attribute(self, score: xplain.Score, latents: Tensor, baseline: Tensor) -> Tensor:
        return torch.randn_like(latents)


def test_clips_of_the_same_length_get_draws_of_their_own(
    convolutions: xplain.Model, noise: Noise
) -> None:
    one, other = xplain.explain([noise(0.3, 1), noise(0.3, 2)], convolutions, explainer=Chance())
    assert not torch.allclose(one.attribution, other.attribution)


class Static(xplain.Replacement):
    """Noise by the clip's own generator."""

    def fill(self, latents: Tensor, keep: Tensor, clip: xplain.Clip) -> Tensor:
        return torch.randn(latents.shape, generator=clip.generator)


def test_files_of_any_rate_and_a_random_replacement_do_not_depend_on_the_neighbours(
    convolutions: xplain.Model, tmp_path: Path, noise: Noise
) -> None:
    paths = []
    for number, rate in enumerate((8000, 22050, 44100)):
        paths.append(tmp_path / f"{rate}.wav")
        soundfile.write(paths[-1], noise(0.7, number).numpy(), rate)
    settings = {"replacement": Static(), "grouping": "block", "explainer": Noisy()}
    for path, e in zip(paths, xplain.explain(paths, convolutions, **settings), strict=True):
        alone = xplain.explain(path, convolutions, **settings)
        assert torch.allclose(e.attribution, alone.attribution, atol=1e-5, rtol=0)
        assert torch.allclose(e.keep(0.3), alone.keep(0.3), atol=1e-5, rtol=0)
        assert not torch.equal(e.keep(0.3), e.keep(0.31))


class Draws(xplain.Replacement):
    """Three baselines."""

    def fill(self, latents: Tensor, keep: Tensor, clip: xplain.Clip) -> Tensor:
        return torch.stack([0 * latents, 0.1 * latents, 0.2 * latents])


def test_over_draws_of_the_baseline_the_attribution_adds_up_to_the_mean(
    bands: xplain.Model,
) -> None:
    e = xplain.explain(tone(440), bands, baseline=Draws())
    assert e.baseline.shape == (3, *e.latents.shape)
    assert e.completeness_error is not None and e.completeness_error < 0.01


class Secret(xplain.Synthesizer):
    """Does not tell how it was made, so two of them cannot be told to be the same."""

    def __init__(self, sample_rate: int, factor: float) -> None:
        self.sample_rate, self._factor = sample_rate, factor

    def encode(self, waveform: Tensor) -> xplain.Latents:
        return xplain.Latents(waveform[:, None] * self._factor, {})

    def decode(self, values: Tensor, context: xplain.Context) -> Tensor:
        return values[:, 0] / self._factor


def test_synthesizers_are_the_same_only_where_that_can_be_known() -> None:
    class Reader(BandEnergies):
        def forward(self, latents: Tensor) -> Tensor:
            return super().forward(latents[:, 0])

    model = xplain.wrap(Reader(), sample_rate=RATE, labels=[*"abc"], reads=Secret(RATE, 1))
    same = xplain.explain(tone(440), model, explainer=Noisy())
    other = xplain.explain(tone(440), model, explainer=Noisy(), synthesizer=Secret(RATE, 10))
    assert same.provenance["route"] == "head(z)"
    assert other.provenance["route"] == "head(encode(decode(z)))"


class Configured(Noisy):
    def __init__(self, pair: tuple[int, int], path: Path) -> None:
        self.pair, self.path = pair, path


def test_parameters_are_recorded_as_json_gives_them_back(
    convolutions: xplain.Model, noise: Noise, tmp_path: Path
) -> None:
    e = xplain.explain(noise(0.3), convolutions, explainer=Configured((1, 2), Path("a")))
    recorded = e.provenance["explainer"]["parameters"]
    assert recorded == {"pair": [1, 2], "path": repr(Path("a"))}
    assert xplain.Explanation.load(e.save(tmp_path / "c")).provenance == e.provenance


def test_a_ratio_that_selects_everything_is_warned_of(bands: xplain.Model) -> None:
    e = xplain.explain(tone(440), bands, synthesizer="waveform", grouping="channel")
    with pytest.warns(xplain.XplainWarning, match="selects everything"):
        e.keep(0.1)


def test_ten_minutes_are_explained_within_the_default_budget(noise: Noise) -> None:
    class Loudness(nn.Module):
        largest = 0

        def forward(self, waveform: Tensor) -> Tensor:
            Loudness.largest = max(Loudness.largest, waveform.numel())
            return torch.stack([waveform.square().mean(-1), waveform.abs().mean(-1)], dim=-1)

    model = xplain.wrap(Loudness(), sample_rate=RATE, labels=[*"ab"])
    clip = noise(600)
    e = xplain.explain(clip, model, params={"steps": 3})
    assert e.attribution.shape[1] == len(clip) // 64 + 1
    assert len(e.keep(0.1)) == len(clip)
    assert Loudness.largest * 4 <= 2**31  # bytes
