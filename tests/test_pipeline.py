"""explain(): the score is the model's, the caller's things stay as they were."""

from __future__ import annotations

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor, nn
from toys import RATE, BandEnergies, Convolutions, Noisy, tone

import xplain
from xplain.models import make_synthesizer
from xplain.pipeline import Failure, explain_each

Noise = Callable[..., Tensor]


def test_the_band_that_decides_gets_the_attribution(bands: xplain.Model) -> None:
    clip = tone(440) + 0.05 * tone(1200)
    e = xplain.explain(clip, bands)
    assert e.target.label == "low"
    hertz = torch.tensor(e.frequencies)
    inside = (hertz > 100) & (hertz < 700)
    positive = e.attribution.clamp(min=0)
    assert positive[inside].sum() / positive.sum() > 0.95


def test_keep_and_remove_are_what_is_heard(bands: xplain.Model) -> None:
    clip = tone(440) + 0.2 * tone(1200)
    e = xplain.explain(clip, bands)
    kept, removed = e.scores(keep=[0.02], remove=[0.1])
    assert kept.label == kept.heard.label == "low" and kept.agrees
    assert removed.label == removed.heard.label == "mid" and not removed.agrees
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


def test_the_callers_generators_go_on_where_they_were(
    convolutions: xplain.Model, noise: Noise
) -> None:
    def draw(explained: bool) -> list[float]:
        torch.manual_seed(5)
        np.random.seed(5)
        random.seed(5)
        if explained:
            xplain.explain(noise(0.3), convolutions, explainer=Noisy()).keep(0.1)
        return [float(torch.rand(1)), float(np.random.rand()), random.random()]

    assert draw(False) == draw(True)


class Rude(xplain.Explainer):
    """Leaves hooks and gradients behind and switches modes, as no method should."""

    uses_gradients = True

    def attribute(self, score: xplain.Score, latents: Tensor, baseline: Tensor) -> Tensor:
        for module in score.modules():
            module.register_forward_hook(lambda *_: None)
        score.train().requires_grad_(True)
        score(torch.stack([latents, baseline])).sum().backward()
        latents.zero_()
        baseline.fill_(3)
        return torch.ones_like(latents)


def test_the_callers_model_is_left_as_it_was(noise: Noise) -> None:
    torch.manual_seed(0)
    module = Convolutions().train()
    module.layers[3].eval()
    module.head.bias.requires_grad_(False)
    module.head.register_forward_hook(lambda *_: None)
    state = {k: v.clone() for k, v in module.state_dict().items()}
    model = xplain.wrap(module, sample_rate=RATE, labels="abc")
    for explainer in ("integrated-gradients", Rude()):
        xplain.explain(noise(0.3), model, explainer=explainer).keep(0.1)
    assert module.training and module.layers[1].training and not module.layers[3].training
    assert module.head.weight.requires_grad and not module.head.bias.requires_grad
    assert [len(m._forward_hooks) for m in module.modules()] == [0, 0, 0, 0, 0, 0, 1]
    assert all(torch.equal(v, state[k]) for k, v in module.state_dict().items())
    assert all(p.grad is None for p in module.parameters())


def test_a_model_is_free_between_the_clips(convolutions: xplain.Model, noise: Noise) -> None:
    module, clips = convolutions.module, [noise(0.3, 1), noise(0.3, 2)]
    one = explain_each(clips, convolutions)
    other = explain_each(clips, convolutions, explainer=Rude())
    for _ in zip(one, other, strict=True):
        assert module.training and all(p.requires_grad for p in module.parameters())
    abandoned = explain_each(clips, convolutions)
    next(abandoned)
    assert module.training and all(p.requires_grad for p in module.parameters())


def test_threads_take_turns_on_one_model(convolutions: xplain.Model, noise: Noise) -> None:
    expected = xplain.explain(noise(0.3), convolutions).attribution
    with ThreadPoolExecutor(4) as pool:
        done = pool.map(lambda _: xplain.explain(noise(0.3), convolutions), range(8))
    assert all(torch.allclose(e.attribution, expected, atol=1e-7) for e in done)
    assert convolutions.module.training


def test_a_model_on_loan_is_given_back_after_an_error_too(noise: Noise) -> None:
    class Failing(xplain.Explainer):
        def attribute(self, score: xplain.Score, latents: Tensor, baseline: Tensor) -> Tensor:
            raise RuntimeError("no")

    module = Convolutions().train()
    model = xplain.wrap(module, sample_rate=RATE, labels="abc")
    with pytest.raises(xplain.XplainError, match="RuntimeError: no"):
        xplain.explain(noise(0.3), model, explainer=Failing())
    assert module.training and module.head.weight.requires_grad


def test_a_method_cannot_change_the_clip_it_explains(
    convolutions: xplain.Model, noise: Noise
) -> None:
    e = xplain.explain(noise(0.3), convolutions, explainer=Rude())
    assert (e.keep(1) - noise(0.3)).abs().max() < 1e-4
    assert e.baseline.abs().max() == 0


def test_what_a_caller_does_with_an_attribution_does_not_change_what_is_kept(
    convolutions: xplain.Model, noise: Noise
) -> None:
    e, other = (xplain.explain(noise(0.3), convolutions) for _ in range(2))
    e.attribution.neg_()
    assert torch.equal(e.keep(0.1), other.keep(0.1))


def test_a_model_that_writes_into_its_input_does_not_change_the_clip() -> None:
    class InPlace(BandEnergies):
        def forward(self, waveform: Tensor) -> Tensor:
            waveform *= 0.5
            return super().forward(waveform)

    model = xplain.wrap(InPlace(), sample_rate=RATE, labels="abc")
    mine = xplain.Audio(tone(440), RATE, "mine")
    e = xplain.explain(mine, model, explainer=Noisy(), synthesizer="waveform")
    assert torch.equal(mine.waveform, tone(440)) and torch.equal(e.waveform, tone(440))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_gradients_flow_whatever_mode_the_caller_is_in(
    convolutions: xplain.Model, noise: Noise, mode: Callable[[], object]
) -> None:
    expected = xplain.explain(noise(0.3), convolutions).attribution
    with mode():  # type: ignore[attr-defined]
        got = xplain.explain(noise(0.3), convolutions).attribution
        assert torch.is_grad_enabled() is False
    assert torch.allclose(got, expected, atol=1e-7)


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
    model = xplain.wrap(module, sample_rate=RATE, labels="abc")
    e = xplain.explain(tone(440), model, explainer=explainer, max_batch=7)
    e.scores(keep=[i / 10 for i in range(11)], remove=[0.1])
    assert max(module.seen) <= 7


def test_integrated_gradients_costs_its_steps_and_five_evaluations_more() -> None:
    module = Counting()
    model = xplain.wrap(module, sample_rate=RATE, labels="abc")
    xplain.explain(tone(440), model, params={"steps": 20})
    # The clip, its reconstruction, and the two ends of the completeness check; Captum
    # itself asks once more to learn the shape of the score.
    assert sum(module.seen) <= 20 + 5


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
    model = xplain.wrap(Gru().train(), sample_rate=RATE, labels="ab")
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
    model = xplain.wrap(Head(), sample_rate=RATE, labels="abc", reads="stft")
    e = xplain.explain(tone(440), model)
    assert e.provenance["route"] == "head(z)"
    # The score is linear: the attribution is weight times value, in closed form.
    expected = torch.zeros_like(e.latents)
    expected[:42] = e.latents[:42] / (42 * e.latents.shape[1])
    assert torch.allclose(e.attribution, expected, atol=1e-6)


def test_a_model_of_other_latents_is_explained_through_decode_and_encode() -> None:
    model = xplain.wrap(Head(), sample_rate=RATE, labels="abc", reads="stft")
    e = xplain.explain(tone(440), model, synthesizer="waveform")
    assert e.provenance["route"] == "head(encode(decode(z)))"
    assert torch.isfinite(e.attribution).all() and e.attribution.abs().max() > 0


def test_a_synthesizer_of_another_rate_is_resampled_at_the_border(bands: xplain.Model) -> None:
    e = xplain.explain(tone(440), bands, synthesizer=make_synthesizer("stft", 16000))
    assert e.sample_rate == 16000 and len(e.keep(0.1)) == 2 * len(tone(440))
    assert e.target.label == "low" and e.scores(keep=[0.05])[0].label == "low"
    assert e.completeness_error is not None and e.completeness_error < 0.05


def test_gradient_methods_are_refused_where_no_gradient_passes(noise: Noise) -> None:
    model = xplain.wrap(Convolutions(), sample_rate=RATE, labels="abc", differentiable=False)
    with pytest.raises(xplain.ModelError, match=r"needs gradients.*cannot be differentiated"):
        xplain.explain(noise(0.3), model)
    assert xplain.explain(noise(0.3), model, explainer=Noisy()).completeness_error is None


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
        e = xplain.explain(clip, model, versus="mid")
    assert e.converged is False and "did not converge" in e.warnings[0]
    assert xplain.explain(clip, model, versus="mid", baseline="mean").converged


class Answers(nn.Module):
    """Gives whatever it is told to."""

    def __init__(self, answer: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, waveform: Tensor) -> object:
        return self.answer(waveform)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda w: w.mean(-1), r"logits are \(batch, labels\)"),
        (lambda w: torch.zeros(len(w), 5, 3), r"logits are \(batch, labels\)"),
        (lambda w: torch.zeros(len(w), 4), "4 logits for 3 labels"),
        (lambda w: torch.zeros(len(w) + 1, 3), "for a batch of 1"),
        (lambda w: {"logits": 1}, "gave dict, not a tensor"),
        (lambda w: 1 / 0, "failed on an input of shape.*ZeroDivisionError"),
        (lambda w: torch.full((len(w), 3), torch.nan), "nothing to explain"),
    ],
)
def test_a_model_that_gives_something_else_is_named_with_what_it_gave(
    answer: Callable[[Tensor], object], reason: str
) -> None:
    model = xplain.wrap(Answers(answer), sample_rate=RATE, labels="abc", name="mine")
    with pytest.raises(xplain.ModelError, match=reason) as caught:
        xplain.explain(tone(440), model)
    assert "mine" in str(caught.value)


class Gives(xplain.Explainer):
    def __init__(self, make: Callable[[Tensor], object]) -> None:
        self.make = make

    def attribute(self, score: xplain.Score, latents: Tensor, baseline: Tensor) -> Tensor:
        return self.make(latents)  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda z: z[None], "an attribution has the latents' shape"),
        (lambda z: None, "no tensor"),
        (lambda z: z * float("nan"), "NaN or infinite"),
    ],
)
def test_a_method_that_gives_something_else_is_named(
    bands: xplain.Model, make: Callable[[Tensor], object], reason: str
) -> None:
    with pytest.raises(xplain.PluginError, match=reason) as caught:
        xplain.explain(tone(440), bands, explainer=Gives(make))
    assert "Gives" in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "error", "reason"),
    [
        ({"target": "lwo"}, xplain.TargetError, "did you mean 'low'"),
        ({"target": "low", "versus": "mdi"}, xplain.TargetError, "did you mean 'mid'"),
        ({"synthesizer": "sttf"}, xplain.PluginError, "did you mean 'stft'"),
        ({"explainer": "salency"}, xplain.PluginError, "did you mean 'saliency'"),
        ({"replacement": "zeros"}, xplain.PluginError, "did you mean 'zero'"),
        ({"params": {"stesp": 3}}, xplain.PluginError, "did you mean 'steps'"),
        ({"params": {"steps": 0}}, xplain.PluginError, "steps is at least 1"),
        ({"granularity": "elements"}, xplain.XplainError, "did you mean 'element'"),
        ({"order": "signde"}, xplain.XplainError, "did you mean 'signed'"),
        ({"max_batch": 0}, xplain.XplainError, "at least 1"),
        ({"explianer": "saliency"}, TypeError, "did you mean 'explainer'"),
        ({"explainer": Noisy}, xplain.PluginError, "an instance of xplain.Explainer"),
        ({"target": 1}, xplain.TargetError, "a label or a Target"),
        ({"target": "low", "versus": "low"}, xplain.TargetError, "against itself"),
        ({"target": xplain.Target("low"), "versus": "mid"}, xplain.TargetError, "set it in"),
        ({"target": "low@0-1"}, xplain.TargetError, "once per clip"),
        ({"sample_rate": -5}, xplain.XplainError, "at least 1"),
    ],
)
def test_wrong_names_are_refused_before_any_clip_is_touched(
    bands: xplain.Model, settings: dict[str, object], error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason) as caught:
        explain_each(["does-not-exist.wav"], bands, **settings)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("zooo:digits", "did you mean 'zoo'"),
        ("digits", "not a model reference"),
        ("nowhere.py:make", "no such file"),
    ],
)
def test_wrong_models_are_refused(reference: str, reason: str) -> None:
    with pytest.raises(xplain.ModelError, match=reason):
        xplain.load_model(reference)


def test_a_model_can_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "import torch, xplain\n"
        "class M(torch.nn.Module):\n"
        "    def forward(self, x): return torch.stack([x.sum(-1), -x.sum(-1)], -1)\n"
        "def make(): return xplain.wrap(M(), sample_rate=8000, labels='ab')\n"
        "def wrong(): return 3\n"
    )
    assert xplain.load_model(f"{file}:make").labels == ("a", "b")
    with pytest.raises(xplain.ModelError, match="did you mean 'make'"):
        xplain.load_model(f"{file}:mkae")
    with pytest.raises(xplain.ModelError, match="gave int, not a model"):
        xplain.load_model(f"{file}:wrong")


def test_what_cannot_be_a_model_cannot_be_wrapped() -> None:
    with pytest.raises(xplain.ModelError, match=r"torch\.nn\.Module"):
        xplain.wrap(lambda x: x, sample_rate=RATE, labels="ab")  # type: ignore[arg-type]
    with pytest.raises(xplain.ModelError, match="each only once"):
        xplain.wrap(Convolutions(), sample_rate=RATE, labels="aab")
    with pytest.raises(xplain.ModelError, match="give the same rate to both"):
        stft = make_synthesizer("stft", 16000)
        xplain.wrap(Head(), sample_rate=RATE, labels="abc", reads=stft)
    with pytest.raises(xplain.ModelError, match="mine: a single label"):
        xplain.wrap(Convolutions(), sample_rate=RATE, labels="a", name="mine")
    with pytest.raises(xplain.ModelError, match="Hz"):
        xplain.wrap(Convolutions(), sample_rate=0, labels="abc")


def test_one_failing_clip_does_not_lose_the_others(
    bands: xplain.Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.wav").write_text("not audio")
    soundfile.write(tmp_path / "good.wav", tone(440).numpy(), RATE)
    clips = [tmp_path / "good.wav", tmp_path / "text.wav", tmp_path / "good.wav"]
    with pytest.raises(xplain.ClipsError, match=r"1 of 3 clips failed.*text\.wav") as caught:
        xplain.explain(clips, bands)
    assert "3/3" in capsys.readouterr().err
    assert [e.name for e in caught.value.explanations] == ["good", "good"]
    assert [f.name for f in caught.value.failures] == [str(clips[1])]
    kinds = [type(r) for r in explain_each(clips, bands)]
    assert kinds == [xplain.Explanation, Failure, xplain.Explanation]


def test_provenance_says_where_everything_came_from(bands: xplain.Model, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(440).numpy(), RATE, subtype="PCM_24")
    e = xplain.explain(tmp_path / "a.wav", bands, params={"steps": 7}, baseline="zero", seed=3)
    p = e.provenance
    assert p["explainer"]["name"] == "xplain-captum/integrated-gradients"
    assert p["explainer"]["parameters"] == {"steps": 7, "tolerance": 0.05}
    assert p["synthesizer"]["parameters"]["sample_rate"] == RATE
    assert (p["baseline"]["name"], p["replacement"]["name"]) == (
        "xplain-codecs/zero",
        "xplain-codecs/silence",
    )
    assert p["audio"]["subtype"] == "PCM_24" and len(p["audio"]["sha256"]) == 64
    assert p["seed"] == 3 and p["route"] == "model(decode(z))"
    assert p["reconstruction"]["label"] == "low"


def test_the_fingerprint_changes_with_any_weight() -> None:
    module = Convolutions()
    model = xplain.wrap(module, sample_rate=RATE, labels="abc")
    before = model.fingerprint()
    assert model.fingerprint() == before
    with torch.no_grad():
        module.head.weight[2, 7] += 1e-3
    assert model.fingerprint() != before


def test_a_module_that_is_not_wrapped_is_answered_with_how_to() -> None:
    with pytest.raises(xplain.ModelError, match=r"wrap your module: xplain\.wrap"):
        xplain.explain(tone(440), Convolutions())  # type: ignore[call-overload]


def test_a_model_that_cuts_the_gradient_is_told_apart_from_a_broken_method() -> None:
    model = xplain.wrap(Answers(lambda w: w.detach()[:, :3]), sample_rate=RATE, labels="abc")
    with pytest.raises(xplain.PluginError, match="differentiable=False"):
        xplain.explain(tone(440), model)


def test_a_label_that_looks_like_a_span_is_a_label() -> None:
    model = xplain.wrap(BandEnergies(), sample_rate=RATE, labels=("a@0-1", "b", "c"))
    assert xplain.explain(tone(440), model, target="a@0-1").target.label == "a@0-1"


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
    settings = {"replacement": Static(), "granularity": "block", "explainer": Noisy()}
    for path, e in zip(paths, xplain.explain(paths, convolutions, **settings), strict=True):
        alone = xplain.explain(path, convolutions, **settings)
        assert torch.allclose(e.attribution, alone.attribution, atol=1e-5, rtol=0)
        assert torch.allclose(e.keep(0.3), alone.keep(0.3), atol=1e-5, rtol=0)
        assert not torch.equal(e.keep(0.3), e.keep(0.31))


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_replacement_that_is_not_finite_is_named(bands: xplain.Model, bad: float) -> None:
    class Bad(xplain.Replacement):
        def fill(self, latents: Tensor, keep: Tensor, clip: xplain.Clip) -> Tensor:
            return torch.full_like(latents, bad)

    with pytest.raises(xplain.PluginError, match=r"Bad.*not finite"):
        xplain.explain(tone(440), bands, replacement=Bad())


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

    model = xplain.wrap(Reader(), sample_rate=RATE, labels="abc", reads=Secret(RATE, 1))
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


def test_a_ratio_that_selects_nothing_is_warned_of(bands: xplain.Model) -> None:
    e = xplain.explain(tone(440), bands, synthesizer="waveform", granularity="channel")
    with pytest.warns(xplain.XplainWarning, match="selects nothing"):
        e.keep(0.1)


def test_ten_minutes_are_explained_within_the_default_budget(noise: Noise) -> None:
    class Loudness(nn.Module):
        largest = 0

        def forward(self, waveform: Tensor) -> Tensor:
            Loudness.largest = max(Loudness.largest, waveform.numel())
            return torch.stack([waveform.square().mean(-1), waveform.abs().mean(-1)], dim=-1)

    model = xplain.wrap(Loudness(), sample_rate=RATE, labels="ab")
    clip = noise(600)
    e = xplain.explain(clip, model, params={"steps": 3})
    assert e.attribution.shape[1] == len(clip) // 64 + 1
    assert len(e.keep(0.1)) == len(clip)
    assert Loudness.largest <= max(2**22, len(clip))
