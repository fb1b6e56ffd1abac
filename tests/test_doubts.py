"""Models whose answers are not logits of the clip alone are found, and named."""

from __future__ import annotations

import warnings

import pytest
import torch
from test_on_loan import METHODS, Net, noise
from torch import Tensor, nn
from toys import RATE, BandEnergies, tone

import xplain


class Recurrent(Net):
    """Goes on from its last hidden state, where the batch is as large."""

    def __init__(self) -> None:
        super().__init__()
        self.gru, self.last = nn.GRU(8, 8, batch_first=True), None

    def forward(self, waveform: Tensor) -> Tensor:
        features = self.features(waveform).transpose(1, 2)
        if self.last is not None and self.last.shape[1] != len(waveform):
            self.last = None
        out, last = self.gru(features, self.last)
        self.last = last.detach()
        return self.head(out[:, :4].mean(1) * 10)  # type: ignore[no-any-return]


class Level(Net):
    """Divides by a level that it keeps from call to call."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("level", torch.tensor(0.1))

    def forward(self, waveform: Tensor) -> Tensor:
        self.level = 0.8 * self.level + 0.2 * waveform.detach().std()
        return super().forward(waveform / self.level * 0.1)


class Chance(Net):
    def forward(self, waveform: Tensor) -> Tensor:
        features = nn.functional.dropout(self.features(waveform), 0.5)
        return self.head(features.mean(-1) * 10)  # type: ignore[no-any-return]


class OverBatch(Net):
    def forward(self, waveform: Tensor) -> Tensor:
        features = self.features(waveform)
        features = features / (features.mean() + 1e-9)
        return self.head(features.mean(-1))  # type: ignore[no-any-return]


class LoudestOfBatch(Net):
    def forward(self, waveform: Tensor) -> Tensor:
        features = self.features(waveform)
        return self.head((features / (features.amax() + 1e-9)).mean(-1) * 30)  # type: ignore[no-any-return]


STATE, CHANCE, BATCH = "keeps a state", "draws random numbers", "in a batch with others"


def explained(module: nn.Module, method: str, **wrapped: object) -> xplain.Explanation:
    model = xplain.wrap(module, sample_rate=RATE, labels=[*"abc"], **wrapped)  # type: ignore[arg-type]
    return xplain.explain(noise(), model, explainer=method, target="a")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("make", "doubt"),
    [
        (Recurrent, STATE),
        (Level, STATE),
        (Chance, CHANCE),
        (OverBatch, BATCH),
        (LoudestOfBatch, BATCH),
    ],
)
def test_what_else_an_answer_depends_on_is_in_warning_and_verdict(
    make: type[nn.Module], doubt: str, method: str
) -> None:
    e = explained(make().eval(), method)
    assert [doubt in warning for warning in e.warnings].count(True) == 1
    verdict = e.check()
    assert doubt in verdict.reasons[0] and verdict.kind == "inconclusive"


def test_alone_in_every_batch_nothing_depends_on_the_others() -> None:
    model = xplain.wrap(OverBatch().eval(), sample_rate=RATE, labels=[*"abc"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        e = xplain.explain(noise(), model, explainer="occlusion", max_batch=1)
    assert e.warnings == ()


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("level", [1e-3, 1.0, 1e4])
def test_rounding_is_no_dependence(half: torch.dtype, level: float) -> None:
    class Cast(Net):
        def forward(self, waveform: Tensor) -> Tensor:
            return super().forward(waveform.to(half)) * level

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = xplain.wrap(Cast().to(half), sample_rate=RATE, labels=[*"abc"], output="logits")
        assert xplain.explain(noise(), model, explainer="occlusion").warnings == ()


class Ends(Net):
    """Ends in a function of its logits."""

    def __init__(self, end: str) -> None:
        super().__init__()
        self.end = end

    def forward(self, waveform: Tensor) -> Tensor:
        logits = super().forward(waveform)
        if self.end in ("softmax", "log_softmax"):
            return getattr(logits, self.end)(-1)  # type: ignore[no-any-return]
        return nn.functional.logsigmoid(logits) if self.end == "log_sigmoid" else logits.sigmoid()


ENDS = [
    ("softmax", "probabilities", False),
    ("log_softmax", "log-probabilities", False),
    ("sigmoid", "probabilities", True),
]


@pytest.mark.parametrize(("end", "output", "multilabel"), ENDS)
def test_probabilities_are_recognised_and_what_to_do_is_said(
    end: str, output: str, multilabel: bool
) -> None:
    e = explained(Ends(end), "occlusion", multilabel=multilabel)
    (said,) = e.warnings
    assert f"look like {output} (" in said and f"output='{output}'" in said
    assert said.partition(": ")[2] in e.check().reasons


def test_a_sigmoid_where_labels_exclude_each_other_is_told_of_multilabel() -> None:
    (said,) = explained(Ends("sigmoid"), "occlusion").warnings
    assert "output='probabilities', multilabel=True" in said


@pytest.mark.parametrize(
    ("end", "output", "multilabel"), [*ENDS, ("log_sigmoid", "log-probabilities", True)]
)
def test_probabilities_are_not_squashed_twice(end: str, output: str, multilabel: bool) -> None:
    e = explained(Ends(end), "integrated-gradients", output=output, multilabel=multilabel)
    plain = explained(Net(), "integrated-gradients", multilabel=multilabel)
    assert e.probabilities == pytest.approx(plain.probabilities, abs=1e-5)
    assert e.warnings == ()
    if multilabel:  # log p/(1 − p) is the logit itself; log p is so but for a constant of the clip
        assert e.score == pytest.approx(plain.score, abs=1e-3)
        assert torch.allclose(e.attribution, plain.attribution, atol=1e-4)


def test_a_model_that_says_it_gives_logits_is_believed() -> None:
    assert explained(Ends("softmax"), "occlusion", output="logits").warnings == ()


@pytest.mark.parametrize("module", [Net(), BandEnergies()])
@pytest.mark.parametrize("seconds", [0.3, 1.0])
@pytest.mark.parametrize("level", [0.0, 1e-3, 1.0])
def test_logits_are_not_taken_for_probabilities(
    module: nn.Module, seconds: float, level: float
) -> None:
    model = xplain.wrap(module, sample_rate=RATE, labels=[*"abc"], multilabel=True)
    e = xplain.explain(tone(440, seconds) * level, model, explainer="occlusion")
    assert not any("look like" in warning for warning in e.warnings)


@pytest.mark.parametrize(
    ("end", "output", "multilabel", "reason"),
    [
        ("softmax", "log-probabilities", False, "values outside 0 to 1"),
        ("none", "probabilities", False, "values outside 0 to 1"),
        ("sigmoid", "probabilities", False, "do not add up to 1; give multilabel=True"),
    ],
)
def test_another_output_than_was_said_is_refused(
    end: str, output: str, multilabel: bool, reason: str
) -> None:
    module = Net() if end == "none" else Ends(end)
    with pytest.raises(xplain.ModelError, match=reason):
        explained(module, "occlusion", output=output, multilabel=multilabel)


def test_an_output_that_does_not_exist_is_answered_with_the_nearest() -> None:
    with pytest.raises(xplain.ModelError, match="did you mean 'probabilities'"):
        explained(Net(), "occlusion", output="probabilites")
