"""Training of a head: AdamW, early stopping, and a checkpoint after each epoch.

An epoch draws from its own random seed, and the learning rate is a function
of the step. So a checkpoint needs no more than weights, the optimiser's moments and a few
numbers, and a training that goes on from one gives, on one machine's CPU and with as many
threads, the very weights of one that was not interrupted.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from xplain.borrowing import seeded
from xplain.errors import ArtifactError, XplainError
from xplain.progress import say, track
from xplain.storage import write_bytes
from xplain.tensors import read_tensors, to_bytes
from xplain_codecs.fit.emphasis import Emphasis
from xplain_codecs.fit.heads import Head
from xplain_codecs.fit.latents import LatentClip
from xplain_codecs.fit.masking import masked
from xplain_codecs.fit.taught import H, Taught

WARM_UP = 0.1
"""Share of the steps in which the learning rate rises to its full value."""
POOL = 8
"""Batches of clips that are sorted by length together."""
LARGEST_GRADIENT = 1.0
"""Norm to which longer gradients are cut, which a transformer's first steps need."""


@dataclass(frozen=True)
class Training:
    """How a head is trained.

    epochs: at most. patience: epochs without a better one on dev after which it stops.
    batch: clips. smoothing: of the labels. balanced: whether each label counts the same,
    however many clips it has. masking: see masked(); emphasis, reencoded: see Emphasis; shares
    of the clips.
    """

    epochs: int = 20
    patience: int = 6
    batch: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    smoothing: float = 0.1
    balanced: bool = False
    masking: float = 0.0
    emphasis: float = 0.0
    reencoded: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained with; XplainError."""
        for name in ("epochs", "patience", "batch"):
            if getattr(self, name) < 1:
                raise XplainError(f"{name} is at least 1, not {getattr(self, name)}")
        if not 0 < self.learning_rate < math.inf:
            raise XplainError(f"the learning rate is above 0, not {self.learning_rate}")
        if not 0 <= self.weight_decay < math.inf:
            raise XplainError(f"the weight decay is 0 or more, not {self.weight_decay}")
        if not 0 <= self.smoothing < 1:
            raise XplainError(f"smoothing is a share from 0, below 1, not {self.smoothing}")
        for name in ("masking", "emphasis", "reencoded"):
            if not 0 <= getattr(self, name) <= 1:
                raise XplainError(f"{name} is a share from 0 to 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to: mean loss over its clips, and accuracy and loss on dev."""

    loss: float
    dev_accuracy: float
    dev_loss: float


@dataclass
class History:
    """How far a training has come."""

    epochs: list[Epoch] = field(default_factory=list)
    best: int = 0

    def add(self, epoch: Epoch) -> bool:
        """Count an epoch; whether it is the best so far.

        By the loss on dev: of a few hundred clips the accuracy moves in steps, and its highest
        is as much luck as skill.
        """
        self.epochs.append(epoch)
        better = len(self.epochs) == 1 or epoch.dev_loss < self.epochs[self.best].dev_loss
        if better:
            self.best = len(self.epochs) - 1
        return better

    def over(self, training: Training) -> bool:
        """Whether nothing is left to do."""
        done = len(self.epochs)
        return done >= training.epochs or (done > 0 and done - 1 - self.best >= training.patience)


def train(
    head: Head,
    train_clips: Sequence[LatentClip],
    dev_clips: Sequence[LatentClip],
    training: Training,
    checkpoint: Path,
    emphasis: Emphasis | None = None,
    taught: Taught | None = None,
) -> History:
    """Train a head where it is, from ``checkpoint`` on if there is one; leaves the best weights.

    emphasis: edits some of the training clips. For it, and for masking, they have been encoded
    so that they can be edited. taught: gives the logits of changed copies of them instead.

    Raises ArtifactError for a damaged checkpoint, XplainError where the loss is lost.
    """
    learning = [p for p in head.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        learning, lr=training.learning_rate, weight_decay=training.weight_decay
    )
    best = {name: tensor.clone() for name, tensor in head.state_dict().items()}
    history = History()
    if checkpoint.exists():
        history = _restore(checkpoint, head, best, optimiser)
        say(f"going on after epoch {len(history.epochs)}")
    weights = class_weights(train_clips, len(head.out.bias), training.balanced)
    left = _epochs(history, training)
    for number in track(left, training.epochs - len(history.epochs), "training"):
        epoch = _epoch(
            head, train_clips, dev_clips, training, optimiser, weights, number, emphasis, taught
        )
        if history.add(epoch):
            best = {name: tensor.clone() for name, tensor in head.state_dict().items()}
        _save(checkpoint, history, head, best, optimiser)
        say(
            f"epoch {number + 1}: loss {epoch.loss:.4f}, on dev {epoch.dev_loss:.4f}, "
            f"accuracy {epoch.dev_accuracy:.4f}"
        )
    head.load_state_dict(best)
    head.eval()
    return history


def class_weights(clips: Sequence[LatentClip], labels: int, balanced: bool) -> Tensor:
    """Weight (L,) of each label in the loss: 1, or clips / (L · clips of the label)."""
    if not balanced:
        return torch.ones(labels)
    counts = torch.bincount(torch.tensor([c.label for c in clips]), minlength=labels)
    return len(clips) / (labels * counts)


@torch.no_grad()
def logits_of(head: nn.Module, clips: Sequence[LatentClip]) -> Tensor:
    """Logits (clips, L) of each clip by itself, as it is asked when it is explained."""
    home = next(head.parameters()).device
    head.eval()
    return torch.cat([head(clip.read()[None].to(home)).cpu() for clip in clips])


def _epochs(history: History, training: Training) -> Iterator[int]:
    while not history.over(training):
        yield len(history.epochs)


def _epoch(
    head: Head,
    train_clips: Sequence[LatentClip],
    dev_clips: Sequence[LatentClip],
    training: Training,
    optimiser: torch.optim.Optimizer,
    weights: Tensor,
    number: int,
    emphasis: Emphasis | None,
    taught: Taught | None,
) -> Epoch:
    device = head.mean.device
    head.train()
    total = 0.0
    with seeded(_seed(training.seed, number), device):
        batches = by_length(train_clips, training.batch)
        for step, chosen in enumerate(batches):
            done = (number * len(batches) + step) / (training.epochs * len(batches))
            for group in optimiser.param_groups:
                group["lr"] = training.learning_rate * _rate(done)
            loss = _step(head, chosen, training, optimiser, weights.to(device), emphasis, taught)
            total += loss * len(chosen)
    logits = logits_of(head, dev_clips)
    truth = torch.tensor([clip.label for clip in dev_clips])
    dev_loss = float(F.cross_entropy(logits, truth, weights))
    if not math.isfinite(total + dev_loss):
        raise XplainError(
            f"the loss became NaN or infinite in epoch {number + 1}; remove the unfinished folder "
            "and give a smaller --learning-rate"
        )
    return Epoch(
        loss=total / len(train_clips),
        dev_accuracy=float((logits.argmax(-1) == truth).double().mean()),
        dev_loss=dev_loss,
    )


def by_length(clips: Sequence[H], size: int) -> list[list[H]]:
    """Every clip once, in random order, those of similar length together: less padding."""
    shuffled = [clips[place] for place in torch.randperm(len(clips)).tolist()]
    batches: list[list[H]] = []
    for start in range(0, len(shuffled), size * POOL):
        pool = sorted(shuffled[start : start + size * POOL], key=lambda clip: clip.frames)
        batches += [pool[place : place + size] for place in range(0, len(pool), size)]
    return [batches[place] for place in torch.randperm(len(batches)).tolist()]


def _step(
    head: Head,
    clips: Sequence[LatentClip],
    training: Training,
    optimiser: torch.optim.Optimizer,
    weights: Tensor,
    emphasis: Emphasis | None,
    taught: Taught | None,
) -> float:
    device = head.mean.device
    truth = torch.tensor([clip.label for clip in clips], device=device)
    if taught is not None:
        logits = taught.logits(head, clips)
    else:
        latents = pad_sequence([clip.read().T for clip in clips], batch_first=True).mT.to(device)
        lengths = torch.tensor([clip.frames for clip in clips], device=device)
        if training.masking:
            latents = masked(latents, clips, training.masking)
        if emphasis is not None:
            certain = F.one_hot(truth, len(weights)).to(latents)
            latents, truth = emphasis.apply(head, clips, latents, certain)
        logits = head(latents, lengths)
    loss = F.cross_entropy(logits, truth, weights, label_smoothing=training.smoothing)
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(head.parameters(), LARGEST_GRADIENT)
    optimiser.step()
    return float(loss.detach())


def _rate(done: float) -> float:
    """Share of the full learning rate after a share of the training: up, then half a cosine."""
    if done < WARM_UP:
        return (done + 1e-3) / (WARM_UP + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP)))


def _seed(seed: int, epoch: int) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed} {epoch}".encode()).digest()[:4], "big")


def _save(
    path: Path,
    history: History,
    head: Head,
    best: dict[str, Tensor],
    optimiser: torch.optim.Optimizer,
) -> None:
    moments = optimiser.state_dict()["state"]
    tensors = {f"now.{name}": tensor for name, tensor in head.state_dict().items()}
    tensors |= {f"best.{name}": tensor for name, tensor in best.items()}
    for place, values in moments.items():
        tensors |= {f"moments.{place}.{name}": tensor for name, tensor in values.items()}
    # In one file with the tensors, so that neither is ever of another epoch than the other.
    write_bytes(path, to_bytes(tensors, json.dumps(asdict(history))))


def _restore(
    path: Path, head: Head, best: dict[str, Tensor], optimiser: torch.optim.Optimizer
) -> History:
    """Put a checkpoint's tensors in place; ``best`` is filled."""
    try:
        tensors, note = read_tensors(path)
        state = json.loads(note)
        history = History([Epoch(**epoch) for epoch in state["epochs"]], state["best"])
        head.load_state_dict(_part(tensors, "now."))
        best.update(_part(tensors, "best."))
        moments: dict[int, dict[str, Any]] = {}
        for name, tensor in _part(tensors, "moments.").items():
            place, _, key = name.partition(".")
            moments.setdefault(int(place), {})[key] = tensor
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": moments, "param_groups": groups})
    except (ArtifactError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise ArtifactError(
            f"{path} is damaged ({type(error).__name__}: {error}); remove {path.parent} and start "
            "anew"
        ) from error
    return history


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
