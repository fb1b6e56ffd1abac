"""Every audio architecture of transformers' own lists loads, or is refused by its kind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import transformers as hf
from tiny_checkpoints import EXTRACTORS, listed, saved, small
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

import xplain
from xplain_hf.joining import TAUGHT


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    verbosity = hf.logging.get_verbosity()
    hf.logging.set_verbosity_error()
    yield
    hf.logging.set_verbosity(verbosity)


@pytest.mark.parametrize(("model_type", "name"), listed("AUDIO_CLASSIFICATION"))
def test_every_classifier_loads_and_answers(model_type: str, name: str, tmp_path: Path) -> None:
    model = xplain.load_model(saved(tmp_path, model_type, name))
    for samples in (16000, 700, 100, 1):
        with torch.no_grad():
            logits = model(0.1 * torch.randn(2, samples))
        assert logits.shape == (2, 2)
        assert torch.isfinite(logits).all()


@pytest.mark.parametrize(("model_type", "name"), listed("AUDIO_FRAME_CLASSIFICATION"))
def test_every_frame_classifier_loads_and_answers(
    model_type: str, name: str, tmp_path: Path
) -> None:
    reference = saved(tmp_path, model_type, name)
    if model_type == "nemotron3_diarization":
        with pytest.raises(xplain.ModelError, match=r"8 logits per frame .* names 2 labels"):
            xplain.load_model(reference)
        return
    model = xplain.load_model(reference)
    assert model.frame_step is not None
    for samples in (32000, 100):
        with torch.no_grad():
            logits = model(0.1 * torch.randn(1, samples))
        assert logits.shape[::2] == (1, 2)
        assert abs(logits.shape[1] - samples / 16000 / model.frame_step) <= 2
        assert torch.isfinite(logits).all()


KINDS = [
    ("SPEECH_SEQ_2_SEQ", r"\(sequence to sequence\): its answer depends on more"),
    ("RNNT", r"a speech recogniser \(transducer\): its answer is text"),
    ("TDT", r"a speech recogniser \(transducer\): its answer is text"),
]


@pytest.mark.parametrize(
    ("model_type", "name", "kind"),
    [
        pytest.param(*entry, kind, id=f"{task}-{entry[0]}")
        for task, kind in KINDS
        for entry in listed(task)
        if entry[0] not in TAUGHT
    ],
)
def test_every_other_audio_model_is_refused_by_its_kind(
    model_type: str, name: str, kind: str, tmp_path: Path
) -> None:
    reference = f"hf:{tmp_path}"
    # Of up to billions of weights, in nested parts whose sizes have to fit each other. They
    # are refused by what config.json says, before weights are looked for.
    config = CONFIG_MAPPING[model_type]()
    config.architectures = [name]
    config.save_pretrained(tmp_path)
    with pytest.raises(xplain.ModelError, match=kind) as caught:
        xplain.load_model(reference)
    message = str(caught.value)
    assert (
        name in message
        and "xplain explains classifiers, embeddings" in message
        and "\n" not in message
    )


def test_a_configuration_without_a_class_is_refused_by_its_type(tmp_path: Path) -> None:
    hf.CanaryConfig().save_pretrained(tmp_path)
    with pytest.raises(xplain.ModelError, match=r"a 'canary' model is .*sequence to sequence"):
        xplain.load_model(f"hf:{tmp_path}")


WITH_LAYER_SUM = [
    (model_type, name)
    for task in ("AUDIO_CLASSIFICATION", "AUDIO_FRAME_CLASSIFICATION")
    for model_type, name in listed(task)
    if hasattr(CONFIG_MAPPING[model_type](), "use_weighted_layer_sum")
]


@pytest.mark.parametrize(("model_type", "name"), WITH_LAYER_SUM)
def test_a_weighted_sum_of_layers_answers_before_during_and_after_an_explanation(
    model_type: str, name: str, tmp_path: Path
) -> None:
    """The first forward pass of these models installs hooks that the later ones need."""
    torch.manual_seed(0)
    config = small(model_type)
    config.use_weighted_layer_sum = True
    getattr(hf, name)(config).save_pretrained(tmp_path)
    EXTRACTORS.get(model_type, hf.Wav2Vec2FeatureExtractor)().save_pretrained(tmp_path)
    clip = 0.1 * torch.randn(8000, generator=torch.Generator().manual_seed(0))
    used = xplain.load_model(f"hf:{tmp_path}")
    with torch.no_grad():
        by_hand = xplain.load_model(f"hf:{tmp_path}")(clip[None])
    e = xplain.explain(
        clip, used, sample_rate=16000, synthesizer="stft", explainer="feature-ablation",
        params={"grouping": "block:129x16"}, target=xplain.Target("LABEL_0", start=0.1, end=0.3)
        if used.frame_step else "LABEL_0",
    )  # fmt: skip
    assert torch.isfinite(e.attribution).all()
    with torch.no_grad():
        torch.testing.assert_close(used(clip[None]), by_hand, atol=1e-5, rtol=0)
