"""What a model is called, and what is said where it cannot be loaded again."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from toys import RATE, BandEnergies, tone

import xplain

FACTORIES = """
import torch
import xplain

def unnamed():
    return xplain.wrap(torch.nn.Linear(4, 2), sample_rate=8000, labels=[*"ab"])

def named():
    return xplain.wrap(torch.nn.Linear(4, 2), sample_rate=8000, labels=[*"ab"], name="mine")

def through():
    return __file__ + ":unnamed"

def onwards():
    return __file__ + ":named"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "factories.py").write_text(FACTORIES, "utf-8")
    return tmp_path / "factories.py"


def test_a_model_without_a_name_is_called_by_its_reference(file: Path) -> None:
    for factory in ("unnamed", "through"):
        reference = f"{file}:{factory}"
        assert xplain.load_model(reference).name == reference


def test_a_name_that_was_given_stays(file: Path) -> None:
    assert xplain.load_model(f"{file}:named").name == "mine"


def test_a_model_that_another_reference_led_to_is_called_as_it_was_asked_for(file: Path) -> None:
    assert xplain.load_model(f"{file}:onwards").name == f"{file}:onwards"


def saved(folder: Path, name: str) -> xplain.Explanation:
    """An explanation that was saved, by a model of a name, and loaded again."""
    model = xplain.wrap(BandEnergies(), sample_rate=RATE, labels=[*"abc"], name=name)
    return xplain.Explanation.load(xplain.explain(tone(440), model).save(folder))


@pytest.mark.parametrize("name", ["mine", "planted:8000", "folder/model.py:make", "Mine: the 2nd"])
def test_of_a_model_that_can_be_loaded_nothing_is_said(name: str, tmp_path: Path) -> None:
    with pytest.raises(xplain.ArtifactError, match="explain the clip again with xplain-captum/"):
        saved(tmp_path / "e", name).keep(0.3)


def test_a_scheme_that_is_not_installed_is_named(tmp_path: Path) -> None:
    said = "install the plugin that the model gone:7 came from.* has the scheme 'gone'$"
    with pytest.raises(xplain.ArtifactError, match=said):
        saved(tmp_path / "e", "gone:7").keep(0.3)


def test_one_distribution_is_not_installed_and_two_are_not(tmp_path: Path) -> None:
    whole = saved(tmp_path / "e", "mine")
    for kinds, verb in ((["explainer"], "is"), (["explainer", "synthesizer"], "are")):
        gone = {kind: {**whole.provenance[kind], "name": f"gone-{kind}/x"} for kind in kinds}
        without = replace(whole, provenance={**whole.provenance, **gone})
        with pytest.raises(xplain.ArtifactError, match=f"and which {verb} not installed$"):
            without.keep(0.3)


def test_what_holds_no_weights_is_told_apart_by_the_fingerprint_that_is_given() -> None:
    class Service(nn.Module):
        def forward(self, waveform: Tensor) -> Tensor:
            return torch.stack([waveform.mean(dim=1), waveform.std(dim=1)], dim=1)

    wrapped = partial(xplain.wrap, Service(), sample_rate=8000, labels=["a", "b"])
    assert wrapped().fingerprint() is None
    assert wrapped(fingerprint="engine 7").fingerprint() == "engine 7"
    e = xplain.explain(
        tone(440, seconds=0.2), wrapped(fingerprint="engine 7"), explainer="occlusion"
    )
    assert e.provenance["model"]["sha256"] == "engine 7"
    lazy = xplain.wrap(nn.LazyLinear(2), sample_rate=8000, labels=["a", "b"], fingerprint="v1")
    assert lazy.fingerprint() == "v1"
