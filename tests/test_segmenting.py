"""segment(): decisions, explanations and refusals, on segmenters whose answers are known."""

from __future__ import annotations

import math
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn
from wrong_plugins import Additive, Loud

import xplain
from xplain import (
    AudioError,
    ModelError,
    PluginError,
    Segmentation,
    Segmenter,
    TargetError,
    Thresholds,
    XplainError,
    XplainWarning,
    audio,
    segment,
)
from xplain.adapters import ModelSegmenter
from xplain.clips import RecordingsError
from xplain.segmentation.segmenting import segment_each

RATE = 8000


class Short(Additive):
    """Windows so short that a clip of some seconds has several."""

    window = 2.0
    context = 0.5
    fade = 0.2


def sine(hertz: float, seconds: float, level: float = 0.3) -> Tensor:
    return level * torch.sin(2 * math.pi * hertz * torch.arange(round(RATE * seconds)) / RATE)


def clip() -> Tensor:
    """Low from 1 to 3 s, high from 4 to 8.5 s, silence else: 10 s."""
    sound = torch.zeros(10 * RATE)
    sound[RATE : 3 * RATE] = sine(500, 2)
    sound[4 * RATE : round(8.5 * RATE)] = sine(3500, 4.5)
    return sound


def spans(segmentation: Segmentation) -> list[tuple[str, float, float]]:
    return [(s.label, s.start, s.end) for s in segmentation.segments]


def short_clip() -> Tensor:
    """Low from 0.2 to 0.6 s, high from 1 to 1.4 s: 1.6 s."""
    sound = torch.zeros(round(1.6 * RATE))
    sound[1600:4800], sound[8000:11200] = sine(500, 0.4), sine(3500, 0.4)
    return sound


KNOWN = [("low", 1.0, 3.0), ("high", 4.0, 8.5)]


def test_segments_are_where_the_sounds_are() -> None:
    s = segment(clip(), Short(), sample_rate=RATE)
    assert spans(s) == KNOWN
    assert s.frames.shape == (500, 2) and s.frames.dtype == torch.float32
    whole = torch.sigmoid(Short().logits(clip()[None])[0])
    torch.testing.assert_close(s.frames, whole)
    assert s.segments[0].score == pytest.approx(float(whole[50:150, 0].mean()))
    assert (s.duration, s.frame_step, s.labels) == (10.0, 0.02, ("low", "high"))
    assert s.segments[0].bands is None


class Diariser(Short):
    """Finds a voice for each label that occurs at all, the first to be heard first."""

    def decide(self, frames: Tensor) -> tuple[tuple[str, ...], Tensor]:
        heard = [n for n in (1, 0) if frames[:, n].max() > 0.5]
        return tuple(f"voice {n}" for n in range(len(heard))), frames[:, heard]


def test_a_segmenter_may_find_its_labels_in_each_recording(tmp_path: Path) -> None:
    s = segment(clip(), Diariser(), sample_rate=RATE)
    assert s.labels == ("voice 0", "voice 1") == tuple(s.thresholds)
    assert spans(s) == [("voice 1", 1.0, 3.0), ("voice 0", 4.0, 8.5)]
    torch.testing.assert_close(s.frames, segment(clip(), Short(), sample_rate=RATE).frames.flip(1))
    assert Segmentation.load(s.to_json(tmp_path / "s.json")).segments == s.segments
    one = segment(clip()[: 4 * RATE], Diariser(), sample_rate=RATE)
    assert spans(one) == [("voice 0", 1.0, 3.0)] and one.frames.shape[1] == 1


class Undecided(Short):
    def decide(self, frames: Tensor) -> tuple[tuple[str, ...], Tensor]:
        return ("voice",), frames


def test_labels_and_frames_that_do_not_fit_are_refused() -> None:
    with pytest.raises(PluginError, match="for 1 labels"):
        segment(short_clip(), Undecided(), sample_rate=RATE)


def test_relevance_is_weights_times_mean_parts_over_windows_and_adds_up() -> None:
    made = Short()
    s = segment(clip(), made, explain=True)
    parts = made.parts(clip()[None])[0].double()
    for found, (first, last) in zip(s.segments, [(50, 150), (200, 425)], strict=True):
        label = made.labels.index(found.label)
        expected = made.weights[label].double() * parts[:, first:last].mean(dim=1)
        by_number = {part.number: part.relevance for part in found.parts}
        for number, value in enumerate(expected.tolist()):
            assert by_number.get(number, 0.0) == pytest.approx(value, rel=1e-5, abs=1e-9)
        logit = made.logits(clip()[None])[0, first:last, label].double().mean()
        assert sum(by_number.values()) == pytest.approx(float(logit - made.bias[label]), rel=1e-5)
    assert "relevance" in s.provenance["explanation"]["method"]


class Pure(Short):
    """Parts whose spectra are one frequency each: 150, 1000, 2100 and 3300 Hz."""

    def __init__(self) -> None:
        super().__init__()
        self.frequencies = torch.tensor([150.0, 1000.0, 2100.0, 3300.0, 4000.0])
        self.spectra = torch.eye(5)[:4]
        self.weights = torch.tensor([[4.0, 3.0, 3.0, -2.0], [-1.0, 0.0, 1.0, 3.0]])


def test_bands_are_the_critical_bands_of_what_speaks_for_the_label() -> None:
    made = Pure()
    sound = sine(500, 2) + sine(1500, 2) + sine(2500, 2)
    (found,) = segment(sound, made, explain=True, thresholds={"high": Thresholds(1.0)}).segments
    means = made.parts(sound[None])[0].mean(dim=1)
    # 4, 3 and 3 of parts that are alike: none of them is half of it, two of them are.
    relevance = (made.weights[0] * means).clamp(min=0)
    shares = (relevance / relevance.sum()).tolist()
    assert shares[0] < 0.5 and shares[3] == 0
    first, second = found.bands
    # Zwicker's bands: 100 to 200 Hz, 920 to 1080 Hz, 2000 to 2320 Hz.
    assert (first.low, first.high) == (100.0, 200.0)
    assert first.share == pytest.approx(shares[0], rel=1e-5)
    assert (second.low, second.high) in [(920.0, 1080.0), (2000.0, 2320.0)]
    assert second.share == pytest.approx(max(shares[1:]), rel=1e-5)


def test_neighbouring_bands_are_joined_and_shares_add_up() -> None:
    from xplain.bands import Spectrum

    spectrum = Spectrum([50, 150, 250, 1000, 3000, 4000])
    totals = spectrum.totals(np.array([[0.0, 30.0, 25.0, 5.0, 40.0, 0.0]]))[0]
    assert totals.sum() == 100
    # 3000 Hz has most; with 100 to 200 Hz it is over half.
    assert [(b.low, b.high, b.share) for b in spectrum.named(totals)] == [
        (2700, 3150, 0.4),
        (100, 200, 0.3),
    ]
    totals[:] = 0
    totals[1], totals[2], totals[10] = 30, 30, 25
    (joined,) = spectrum.named(totals)
    assert (joined.low, joined.high) == (100, 300)
    assert joined.share == pytest.approx(60 / 85)
    assert spectrum.named(0 * totals) == ()


def test_nothing_may_speak_for_a_label() -> None:
    made = Short()
    made.bias = torch.tensor([2.0, -2.0])  # decided by the bias alone
    (found,) = segment(torch.full((RATE,), 1e-12), made, explain=True).segments
    made.weights = -made.weights.abs()
    (found,) = segment(0.01 * sine(500, 1), made, explain=True).segments
    assert found.bands == ()


def test_explaining_changes_no_decision() -> None:
    plain, explained = (segment(clip(), Short(), explain=e) for e in (False, True))
    assert torch.equal(plain.frames, explained.frames)
    assert spans(plain) == spans(explained)


def test_thresholds_can_be_set_and_are_written_down() -> None:
    class Eager(Short):
        thresholds: ClassVar = {"low": Thresholds(0.5, min_on=2.5)}

    assert spans(segment(clip(), Eager())) == KNOWN[1:]
    s = segment(clip(), Eager(), thresholds={"low": Thresholds(min_off=0.1)})
    assert spans(s) == KNOWN
    assert s.thresholds == {"low": Thresholds(min_off=0.1), "high": Thresholds()}


def test_a_file_at_another_rate_in_stereo_is_segmented_like_the_clip(tmp_path: Path) -> None:
    path = tmp_path / "radio.flac"
    other = audio.resample(audio.from_tensor(clip(), RATE, "x"), 44100).waveform.numpy()
    soundfile.write(path, np.stack([other * 1.5, other * 0.5], axis=1), 44100, "PCM_24")
    s = segment(path, Short())
    assert s.name == "radio"
    assert s.provenance["audio"]["sample_rate"] == 44100
    assert s.frames.shape == (500, 2)
    for found, known in zip(spans(s), KNOWN, strict=True):
        assert found[0] == known[0]
        assert found[1:] == pytest.approx(known[1:], abs=0.02)


def test_an_hour_is_right_to_one_frame_at_its_end(tmp_path: Path) -> None:
    class Slow(Segmenter):
        sample_rate, frame_step, labels = 1000, 0.02, ("on",)

        def logits(self, waveform: Tensor) -> Tensor:
            padded = nn.functional.pad(waveform, (0, -waveform.shape[1] % 20))
            return 100 * padded.reshape(len(waveform), -1, 20).mean(dim=2, keepdim=True) - 25

    rate = 1250
    sound = np.zeros(3600 * rate, np.float32)
    for start, end in [(0.0, 1.0), (1800.3, 1801.1), (3599.5, 3599.9)]:
        sound[round(start * rate) : round(end * rate)] = 0.5
    soundfile.write(tmp_path / "hour.wav", sound, rate)
    s = segment(tmp_path / "hour.wav", Slow())
    assert s.frames.shape == (180_000, 1)
    times = [(found.start, found.end) for found in s.segments]
    expected = [(0.0, 1.0), (1800.3, 1801.1), (3599.5, 3599.9)]
    for found, known in zip(times, expected, strict=True):
        assert found == pytest.approx(known, abs=0.0201)


def test_a_model_that_decides_per_frame_is_a_segmenter() -> None:
    class Logits(nn.Module):
        def forward(self, waveform: Tensor) -> Tensor:
            return Short().logits(waveform)

    model = xplain.wrap(
        Logits(), sample_rate=RATE, labels=Short.labels, multilabel=True, frame_step=0.02
    )
    assert spans(segment(clip(), model)) == KNOWN
    once = xplain.wrap(Logits(), sample_rate=RATE, labels=Short.labels)
    with pytest.raises(ModelError, match="once per clip"):
        segment(clip(), once)
    own = xplain.wrap(
        Logits(), sample_rate=RATE, labels=Short.labels, multilabel=True, segmenter=Short()
    )
    assert segment(clip(), own, explain=True).segments[0].parts
    with pytest.raises(ModelError, match="low, high"):
        xplain.wrap(Logits(), sample_rate=RATE, labels=("a", "b"), segmenter=Short())


def test_labels_that_exclude_each_other_have_the_probabilities_of_a_softmax() -> None:
    class Three(nn.Module):
        def forward(self, waveform: Tensor) -> Tensor:
            frames = waveform.reshape(len(waveform), -1, 160)
            return torch.stack([frames.sum(2), frames.abs().sum(2), frames[..., 0]], dim=2)

    model = xplain.wrap(Three(), sample_rate=RATE, labels=[*"abc"], frame_step=0.02)
    waveform = torch.randn(1, 1600, generator=torch.Generator().manual_seed(0))
    got = ModelSegmenter(model).logits(waveform).sigmoid()
    torch.testing.assert_close(got, model(waveform).softmax(dim=2))


def test_a_model_that_reads_latents_is_given_them() -> None:
    from xplain_devkit.toys.models import Frames

    class Head(nn.Module):
        def forward(self, values: Tensor) -> Tensor:
            return 20 * values[:, :1].abs().mT - 1

    frames = Frames(RATE)
    model = xplain.wrap(
        Head(), sample_rate=RATE, labels=["dc"], multilabel=True, reads=frames, frame_step=0.001
    )
    sound = torch.zeros(RATE)
    sound[2000:4000] = 0.5
    assert spans(segment(sound, model)) == [("dc", 0.25, 0.5)]


@pytest.mark.parametrize("differentiable", [True, False])
def test_what_is_not_additive_is_explained_in_its_excerpt(differentiable: bool) -> None:
    class Tones(Loud):
        """Loudness above 2 kHz."""

        def logits(self, waveform: Tensor) -> Tensor:
            bins = torch.fft.rfft(waveform.reshape(len(waveform), -1, 160))
            power = bins[..., 40:].abs().square().mean(dim=2, keepdim=True)
            logits = torch.log10(power + 1e-6) + 1
            return logits if differentiable else logits.detach()

    s = segment(short_clip(), Tones(), explain=True)
    method = "integrated-gradients" if differentiable else "feature-ablation"
    assert s.provenance["explanation"]["explainer"]["name"] == f"xplain-captum/{method}"
    (found,) = s.segments
    assert (found.start, found.end) == (1.0, 1.4)
    assert found.bands[0].low <= 3500 <= found.bands[0].high
    assert found.bands[0].share > 0.5


class Trained(nn.Module, Segmenter):
    """A network in training mode, as its owner left it: BatchNorm would learn from any pass."""

    sample_rate, frame_step, labels = RATE, 0.02, ("loud",)

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(1)

    def logits(self, waveform: Tensor) -> Tensor:
        level = waveform.reshape(len(waveform), 1, -1, 160).abs().mean(dim=3)
        return self.norm(20 * level - 1).mT


def test_explaining_segments_leaves_a_network_in_training_mode_as_it_was() -> None:
    module = Trained().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    torch.manual_seed(5)
    state = torch.get_rng_state()
    s = segment(short_clip(), module, explain=True)
    assert s.segments and all(found.bands for found in s.segments)
    assert module.training and module.norm.training
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert torch.equal(torch.get_rng_state(), state)


def test_a_segment_that_cannot_be_explained_does_not_lose_the_segmentation() -> None:
    class Fragile(Loud):
        """Finds both tones in the whole clip, and fails on an excerpt of the second."""

        context = 0.1

        def logits(self, waveform: Tensor) -> Tensor:
            high = torch.fft.rfft(waveform).abs()[:, waveform.shape[-1] // 4 :].max()
            if waveform.shape[-1] < 12000 and high > 100:
                raise RuntimeError("no such excerpt")
            return super().logits(waveform)

    s = segment(short_clip(), Fragile(), explain=True)
    low, high = s.segments
    assert (low.start, high.start) == (0.2, 1.0)
    assert low.bands and high.bands is None
    (warning,) = s.warnings
    assert "loud at 1.00 s cannot be explained" in warning and "no such excerpt" in warning


def test_warnings_of_the_excerpts_are_handed_on_once_with_their_number() -> None:
    class Jumps(Loud):
        """A score that jumps with the level, which no gradient tells of."""

        def logits(self, waveform: Tensor) -> Tensor:
            logits = super().logits(waveform)
            return logits + 20 * logits.sign()

    s = segment(short_clip(), Jumps(), explain=True)
    assert [found.bands is None for found in s.segments] == [False, False]
    counts = {w.rpartition(" (")[0]: int(w.rpartition("(")[2].split()[0]) for w in s.warnings}
    assert len(counts) == len(s.warnings) and sum(counts.values()) == 2
    assert all("did not converge" in text for text in counts)


def test_excerpts_come_from_files_too(tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    soundfile.write(path, short_clip().numpy(), RATE)
    (low, high) = segment(path, Loud(), explain=True).segments
    assert low.bands[0].low <= 500 <= low.bands[0].high
    assert high.bands[0].low <= 3500 <= high.bands[0].high


def test_a_list_gives_a_list_and_failures_stop_nobody(tmp_path: Path) -> None:
    assert [spans(s) for s in segment([clip(), clip()], Short())] == [KNOWN, KNOWN]
    (tmp_path / "empty.wav").touch()
    clips: list = [clip(), tmp_path / "empty.wav", clip()]
    with pytest.raises(RecordingsError, match=r"empty\.wav") as raised:
        segment(clips, Short())
    assert [spans(s) for s in raised.value.done] == [KNOWN, KNOWN]
    assert [f.name for f in raised.value.failures] == [str(tmp_path / "empty.wav")]


def test_bad_recordings_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "none.wav", np.zeros(0), RATE)
    nan = clip().numpy().copy()
    nan[70_000] = np.nan
    soundfile.write(tmp_path / "nan.wav", nan, RATE, "FLOAT")
    (tmp_path / "cut.wav").write_bytes((tmp_path / "nan.wav").read_bytes()[:-4000])
    (tmp_path / "text.wav").write_text("no audio at all")
    for name, says in {
        "none": "no samples",
        "nan": r"first at 8\.750 s",
        "cut": "truncated",
        "text": "not a recording",
        "nowhere": "does not exist",
    }.items():
        with pytest.raises(AudioError, match=says):
            segment(tmp_path / f"{name}.wav", Short())
    with pytest.raises(AudioError, match="no samples"):
        segment(torch.zeros(0), Short())


def test_silence_is_a_warning_and_a_result(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "x.wav", np.zeros(RATE), RATE)
    for silent in (torch.zeros(RATE), tmp_path / "x.wav"):
        with pytest.warns(XplainWarning, match="silent"):
            s = segment(silent, Short())
        assert s.segments == ()
        assert any("silent" in warning for warning in s.warnings)


class Wrong(Loud):
    """Gives what it is told to."""

    def __init__(self, gives: object) -> None:
        self.gives = gives

    def logits(self, waveform: Tensor) -> Tensor:
        return self.gives(super().logits(waveform))


@pytest.mark.parametrize(
    ("gives", "says"),
    [
        (lambda logits: logits[0], "not logits"),
        (lambda logits: logits.repeat(1, 1, 2), "not logits"),
        (lambda logits: logits.mT, "not logits"),
        (lambda logits: None, "NoneType"),
        (lambda logits: logits / 0, "NaN or infinite"),
        (lambda logits: logits.repeat(1, 2, 1), "frames of"),
        (lambda logits: logits[:, ::2], "frames of"),
        (lambda logits: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_segmenter_that_gives_something_else_is_named(gives: object, says: str) -> None:
    with pytest.raises(PluginError, match=says):
        segment(clip(), Wrong(gives))


def test_what_is_wrong_with_the_call_is_raised_before_the_first_recording() -> None:
    for settings, error in [
        ({"thresholds": {"lwo": Thresholds()}}, TargetError),
        ({"device": "nowhere"}, XplainError),
        ({"params": {"x": 1}}, PluginError),
    ]:
        with pytest.raises(error):
            segment_each([clip()], Short(), **settings)
    with pytest.raises(TypeError, match="did you mean 'explain'"):
        segment(clip(), Short(), explian=True)
    with pytest.raises(PluginError, match="no segmenter 'nobody'"):
        segment(clip(), "nobody")
    with pytest.raises(PluginError, match="not 7"):
        segment(clip(), 7)
    bad = Short()
    bad.spectra = bad.spectra.T
    with pytest.raises(PluginError, match="spectra"):
        segment(clip(), bad, explain=True)


def test_the_hook_is_told_how_far_it_is() -> None:
    told: list[tuple[str, float, float]] = []
    segment(audio.from_tensor(clip(), RATE, "x"), Short(), hook=lambda *t: told.append(t))
    assert [t[0] for t in told] == ["x"] * len(told)
    assert [t[1] for t in told] == sorted(t[1] for t in told)
    assert told[-1][1:] == (10.0, 10.0)
    assert len({t[1] for t in told}) >= 5  # as many windows as there are


class Module(nn.Module, Segmenter):
    sample_rate, frame_step, labels = RATE, 0.02, ("loud",)

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(20.0))
        self.dropout = nn.Dropout(0.9)

    def logits(self, waveform: Tensor) -> Tensor:
        level = waveform.reshape(len(waveform), -1, 160).abs().mean(dim=2, keepdim=True)
        return self.dropout(self.scale * level - 1)


def test_a_module_is_asked_in_evaluation_mode_and_left_as_it_was() -> None:
    module = Module().train()
    s = segment(clip(), module)
    assert spans(s) == [("loud", 1.0, 3.0), ("loud", 4.0, 8.5)]
    assert module.training and module.scale.requires_grad
    assert len(s.provenance["segmenter"]["sha256"]) == 64
    assert s.provenance["segmenter"]["window"] == 20.0


def test_segments_are_saved_and_loaded_with_what_they_hold(tmp_path: Path) -> None:
    s = segment(clip(), Short(), explain=True)
    assert all(found.bands and found.parts for found in s.segments)
    assert Segmentation.load(s.to_json(tmp_path / "s.json")).segments == s.segments
