"""Why does PocketSphinx hear this word?  python examples/why_this_word.py [OUT] [AUDIO]

A recogniser that is a black box: hidden Markov models, no gradients, no layers; its wheel has an
acoustic model of American English. pip install -c constraints.txt pocketsphinx
"""

import math
import sys
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import torch
from pocketsphinx import Decoder
from torch import Tensor, nn

import xplain

RATE, WORDS = 16000, ("one", "five", "seven", "nine")


class Digits(nn.Module):
    """How likely the sound is as each word with silence around it, in nats: (batch, words)."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = Decoder(
            lm=None, loglevel="FATAL", bestpath=False, beam=1e-80, wbeam=1e-80, pbeam=1e-80
        )
        for word in WORDS:
            self.decoder.add_jsgf_string(word, f"#JSGF V1.0; grammar g; public <w> = {word};")

    def score(self, word: str, pcm: bytes) -> float:
        self.decoder.activate_search(word)
        self.decoder.start_utt()
        self.decoder.process_raw(pcm, full_utt=True)
        self.decoder.end_utt()
        found = self.decoder.hyp()
        return -1.0 if found is None else math.log(max(found.score, 1e-300))

    def forward(self, waveform: Tensor) -> Tensor:
        rows = []
        for sound in waveform.cpu().numpy():
            # One gain for all variants: a part that is removed may not make the rest louder.
            pcm = np.pad(np.round(sound.clip(-1, 1) * 32767).astype("<i2"), RATE // 5).tobytes()
            rows.append([self.score(word, pcm) for word in WORDS])
        return 1000 * torch.tensor(rows)


if __name__ == "__main__":
    model = xplain.wrap(Digits(), sample_rate=RATE, labels=WORDS, differentiable=False)
    out = Path(sys.argv[1] if len(sys.argv) > 1 else "out/why-this-word")
    with as_file(files("xplain_zoo") / "clips" / "seven.wav") as zoo:
        audio = sys.argv[2] if len(sys.argv) > 2 else zoo
        e = xplain.explain(
            audio, model, explainer="feature-ablation", params={"grouping": "block:999x10"}
        )
    over_time = e.attribution.sum(0).clamp_min(0)
    times = torch.arange(len(over_time)) * len(e.waveform) / RATE / len(over_time)
    middle = float((over_time * times).sum() / over_time.sum())
    print(f"heard {e.target.label!r}; the evidence lies around {middle:.2f} s")
    print(f"saved: {e.save(out)}")
