"""Clips per second of explain() on an accelerator, beside a loop by hand and the device's limit.

Three models: zoo:digits over stft; wav2vec2-base at full size (random weights); a small head on
the latents of EnCodec 24 kHz at full size (random weights). The clips are the zoo's own, each
with other noise at 20 dB, so nothing beside the project is needed. By hand is integrated
gradients of Captum with 50 steps in one batch and six decoded variants, as in
latent_throughput.py; and the same for eight clips in one batch. The limit is the time of 50
evaluations with gradients in one batch, and nothing else.

    python benchmarks/device.py [--device cuda] [--clips 200] [--only NAME]... [--out FILE.csv]
"""

from __future__ import annotations

import argparse
import csv
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

import captum.attr
import soundfile
import soxr
import torch
from torch import Tensor, nn
from transformers import (
    EncodecConfig,
    EncodecModel,
    Wav2Vec2Config,
    Wav2Vec2ForSequenceClassification,
)

import xplain
from xplain.models import make_synthesizer
from xplain_codecs.codecs.encodec import Encodec

RATIOS = (0.05, 0.1, 0.2)
STEPS = 50
COLUMNS = ("model", "device", "clips", "what", "clips_per_second", "peak_gib")


class Pooled(nn.Module):
    """A head on latents (batch, D, N): two convolutions, the mean over time, ten labels."""

    def __init__(self, channels: int) -> None:
        """Draw the weights."""
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(channels, 64, 5, padding=2), nn.GELU(), nn.Conv1d(64, 10, 5, padding=2)
        )

    def forward(self, latents: Tensor) -> Tensor:
        """Logits (batch, 10)."""
        logits: Tensor = self.body(latents).mean(dim=-1)
        return logits


class Logits(nn.Module):
    """A classifier of transformers, asked for its logits alone."""

    def __init__(self, model: nn.Module) -> None:
        """Hold the model."""
        super().__init__()
        self.model = model

    def forward(self, waveform: Tensor) -> Tensor:
        """Logits (batch, labels) of waveforms (batch, samples)."""
        logits: Tensor = self.model(waveform).logits
        return logits


def digits() -> tuple[xplain.Model, xplain.Synthesizer]:
    """The zoo's model of digits, over stft."""
    model = xplain.load_model("zoo:digits")
    return model, make_synthesizer("stft", model.sample_rate)


def wav2vec2() -> tuple[xplain.Model, xplain.Synthesizer]:
    """wav2vec2-base with random weights, over stft."""
    module = Logits(Wav2Vec2ForSequenceClassification(Wav2Vec2Config(num_labels=10)))
    model = xplain.wrap(module, sample_rate=16000, labels=[str(n) for n in range(10)])
    return model, make_synthesizer("stft", 16000)


def encodec() -> tuple[xplain.Model, xplain.Synthesizer]:
    """A head on the latents of EnCodec at 24 kHz with random weights."""
    with tempfile.TemporaryDirectory() as folder:
        EncodecModel(EncodecConfig()).save_pretrained(folder)
        codec = Encodec(folder)
    channels = EncodecConfig().hidden_size
    labels = [str(n) for n in range(10)]
    return xplain.wrap(Pooled(channels), sample_rate=24000, labels=labels, reads=codec), codec


MODELS = {"zoo:digits": digits, "wav2vec2-base": wav2vec2, "encodec-24khz": encodec}


def main() -> None:
    """Measure, print and write."""
    arguments = argparse.ArgumentParser(description="clips per second on an accelerator")
    arguments.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments.add_argument("--clips", type=int, default=200)
    arguments.add_argument("--only", action="append", choices=list(MODELS))
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    warnings.simplefilter("ignore", xplain.XplainWarning)  # random weights decide nothing
    name = torch.cuda.get_device_name() if options.device == "cuda" else "cpu"
    rows: list[tuple[object, ...]] = []
    for which in options.only or MODELS:
        torch.manual_seed(0)
        model, codec = MODELS[which]()
        model.module.to(options.device).eval()
        if isinstance(codec, nn.Module):
            codec.to(options.device).eval()
        sounds = clips(options.clips, model.sample_rate)
        folder = tempfile.TemporaryDirectory()
        for what, run in ways(model, codec, options.device, Path(folder.name)).items():
            run(sounds[:2])  # the first ones load kernels
            if options.device == "cuda":
                torch.cuda.reset_peak_memory_stats()
            start = time.perf_counter()
            run(sounds)
            if options.device == "cuda":
                torch.cuda.synchronize()
            rate = len(sounds) / (time.perf_counter() - start)
            peak = torch.cuda.max_memory_allocated() / 2**30 if options.device == "cuda" else 0.0
            rows.append((which, name, len(sounds), what, f"{rate:.2f}", f"{peak:.2f}"))
            print(*rows[-1], sep="\t", flush=True)
        folder.cleanup()
    if options.out is not None:
        with options.out.open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *rows])


def clips(count: int, rate: int) -> list[Tensor]:
    """One clip of a second, with other noise at 20 dB each time: (rate,) each."""
    with as_file(files("xplain_zoo") / "clips" / "seven.wav") as path:
        samples, own = soundfile.read(path, dtype="float32")
    clip = torch.from_numpy(soxr.resample(samples, own, rate))[:rate]
    clip = nn.functional.pad(clip, (0, rate - len(clip)))
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(count, rate, generator=generator) * clip.std() / 10
    return list(clip + noise)


def ways(
    model: xplain.Model, codec: xplain.Synthesizer, device: str, out: Path
) -> dict[str, Callable[[list[Tensor]], None]]:
    """What is measured: a function over clips each."""

    def explained(sounds: list[Tensor], check: bool = False, **params: object) -> None:
        for result in xplain.explain(sounds, model, synthesizer=codec, params=params):
            result.save(out / "clip", keep=RATIOS, remove=RATIOS, overwrite=True)
            if check:
                result.check()

    def by_hand(sounds: list[Tensor]) -> None:
        for sound in sounds:
            attributed(sound[None])

    def together(sounds: list[Tensor]) -> None:
        for start in range(0, len(sounds), 8):
            attributed(torch.stack(sounds[start : start + 8]))

    def attributed(waveform: Tensor) -> None:
        with torch.no_grad():
            latents = codec.encode(waveform.to(device))
            silence = codec.encode(torch.zeros_like(waveform, device=device)).values

        def said(values: Tensor) -> Tensor:
            if model.reads is not None:
                return model(values)
            count = len(values) // len(waveform)
            context = {
                key: value.repeat((count, *[1] * (value.ndim - 1)))
                for key, value in latents.context.items()
            }
            return model(codec.decode(values, context))

        with torch.no_grad():
            labels = said(latents.values).argmax(dim=-1)
        attribution = captum.attr.IntegratedGradients(said).attribute(
            latents.values, baselines=silence, target=labels, n_steps=STEPS
        )
        for place, map_ in enumerate(attribution):
            order = map_.flatten().argsort(descending=True)
            one, nothing = latents.values[place], silence[place]
            variants = []
            for ratio in RATIOS:
                top = torch.zeros_like(order, dtype=torch.bool)
                top[order[: round(ratio * len(order))]] = True
                top = top.view_as(map_)
                variants += [one.where(top, nothing), nothing.where(top, one)]
            own = {key: value[place : place + 1] for key, value in latents.context.items()}
            with torch.no_grad():
                audible = codec.decode(torch.stack(variants), own).cpu()
            for number, samples in enumerate(audible):
                soundfile.write(out / f"{number}.wav", samples.numpy(), codec.sample_rate)

    def limit(sounds: list[Tensor]) -> None:
        with torch.no_grad():
            latents = codec.encode(sounds[0][None].to(device))
        for _ in sounds:
            variants = latents.values.repeat(STEPS, 1, 1).requires_grad_()
            read = variants if model.reads is not None else codec.decode(variants, latents.context)
            torch.autograd.grad(model(read)[:, 0].sum(), variants)

    return {
        "explain(), default": explained,
        "explain() and check()": lambda sounds: explained(sounds, check=True),
        f"explain(), {STEPS} steps": lambda sounds: explained(sounds, steps=STEPS),
        f"by hand, {STEPS} steps": by_hand,
        "by hand, 8 clips at once": together,
        f"{STEPS} evaluations with gradients": limit,
    }


if __name__ == "__main__":
    main()
