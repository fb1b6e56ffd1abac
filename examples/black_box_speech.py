"""Explain a black-box speech detector.  python examples/black_box_speech.py [OUT] [MODEL.onnx]

The model is Silero VAD, 16 kHz (github.com/snakers4/silero-vad, MIT), run by onnxruntime:
no gradients, no layers. pip install -c constraints.txt onnxruntime
"""

import os
import sys
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

import xplain
from xplain import audio

RATE, WINDOW, BEFORE = 16000, 512, 64
SHARED = Path(os.environ.get("XPLAIN_SHARED", Path(__file__).parents[1] / ".." / "shared"))


class Silero(nn.Module):
    """Windows of 512 samples, each with the 64 before it, one after another with a state."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])

    def forward(self, waveform: Tensor) -> Tensor:
        """(batch, samples) → logits (batch, frames, 1), one for each 32 ms."""
        sound = waveform.detach().cpu().numpy().astype(np.float32)
        sound = np.pad(sound, ((0, 0), (BEFORE, -sound.shape[1] % WINDOW)))
        state, said = np.zeros((2, len(sound), 128), np.float32), []
        for start in range(0, sound.shape[1] - BEFORE, WINDOW):
            heard = sound[:, start : start + BEFORE + WINDOW]
            asked = {"input": heard, "state": state, "sr": np.array(RATE)}
            probability, state = self.session.run(None, asked)
            said.append(probability)
        probabilities = torch.from_numpy(np.stack(said, axis=1)).to(waveform)
        return torch.logit(probabilities, eps=1e-6)


def silero(path: str | None = None) -> xplain.Model:
    return xplain.wrap(
        Silero(path or str(SHARED / "models" / "silero" / "silero_vad_16k.onnx")),
        sample_rate=RATE,
        labels=["speech"],
        multilabel=True,  # a single label: there is speech, or not
        frame_step=WINDOW / RATE,
        differentiable=False,
    )


def main(out: str = "out/black_box_speech", path: str | None = None) -> None:
    with as_file(files("xplain_zoo") / "clips/seven.wav") as seven:
        word = audio.resample(audio.read(seven), RATE).waveform
    clip = 0.003 * torch.randn(2 * RATE, generator=torch.Generator().manual_seed(0))
    clip[RATE : RATE + len(word)] += word[:RATE]  # a second of noise, then a word in it
    # What the logit loses when 0.1 s is silenced; a single frame of 8 ms is never missed.
    e = xplain.explain(
        clip,
        silero(path),
        explainer="feature-ablation",
        params={"grouping": "block:257x12"},
        target=xplain.Target("speech", start=1.0, end=1.0 + len(word) / RATE),
        replacement="silence",  # which the clip begins with, but for faint noise
    )
    frames = e.attribution.sum(dim=0)
    seconds = torch.arange(len(frames)) * len(clip) / RATE / (len(frames) - 1)
    share = frames.clamp(min=0)[seconds >= 1].sum() / frames.clamp(min=0).sum()
    peak = seconds[frames.argmax()]
    print(f"speech has probability {e.target.probability:.2f}")
    print(f"{share:.0%} of the positive evidence lies in the word; most at {peak:.2f} s")
    print(f"Listen to keep-0.1.wav and remove-0.1.wav in {e.save(out)}")


if __name__ == "__main__":
    main(*sys.argv[1:])
