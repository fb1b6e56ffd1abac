"""Clips per second of processor time of explain(), beside two loops written by hand.

Real recordings, silence as baseline and replacement; the latents are those that the model reads,
or for a model that hears waveforms those of the stft. Both read a clip, encode it, attribute its
decision by integrated gradients, keep and remove the most important elements at three ratios,
decode these six and write them as WAVs. By hand that is Captum with 50 steps, as its
documentation has it, in one batch; an expert's own loop does without Captum, with 24 points of
Gauss and Legendre, and over the stft of a model that hears waveforms with a transform of its own;
explain() takes as many as keep the error at 1 %, and with --check checks each. explain() alone
also asks the model about each of the six, hears each of them again (decode, encode, classify),
and writes down where everything came from. They take turns, clip by clip, so that all see the
same machine.

    python benchmarks/latent_throughput.py [--model zoo:digits] [--dataset fsdd] [--clips 250] \\
        [--steps 50] [--points 24] [--check]

A classifier on latents with the paper's transformer is made by

    xplain fit ../shared/data/manifest.csv --where dataset=fsdd --synthesizer stft \\
        --head transformer --epochs 3 --learning-rate 5e-4 --out out/stft-transformer

and is the model latent:out/stft-transformer.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import captum.attr
import numpy as np
import soundfile
import soxr
import torch
from recordings import recordings
from torch import Tensor, nn

import xplain
from xplain.explaining import explain_each
from xplain.models import make_synthesizer
from xplain.progress import track

RATIOS = (0.05, 0.1, 0.2)
TOLERANCE, BLOCKS = 0.01, 10
SIZE, HOP = 256, 64
"""Samples of the windows of the stft, and between them."""


@dataclass(eq=False)
class Side:
    """One of the two: seconds of each clip, and what was asked of the model and the codec.

    variants: that the model was asked about, in how many calls. encoded, decoded: clips.
    """

    name: str
    seconds: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)
    variants: int = 0
    calls: int = 0
    encoded: int = 0
    decoded: int = 0


def main() -> None:
    """Measure and print."""
    arguments = argparse.ArgumentParser(description="clips per second, explain() and by hand")
    arguments.add_argument("--model", default="zoo:digits")
    arguments.add_argument("--dataset", default="fsdd")
    arguments.add_argument("--clips", type=int, default=250)
    arguments.add_argument("--steps", type=int, default=50, help="of Captum, by hand")
    arguments.add_argument("--points", type=int, default=24, help="of the expert's loop")
    arguments.add_argument("--check", action="store_true")
    options = arguments.parse_args()
    torch.set_num_threads(1)
    model = xplain.load_model(options.model)
    codec = model.reads or make_synthesizer("stft", model.sample_rate)
    found = [*recordings(options.dataset, "test"), *recordings(options.dataset, "train")]
    clips = [recording.path for recording in found[: options.clips]]
    ours = Side("explain(), adaptive")
    loops = {
        Side(f"by hand, {options.steps} steps"): by_hand,
        Side(f"expert, {options.points} points"): by_expert,
    }
    asked = options.steps, options.points
    params = {"steps": "adaptive", "tolerance": TOLERANCE}
    apart = []
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        start = time.process_time()
        given = {"synthesizer": codec, "params": params, "baseline": "silence"}
        each = explain_each([clips[0], *clips], model, **given)
        for number, clip in enumerate(track([clips[0], *clips], len(clips) + 1, "explaining")):
            with counted(model, codec, ours):
                result = next(each)
                assert isinstance(result, xplain.Explanation), result
                if options.check:
                    result.check()
                result.save(out / f"ours-{number}", keep=RATIOS, remove=RATIOS)
            ours.seconds.append(time.process_time() - start)
            ours.errors.append(result.completeness_error or 0.0)
            difference = result.score - result.baseline_score
            for (side, loop), points in zip(loops.items(), asked, strict=True):
                start = time.process_time()
                with counted(model, codec, side):
                    there = out / f"{loop.__name__}-{number}"
                    attribution = loop(clip, model, codec, points, there)
                side.seconds.append(time.process_time() - start)
                side.errors.append(abs(float(attribution.sum()) - difference) / abs(difference))
                distance = (result.attribution - attribution).abs().sum() / attribution.abs().sum()
                apart.append(float(distance))
            start = time.process_time()
    show(options.model, len(clips), [ours, *loops], apart)


def by_hand(
    clip: Path, model: xplain.Model, codec: xplain.Synthesizer, steps: int, out: Path
) -> Tensor:
    """What someone writes who has a model, a codec and Captum; the attribution (D, N)."""
    samples, rate = soundfile.read(clip, dtype="float32", always_2d=True)
    # At the quality of explain(): quantised latents are others for the least difference.
    sound = soxr.resample(samples.mean(1), rate, codec.sample_rate, quality="VHQ")
    with torch.no_grad():
        latents = codec.encode(torch.from_numpy(sound)[None])
        silence = codec.encode(torch.zeros(1, len(sound))).values

    def said(values: Tensor) -> Tensor:
        heard = values if model.reads else codec.decode(values, latents.context)
        logits: Tensor = model.module(heard)
        return logits

    with torch.no_grad():
        label = int(said(latents.values).argmax())
    attribution = captum.attr.IntegratedGradients(said).attribute(
        latents.values, baselines=silence, target=label, n_steps=steps
    )
    order = attribution.flatten().argsort(descending=True)
    variants = []
    for ratio in RATIOS:
        top = torch.zeros(attribution.numel(), dtype=torch.bool)
        top[order[: round(ratio * len(order))]] = True
        top = top.view_as(attribution)
        variants += [latents.values.where(top, silence), silence.where(top, latents.values)]
    with torch.no_grad():
        heard = codec.decode(torch.cat(variants), latents.context)
    out.mkdir()
    kinds = [f"{kind}-{ratio}" for ratio in RATIOS for kind in ("keep", "remove")]
    for name, waveform in zip(kinds, heard, strict=True):
        soundfile.write(out / f"{name}.wav", waveform.numpy(), codec.sample_rate)
    return attribution[0].detach()


def by_expert(clip: Path, model: xplain.Model, codec: Any, points: int, out: Path) -> Tensor:
    """What someone writes who knows what costs: one batch, few points, nothing of a framework."""
    samples, rate = soundfile.read(clip, dtype="float32", always_2d=True)
    sound = torch.from_numpy(soxr.resample(samples.mean(1), rate, codec.sample_rate, quality="VHQ"))
    window = torch.hann_window(SIZE)
    if model.reads:
        with torch.no_grad():
            latents = codec.encode(sound[None])
            silence = codec.encode(torch.zeros(1, len(sound))).values[0]
        values = latents.values[0]
    else:
        spectrum = torch.stft(
            sound, SIZE, HOP, window=window, pad_mode="constant", return_complex=True
        )
        phase, values = torch.exp(1j * spectrum.angle()), spectrum.abs().sqrt()
        silence = torch.zeros_like(values)

    def audible(variants: Tensor) -> Tensor:
        if model.reads:
            decoded: Tensor = codec.decode(variants, latents.context)
            return decoded
        made: Tensor = torch.istft(
            variants.square() * phase, SIZE, HOP, window=window, length=len(sound)
        )
        return made

    places, weights = np.polynomial.legendre.leggauss(points)
    shares = torch.tensor((places + 1) / 2, dtype=torch.float32)[:, None, None]
    variants = (silence + shares * (values - silence)).requires_grad_()
    with torch.no_grad():
        asked = values[None] if model.reads else sound[None]
        label = int(model.module(asked).argmax())
    scores = model.module(variants if model.reads else audible(variants))[:, label]
    (gradients,) = torch.autograd.grad(scores.sum(), variants)
    mean = torch.tensordot(torch.tensor(weights / 2, dtype=torch.float32), gradients, 1)
    attribution: Tensor = (values - silence) * mean
    order = attribution.flatten().topk(round(max(RATIOS) * attribution.numel())).indices
    edited = []
    for ratio in RATIOS:
        top = torch.zeros(attribution.numel(), dtype=torch.bool)
        top[order[: round(ratio * attribution.numel())]] = True
        top = top.view_as(attribution)
        edited += [values.where(top, silence), silence.where(top, values)]
    with torch.no_grad():
        heard = audible(torch.stack(edited))
    out.mkdir()
    kinds = [f"{kind}-{ratio}" for ratio in RATIOS for kind in ("keep", "remove")]
    for name, waveform in zip(kinds, heard, strict=True):
        soundfile.write(out / f"{name}.wav", waveform.numpy(), codec.sample_rate)
    return attribution


@contextmanager
def counted(model: xplain.Model, codec: Any, side: Side) -> Iterator[None]:
    """Count what is asked of the model and of the codec meanwhile."""
    encode, decode = codec.encode, codec.decode

    def heard(module: nn.Module, given: tuple[Tensor, ...], said: Tensor) -> None:
        side.variants += len(given[0])
        side.calls += 1

    def encoded(waveform: Tensor) -> xplain.Latents:
        side.encoded += len(waveform)
        found: xplain.Latents = encode(waveform)
        return found

    def decoded(values: Tensor, context: xplain.Context) -> Tensor:
        side.decoded += len(values)
        found: Tensor = decode(values, context)
        return found

    handle = model.module.register_forward_hook(heard)
    codec.encode, codec.decode = encoded, decoded
    try:
        yield
    finally:
        handle.remove()
        del codec.encode, codec.decode


def show(model: str, clips: int, sides: list[Side], apart: list[float]) -> None:
    """Print clips per second, their ratio over blocks of clips, and what was asked."""
    print(f"{clips} clips, {model}")
    print(
        "                      clips/s  model: heard  calls  encoded  decoded  error: median, 95 %"
    )
    for side in sides:
        total = len(side.seconds)
        errors = statistics.quantiles(side.errors[1:], n=20)
        print(
            f"{side.name:22s}{clips / sum(side.seconds[1:]):6.2f} {side.variants / total:13.1f} "
            f"{side.calls / total:6.1f} {side.encoded / total:8.1f} {side.decoded / total:8.1f} "
            f"{errors[9]:13.2%} {errors[-1]:9.2%}"
        )
    ours = sides[0].seconds[1:]  # the first clip warms up
    for side in sides[1:]:
        theirs = side.seconds[1:]
        ratios = sorted(
            sum(theirs[a:b]) / sum(ours[a:b])
            for a, b in itertools.pairwise(round(n * clips / BLOCKS) for n in range(BLOCKS + 1))
        )
        print(
            f"explain() / {side.name}: {sum(theirs) / sum(ours):.2f} over all clips; over "
            f"{BLOCKS} blocks median {statistics.median(ratios):.2f} "
            f"({ratios[0]:.2f}-{ratios[-1]:.2f})"
        )
    print(f"attributions apart: median {statistics.median(apart[2:]):.2%} of their size")


if __name__ == "__main__":
    main()
