"""Train an explainer on a model of your own.  python examples/trained_explainer.py [OUT]"""

import sys
from pathlib import Path

import soundfile
import torch
from torch import Tensor, nn

import xplain
from xplain.models import make_synthesizer
from xplain_interpreters.trained.interpreter import Training
from xplain_interpreters.trained.mask import Decoder
from xplain_interpreters.trained.training import fit

RATE = 8_000
HERTZ = (400, 2_000)


class Tones(nn.Module):
    """Your model here: it needs gradients, and layers whose output grows with the clip."""

    def __init__(self) -> None:
        super().__init__()
        turns = 2 * torch.pi * torch.arange(64) / RATE
        waves = [f(hertz * turns) for hertz in HERTZ for f in (torch.sin, torch.cos)]
        self.filters = nn.Conv1d(1, 4, 64, 32, bias=False)
        self.filters.weight.data = torch.stack(waves)[:, None] / 8
        self.power = nn.LeakyReLU(-1)  # the absolute value, as a layer

    def forward(self, waveform: Tensor) -> Tensor:
        power = self.power(self.filters(waveform[:, None])).mean(dim=2)
        return (power.unflatten(1, (2, 2)).sum(dim=2) + 1e-3).log()


def sound(seed: int) -> Tensor:
    """Your recordings here: a tone of 0.3 s in a second of faint noise."""
    chance = torch.Generator().manual_seed(seed)
    time, start = torch.arange(RATE) / RATE, 0.1 * (seed % 7)
    tone = 0.3 * torch.sin(2 * torch.pi * HERTZ[seed % 2] * time)
    noise = 0.005 * torch.randn(RATE, generator=chance)
    return noise + tone * ((time > start) & (time < start + 0.3))


def main(out: str = "out/trained_explainer") -> None:
    folder = Path(out)
    (folder / "clips").mkdir(parents=True)
    for seed in range(12):
        soundfile.write(folder / "clips" / f"{seed:02}.wav", sound(seed).numpy(), RATE)

    model = xplain.wrap(Tones(), sample_rate=RATE, labels=["low", "high"])
    # As `xplain fit-explainer CSV --model REF --out DIR` does; some hundred steps for real models.
    training = Training(steps=60, batch=4, learning_rate=1e-2, sparsity=2, width=8)
    files = sorted((folder / "clips").iterdir())
    fit(Decoder, model, make_synthesizer("stft", RATE), files, folder / "l-mac", training)

    params = {"folder": str(folder / "l-mac")}
    e = xplain.explain(sound(13), model, explainer="l-mac", params=params)
    for row in e.extras["masked"]:  # a good mask keeps the score, and the rest loses it
        print(f"{row['what']}: {row['score']:+.2f}")
    print(f"Listen to extra-interpretation.wav in {e.save(folder / 'explanation')}")


if __name__ == "__main__":
    main(*sys.argv[1:])
