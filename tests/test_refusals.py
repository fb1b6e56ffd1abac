"""What cannot be explained is refused by name, with its cause and what to do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import soundfile
import torch
from torch import Tensor, nn
from toys import RATE, Convolutions, Noisy, tone

import xplain
from xplain.borrowing import making
from xplain.clips import Failure
from xplain.explaining import explain_each
from xplain.models import make_synthesizer

Noise = Callable[..., Tensor]


def test_gradient_methods_are_refused_where_no_gradient_passes(noise: Noise) -> None:
    model = xplain.wrap(Convolutions(), sample_rate=RATE, labels=[*"abc"], differentiable=False)
    with pytest.raises(xplain.ModelError, match=r"needs gradients.*cannot be differentiated"):
        xplain.explain(noise(0.3), model)
    assert xplain.explain(noise(0.3), model, explainer=Noisy()).completeness_error is None


class ThroughNumpy(nn.Module):
    """Features computed by NumPy, which takes no tensor that wants gradients."""

    def forward(self, waveform: Tensor) -> Tensor:
        return torch.from_numpy(waveform.numpy()).reshape(len(waveform), -1)[:, :2]


class Nothing(xplain.Replacement):
    """Zeros, as an instance."""

    def fill(self, latents: Tensor, keep: Tensor, clip: xplain.Clip) -> Tensor:
        return torch.zeros_like(latents)


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
        (lambda w: torch.zeros(len(w) + 1, 3), r"\(2, 3\) for a batch of 1; waveforms arrive"),
        (lambda w: {"logits": 1}, "gave dict, not a tensor"),
        (lambda w: 1 / 0, "failed on an input of shape.*ZeroDivisionError"),
        (lambda w: torch.full((len(w), 3), torch.nan), "nothing to explain"),
    ],
)
def test_a_model_that_gives_something_else_is_named_with_what_it_gave(
    answer: Callable[[Tensor], object], reason: str
) -> None:
    model = xplain.wrap(Answers(answer), sample_rate=RATE, labels=[*"abc"], name="mine")
    with pytest.raises(xplain.ModelError, match=reason) as caught:
        xplain.explain(tone(440), model)
    assert "mine" in str(caught.value)


def test_a_model_of_one_clip_at_a_time_is_told_what_to_give(noise: Noise) -> None:
    linear = torch.nn.Linear(1, 3)
    module = Answers(lambda w: linear(w.reshape(1, len(w[0]), 1).square().mean(dim=1)))
    model = xplain.wrap(module, sample_rate=RATE, labels=[*"abc"])
    with pytest.raises(xplain.ModelError, match="give max_batch=1 if it takes one clip at a time"):
        xplain.explain(noise(0.1), model)
    assert xplain.explain(noise(0.1), model, max_batch=1).target.label in "abc"


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
        ({"params": {"steps": 0}}, xplain.PluginError, "whole number, at least 1"),
        ({"synthesizer_params": {"windw": 1}}, xplain.PluginError, "did you mean 'window'"),
        ({"replacement_params": {"file": "a"}}, xplain.PluginError, "no parameter 'file'"),
        ({"baseline_params": {"draws": 2}}, xplain.PluginError, "give a baseline"),
        (
            {"replacement": Nothing(), "replacement_params": {"draws": 2}},
            xplain.PluginError,
            "go with the name of a replacement, and this is a Nothing",
        ),
        ({"grouping": "elements"}, xplain.XplainError, "did you mean 'element'"),
        ({"order": "signde"}, xplain.XplainError, "did you mean 'signed'"),
        ({"max_batch": 0}, xplain.XplainError, "at least 1"),
        ({"explianer": "saliency"}, TypeError, "did you mean 'explainer'"),
        ({"explainer": Noisy}, xplain.PluginError, "an instance of xplain.Explainer"),
        ({"target": 1}, xplain.TargetError, "a label or a Target"),
        ({"target": "low", "versus": "low"}, xplain.TargetError, "against itself"),
        ({"target": xplain.Target("low"), "versus": "mid"}, xplain.TargetError, "set it in"),
        ({"target": "low@0-1"}, xplain.TargetError, "once per clip"),
        ({"sample_rate": -5}, xplain.XplainError, "1 to 100,000,000"),
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
        "def make(): return xplain.wrap(M(), sample_rate=8000, labels=[*'ab'])\n"
        "def wrong(): return 3\n"
    )
    assert xplain.load_model(f"{file}:make").labels == ("a", "b")
    with pytest.raises(xplain.ModelError, match="did you mean 'make'"):
        xplain.load_model(f"{file}:mkae")
    with pytest.raises(xplain.ModelError, match="gave int, not a model"):
        xplain.load_model(f"{file}:wrong")


def test_what_cannot_be_a_model_cannot_be_wrapped() -> None:
    with pytest.raises(xplain.ModelError, match=r"torch\.nn\.Module"):
        xplain.wrap(lambda x: x, sample_rate=RATE, labels=[*"ab"])  # type: ignore[arg-type]
    with pytest.raises(xplain.ModelError, match="its class has no hash"):
        equal = type("Equal", (Convolutions,), {"__eq__": lambda *_: True})
        xplain.wrap(equal(), sample_rate=RATE, labels=[*"abc"])
    with pytest.raises(xplain.ModelError, match="each only once"):
        xplain.wrap(Convolutions(), sample_rate=RATE, labels=[*"aab"])
    with pytest.raises(xplain.ModelError, match="give the same rate to both"):
        stft = make_synthesizer("stft", 16000)
        xplain.wrap(Convolutions(), sample_rate=RATE, labels=[*"abc"], reads=stft)
    with pytest.raises(xplain.ModelError, match="mine: a single label"):
        xplain.wrap(Convolutions(), sample_rate=RATE, labels=[*"a"], name="mine")
    with pytest.raises(xplain.ModelError, match="Hz"):
        xplain.wrap(Convolutions(), sample_rate=0, labels=[*"abc"])


def test_one_failing_clip_does_not_lose_the_others(
    bands: xplain.Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.wav").write_text("not audio")
    soundfile.write(tmp_path / "good.wav", tone(440).numpy(), RATE)
    clips = [tmp_path / "good.wav", tmp_path / "text.wav", tmp_path / "good.wav"]
    with pytest.raises(xplain.ClipsError, match=r"1 of 3 clips failed.*text\.wav") as caught:
        xplain.explain(clips, bands)
    assert "3/3" in capsys.readouterr().err
    assert [e.name for e in caught.value.done] == ["good", "good"]
    assert [f.name for f in caught.value.failures] == [str(clips[1])]
    kinds = [type(r) for r in explain_each(clips, bands)]
    assert kinds == [xplain.Explanation, Failure, xplain.Explanation]


def test_a_module_that_is_not_wrapped_is_answered_with_how_to() -> None:
    with pytest.raises(xplain.ModelError, match=r"wrap your module: xplain\.wrap"):
        xplain.explain(tone(440), Convolutions())  # type: ignore[call-overload]


def test_a_model_that_cuts_the_gradient_is_told_apart_from_a_broken_method() -> None:
    model = xplain.wrap(Answers(lambda w: w.detach()[:, :3]), sample_rate=RATE, labels=[*"abc"])
    with pytest.raises(xplain.PluginError, match="differentiable=False"):
        xplain.explain(tone(440), model)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_replacement_that_is_not_finite_is_named(bands: xplain.Model, bad: float) -> None:
    class Bad(xplain.Replacement):
        def fill(self, latents: Tensor, keep: Tensor, clip: xplain.Clip) -> Tensor:
            return torch.full_like(latents, bad)

    with pytest.raises(xplain.PluginError, match=r"Bad.*not finite"):
        xplain.explain(tone(440), bands, replacement=Bad())


@pytest.mark.parametrize(
    ("module", "says"),
    [
        (nn.Sequential(nn.Conv1d(1, 2, 3), nn.Flatten()), r"Unflatten\(1, \(1, -1\)\)"),
        (nn.Sequential(nn.Conv1d(40, 2, 3), nn.Flatten()), r"\(batch, samples\)"),
        (ThroughNumpy(), "differentiable=False .* such as occlusion"),
    ],
)
def test_a_module_that_takes_something_else_is_told_what_arrives(
    module: nn.Module, says: str
) -> None:
    model = xplain.wrap(module, sample_rate=RATE, labels=("a", "b"))
    with pytest.raises(xplain.ModelError, match=says):
        xplain.explain(tone(440), model)


def test_a_method_that_forgets_to_ask_for_gradients_is_told_so(bands: xplain.Model) -> None:
    class Forgetful(xplain.Explainer):
        def attribute(
            self, score: xplain.Score, latents: torch.Tensor, baseline: torch.Tensor
        ) -> torch.Tensor:
            latents.requires_grad_(True)
            score(latents[None]).sum().backward()
            assert latents.grad is not None
            return latents.grad

    with pytest.raises(xplain.PluginError, match="uses_gradients = True"):
        xplain.explain(tone(440), bands, explainer=Forgetful())


def test_a_target_by_number_is_told_the_label(bands: xplain.Model) -> None:
    with pytest.raises(xplain.TargetError, match="label 1 is 'mid'"):
        xplain.explain(tone(440), bands, target=1)


def test_a_model_that_ends_python_fails_for_its_clip_alone(noise: Noise) -> None:
    def leave(waveform: Tensor) -> Tensor:
        raise SystemExit("no licence")

    with pytest.raises(xplain.ClipsError, match="SystemExit: no licence") as caught:
        xplain.explain(
            [noise(0.3), noise(0.4)],
            xplain.wrap(Answers(leave), sample_rate=RATE, labels=("a", "b")),
        )
    assert len(caught.value.failures) == 2


def test_a_clip_is_named_once(tmp_path: Path, noise: Noise) -> None:
    soundfile.write(tmp_path / "clip.wav", noise(0.3).numpy(), RATE)
    silent = xplain.wrap(
        Answers(lambda w: torch.full((len(w), 2), torch.nan)), sample_rate=RATE, labels=("a", "b")
    )
    with pytest.raises(xplain.ModelError) as caught:
        xplain.explain(tmp_path / "clip.wav", silent)
    assert str(caught.value).startswith(f"{tmp_path}/clip.wav: the model 'Answers' gave logits")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no label 'x'; give another", "no label 'x'; give another"),
        (f"no label '{'x' * 9000}; give another", f"no label '{'x' * 299}… give another"),
    ],
)
def test_a_message_quotes_words_of_any_length_in_part(text: str, shown: str) -> None:
    assert str(xplain.TargetError(text)) == shown


def test_a_list_without_end_is_shown_by_both_its_ends() -> None:
    text = str(xplain.ModelError(f"it holds {'a word, ' * 9000}; give another"))
    assert text.startswith("it holds a word") and text.endswith("a word, ; give another")
    assert len(text) < 1600


def test_weights_beyond_what_is_expected_are_refused_before_they_fill_memory() -> None:
    with making(10), pytest.raises(xplain.ModelError, match="or 10 numbers in them"):
        nn.Linear(20_000, 20_000)  # 1.6 GB
    with making(6):
        nn.Linear(2, 2)
