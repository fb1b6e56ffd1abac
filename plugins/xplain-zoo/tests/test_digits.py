"""The shipped weights: what zoo:digits hears, and on what it can rely."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from training.clips_manifest import read_clip, read_manifest
from xplain_zoo import models
from xplain_zoo.digits import LABELS, WEIGHTS, DigitClassifier

ROOT = Path(__file__).resolve().parents[3]
SHARED = Path(os.environ.get("XPLAIN_SHARED", ROOT.parent / "shared"))
CLIP = WEIGHTS.parents[1] / "clips" / "seven.wav"


@pytest.fixture(scope="module")
def model() -> DigitClassifier:
    return DigitClassifier.from_folder()


@pytest.fixture(scope="module")
def seven() -> torch.Tensor:
    return read_clip(CLIP, 8000)


def test_a_clip_gives_the_same_logits_alone_and_among_others(model, seven):
    others = torch.randn(3, len(seven)) * torch.tensor([[0.3], [1e-3], [0.0]])
    batch = torch.cat([seven[None], others])
    with torch.no_grad():
        together = model(batch)
        alone = torch.cat([model(row[None]) for row in batch])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("samples", [1, 2, 99, 1999, 2000, 2001, 8000, 8000 * 600])
def test_any_length_has_finite_logits(model, samples):
    with torch.no_grad():
        logits = model(0.1 * torch.randn(1, samples))
    assert logits.shape == (1, len(LABELS))
    assert logits.isfinite().all()


@pytest.mark.parametrize("samples", [1, 4000])
def test_the_gradient_at_digital_silence_is_finite(model, samples):
    waveform = torch.zeros(2, samples, requires_grad=True)
    model(waveform).sum().backward()
    assert waveform.grad.isfinite().all()


def test_the_way_from_silence_to_a_clip_has_no_step(model, seven):
    """Completeness of integrated gradients over samples, worked out with many steps."""
    nodes = (torch.arange(400) + 0.5) / 400
    # Level in dB rises evenly along the cube, so that the quiet part is read finely too.
    scale = nodes**3
    path = (scale[:, None] * seven).requires_grad_()
    logit = model(path)[:, LABELS.index("seven")].sum()
    (gradient,) = torch.autograd.grad(logit, path)
    integral = ((gradient @ seven) * 3 * nodes**2).mean()
    with torch.no_grad():
        ends = model(torch.stack([torch.zeros_like(seven), seven]))[:, LABELS.index("seven")]
    difference = float(ends[1] - ends[0])
    assert abs(float(integral) - difference) <= 0.01 * abs(difference)


def test_the_clip_is_heard_as_seven(model, seven):
    with torch.no_grad():
        probability = model(seven[None]).softmax(-1)[0]
    assert LABELS[int(probability.argmax())] == "seven"
    assert float(probability.max()) >= 0.9


@pytest.mark.parametrize("decibels", [-40, -20, 0])
def test_the_clip_is_heard_at_other_levels(model, seven, decibels):
    with torch.no_grad():
        logits = model(seven[None] * 10 ** (decibels / 20))
    assert LABELS[int(logits.argmax())] == "seven"


def test_the_weights_are_small_and_their_card_names_the_licence():
    assert (WEIGHTS / "model.safetensors").stat().st_size <= 2_000_000
    card = (WEIGHTS / "README.md").read_text(encoding="utf-8")
    assert "CC BY-SA 4.0" in card and "Zohar Jackson" in card


def test_nearly_every_test_clip_of_fsdd_is_heard_right(model):
    manifest = SHARED / "data" / "manifest.csv"
    if not manifest.exists():
        pytest.skip(f"no real audio: {manifest} is missing (set XPLAIN_SHARED)")
    clips = read_manifest(manifest, LABELS, 8000, "fsdd")
    test = [clip for clip in clips if clip.split == "test"]
    with torch.no_grad():
        right = [int(model(c.waveform[None]).argmax()) == c.label for c in test]
    assert len(right) == 200
    assert sum(right) / len(right) >= 0.98


def test_an_unknown_name_is_answered_with_what_there_is():
    errors = pytest.importorskip("xplain.errors")
    with pytest.raises(errors.ModelError, match="digits"):
        models.load("digts")


def test_the_reference_gives_a_model_of_ten_labels(seven):
    pytest.importorskip("xplain.errors")
    wrapped = models.load("digits")
    assert tuple(wrapped.labels) == LABELS
    assert wrapped.sample_rate == 8000
