"""What explaining costs at real size: wav2vec2-base beside Captum by hand, and three codecs.

The weights are random and as many as in the published models; time and memory do not depend on
what they are. Each measurement is a process of its own, on one thread: processor seconds, and the
most memory that the process held, with torch and the weights. Rows are added to a CSV as they
come, and what is there is not done again.

    python benchmarks/full_size.py --out out/full_size.csv
    python benchmarks/full_size.py --out out/full_size.csv --only wav2vec2 wav2vec2-captum
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rows import add, read
from torch import Tensor, nn

import xplain
from xplain.registry import registry

RATE = 16_000
SECONDS = 5.0
"""Of the clip that wav2vec2-base is asked about."""

BATCHES = (1, 2, 4)
"""Of which the fastest that stays within MEMORY is the hand-written loop's."""

MEMORY = 4 * 2**30
STEPS = 4
"""Points of a codec's integrated gradients: a cost that is a multiple of one evaluation."""

CODECS = {"encodec": "EncodecConfig", "dac": "DacConfig", "mimi": "MimiConfig"}
COLUMNS = (
    *("name", "seconds", "evaluations", "gradients", "batch", "processor_s", "forward_s"),
    *("gradient_s", "peak_gb", "completeness_error", "note"),
)


def main() -> None:
    """Measure what is missing, and print all."""
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--only", nargs="*", default=list(MEASURED))
    arguments.add_argument("--out", type=Path, default=Path("out/full_size.csv"))
    arguments.add_argument("--one", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.one:
        print(json.dumps(measured(options.one)))
        return
    options.out.parent.mkdir(parents=True, exist_ok=True)
    rows = read(options.out)
    for name in options.only:
        if any(row["name"] == name for row in rows):
            continue
        command = [sys.executable, __file__, "--one", name]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        row = {"name": name, **json.loads(done.stdout.splitlines()[-1])}
        add(options.out, COLUMNS, row)
    show(read(options.out))


def show(rows: list[dict[str, str]]) -> None:
    """Print a table, with times as multiples of the forward pass."""
    print("| what | clip, s | evaluations + gradients | batch | / forward pass | peak, GB |")
    print("|---" * 6 + "|")
    for row in rows:
        times = float(row["processor_s"]) / float(row["forward_s"])
        asked = f"{row['evaluations']} + {row['gradients']}"
        cells = (row["name"], row["seconds"], asked, row["batch"], f"{times:.1f}")
        print(f"| {' | '.join(cells)} | {float(row['peak_gb']):.2f} |")


def measured(name: str) -> dict[str, object]:
    """A row, with the memory of this process."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    row = MEASURED[name]()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {**row, "peak_gb": peak / 1e9}


def noise(seconds: float, rate: int) -> Tensor:
    """A clip (samples,) that rises and falls."""
    samples = round(seconds * rate)
    made = torch.randn(samples, generator=torch.Generator().manual_seed(0))
    return 0.1 * made * (1 + torch.sin(torch.arange(samples) * 20 / rate))


class Counter:
    """How many rows a module is asked about, with and without a gradient to come."""

    def __init__(self, module: nn.Module) -> None:
        """Listen to a module."""
        self.evaluations = self.gradients = 0
        module.register_forward_pre_hook(self._count)

    def _count(self, _: nn.Module, given: tuple[Tensor, ...]) -> None:
        if torch.is_grad_enabled() and given[0].requires_grad:
            self.gradients += len(given[0])
        else:
            self.evaluations += len(given[0])


def timed(work: Callable[[], object]) -> float:
    """Processor seconds of some work."""
    start = time.process_time()
    work()
    return time.process_time() - start


def wav2vec2() -> xplain.Model:
    """wav2vec2-base that tells two labels apart, as hf: reads it."""
    import transformers

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        config = transformers.Wav2Vec2Config(num_labels=2)
        transformers.Wav2Vec2ForSequenceClassification(config).save_pretrained(folder)
        transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
        return xplain.load_model(f"hf:{folder}")


def by_xplain() -> dict[str, object]:
    """wav2vec2-base with default settings."""
    model, clip = wav2vec2(), noise(SECONDS, RATE)
    with torch.no_grad():
        forward = timed(lambda: model.module(clip[None]))
    counter = Counter(model.module)
    start = time.process_time()
    explanation = xplain.explain((clip, RATE), model)
    spent = time.process_time() - start
    return {
        "seconds": SECONDS,
        "evaluations": counter.evaluations,
        "gradients": counter.gradients,
        "batch": explanation.provenance["max_batch"],
        "processor_s": spent,
        "forward_s": forward,
        "gradient_s": spent / counter.gradients,
        "completeness_error": explanation.completeness_error,
    }


def by_hand() -> dict[str, object]:
    """The same by Captum: the short-time Fourier transform, and a loop in batches that fit."""
    from captum.attr import IntegratedGradients

    module, clip = wav2vec2().module, noise(SECONDS, RATE)
    window = torch.hann_window(512)
    transform = partial(torch.stft, n_fft=512, hop_length=128, window=window)
    spectrum = transform(clip[None], pad_mode="constant", return_complex=True)
    values, phase = spectrum.abs().sqrt(), spectrum.angle()

    def score(variants: Tensor) -> Tensor:
        turned = variants.square() * torch.polar(torch.ones_like(phase), phase)
        heard = torch.istft(turned, 512, 128, window=window, length=len(clip))
        return module(heard)[:, 0]

    for parameter in module.parameters():
        parameter.requires_grad_(False)
    attribute = partial(IntegratedGradients(score).attribute, values, torch.zeros_like(values))
    with torch.no_grad():
        forward = timed(lambda: module(clip[None]))
    attribute(n_steps=1)
    spent: dict[int, float] = {}
    for batch in BATCHES:
        spent[batch] = timed(lambda b=batch: attribute(n_steps=2 * b, internal_batch_size=b)) / (
            2 * batch
        )
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 > MEMORY:
            break
    best = min(spent, key=lambda batch: spent[batch])
    return {
        "seconds": SECONDS,
        "evaluations": 0,
        "gradients": 2 * best,
        "batch": best,
        "processor_s": 2 * best * spent[best],
        "forward_s": forward,
        "gradient_s": spent[best],
        "note": json.dumps({b: round(s, 2) for b, s in spent.items()}),
    }


class Loudest(nn.Module):
    """Which of two bands of the waveform (B, samples) is louder? Costs little beside a codec."""

    def __init__(self) -> None:
        """Two short filters."""
        super().__init__()
        self.filters = nn.Conv1d(1, 2, 64, stride=32)

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits (B, 2)."""
        filtered: Tensor = self.filters(waveform[:, None])
        return 100 * filtered.square().mean(dim=2)


def synthesizer_of(name: str) -> Any:
    """A codec at its real size."""
    import transformers

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        config = getattr(transformers, CODECS[name])()
        kind = getattr(transformers, CODECS[name].replace("Config", "Model"))
        kind(config).save_pretrained(folder)
        return registry().create("synthesizer", name, {"checkpoint": folder})


def gradient(name: str, seconds: float) -> dict[str, object]:
    """One gradient through a codec's decoder, which is what integrated gradients hold."""
    synthesizer = synthesizer_of(name)
    samples = round(seconds * synthesizer.sample_rate)
    latents = torch.randn(1, synthesizer.channels, synthesizer.frames(samples))
    decode = partial(synthesizer.decode, context={"length": torch.tensor([samples])})
    with torch.no_grad():
        forward = timed(lambda: decode(latents))
    latents.requires_grad_()
    spent = timed(lambda: decode(latents).square().sum().backward())
    return {
        **{"seconds": seconds, "evaluations": 0, "gradients": 1, "batch": 1},
        **{"processor_s": spent, "forward_s": forward},
    }


def codec(
    name: str, seconds: float, explainer: str, params: Mapping[str, object]
) -> dict[str, object]:
    """A clip in the latents of a codec."""
    synthesizer = synthesizer_of(name)
    rate = synthesizer.sample_rate
    model = xplain.wrap(Loudest(), sample_rate=rate, labels=("one", "other"))
    clip = noise(seconds, rate)
    with torch.no_grad():
        latents = synthesizer.encode(clip[None])
        forward = timed(lambda: model.module(synthesizer.decode(latents.values, latents.context)))
    counter = Counter(model.module)
    start = time.process_time()
    explanation = xplain.explain(
        (clip, rate),
        model,
        synthesizer=synthesizer,
        explainer=explainer,
        params=params,
        baseline="silence",
    )
    return {
        "seconds": seconds,
        "evaluations": counter.evaluations,
        "gradients": counter.gradients,
        "batch": explanation.provenance["max_batch"],
        "processor_s": time.process_time() - start,
        "forward_s": forward,
        "completeness_error": explanation.completeness_error,
    }


SECOND = {"window": "1024x75", "stride": "1024x75"}
"""A second of EnCodec's frames, all channels."""
INTEGRATED: tuple[str, Mapping[str, object]] = ("integrated-gradients", {"steps": STEPS})
MEASURED: dict[str, Callable[[], dict[str, object]]] = {
    "wav2vec2": by_xplain,
    "wav2vec2-captum": by_hand,
}
for _codec in CODECS:
    _part = partial(codec, _codec)
    MEASURED |= {
        f"{_codec}, a gradient": partial(gradient, _codec, 10.0),
        f"{_codec}, integrated gradients": partial(_part, 10.0, *INTEGRATED),
        f"{_codec}, occlusion": partial(_part, 10.0, "occlusion", SECOND),
        f"{_codec}, occlusion, 60 s in chunks": partial(
            _part, 60.0, "occlusion", {"window": "1024x1000", "stride": "1024x1000"}
        ),
    }
_short = partial(codec, "dac", 2.0)
MEASURED |= {
    "dac, integrated gradients, 2 s": partial(_short, *INTEGRATED),
    "dac, occlusion, 2 s": partial(_short, "occlusion", SECOND),
}
"""Where there is no time for ten seconds of it: decoding takes as long as the clip lasts."""


if __name__ == "__main__":
    main()
