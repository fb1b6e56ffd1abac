"""Labels, rates, samples and logits as people give them: taken rightly, or refused in a line."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from test_on_loan import Net, noise
from torch import Tensor, nn
from toys import RATE

import xplain


@pytest.mark.parametrize(
    "labels",
    [
        ["a", "b", "c"],
        ("a", "b", "c"),
        np.array(["a", "b", "c"]),
        np.array(["a", "b", "c"], dtype=object),
        {0: "a", 1: "b", 2: "c"},
        {2: "c", 0: "a", 1: "b"},
        {"0": "a", "1": "b", "2": "c"},
        {"a": 0, "c": 2, "b": 1},
        (letter for letter in "abc"),
    ],
)
def test_labels_in_every_form_have_the_order_of_the_logits(labels: object) -> None:
    model = xplain.wrap(Net(), sample_rate=RATE, labels=labels)  # type: ignore[arg-type]
    assert model.labels == ("a", "b", "c") and all(type(label) is str for label in model.labels)


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ("speech, music, noise", r"give \['speech', 'music', 'noise'\]"),
        ("speech music", r"give \['speech', 'music'\]"),
        ("abc", r"not the one text 'abc'; give \['abc'\]"),
        (b"abc", "not a bytes"),
        (["a", "b", "a"], "'a' stands there more than once"),
        (np.array(["a", "a"]), "'a' stands there more than once"),
        ({0: "a", 1: "a"}, "'a' stands there more than once"),
        ({1: "a", 2: "b"}, "a name for each of 0 to 1"),
        ({"x": "a", "y": "b"}, "a name for each of 0 to 1"),
        ({}, "one name per logit|a name for each"),
        ([], "one name per logit"),
        (np.array([]), "one name per logit"),
        ({"a", "b"}, "not a set"),
        (3, "not a int"),
        ([None, "a"], "a label is a text, not None"),
    ],
)
def test_labels_that_say_no_order_are_refused(labels: object, reason: str) -> None:
    with pytest.raises(xplain.ModelError, match=reason) as caught:
        xplain.wrap(Net(), sample_rate=RATE, labels=labels)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)

    if isinstance(labels, str):
        with pytest.raises(xplain.ModelError, match="not the one text"):
            xplain.wrap(Net(), sample_rate=RATE, labels=labels, task="regression")


@pytest.mark.parametrize(
    "rate", [8000, 8000.0, np.int64(8000), np.float32(8000), torch.tensor(8000)]
)
def test_rates_of_every_type_are_hertz(rate: object) -> None:
    model = xplain.wrap(Net(), sample_rate=rate, labels=[*"abc"])  # type: ignore[arg-type]
    assert model.sample_rate == RATE and type(model.sample_rate) is int


RATES = [
    ("16000", "not '16000'"),
    ("16 kHz", "not '16 kHz'"),
    (16, "looks like kHz; give 16000"),
    (16.0, "looks like kHz; give 16000"),
    (44.1, "looks like kHz; give 44100"),
    (22050.5, "whole number"),
    (float("nan"), "whole number"),
    (float("inf"), "whole number"),
    (-8000, r"whole number in Hz.*not -8000"),
    (True, "not True"),
    ([8000], r"not \[8000\]"),
]


@pytest.mark.parametrize(("rate", "reason"), RATES)
def test_other_rates_are_refused_everywhere(rate: object, reason: str) -> None:
    model = xplain.wrap(Net(), sample_rate=RATE, labels=[*"abc"])
    with pytest.raises(xplain.ModelError, match=reason):
        xplain.wrap(Net(), sample_rate=rate, labels=[*"abc"])  # type: ignore[arg-type]
    with pytest.raises(xplain.XplainError, match=reason):
        xplain.explain(noise(), model, sample_rate=rate)  # type: ignore[arg-type]
    with pytest.raises(xplain.AudioError, match=reason):
        xplain.explain(xplain.Audio(noise(), rate, "mine"), model)  # type: ignore[arg-type]


MODEL = xplain.wrap(Net(), sample_rate=RATE, labels=[*"abc"])


def heard(clip: object, **settings: object) -> xplain.Explanation:
    return xplain.explain(clip, MODEL, explainer="occlusion", **settings)  # type: ignore[call-overload, no-any-return]


SAMPLES = noise().numpy()


@pytest.mark.parametrize(
    "clip",
    [
        SAMPLES[::-1].copy()[::-1],
        np.repeat(SAMPLES, 2)[::2],
        SAMPLES.astype(">f4"),
        SAMPLES.astype("<f8"),
        SAMPLES.astype(np.longdouble),
        torch.from_numpy(SAMPLES).double(),
        torch.from_numpy(SAMPLES).requires_grad_(),
        np.broadcast_to(SAMPLES, SAMPLES.shape),
        (SAMPLES, RATE),
        (SAMPLES, float(RATE)),
        (torch.from_numpy(SAMPLES), np.int64(RATE)),
        xplain.Audio(SAMPLES, RATE, "clip-0"),  # type: ignore[arg-type]
    ],
)
def test_samples_in_every_layout_are_the_same_clip(
    clip: object, recwarn: pytest.WarningsRecorder
) -> None:
    assert torch.equal(heard(clip).attribution, heard(torch.from_numpy(SAMPLES.copy())).attribution)
    assert len(recwarn) == 0


def test_half_precision_is_read() -> None:
    e = heard(SAMPLES.astype(np.float16))
    assert torch.allclose(e.waveform, torch.from_numpy(SAMPLES), atol=1e-3)


def test_pairs_are_single_clips_in_lists_too() -> None:
    first, second = heard([(SAMPLES, RATE), (SAMPLES, RATE)])  # type: ignore[misc]
    assert torch.equal(first.attribution, second.attribution)
    assert len(heard((SAMPLES, 2 * RATE)).waveform) == len(SAMPLES) // 2
    assert len(heard((SAMPLES, SAMPLES))) == 2  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        (SAMPLES.astype(object), "NumPy object"),
        (np.array(["a", "b"]), "NumPy <U1"),
        (SAMPLES.astype(np.complex64), "complex64"),
        ((SAMPLES * 32768).astype(np.int16), "int16; divide whole numbers.*by 32768"),
        (torch.arange(2400), "int64; divide whole numbers"),
        (np.zeros((2, 2400), np.float32), r"of shape \(2, 2400\).*x\.mean\(0\)"),
        (np.zeros((2400, 2), np.float32), r"of shape \(2400, 2\).*x\.mean\(1\)"),
        ((RATE, SAMPLES), r"give \(samples, rate\)"),
        ((SAMPLES, 16), "looks like kHz"),
        (np.zeros(0, np.float32), "holds no samples"),
        ({"array": SAMPLES}, "not NumPy object"),
        (None, "not NumPy object"),
    ],
)
def test_what_are_no_samples_is_refused_in_a_line(clip: object, reason: str) -> None:
    with pytest.raises(xplain.AudioError, match=reason) as caught:
        heard(clip)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("whole", [True, False])
def test_samples_far_beyond_one_are_warned_of(whole: bool) -> None:
    scaled = SAMPLES * 32768
    clip = np.round(scaled) if whole else scaled
    for given in (clip, xplain.Audio(torch.from_numpy(clip), RATE, "mine")):
        said = " ".join(heard(given).warnings)
        assert "audio is about -1 to 1" in said and ("whole numbers" in said) is whole


class Gives(Net):
    def __init__(self, answer: Callable[[Tensor], object]) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, waveform: Tensor) -> object:  # type: ignore[override]
        return self.answer(super().forward(waveform))


class Output:
    def __init__(self, logits: Tensor) -> None:
        self.logits = logits


class Marked(Tensor):
    """As libraries of images and of metadata make them of tensors."""


@pytest.mark.parametrize(
    "answer",
    [
        lambda z: {"logits": z, "loss": None},
        Output,
        lambda z: z.double(),
        lambda z: z.bfloat16(),
        lambda z: z.as_subclass(Marked),
    ],
)
def test_logits_are_taken_out_of_what_holds_them(answer: Callable[[Tensor], object]) -> None:
    e = xplain.explain(noise(), xplain.wrap(Gives(answer), sample_rate=RATE, labels=[*"abc"]))
    assert e.probabilities == pytest.approx(heard(noise()).probabilities, abs=2e-2)


def test_whole_numbers_are_logits_for_methods_without_gradients() -> None:
    module = Gives(lambda z: (100 * z).round().long())
    model = xplain.wrap(module, sample_rate=RATE, labels=[*"abc"])
    assert xplain.explain(noise(), model, explainer="occlusion").attribution.any()
    with pytest.raises(xplain.PluginError, match="differentiable=False"):
        xplain.explain(noise(), model)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (Gives(lambda z: z + 0j), "gave complex numbers"),
        (Gives(lambda z: (z, None)), r"gave tuple.*holds \(1, 3\), NoneType; wrap.*output\[0\]"),
        (Gives(lambda z: {"scores": z}), "gave dict.*it holds scores"),
        (
            Net().bfloat16(),
            r"weights are bfloat16 and its input is float32: wrap module\.float\(\)",
        ),
        (Net().double(), "weights are float64 and its input is float32"),
        (
            nn.Sequential(nn.Unflatten(1, (2, 1200)), nn.Flatten(), nn.Linear(2400, 2)),
            "2 logits for 3",
        ),
    ],
)
def test_other_answers_are_refused_in_a_line(module: nn.Module, reason: str) -> None:
    model = xplain.wrap(module, sample_rate=RATE, labels=[*"abc"])
    with pytest.raises(xplain.ModelError, match=reason) as caught:
        xplain.explain(noise(), model)
    assert "\n" not in str(caught.value)
