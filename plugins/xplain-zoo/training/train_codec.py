"""Trains the zoo's codec: ``python -m training.train_codec MANIFEST --out DIR``.

An EncodecModel of transformers, by its encoder and decoder; its codebooks are fitted when the
encoder is done. Needs transformers, which is not needed for the other models of the zoo.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import EncodecConfig, EncodecModel

from training.clips_manifest import Clip, fingerprint, read_recordings
from training.codebooks import residual_codebooks
from training.edits import edited
from training.frames import start
from training.precision import halved
from training.sounds import Changes, Stretches
from training.spectral import distance, log_spectral_correlation

Codec: TypeAlias = Any
"""An EncodecModel, whose parts transformers does not type."""
RECIPE = Path(__file__).with_name("codec.json")
WATCHED = 40
"""Training clips that are left out and only listened to for the log and the record."""

EVERY = 100
"""Steps from one line of the log to the next."""
SAVE = 400
"""Steps after which what there is is written."""


@dataclass(frozen=True)
class CodecSizes:
    """Of the EncodecModel; what is not here is as transformers has it."""

    sample_rate: int = 8000  # Hz
    channels: int = 128
    filters: int = 14
    ratios: tuple[int, ...] = (2, 4, 4, 5)  # of the decoder; a frame is their product, in samples
    kernel: int = 3  # of the first and the last convolutions
    recurrent_layers: int = 1
    books: int = 8
    entries: int = 256

    def config(self) -> EncodecConfig:
        """As transformers has it."""
        frames = -(-self.sample_rate // torch.Size(self.ratios).numel())
        bits = frames * (self.entries - 1).bit_length()
        return EncodecConfig(
            sampling_rate=self.sample_rate,
            hidden_size=self.channels,
            num_filters=self.filters,
            upsampling_ratios=list(self.ratios),
            kernel_size=self.kernel,
            last_kernel_size=self.kernel,
            num_lstm_layers=self.recurrent_layers,
            codebook_size=self.entries,
            target_bandwidths=[bits * n / 1000 for n in (1, 2, 4, 8, 12) if n <= self.books],
            use_causal_conv=False,
            normalize=True,  # clips come at all levels
            pad_mode="constant",  # beyond the ends there is silence
        )


@dataclass(frozen=True)
class Recipe:
    """The hyper-parameters; codec.json holds those of the shipped weights."""

    seed: int = 0
    steps: int = 3200
    finishing_steps: int = 300  # of the decoder alone, on quantised latents too
    batch: int = 12
    samples: int = 4160  # of a stretch: whole frames
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    windows: tuple[int, ...] = (64, 128, 256, 512)  # samples, of the spectrograms in the loss
    noise: float = 0.1  # at most, on latents, beside how far each channel is from silence
    edited: int = 3  # stretches of a batch whose edited latents have to be heard
    edits: float = 0.3  # weight of that
    dither: float = 3e-3  # level of the noise that is added before they are encoded again
    shares: Mapping[str, float] = field(default_factory=dict)  # of the data sets
    model: CodecSizes = field(default_factory=CodecSizes)
    changes: Changes = field(default_factory=Changes)

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Read hyper-parameters from JSON; what is not said keeps its default."""
        fields = tuples(json.loads(path.read_text(encoding="utf-8")))
        model = CodecSizes(**tuples(fields.pop("model", {})))
        changes = Changes(**tuples(fields.pop("changes", {})))
        return cls(**fields, model=model, changes=changes)

    def digest(self) -> str:
        """SHA-256, by which a training is known again."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, write the checkpoint and its record, and print what it reached."""
    parser = argparse.ArgumentParser(prog="python -m training.train_codec")
    parser.add_argument(
        "manifest", type=Path, help="CSV: path (from its folder), dataset, speaker, split"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint and record")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="hyper-parameters (JSON)")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    recipe = Recipe.read(options.recipe)
    rate = recipe.model.sample_rate
    recordings = {
        name: read_recordings(options.manifest, rate, name, "train") for name in recipe.shares
    }
    print(json.dumps(finish(recordings, recipe, options.out)))


def finish(recordings: dict[str, list[Clip]], recipe: Recipe, out: Path) -> dict[str, Any]:
    """Train, measure on what was left out, write the checkpoint and the record of it."""
    started = time.monotonic()
    data = fingerprint([clip for clips in recordings.values() for clip in clips])
    first = next(iter(recordings))
    watched = random.Random(recipe.seed).sample(range(len(recordings[first])), WATCHED)
    dev = [recordings[first][i] for i in watched]
    heard = dict(recordings)
    heard[first] = [c for i, c in enumerate(recordings[first]) if i not in set(watched)]
    model = fit(heard, recipe, dev, out)
    save(model, out)
    record = {
        "recipe_hash": recipe.digest(),
        "recipe": asdict(recipe),
        "data": data,
        "clips": {name: len(clips) for name, clips in heard.items()},
        "minutes": {
            name: round(sum(len(c.waveform) for c in clips) / recipe.model.sample_rate / 60, 1)
            for name, clips in heard.items()
        },
        "seconds": round(time.monotonic() - started),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        f"log-spectral correlation on {WATCHED} clips left out of {first}": {
            "continuous": round(correlation(model, dev, quantised=False), 4),
            "quantised": round(correlation(model, dev, quantised=True), 4),
        },
    }
    path = out / "training.json"
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return record


def save(model: Codec, out: Path) -> None:
    """The checkpoint: half the bytes for the weights, which are read as float32 all the same."""
    half = {name: tensor.half() for name, tensor in model.state_dict().items()}
    model.save_pretrained(out, state_dict=half)


def fit(recordings: Mapping[str, list[Clip]], recipe: Recipe, dev: list[Clip], out: Path) -> Codec:
    """Encoder and decoder together, then codebooks, then the decoder alone."""
    torch.manual_seed(recipe.seed)
    model: Codec = EncodecModel(recipe.model.config()).train()
    stretches = Stretches(
        recordings, recipe.shares, recipe.changes, recipe.model.sample_rate, recipe.seed
    )
    start(model, stretches.batch(recipe.batch, recipe.samples)[:-1])
    draw = random.Random(recipe.seed)
    run(model, list(model.parameters()), recipe.steps, stretches, recipe, draw, dev, out)
    rounded(model)
    fit_codebooks(model, stretches, recipe)
    decoder = list(model.decoder.parameters())
    run(model, decoder, recipe.finishing_steps, stretches, recipe, draw, dev, out, quantised=True)
    rounded(model)
    return model.eval()


def run(
    model: Codec,
    parameters: list[nn.Parameter],
    steps: int,
    stretches: Stretches,
    recipe: Recipe,
    draw: random.Random,
    dev: list[Clip],
    out: Path,
    quantised: bool = False,
) -> None:
    """Some steps of training; ``dev`` is only measured for the log and decides nothing.

    What there is goes to ``out`` now and then, to be listened to.
    """
    model.requires_grad_(False)
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimiser = torch.optim.AdamW(
        parameters, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, betas=(0.8, 0.99)
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=steps, pct_start=0.1
    )
    totals, started = torch.zeros(2), time.monotonic()
    for step in range(1, steps + 1):
        sound = stretches.batch(recipe.batch, recipe.samples)
        losses = step_losses(model, sound, recipe, draw, quantised)
        optimiser.zero_grad()
        total = losses[0] + recipe.edits * losses[1]
        total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        totals += losses.detach()
        if step % EVERY == 0 or step == steps:
            line = f"step {step}/{steps} loss {totals[0] / EVERY:.4f} edits {totals[1] / EVERY:.4f}"
            if step % (5 * EVERY) == 0 or step == steps:
                line += f" correlation {correlation(model, dev, quantised):.4f}"
            print(f"{line} ({time.monotonic() - started:.0f} s)", file=sys.stderr, flush=True)
            totals.zero_()
        if step % SAVE == 0:
            save(model, out)


def step_losses(
    model: Codec, sound: Tensor, recipe: Recipe, draw: random.Random, quantised: bool
) -> Tensor:
    """Of stretches (B, samples), the last one silent: (2,), sound and edits re-encoded."""
    with halved():
        latents = model.encoder(sound[:, None]).float()
    fixed = latents.detach()
    scale = (fixed - fixed[-1]).square().mean(dim=2, keepdim=True).sqrt() + 1e-3
    read = latents
    if quantised:
        read = torch.cat([coarse(model, fixed[: len(sound) // 2], draw), fixed[len(sound) // 2 :]])
    amount = recipe.noise * torch.rand(len(sound), 1, 1) * (torch.rand(len(sound), 1, 1) < 0.5)
    read = read + amount * scale * torch.randn_like(read)
    scale = scale[-1 - recipe.edited : -1]
    changed = edited(fixed[-1 - recipe.edited : -1], fixed[-1], scale, draw)
    with halved():
        heard = model.decoder(torch.cat([read, changed]))[:, 0].float()
        dithered = heard[len(sound) :] + recipe.dither * torch.randn(recipe.edited, sound.shape[-1])
        again = model.encoder(dithered[:, None]).float()
    error = (again - changed) / scale
    return torch.stack(
        [
            distance(sound, heard[: len(sound)], recipe.windows),
            F.smooth_l1_loss(error, torch.zeros_like(error), beta=0.1),
        ]
    )


@torch.no_grad()
def coarse(model: Codec, latents: Tensor, draw: random.Random) -> Tensor:
    """Latents (B, D, N) of each clip by a number of codebooks that is drawn."""
    books = len(model.quantizer.layers)
    return torch.cat([look_up(model, clip[None], draw.randint(1, books)) for clip in latents])


def look_up(model: Codec, latents: Tensor, books: int) -> Tensor:
    """Latents (B, D, N) by the first codebooks."""
    residual, found = latents, torch.zeros_like(latents)
    for layer in model.quantizer.layers[:books]:
        entry = layer.decode(layer.encode(residual))
        residual, found = residual - entry, found + entry
    return found


@torch.no_grad()
def fit_codebooks(model: Codec, stretches: Stretches, recipe: Recipe) -> None:
    """Fit the codebooks to latents of stretches, and put them where transformers has them."""
    batches = [stretches.batch(recipe.batch, recipe.samples) for _ in range(100)]
    latents = torch.cat([model.encoder(sound[:, None]) for sound in batches])
    vectors = latents.transpose(1, 2).flatten(0, 1)
    books = residual_codebooks(vectors, recipe.model.books, recipe.model.entries, recipe.seed)
    for layer, book in zip(model.quantizer.layers, books, strict=True):
        layer.codebook.embed.copy_(book)
        layer.codebook.embed_avg.copy_(book)
        layer.codebook.cluster_size.fill_(1.0)


@torch.no_grad()
def rounded(model: Codec) -> None:
    """Make the weights what they are when they are read again."""
    for tensor in [*model.parameters(), *model.buffers()]:
        if tensor.is_floating_point():
            tensor.copy_(tensor.half())


@torch.no_grad()
def correlation(model: Codec, clips: list[Clip], quantised: bool) -> float:
    """Mean log-spectral correlation of clips with what comes back."""
    found = []
    for clip in clips:
        level = clip.waveform.square().mean().sqrt()
        latents = model.encoder(clip.waveform[None, None] / level)
        if quantised:
            latents = look_up(model, latents, len(model.quantizer.layers))
        heard = model.decoder(latents)[0, 0, : len(clip.waveform)] * level
        found.append(log_spectral_correlation(clip.waveform, heard))
    return sum(found) / len(found)


def tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """Lists, which JSON has, to tuples, which configurations have."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}


if __name__ == "__main__":
    main()
