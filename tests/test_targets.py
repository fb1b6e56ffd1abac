"""Questions are read, resolved and scored as asked."""

from __future__ import annotations

import pytest
import torch

import xplain
from xplain import Target, TargetError
from xplain.tasks import LiveTarget, resolve

LABELS = ("speech", "music", "noise")
CLIP = torch.tensor([[1.0, 3.0, 2.0]])
FRAMES = torch.arange(30.0).reshape(1, 10, 3)


def ask(
    target: Target,
    logits: torch.Tensor = CLIP,
    multilabel: bool = False,
    step: float | None = None,
) -> LiveTarget:
    model = xplain.wrap(
        torch.nn.Identity(),
        sample_rate=16000,
        labels=LABELS,
        multilabel=multilabel,
        frame_step=step,
    )
    return resolve(target, logits, model)


def test_without_a_label_the_models_own_decision_is_asked() -> None:
    resolved = ask(Target())
    assert (resolved.label, resolved.index) == ("music", 1)
    assert resolved.probability == pytest.approx(float(CLIP.softmax(-1)[0, 1]))


def test_independent_labels_have_their_own_probability() -> None:
    assert ask(Target("noise"), multilabel=True).probability == pytest.approx(
        1 / (1 + 2.718281828**-2)
    )


def test_the_score_is_the_logit_or_the_difference_of_two() -> None:
    assert ask(Target("noise")).score(CLIP).tolist() == [2.0]
    assert Target("music", 3.2, 5.9) == Target("music", start=3.2, end=5.9)
    assert ask(Target("noise", versus="speech")).score(CLIP).tolist() == [1.0]


def test_a_span_is_scored_by_the_mean_over_its_frames() -> None:
    resolved = ask(Target("music", start=0.04, end=0.08), FRAMES, step=0.02)
    assert resolved.frames == ((2, 4),)
    assert resolved.score(FRAMES).tolist() == [(7 + 10) / 2]


@pytest.mark.parametrize(("start", "end", "frames"), [(0.3, 0.5, (3, 5)), (0.6, 0.7, (6, 7))])
def test_a_span_on_the_frames_borders_takes_no_neighbour(
    start: float, end: float, frames: tuple[int, int]
) -> None:
    # 0.3 / 0.1 and 0.7 / 0.1 are a little less and more than 3 and 7 to a computer.
    assert ask(Target("music", start=start, end=end), FRAMES, step=0.1).frames == (frames,)


def test_a_span_shorter_than_a_frame_is_one_frame_and_a_late_end_is_cut() -> None:
    assert ask(Target("music", start=0.05, end=0.051), FRAMES, step=0.02).frames == ((2, 3),)
    assert ask(Target("music", start=0.18, end=9), FRAMES, step=0.02).frames == ((9, 10),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("music", Target("music")),
        ("music@3.2-5.9", Target("music", start=3.2, end=5.9)),
        ("me@home", Target("me@home")),
        (None, Target()),
    ],
)
def test_the_command_lines_form_is_read(text: str | None, expected: Target) -> None:
    assert Target.parse(text) == expected


@pytest.mark.parametrize("text", ["", "music@5-3", "music@2-2", "music@1..2-3"])
def test_what_is_no_question_is_refused(text: str) -> None:
    with pytest.raises(TargetError):
        Target.parse(text)


def test_unknown_labels_are_answered_with_the_nearest() -> None:
    for target in (Target("musik"), Target("noise", versus="musik")):
        with pytest.raises(TargetError, match="did you mean 'music'"):
            ask(target)


def test_a_label_against_itself_a_span_of_a_clip_model_and_one_past_the_end_are_refused() -> None:
    with pytest.raises(TargetError, match="against itself"):
        ask(Target("music", versus="music"))
    with pytest.raises(TargetError, match="once per clip"):
        ask(Target("music", start=0, end=1))
    with pytest.raises(TargetError, match="after the clip's end"):
        ask(Target("music", start=1, end=2), FRAMES, step=0.02)
