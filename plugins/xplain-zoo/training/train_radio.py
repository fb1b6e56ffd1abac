"""Trains zoo:radio-teacher: ``python -m training.train_radio SCENES --dev SCENES --out DIR``.

SCENES are folders that ``xplain nmf scenes`` made, or another mixer in their layout. Which weights
are kept, of those of every few minutes, and when a label begins and ends is chosen on those of
--dev, and on the meetings. What is best so far lies in --out while it trains, so that a training
that is cut short has weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.clips_manifest import rows
from training.radio_batches import Batch, Mixer, Ranges
from training.radio_codecs import coded
from training.radio_data import MEETING_LABELS, Meeting, Scene, read_meetings, read_scenes
from training.radio_scores import best_f1, choose_thresholds, decide, f1
from xplain.interfaces import Thresholds
from xplain_zoo.radio import LABELS, RadioConfig, RadioSegmenter

RECIPE = Path(__file__).with_name("radio.json")


@dataclass(frozen=True)
class Recipe:
    """The hyper-parameters: radio.json from drawn weights, radio_tune.json from trained ones."""

    seed: int = 0
    steps: int = 1500
    batch: int = 16
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    average: float = 0.995  # decay of the moving average of the weights
    coded: float = 0.0  # share of the scenes that went through a codec
    weights: tuple[float, ...] = (1.0, 1.5, 1.5, 1.5)  # of the labels in the loss
    model: RadioConfig = field(default_factory=RadioConfig)
    ranges: Ranges = field(default_factory=Ranges)

    @classmethod
    def read(cls, path: Path) -> Recipe:
        """Read hyper-parameters from JSON; what is not said keeps its default."""
        fields = _tuples(json.loads(path.read_text(encoding="utf-8")))
        model = RadioConfig(**_tuples(fields.pop("model", {})))
        ranges = Ranges(**_tuples(fields.pop("ranges", {})))
        return cls(**fields, model=model, ranges=ranges)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, choose thresholds, write weights and record, print what was reached."""
    options = parse(arguments)
    torch.set_num_threads(options.threads)
    recipe = Recipe.read(options.recipe)
    if options.seed is not None:
        recipe = replace(recipe, seed=options.seed)
    if options.steps is not None:
        recipe = replace(recipe, steps=options.steps)
    scenes = [scene for folder in options.scenes for scene in read_scenes(folder)]
    scenes = coded(scenes, recipe.coded, recipe.seed)
    rooms = None if options.rooms is None else load_file(options.rooms)["rooms"]
    meetings = read_meetings(options.meetings) if options.meetings else []
    dev = [scene for folder in options.dev for scene in read_scenes(folder)]
    started = time.monotonic()
    model = begin(options.begin, recipe)
    recipe = replace(recipe, model=model.config)
    keeping = Keeping(dev, options.out, options.every)
    how = (rooms, options.device, options.seconds, options.precision == "bfloat16")
    model = fit(model, scenes, meetings, keeping, recipe, *how)
    logits, labels = judge(model, dev)
    step = model.config.frame_step
    thresholds = decisions(model, logits, labels, meetings)
    model.config = replace(model.config, thresholds=thresholds)
    model.to_folder(options.out)
    decided = torch.cat([decide(clip, thresholds, step) for clip in logits])
    record = {
        "recipe": asdict(recipe),
        "from": options.begin and weights_of(options.begin),
        "scenes": [fingerprint(folder) for folder in (*options.scenes, *options.dev)],
        "meetings": len(meetings),
        "hours": round(sum(len(s.waveform) for s in scenes) / 16000 / 3600, 2),
        "seconds": round(time.monotonic() - started),
        "versions": {"python": platform.python_version(), "torch": torch.__version__},
        "dev_f1": named(f1(decided, torch.cat(labels))),
        "dev_f1_at_half": named(f1(torch.cat(logits) > 0, torch.cat(labels))),
    }
    (options.out / "training.json").write_text(
        json.dumps(record, indent=2) + "\n", encoding="utf-8"
    )
    print(json.dumps(record["dev_f1"]))


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m training.train_radio")
    parser.add_argument("scenes", type=Path, nargs="+", help="folders of scenes to train on")
    parser.add_argument(
        "--dev", type=Path, nargs="+", required=True, help="scenes to choose thresholds on"
    )
    parser.add_argument("--meetings", type=Path, metavar="RTTM", help="recordings lie beside it")
    parser.add_argument("--out", type=Path, required=True, help="folder for weights and record")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="hyper-parameters (JSON)")
    parser.add_argument("--seed", type=int, help="instead of the recipe's")
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--rooms", type=Path, help="responses that training.make_rooms wrote")
    parser.add_argument(
        "--from", dest="begin", type=Path, metavar="DIR", help="weights to go on from"
    )
    parser.add_argument("--every", type=float, default=180.0, help="seconds between looks at --dev")
    parser.add_argument(
        "--precision",
        default="float32",
        choices=("float32", "bfloat16"),
        help="of the network; bfloat16 is faster on CPUs that have it, else several times slower",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seconds", type=float, help="stop then, however many steps are done")
    return parser.parse_args(arguments)


def begin(folder: Path | None, recipe: Recipe) -> RadioSegmenter:
    """The weights in a folder, or else those that the recipe's seed draws."""
    if folder is not None:
        return RadioSegmenter.from_folder(folder)
    torch.manual_seed(recipe.seed)
    return RadioSegmenter(recipe.model)


@dataclass
class Keeping:
    """Keeps the best weights of a training: by the mean of the labels' best F1 on scenes.

    folder: where they are written. every: seconds between looks. score: of those that are there.
    """

    scenes: Sequence[Scene]
    folder: Path
    every: float
    score: float = -1.0

    def look(self, model: RadioSegmenter) -> str:
        """What the scenes say of weights, for the log; they are kept where none were better."""
        logits, labels = judge(model, self.scenes)
        scores = best_f1(torch.cat(logits), torch.cat(labels))
        found = float(scores.mean())
        better = found > self.score
        if better:
            self.score = found
            model.to_folder(self.folder)
        return f"dev {named(scores)}{', kept' if better else ''}"


def fit(
    model: RadioSegmenter,
    scenes: Sequence[Scene],
    meetings: Sequence[Meeting],
    keeping: Keeping,
    recipe: Recipe,
    rooms: Tensor | None = None,
    device: str = "cpu",
    seconds: float | None = None,
    halved: bool = False,
) -> RadioSegmenter:
    """Train from a model's weights; the best ones that were looked at, on the CPU.

    halved: whether the network computes in bfloat16; the weights stay float32. seconds: after which
    it stops, and the learning rate is down; without them after the steps.
    """
    torch.manual_seed(recipe.seed)
    model = model.to(device)
    mixer = Mixer(scenes, meetings, recipe.ranges, recipe.seed, rooms, device)
    moving = get_ema_multi_avg_fn(recipe.average)  # type: ignore[no-untyped-call]
    mean = AveragedModel(model, multi_avg_fn=moving, use_buffers=True)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.steps, pct_start=0.15
    )
    total, count, started = torch.zeros((), device=device), 0, time.monotonic()
    print(f"at the start {keeping.look(model)}", file=sys.stderr, flush=True)
    looked = started
    for step in range(1, recipe.steps + 1):
        model.train()
        loss = loss_of(model, mixer, mixer.batch(recipe.batch), recipe, halved)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        over = 0.0 if seconds is None else (time.monotonic() - started) / seconds
        # The clock moves the learning rate on where it is ahead of the steps.
        while schedule.last_epoch < min(recipe.steps - 1, max(step, int(over * recipe.steps))):
            schedule.step()
        mean.update_parameters(model)
        total, count = total + loss.detach(), count + 1
        last = step == recipe.steps or over >= 1
        if last or time.monotonic() - looked >= keeping.every:
            line = f"step {step}/{recipe.steps} loss {float(total) / count:.4f}"
            line += f" {keeping.look(cast(RadioSegmenter, mean.module))}"
            line += f" ({time.monotonic() - started:.0f} s)"
            print(line, file=sys.stderr, flush=True)
            total, count, looked = torch.zeros((), device=device), 0, time.monotonic()
        if last:
            break
    return RadioSegmenter.from_folder(keeping.folder)


def loss_of(
    model: RadioSegmenter, mixer: Mixer, batch: Batch, recipe: Recipe, halved: bool
) -> Tensor:
    """Cross-entropy of what is known, each label by its weight."""
    with torch.no_grad():
        features = model.bands(mixer.bend(model.bands.power(batch.waveform)))
    with torch.autocast(batch.waveform.device.type, torch.bfloat16, enabled=halved):
        logits = model.decide(features)
    losses = F.binary_cross_entropy_with_logits(logits.float(), batch.labels, reduction="none")
    weights = batch.known * torch.tensor(recipe.weights, device=batch.known.device)
    return (losses * weights).sum() / weights.sum()


@torch.no_grad()
def judge(model: nn.Module, scenes: Sequence[Scene]) -> tuple[list[Tensor], list[Tensor]]:
    """Logits and labels of scenes, each heard whole: (frames, 4) of each."""
    model.eval()
    device = next(model.parameters()).device
    logits = [model(scene.waveform[None].to(device).float() / 2**15)[0].cpu() for scene in scenes]
    return logits, [scene.labels for scene in scenes]


@torch.no_grad()
def decisions(
    model: RadioSegmenter,
    logits: Sequence[Tensor],
    labels: Sequence[Tensor],
    meetings: Sequence[Meeting],
) -> tuple[Thresholds, ...]:
    """Choose when each label is decided, on scenes, and for speech and overlap on meetings too."""
    heard = [model(meeting.waveform[None])[0] for meeting in meetings]
    chosen = []
    for column, name in enumerate(LABELS):
        clips, truth = [clip[:, column] for clip in logits], [clip[:, column] for clip in labels]
        if name in MEETING_LABELS:
            clips += [clip[:, column] for clip in heard]
            truth += [meeting.labels[:, MEETING_LABELS.index(name)] for meeting in meetings]
        chosen.append(choose_thresholds(clips, truth, model.config.frame_step))
    return tuple(chosen)


def named(scores: Tensor) -> dict[str, float]:
    """Label → score, to four places."""
    return {name: round(float(s), 4) for name, s in zip(LABELS, scores, strict=True)}


def weights_of(folder: Path) -> str:
    """Which weights a folder holds, by the hash of their file."""
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


def fingerprint(folder: Path) -> dict[str, Any]:
    """What a folder of scenes was made of, and a hash of its labels' content."""
    digest = hashlib.sha256()
    listed = rows(folder / "manifest.csv", ["labels"])
    for row in listed:
        digest.update((folder / row["labels"]).read_bytes())
    making = json.loads((folder / "scenes.json").read_text(encoding="utf-8"))
    kept = {key: making[key] for key in ("split", "seconds", "seed", "augment")}
    return {**kept, "count": len(listed), "labels_sha256": digest.hexdigest()}


def _tuples(fields: dict[str, Any]) -> dict[str, Any]:
    """Lists, which JSON has, as the tuples that the settings have."""
    return {k: tuple(v) if isinstance(v, list) else v for k, v in fields.items()}


if __name__ == "__main__":
    main()
