"""Every task: what its score is, when a decision has changed, and what is written of it."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from test_report import held
from torch import Tensor, nn
from typer.testing import CliRunner

import xplain
from xplain.cli.main import app
from xplain.job import Settings
from xplain.report.page import write_page
from xplain.targets import Asked
from xplain.tasks import resolve

RATE = 8000
FAST: Settings = {
    **{"explainer": "occlusion", "grouping": "block:32x10"},
    **{"replacement": "silence", "baseline": "silence"},
}


def tones(*hertz: float, seconds: float = 0.25) -> Tensor:
    """One tone after another, each with a pause after it."""
    time = torch.arange(int(seconds * RATE)) / RATE
    parts = [torch.cat([torch.sin(2 * math.pi * f * time), torch.zeros(len(time))]) for f in hertz]
    return 0.5 * torch.cat(parts)


class Bands(nn.Module):
    """Energy of bands of 1 kHz in frames of 25 ms: (batch, samples) → (batch, frames, 4)."""

    def forward(self, waveform: Tensor) -> Tensor:
        frames = waveform.unfold(-1, 200, 200)
        power = torch.fft.rfft(frames).abs().square()[..., :100]
        return power.unflatten(-1, (4, 25)).mean(-1)


class Level(nn.Module):
    """A value and another one: the mean energy of the lowest band, and twice it."""

    def __init__(self) -> None:
        super().__init__()
        self.bands = Bands()

    def forward(self, waveform: Tensor) -> Tensor:
        energy = self.bands(waveform)[..., 0].mean(1, keepdim=True)
        return torch.cat([energy, 2 * energy], dim=1)


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bands = Bands()

    def forward(self, waveform: Tensor) -> Tensor:
        return torch.log1p(self.bands(waveform)).mean(1)


class Writes(nn.Module):
    """A CTC: a tone of band k is the letter k, silence the blank or, between words, a space."""

    def __init__(self) -> None:
        super().__init__()
        self.bands = Bands()

    def forward(self, waveform: Tensor) -> Tensor:
        energy = torch.log1p(self.bands(waveform))
        return torch.cat([torch.full_like(energy[..., :1], 2.0), energy], dim=-1)


class Told(nn.Module):
    """A sequence-to-sequence model of two tokens: the loudest band of each half."""

    def __init__(self) -> None:
        super().__init__()
        self.bands = Bands()

    def transcribe(self, waveform: Tensor) -> Tensor:
        return self(waveform, torch.zeros(1, 2))[0].argmax(-1)

    def forward(self, waveform: Tensor, tokens: Tensor) -> Tensor:
        halves = torch.log1p(self.bands(waveform)).chunk(2, dim=1)
        return torch.stack([half.mean(1) for half in halves[: tokens.shape[1]]], dim=1)


LETTERS = ("", "a", "b", " ", "d")


def recogniser() -> xplain.Model:
    return xplain.wrap(
        Writes(), sample_rate=RATE, labels=LETTERS, task="ctc", frame_step=0.025, name="ctc"
    )


def level(tolerance: float | None = None) -> xplain.Model:
    return xplain.wrap(
        Level(),
        sample_rate=RATE,
        labels=["level", "double"],
        task="regression",
        unit="mW",
        tolerance=tolerance,
    )


def embedder() -> xplain.Model:
    return xplain.wrap(Embedded(), sample_rate=RATE, task="embedding", name="embedder")


def told() -> xplain.Model:
    labels = [" a", " b", " c", " d"]
    return xplain.wrap(Told(), sample_rate=RATE, labels=labels, task="seq2seq", name="told")


def test_a_regression_is_explained_by_its_value() -> None:
    clip, model = tones(500), level(tolerance=1.0)
    value = float(model(clip[None])[0, 1])
    e = xplain.explain(clip, model, target="double", **FAST)
    target = e.target
    assert (target.probability, target.value, target.unit) == (None, pytest.approx(value), "mW")
    assert e.score == pytest.approx(value, rel=1e-4)
    assert e.probabilities == {}
    nothing, everything = e.scores(keep=[0, 1], remove=[])
    assert nothing.value == pytest.approx(0, abs=1e-3) and not nothing.agrees
    assert everything.value == pytest.approx(value, rel=1e-4) and everything.agrees
    assert e.check().kind != "unfaithful"


def test_without_a_tolerance_half_the_way_to_the_baseline_changes_a_decision() -> None:
    e = xplain.explain(tones(500), level(), **FAST)
    assert e.target.label == "level"
    assert e.target.tolerance == pytest.approx(abs(e.score - e.baseline_score) / 2)
    answers = torch.tensor([[e.score * share, 0.0] for share in (0.49, 0.51, 1.49, 1.51)])
    assert e.target.agrees(answers).tolist() == [False, True, True, False]


def test_an_embedding_is_explained_by_its_cosine_with_recordings() -> None:
    model, clip, other = embedder(), tones(500), tones(1500, 3500)
    alike = xplain.explain(clip, model, target=xplain.SimilarTo(clip), **FAST)
    assert alike.target.value == pytest.approx(1, abs=1e-5)
    assert alike.target.unit == "cosine similarity"
    one, two = (model(w[None])[0] for w in (clip, other))
    both = torch.nn.functional.normalize(torch.stack([one, two]), dim=1).mean(0)
    expected = float(torch.nn.functional.cosine_similarity(one, both, dim=0))
    e = xplain.explain(clip, model, target=xplain.SimilarTo([clip, other], threshold=0.5), **FAST)
    assert e.target.value == pytest.approx(expected, abs=1e-5)
    (nothing,) = e.scores(keep=[0], remove=[])
    assert not nothing.agrees and e.target.threshold == 0.5


def test_a_ctc_writes_words_and_each_is_explained_where_it_is() -> None:
    clip, model = tones(500, 1500, 2500, 3500), recogniser()
    # In the band of letter k, hertz lie from 1000 (k - 1).
    assert model.labels[2] == "b"
    whole = xplain.explain(clip, model, **FAST)
    assert whole.target.label == "ab d"
    word = xplain.explain(clip, model, target="d", **FAST)
    assert word.target.label == "d" and word.target.task == "ctc"
    assert word.target.start == pytest.approx(1.25) and word.target.end == pytest.approx(2.0)
    assert word.target.probability == pytest.approx(math.exp(word.target.value or 0))
    summed = word.attribution.sum(0)
    assert float(summed[: len(summed) // 2].abs().sum()) < 0.01 * float(summed.abs().sum())
    (nothing,) = word.scores(keep=[0], remove=[])
    assert nothing.label == "" and not nothing.agrees
    with pytest.raises(xplain.TargetError, match="'c' is not written in 'ab d'"):
        xplain.explain(clip, model, target="c", **FAST)
    with pytest.raises(xplain.TargetError, match="'d' is written 1 times"):
        xplain.explain(clip, model, target=xplain.Word("d", occurrence=1), **FAST)


def test_the_score_of_a_ctc_sums_every_path_that_spells_the_text() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 4, 3)
    labels = ("", "x", "y")
    logits[0, 1, 1] = logits[0, 3, 2] = 9.0
    logits[0, 0, 0] = logits[0, 2, 0] = 9.0
    model = xplain.wrap(nn.Identity(), sample_rate=RATE, labels=labels, task="ctc", frame_step=0.1)
    target = resolve(None, logits, model)
    assert target.label == "xy"

    def spelled(path: tuple[int, ...]) -> str:
        return "".join(labels[token] for token, _ in itertools.groupby(path))

    said = torch.randn(1, 4, 3)
    chances = said[0].softmax(-1)
    total = sum(
        math.prod(float(chances[t, token]) for t, token in enumerate(path))
        for path in itertools.product(range(3), repeat=4)
        if spelled(path) == "xy"
    )
    assert float(target.score(said)) == pytest.approx(math.log(total), rel=1e-4)
    assert target.agrees(target.answers(logits)).tolist() == [True]
    silence = torch.zeros(1, 4, 3)
    silence[..., 0] = 9.0
    assert [(d.label, d.agrees) for d in target.decisions(silence)] == [("", False)]


def test_a_model_of_sequences_is_told_its_own_text() -> None:
    clip, model = torch.cat([tones(500), tones(2500)]), told()
    e = xplain.explain(clip, model, target=xplain.Word("c"), **FAST)
    logits = model.module(clip[None], torch.zeros(1, 2))
    assert e.target.value == pytest.approx(float(logits[0, 1].log_softmax(-1)[2]), abs=1e-4)
    summed = e.attribution.sum(0)
    assert float(summed[: len(summed) // 2 - 4].abs().sum()) < 0.01 * float(summed.abs().sum())
    assert xplain.explain(clip, model, **FAST).target.label == "a c"
    by_name = xplain.explain(clip, model, target=xplain.Token(" a"), **FAST)
    assert by_name.target.label == " a"


def test_a_function_of_what_the_model_gives_is_explained() -> None:
    def spread(output: Tensor) -> Tensor:
        return output[:, 1] - output[:, 0]

    e = xplain.explain(tones(500), level(), target=spread, **FAST)
    assert (e.target.label, e.target.task, e.target.unit) == ("spread", "function", None)
    assert e.score == pytest.approx(float(level()(tones(500)[None])[0, 0]), rel=1e-4)
    with pytest.raises(xplain.TargetError, match=r"it has to give a tensor \(1,\)"):
        xplain.explain(tones(500), level(), target=lambda output: output, **FAST)


def test_several_spans_are_scored_by_the_mean_over_all_their_frames() -> None:
    model = xplain.wrap(Bands(), sample_rate=RATE, labels=list("abcd"), frame_step=0.025)
    clip = tones(500, 1500)
    target = xplain.Target("b", spans=((0.0, 0.1), (0.5, 0.75)))
    e = xplain.explain(clip, model, target=target, **FAST)
    logits = model(clip[None])[0, :, 1]
    assert e.target.frames == ((0, 4), (20, 30))
    assert e.score == pytest.approx(float(torch.cat([logits[:4], logits[20:30]]).mean()), rel=1e-3)
    assert xplain.Target.parse("b@0.0-0.1,0.5-0.75") == target
    assert (e.target.start, e.target.end) == (0.0, 0.75)


@pytest.mark.parametrize(
    ("model", "target", "wrong"),
    [
        (embedder, None, "needs a target; give target=xplain.SimilarTo"),
        (embedder, "dog", "give target=xplain.SimilarTo"),
        (level, "dog", "no label 'dog'"),
        (level, xplain.SimilarTo(tones(500)), "a model for regression"),
        (recogniser, xplain.Target("a"), "a model for ctc"),
        (recogniser, xplain.Word("zz"), "'zz' is not written"),
    ],
)
def test_what_a_task_cannot_answer_is_refused(
    model: Callable[[], xplain.Model], target: xplain.Target, wrong: str
) -> None:
    with pytest.raises(xplain.TargetError, match=wrong):
        xplain.explain(tones(500), model(), target=target, **FAST)


@pytest.mark.parametrize(
    ("settings", "wrong"),
    [
        ({"task": "regress"}, "there is no task 'regress'"),
        ({"task": "ctc", "labels": ["a"], "frame_step": 0.1}, "has a blank"),
        ({"task": "ctc", "labels": ["", "a"]}, "give frame_step="),
        ({"task": "seq2seq", "labels": ["a"]}, "method transcribe"),
        ({"task": "embedding", "tolerance": 1.0}, "a regression's value"),
        ({"task": "regression", "multilabel": True}, "no labels that are independent"),
    ],
)
def test_what_cannot_be_a_model_of_a_task_is_refused(
    settings: dict[str, object], wrong: str
) -> None:
    with pytest.raises(xplain.ModelError, match=wrong):
        xplain.wrap(nn.Identity(), sample_rate=RATE, **settings)  # type: ignore[arg-type]


CASES: dict[str, tuple[Callable[[], xplain.Model], Asked | None, bool]] = {
    "regression": (level, None, False),
    "embedding": (embedder, xplain.SimilarTo(tones(500, 2500)), False),
    "ctc": (recogniser, "ab", True),
    "seq2seq": (told, None, True),
}


@pytest.mark.parametrize("task", CASES)
def test_every_task_is_saved_loaded_and_shown_without_what_it_does_not_have(
    task: str, tmp_path: Path
) -> None:
    make, target, text = CASES[task]
    clip = tones(500, 1500) if task == "ctc" else tones(500, 600)
    e = xplain.explain(clip, make(), target=target, **FAST)
    e.check()
    loaded = xplain.Explanation.load(e.save(tmp_path / "e"))
    assert loaded.target == e.target and loaded.saved == e.saved
    page = held(write_page(loaded, tmp_path / "page.html"))
    assert page["probabilities"] == [] and page["target"]["value"] == e.target.value
    assert page["target"]["is_text"] is text
    for version, outcome in zip(page["versions"][1:], loaded.saved, strict=True):
        assert version["value"] == outcome.value is not None


def test_the_command_line_explains_an_embedding_and_prints_no_probability(tmp_path: Path) -> None:
    import soundfile

    soundfile.write(tmp_path / "one.wav", tones(500).numpy(), RATE)
    soundfile.write(tmp_path / "two.wav", tones(600, 1500).numpy(), RATE)
    (tmp_path / "mine.py").write_text(
        "from tests.test_tasks import embedder, level\n", encoding="utf-8"
    )
    common = ["--explainer", "occlusion", "--out", str(tmp_path / "out"), "--json"]
    run = CliRunner().invoke(
        app,
        [
            *["explain", str(tmp_path / "one.wav"), "--model", f"{tmp_path}/mine.py:embedder"],
            *["--similar-to", str(tmp_path / "two.wav"), *common],
        ],
    )
    assert run.exit_code == 0, run.output
    told = json.loads(run.stdout)
    assert told["target"]["task"] == "embedding" and "probability" not in told["target"]
    assert -1 <= told["target"]["value"] <= 1
    for result in told["results"]:
        assert "probability" not in result and "probability" not in result["reencoded"]
        assert result["value"] <= 1 and isinstance(result["agrees"], bool)
    run = CliRunner().invoke(
        app,
        ["explain", str(tmp_path / "one.wav"), "--model", f"{tmp_path}/mine.py:level", *common],
    )
    assert json.loads(run.stdout)["target"]["unit"] == "mW"
