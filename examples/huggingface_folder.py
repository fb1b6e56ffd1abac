"""Explain an audio classifier of Hugging Face: python examples/huggingface_folder.py [OUT]."""

import sys
import tempfile
from pathlib import Path

import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForSequenceClassification

import xplain

out = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp())
torch.manual_seed(0)

# A tiny classifier with random weights, so that nothing has to be downloaded. For a real
# one give a repository's name: xplain.load_model("hf:superb/wav2vec2-base-superb-ks").
size = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
size |= {"intermediate_size": 64, "conv_dim": (32,) * 7, "num_conv_pos_embedding_groups": 4}
config = Wav2Vec2Config(**size, id2label={0: "rising", 1: "falling", 2: "steady"})
Wav2Vec2ForSequenceClassification(config).save_pretrained(out / "model")
Wav2Vec2FeatureExtractor(sampling_rate=16000).save_pretrained(out / "model")

time = torch.arange(16000) / 16000  # a second of a tone that rises from 300 to 1500 Hz
sound = 0.2 * torch.sin(2 * torch.pi * (300 * time + 600 * time**2))

model = xplain.load_model(f"hf:{out / 'model'}")
# wav2vec 2.0 normalises loudness, so a path from silence to the clip would show it no change.
explanation = xplain.explain(sound, model, synthesizer="stft", baseline="mean")
(kept,) = explanation.scores(keep=[0.1], remove=[])
print(f"{explanation.target.label}: {explanation.probabilities[explanation.target.label]:.3f}")
print(f"with a tenth kept, {kept.label}: {kept.probability:.3f} (still: {kept.agrees})")
print(f"completeness error {explanation.completeness_error:.0e}; saved to", end=" ")
print(explanation.save(out / "explanation"))
