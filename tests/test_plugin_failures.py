"""What a plugin raises is one line with its name and the clip's; other clips go on."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from toys import RATE, BandEnergies, Noisy, tone

import xplain


class Faulty:
    """Raises where it is told to, for clips that are loud."""

    where = "nowhere"

    def fail(self, where: str, values: Tensor) -> None:
        if where == self.where and values.abs().max() > 0.5:
            raise KeyError("a key\nof two lines")


class Plain(xplain.Synthesizer, Faulty):
    """The waveform as it is."""

    decode_differentiable = True

    def __init__(self, where: str = "nowhere") -> None:
        self.sample_rate, self.where = RATE, where

    def encode(self, waveform: Tensor) -> xplain.Latents:
        self.fail("encode", waveform)
        return xplain.Latents(waveform[:, None], {})

    def decode(self, values: Tensor, context: xplain.Context) -> Tensor:
        self.fail("decode", values)
        return values[:, 0]


class Silence(xplain.Replacement, Faulty):
    """Zeros, one clip at a time."""

    def __init__(self, where: str = "nowhere") -> None:
        self.where = where

    def fill(self, latents: Tensor, keep: Tensor, clip: xplain.Clip) -> Tensor:
        if keep.any():
            self.fail("fill", latents)
        else:
            self.fail("baseline", latents)
        return torch.zeros_like(latents)


class Method(Noisy, Faulty):
    """A method that may fail."""

    def __init__(self, where: str = "nowhere") -> None:
        self.where = where

    def attribute(self, score: xplain.Score, latents: Tensor, baseline: Tensor) -> Tensor:
        self.fail("attribute", latents)
        return super().attribute(score, latents, baseline)


class Model(nn.Module, Faulty):
    """Fails when asked about few variants, as explaining does, or about many, as the check does."""

    def __init__(self, where: str = "nowhere") -> None:
        super().__init__()
        self.bands, self.where = BandEnergies(), where

    def forward(self, waveform: Tensor) -> Tensor:
        self.fail("forward" if len(waveform) < 6 else "forward of many", waveform)
        return self.bands(waveform)


def explained(where: str) -> list[xplain.Explanation | xplain.Failure]:
    model = xplain.wrap(Model(where), sample_rate=RATE, labels=("low", "mid", "high"))
    clips = [tone(440, level=0.1), tone(440, level=0.9), tone(450, level=0.1)]
    return list(
        xplain.explain_each(
            clips,
            model,
            synthesizer=Plain(where),
            explainer=Method(where),
            replacement=Silence(where),
        )
    )


@pytest.mark.parametrize(
    ("where", "kind", "says"),
    [
        ("encode", xplain.PluginError, "synthesizer '.*Plain' failed: KeyError"),
        ("decode", xplain.PluginError, "synthesizer '.*Plain' failed: KeyError"),
        ("baseline", xplain.PluginError, "replacement '.*Silence' failed: KeyError"),
        ("attribute", xplain.PluginError, "explainer '.*Method' failed: KeyError"),
        ("forward", xplain.ModelError, "Model: the model failed .*KeyError"),
    ],
)
def test_one_clip_fails_and_the_others_are_explained(
    where: str, kind: type[Exception], says: str
) -> None:
    first, failed, last = explained(where)
    assert isinstance(first, xplain.Explanation) and isinstance(last, xplain.Explanation)
    assert isinstance(failed, xplain.Failure) and isinstance(failed.error, kind)
    with pytest.raises(kind, match=says) as caught:
        raise failed.error
    assert str(caught.value).startswith("clip-1: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("fill", "clip-1: replacement '.*Silence' failed: KeyError"),
        ("forward of many", "clip-1: Model: the model failed .*KeyError"),
    ],
)
def test_what_fails_after_the_attribution_is_an_error_of_that_clip(
    where: str, says: str, tmp_path: Path
) -> None:
    results = explained(where)
    assert all(isinstance(result, xplain.Explanation) for result in results)
    loud = results[1]
    assert isinstance(loud, xplain.Explanation)
    with pytest.raises(xplain.XplainError, match=says) as caught:
        loud.check()
    assert "\n" not in str(caught.value)
    if where == "fill":
        with pytest.raises(xplain.PluginError, match=says):
            loud.keep(0.1)
        with pytest.raises(xplain.PluginError, match=says):
            loud.save(tmp_path / "deep" / "clip")
        assert list(tmp_path.iterdir()) == []


def test_an_explanation_whose_check_fails_is_saved_with_the_reason(tmp_path: Path) -> None:
    loud = explained("forward of many")[1]
    assert isinstance(loud, xplain.Explanation)
    for _ in range(2):
        with pytest.raises(xplain.ModelError):
            loud.check()
    loaded = xplain.Explanation.load(loud.save(tmp_path / "clip"))
    assert loaded.verdict is None
    (warning,) = loaded.warnings
    assert warning.startswith("the check failed: clip-1: Model: the model failed")


class Giving(xplain.Replacement):
    """Gives what it is told to."""

    given: ClassVar[object] = None

    def fill(self, latents: Tensor, keep: Tensor, clip: xplain.Clip) -> Tensor:
        return self.given  # type: ignore[return-value]


@pytest.mark.parametrize(
    "given",
    [None, 3, torch.zeros(2), torch.zeros(0, 1, RATE // 2), torch.full((1, RATE // 2), torch.nan)],
)
def test_a_replacement_that_gives_no_latents_is_named(
    given: object, bands: xplain.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Giving, "given", given)
    with pytest.raises(xplain.PluginError, match=r"clip-0: replacement '.*Giving' gave"):
        xplain.explain(tone(440), bands, synthesizer="waveform", replacement=Giving())
