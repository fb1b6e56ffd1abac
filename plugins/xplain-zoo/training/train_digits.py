"""Trains zoo:digits: ``python -m training.train_digits MANIFEST --also MANIFEST --out DIR``."""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.clips_manifest import Clip, fingerprint, read_manifest
from training.emphasis import Emphasis
from training.precision import halved
from training.voices import Ranges, Voices
from xplain_zoo.digits import DigitClassifier, DigitConfig

RECIPE = Path(__file__).with_name("digits.json")


@dataclass(frozen=True)
class Recipe:
    """The hyper-parameters; digits.json holds those of the shipped weights."""

    seed: int = 0
    epochs: int = 60
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    smoothing: float = 0.1
    mixup: float = 0.2  # share of batches in which pairs of clips are blended
    average: float = 0.995  # decay of the moving average of the weights
    model: DigitConfig = field(default_factory=DigitConfig)
    ranges: Ranges = field(default_factory=Ranges)
    emphasis: Emphasis = field(default_factory=Emphasis)

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Read hyper-parameters from JSON; what is not said keeps its default."""
        fields = json.loads(path.read_text(encoding="utf-8"))
        model = DigitConfig(**tuples(fields.pop("model", {})))
        ranges = Ranges(**tuples(fields.pop("ranges", {})))
        emphasis = Emphasis(**fields.pop("emphasis", {}))
        return cls(**fields, model=model, ranges=ranges, emphasis=emphasis)

    def digest(self) -> str:
        """SHA-256, by which a finished training is known again."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is asked for, and print what it reached."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    recipe = Recipe.read(options.recipe)
    if options.seed is not None:
        recipe = replace(recipe, seed=options.seed)
    if options.epochs is not None:
        recipe = replace(recipe, epochs=options.epochs)
    model = recipe.model
    clips = read_manifest(options.manifest, model.labels, model.sample_rate, options.dataset)
    also = [c for m in options.also for c in read_manifest(m, model.labels, model.sample_rate)]
    if options.leave_one_speaker_out:
        speakers = sorted({clip.speaker for clip in clips})
        table = {s: fold(clips, also, recipe, s, options.out / s)["held_out"] for s in speakers}
        table["mean"] = sum(table.values()) / len(speakers)
        write(options.out / "held-out.json", table)
        print("\n".join(f"{name:>12} {value:.4f}" for name, value in table.items()))
    elif options.hold_out:
        print(json.dumps(fold(clips, also, recipe, options.hold_out, options.out)))
    else:
        print(json.dumps(ship(clips, also, recipe, options.out)))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.train_digits")
    parser.add_argument(
        "manifest", type=Path, help="CSV with columns path (from its folder), label, speaker"
    )
    parser.add_argument("--dataset", help="only rows whose column dataset says this")
    parser.add_argument(
        "--also",
        type=Path,
        action="append",
        default=[],
        metavar="MANIFEST",
        help="more clips to train on, never measured on",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and record")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="hyper-parameters (JSON)")
    parser.add_argument("--seed", type=int, help="instead of the recipe's")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's")
    parser.add_argument("--threads", type=int, default=1)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--hold-out", metavar="SPEAKER", help="train without, test on this speaker")
    which.add_argument("--leave-one-speaker-out", action="store_true", help="every speaker in turn")
    return parser.parse_args(arguments)


def fold(
    clips: list[Clip], also: list[Clip], recipe: Recipe, speaker: str, out: Path
) -> dict[str, Any]:
    """One training without ``speaker``; a fold that was finished with this recipe is kept."""
    train = [c for c in clips if c.speaker != speaker and c.split == "train"] + also
    test = [c for c in clips if c.speaker == speaker]
    if not test:
        raise SystemExit(f"no clip of the speaker {speaker!r}")
    record = out / "training.json"
    if record.exists():
        known: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        if known["recipe_hash"] == recipe.digest() and known["data"] == fingerprint(train):
            return known
    return finish(train, recipe, out, {"held_out": test}, speaker=speaker)


def ship(clips: list[Clip], also: list[Clip], recipe: Recipe, out: Path) -> dict[str, Any]:
    """The training on every speaker's training clips, measured on the test split."""
    train = [c for c in clips if c.split == "train"]
    test = [c for c in clips if c.split == "test"]
    return finish(train + also, recipe, out, {"train": train, "test": test})


def finish(
    train: list[Clip], recipe: Recipe, out: Path, tests: dict[str, list[Clip]], **extra: Any
) -> dict[str, Any]:
    """Train, measure, write the weights and the record of it."""
    started = time.monotonic()
    model = fit(train, recipe, next((t for t in tests.values() if t), train))
    model.to_folder(out)
    record = {
        "recipe_hash": recipe.digest(),
        "recipe": asdict(recipe),
        "data": fingerprint(train),
        "clips": len(train),
        "seconds": round(time.monotonic() - started),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        **extra,
        **{name: accuracy(model, test) for name, test in tests.items() if test},
    }
    write(out / "training.json", record)
    return record


def fit(clips: list[Clip], recipe: Recipe, watch: list[Clip]) -> DigitClassifier:
    """Trains on ``clips``; ``watch`` is only measured for the log and decides nothing."""
    torch.manual_seed(recipe.seed)
    model = DigitClassifier(recipe.model)
    # torch's own functions are not all typed.
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    moving = get_ema_multi_avg_fn(recipe.average)  # type: ignore[no-untyped-call]
    mean = AveragedModel(model, multi_avg_fn=moving, use_buffers=True)
    voices = Voices(recipe.ranges, model.spectrum, recipe.seed)
    order = random.Random(recipe.seed)
    steps = recipe.epochs * -(-len(clips) // recipe.batch)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=steps, pct_start=0.15
    )
    for epoch in range(recipe.epochs):
        model.train()
        total, started = 0.0, time.monotonic()
        for chosen in batches(clips, recipe.batch, order):
            bands, left = voices.batch([c.waveform for c in chosen])
            targets = F.one_hot(
                torch.tensor([c.label for c in chosen]), len(recipe.model.labels)
            ).float()
            # A word of which nothing is left is any digit.
            targets = left[:, None] * targets + (1 - left[:, None]) / targets.shape[1]
            bands, targets = recipe.emphasis.apply(model, bands, targets, order)
            if order.random() < recipe.mixup:
                bands, targets = blend(bands, targets, order)
            with halved():
                logits = model.classify(bands)
            loss = F.cross_entropy(logits.float(), targets, label_smoothing=recipe.smoothing)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            mean.update_parameters(model)
            total += loss.item() * len(chosen)
        line = f"epoch {epoch + 1}/{recipe.epochs} loss {total / len(clips):.4f}"
        if (epoch + 1) % 10 == 0 or epoch + 1 == recipe.epochs:
            line += f" accuracy {accuracy(mean.module, watch):.4f}"
        print(f"{line} ({time.monotonic() - started:.1f} s)", file=sys.stderr, flush=True)
    model.load_state_dict(mean.module.state_dict())
    return model.eval()


def batches(clips: list[Clip], size: int, order: random.Random) -> Iterator[list[Clip]]:
    """Every clip once, in random order, those of similar length together: less padding."""
    shuffled = order.sample(clips, len(clips))
    groups: list[list[Clip]] = []
    for start in range(0, len(shuffled), size * 8):
        chunk = sorted(shuffled[start : start + size * 8], key=lambda c: len(c.waveform))
        groups += [chunk[i : i + size] for i in range(0, len(chunk), size)]
    # Batch norm cannot learn from a single clip.
    yield from (g for g in order.sample(groups, len(groups)) if len(g) > 1)


def blend(bands: Tensor, targets: Tensor, order: random.Random) -> tuple[Tensor, Tensor]:
    """Mixup (Zhang et al. 2018) of each clip with the next one in the batch."""
    share = order.betavariate(0.4, 0.4)
    return (
        share * bands + (1 - share) * bands.roll(1, 0),
        share * targets + (1 - share) * targets.roll(1, 0),
    )


@torch.no_grad()
def accuracy(model: nn.Module, clips: Sequence[Clip]) -> float:
    """Accuracy on clips, each classified by itself as in use."""
    model.eval()
    right = [int(model(c.waveform[None]).argmax()) == c.label for c in clips]
    return sum(right) / len(right)


def tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """Lists, which JSON has, as the tuples that the settings have."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}


def write(path: Path, content: dict[str, Any]) -> None:
    """Write JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
