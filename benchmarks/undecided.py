"""What does check() say where there is nothing to explain? Undecided and flat models, real clips.

Two recordings of different digits are mixed so that the model finds both equally probable
(bisection over their levels); the last layer is set to zero, or drawn anew and made so small that
nothing is decided. Asked for is the model's own decision. No rule was chosen on these.

    python benchmarks/undecided.py [--clips N]
"""

from __future__ import annotations

import argparse
import copy
import random
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import torch
from recordings import digits
from torch import Tensor, nn

import xplain
from xplain.audio import Audio, read, resample
from xplain.intervals import share

MODELS = (("zoo:digits", "stft"), ("zoo:digits-latent", None))
CLOSE = 0.02
"""Difference of the two highest probabilities up to which a mixture counts as one."""


def main() -> None:
    """Print how often the verdict is which, by kind of model."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--clips", type=int, default=15, help="of each kind")
    options = arguments.parse_args()
    warnings.simplefilter("ignore", xplain.XplainWarning)
    torch.set_num_threads(1)
    found: dict[str, list[str]] = {}
    for reference, synthesizer in MODELS:
        for what, model, clip in cases(xplain.load_model(reference), options.clips):
            e = xplain.explain(clip, model, synthesizer=synthesizer)
            found.setdefault(f"{reference}, {what}", []).append(e.check().kind)
    for what, kinds in found.items():
        over = share([float(kind == "inconclusive") for kind in kinds])
        print(f"{what}: inconclusive {over.mean:.2f} [{over.low}, {over.high}], {Counter(kinds)}")
    every = [float(kind == "inconclusive") for kinds in found.values() for kind in kinds]
    over = share(every)
    print(f"together, {len(every)}: inconclusive {over.mean:.3f} [{over.low:.3f}, {over.high:.3f}]")


def cases(model: xplain.Model, clips: int) -> Iterator[tuple[str, xplain.Model, Audio]]:
    """Kind of model, the model, and a clip."""
    chosen = random.Random(5).sample(digits("test"), 3 * clips)
    sounds = [resample(read(path), model.sample_rate).waveform for path in chosen]
    mixed = 0
    for one, other in zip(sounds[::2], sounds[1::2], strict=False):
        mixture = blended(model, one, other)
        if mixture is not None and mixed < clips:
            yield "mixed", model, Audio(mixture, model.sample_rate, f"mixed-{mixed}", {})
            mixed += 1
    for number, sound in enumerate(sounds[:clips]):
        clip = Audio(sound, model.sample_rate, f"clip-{number}", {})
        yield "constant", changed(model, 0.0, number), clip
        yield "random and small", changed(model, 0.02, number), clip


def blended(model: xplain.Model, one: Tensor, other: Tensor) -> Tensor | None:
    """A mixture whose two likeliest labels are equally probable; None where there is none."""
    length = min(len(one), len(other))
    one, other = one[:length], other[:length]

    def said(share: float) -> Tensor:
        with torch.no_grad():
            mixture = (1 - share) * one + share * other
            given = (
                mixture[None] if model.reads is None else model.reads.encode(mixture[None]).values
            )
            return model(given)[0].softmax(dim=-1)

    first, last = said(0.0), said(1.0)
    label, against = int(first.argmax()), int(last.argmax())
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        ahead = said(middle)[label] >= said(middle)[against]
        low, high = (middle, high) if ahead else (low, middle)
    top = said(low).topk(2).values
    if label == against or float(top[0] - top[1]) > CLOSE:
        return None
    return (1 - low) * one + low * other


def changed(model: xplain.Model, size: float, seed: int) -> xplain.Model:
    """With a last layer of normal weights of this size, and no bias."""
    module = copy.deepcopy(model.module)
    layers = [m for m in module.modules() if isinstance(m, nn.Linear | nn.Conv1d | nn.Conv2d)]
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        layers[-1].weight.copy_(size * torch.randn(layers[-1].weight.shape, generator=generator))
        if layers[-1].bias is not None:
            layers[-1].bias.zero_()
    return replace(model, module=module, name=f"{model.name}, {size}")


if __name__ == "__main__":
    main()
