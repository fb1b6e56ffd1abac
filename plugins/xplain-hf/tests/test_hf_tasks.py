"""Embeddings, recognisers and CLAP of transformers, held against transformers called directly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf
from test_every_architecture import listed, saved, small
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

import xplain
from xplain.tasks import resolve
from xplain_hf.modules import ASTFeatures, WhisperFeatures

RATE = 16000
VOCABULARY = ["<pad>", "<s>", "</s>", "<unk>", "|", *"abcdefghijklmnopqrstuvwxyz'"]


def clip(seconds: float = 0.5) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return 0.1 * torch.randn(int(seconds * RATE), generator=generator)


def letters(folder: Path) -> None:
    """A tokenizer of letters, as of wav2vec 2.0."""
    vocabulary = folder / "letters.json"
    vocabulary.write_text(json.dumps({t: n for n, t in enumerate(VOCABULARY)}))
    hf.Wav2Vec2CTCTokenizer(vocabulary).save_pretrained(folder)


def byte_pairs() -> hf.PreTrainedTokenizerFast:
    """A tokenizer of bytes with a space before words, as of Whisper."""
    tokens = ["<pad>", "<s>", "</s>", "Ġ", *"abcdefghijklmnopqrstuvwxyz", "Ġa", "Ġb"]
    made = Tokenizer(models.BPE({t: n for n, t in enumerate(tokens)}, [("Ġ", "a"), ("Ġ", "b")]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    from tokenizers import decoders

    made.decoder = decoders.ByteLevel()
    return hf.PreTrainedTokenizerFast(
        tokenizer_object=made, bos_token="<s>", eos_token="</s>", pad_token="<pad>"
    )


@pytest.mark.parametrize("kind", ["whisper", "ast"])
@pytest.mark.parametrize("seconds", [0.05, 0.3, 1.5])
def test_log_mel_features_in_torch_are_the_extractors(kind: str, seconds: float) -> None:
    waveforms = torch.stack([clip(seconds), 0.01 * clip(seconds) + 0.02])
    extractor: Any = hf.WhisperFeatureExtractor(chunk_length=1)
    made: Any = WhisperFeatures
    if kind == "ast":
        extractor, made = hf.ASTFeatureExtractor(max_length=100), ASTFeatures
    expected = extractor([w.numpy() for w in waveforms], sampling_rate=RATE, return_tensors="pt")
    (given,) = made(extractor, "features")(waveforms).values()
    np.testing.assert_allclose(given, expected[extractor.model_input_names[0]], atol=1e-4)
    waveforms.requires_grad_()
    (gradient,) = torch.autograd.grad(
        made(extractor, "features")(waveforms)["features"].sum(), waveforms
    )
    assert torch.isfinite(gradient).all() and bool(gradient.any())


@pytest.mark.parametrize(("model_type", "name"), listed("AUDIO_XVECTOR"))
def test_every_speaker_encoder_is_an_embedding(model_type: str, name: str, tmp_path: Path) -> None:
    reference = saved(tmp_path, model_type, name)
    model = xplain.load_model(reference)
    waveforms = torch.stack([clip(), clip().flip(0)])
    direct = getattr(hf, name).from_pretrained(tmp_path).eval()
    extractor = hf.AutoFeatureExtractor.from_pretrained(tmp_path)
    read = extractor([w.numpy() for w in waveforms], sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        torch.testing.assert_close(
            model(waveforms), direct(**read).embeddings, atol=1e-4, rtol=1e-4
        )
    if model_type != "wav2vec2":
        return
    e = xplain.explain(
        (clip(), RATE), model, target=xplain.SimilarTo(waveforms[1]), explainer="feature-ablation",
        params={"grouping": "block:129x16"},
    )  # fmt: skip
    assert e.target.task == "embedding" and abs(e.target.value or 2) <= 1


@pytest.mark.parametrize(("outputs", "problem"), [(1, None), (2, "regression")])
def test_a_checkpoint_that_gives_values_is_a_regression(
    outputs: int, problem: str | None, tmp_path: Path
) -> None:
    config = small("wav2vec2")
    config.num_labels, config.problem_type = outputs, problem
    config.id2label = {n: f"value {n}" for n in range(outputs)}
    hf.Wav2Vec2ForSequenceClassification(config).save_pretrained(tmp_path)
    hf.Wav2Vec2FeatureExtractor().save_pretrained(tmp_path)
    model = xplain.load_model(f"hf:{tmp_path}")
    e = xplain.explain((clip(), RATE), model, target="value 0", explainer="saliency")
    direct = hf.Wav2Vec2ForSequenceClassification.from_pretrained(tmp_path).eval()
    read = hf.Wav2Vec2FeatureExtractor()(clip().numpy(), sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        expected = float(direct(**read).logits[0, 0])
    assert e.target.task == "regression" and e.probabilities == {}
    assert e.target.value == pytest.approx(expected, abs=1e-4)


CTC = [entry for entry in listed("CTC") if entry[0] in dict(listed("AUDIO_CLASSIFICATION"))]


@pytest.mark.parametrize(("model_type", "name"), CTC)
def test_every_recogniser_by_ctc_writes_what_its_tokenizer_decodes(
    model_type: str, name: str, tmp_path: Path
) -> None:
    reference = saved(tmp_path, model_type, name)
    letters(tmp_path)
    model = xplain.load_model(reference)
    direct = getattr(hf, name).from_pretrained(tmp_path).eval()
    extractor = hf.AutoFeatureExtractor.from_pretrained(tmp_path)
    tokenizer = hf.AutoTokenizer.from_pretrained(tmp_path)
    read = extractor([clip().numpy()], sampling_rate=RATE, return_tensors="pt")
    with torch.no_grad():
        expected = direct(**read).logits
        torch.testing.assert_close(model(clip()[None]), expected, atol=1e-4, rtol=1e-4)
    target = resolve(None, expected, model)
    written = tokenizer.batch_decode(expected.argmax(-1))[0]
    specials = ("<s>", "</s>", "<unk>")
    for special in specials:
        written = written.replace(special, "")
    assert target.label.split() == written.split()
    assert (target.task, target.unit) == ("ctc", "log-probability") and (target.value or 1) < 0


OTHERS = [entry for entry in listed("CTC") if entry not in CTC]


@pytest.mark.parametrize(("model_type", "name"), OTHERS)
def test_other_recognisers_by_ctc_are_read_or_say_what_is_missing(
    model_type: str, name: str, tmp_path: Path
) -> None:
    config = CONFIG_MAPPING[model_type]()
    config.architectures = [name]
    config.save_pretrained(tmp_path)
    with pytest.raises(xplain.ModelError) as caught:
        xplain.load_model(f"hf:{tmp_path}")
    assert "weights" in str(caught.value) and "\n" not in str(caught.value)


def whisper(folder: Path) -> str:
    torch.manual_seed(0)
    config = small("whisper")
    config.vocab_size, config.num_mel_bins = 32, 80
    config.begin_suppress_tokens = config.suppress_tokens = None
    config.max_target_positions = 12
    model = hf.WhisperForConditionalGeneration(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.generation_config.max_length = 10
    model.save_pretrained(folder)
    hf.WhisperFeatureExtractor(chunk_length=2).save_pretrained(folder)
    byte_pairs().save_pretrained(folder)
    return f"hf:{folder}"


def speech_to_text(folder: Path) -> str:
    torch.manual_seed(0)
    config = small("speech_to_text")
    config.vocab_size = 32
    config.input_feat_per_channel = 80
    model = hf.Speech2TextForConditionalGeneration(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.generation_config.max_length = 10
    model.save_pretrained(folder)
    hf.Speech2TextFeatureExtractor().save_pretrained(folder)
    byte_pairs().save_pretrained(folder)
    return f"hf:{folder}"


def moonshine(folder: Path) -> str:
    torch.manual_seed(0)
    config = hf.MoonshineConfig(
        vocab_size=32, hidden_size=16, intermediate_size=16, encoder_num_hidden_layers=1,
        decoder_num_hidden_layers=1, encoder_num_attention_heads=2,
        decoder_num_attention_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1,
    )  # fmt: skip
    model = hf.MoonshineForConditionalGeneration(config)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.generation_config.max_length = 10
    model.save_pretrained(folder)
    hf.Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(folder)
    byte_pairs().save_pretrained(folder)
    return f"hf:{folder}"


def composed(folder: Path) -> str:
    torch.manual_seed(0)
    encoder = small("wav2vec2")
    decoder = hf.BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        vocab_size=32, is_decoder=True, add_cross_attention=True, max_position_embeddings=32,
    )  # fmt: skip
    config = hf.SpeechEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 1, 0, 2
    model = hf.SpeechEncoderDecoderModel(config=config)
    for parameter in model.decoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model.generation_config.update(
        decoder_start_token_id=1, pad_token_id=0, eos_token_id=2, max_length=10
    )
    model.save_pretrained(folder)
    hf.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    byte_pairs().save_pretrained(folder)
    return f"hf:{folder}"


MADE = {
    "whisper": whisper,
    "speech_to_text": speech_to_text,
    "moonshine": moonshine,
    "speech-encoder-decoder": composed,
}


@pytest.mark.parametrize("kind", MADE)
def test_a_model_with_a_decoder_is_told_what_it_writes(kind: str, tmp_path: Path) -> None:
    model = xplain.load_model(MADE[kind](tmp_path))
    module: Any = model.module
    with torch.no_grad():
        tokens = module.transcribe(clip()[None])
        logits = module(clip()[None], tokens[None])
    assert len(tokens) and logits.shape == (1, len(tokens), 32)
    # Greedy: what it wrote is the likeliest at each place, given what it wrote before.
    assert logits[0].argmax(-1).tolist() == tokens.tolist()
    e = xplain.explain(
        (clip(), RATE), model, explainer="feature-ablation", params={"grouping": "block:129x32"}
    )
    chosen = logits[0].log_softmax(-1)[torch.arange(len(tokens)), tokens]
    text = [bool(model.labels[token]) for token in tokens.tolist()]
    first, last = text.index(True), len(text) - text[::-1].index(True)
    assert e.target.value == pytest.approx(float(chosen[first:last].sum()), abs=1e-3)
    assert e.live.own.agrees


@pytest.mark.parametrize("held", ["pipeline", "pair"])
def test_a_pipeline_or_a_pair_is_explained_as_its_folder_is(held: str, tmp_path: Path) -> None:
    name = "Wav2Vec2ForSequenceClassification"
    reference = saved(tmp_path, "wav2vec2", name)
    given: Any = hf.pipeline("audio-classification", model=str(tmp_path))
    if held == "pair":
        given = (given.model, given.feature_extractor)
    settings: Any = {"explainer": "feature-ablation", "params": {"grouping": "block:129x32"}}
    e = xplain.explain((clip(), RATE), given, **settings)
    by_folder = xplain.explain((clip(), RATE), reference, **settings)
    torch.testing.assert_close(e.attribution, by_folder.attribution)
    with pytest.raises(xplain.ModelError, match="does not say how audio is prepared"):
        xplain.explain((clip(), RATE), getattr(given, "model", given[0] if held == "pair" else 0))


def test_clap_is_asked_by_text(tmp_path: Path) -> None:
    torch.manual_seed(0)
    audio = {
        "hidden_size": 16, "depths": [1], "num_attention_heads": [2],
        "patch_embeds_hidden_size": 16, "spec_size": 256, "num_mel_bins": 64, "window_size": 2,
        "num_hidden_layers": 1, "patch_stride": [4, 4], "enable_fusion": False,
    }  # fmt: skip
    text = {
        "vocab_size": 32, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 16, "max_position_embeddings": 100, "pad_token_id": 0,
    }  # fmt: skip
    config = hf.ClapConfig(audio_config=audio, text_config=text, projection_dim=8)
    hf.ClapModel(config).save_pretrained(tmp_path)
    extractor = hf.ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad")
    extractor.save_pretrained(tmp_path)
    byte_pairs().save_pretrained(tmp_path)
    with pytest.raises(xplain.ModelError, match="name at least two labels"):
        xplain.load_model(f"hf:{tmp_path}")
    model = xplain.load_model(f"hf:{tmp_path}?labels=a dog,rain")
    assert model.labels == ("a dog", "rain") and model.sample_rate == 48000
    direct = hf.ClapModel.from_pretrained(tmp_path).eval()
    tokenizer = hf.AutoTokenizer.from_pretrained(tmp_path)
    sound = clip(1.0)
    with torch.no_grad():
        expected = direct(
            **tokenizer(
                ["This is a sound of a dog.", "This is a sound of rain."],
                padding=True, return_tensors="pt",
            ),
            **extractor([sound.numpy()], sampling_rate=48000, return_tensors="pt"),
        ).logits_per_audio  # fmt: skip
        torch.testing.assert_close(model(sound[None]), expected, atol=1e-4, rtol=1e-4)
