"""Training of an in-painter on recordings; an interrupted training resumes."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from xplain import Synthesizer
from xplain.audio import read, resample
from xplain.borrowing import seeded, usable_device
from xplain.errors import ArtifactError, XplainError, one_line
from xplain.progress import track
from xplain.storage import only_writer, write_bytes, write_text
from xplain.tensors import read_tensors, to_bytes
from xplain_codecs.fit.codec_record import Codec
from xplain_codecs.replacements.inpainting import folder
from xplain_codecs.replacements.inpainting.network import MaskedModel

HELD_OUT = 10
"""Of so many recordings one is not trained on, and measured in the end."""


@dataclass(frozen=True)
class Training:
    """How an in-painter is trained.

    frames: of a piece of a recording. width: channels inside. every: steps from one checkpoint to
    the next.
    """

    steps: int = 3000
    batch: int = 16
    frames: int = 50
    width: int = 160
    learning_rate: float = 2e-3
    every: int = 250
    seed: int = 0


def fit(
    codec: Codec,
    synthesizer: Synthesizer,
    files: Sequence[Path],
    out: Path,
    training: Training,
    *,
    device: str | None = None,
    overwrite: bool = False,
) -> dict[str, float]:
    """Train an in-painter and write its folder; what it reaches on recordings held out.

    That is, in nats for an unknown element, the mean negative log-likelihood of the network and
    of one normal distribution for each channel (``plain``). A checkpoint lies in ``out``.partial.
    Raises XplainError for too few recordings.
    """
    if len(files) < 2:
        raise XplainError("an in-painter is trained on two recordings or more")
    partial = out.with_name(f"{out.name}.partial")
    record = {"training": asdict(training), "recordings": len(files)}
    job = {**record, "files": [file.name for file in files], "synthesizer": codec.identity()}
    with only_writer(partial), seeded(training.seed, torch.device("cpu")):
        _claim(partial / "job.json", job)
        clips = [_latents(file, synthesizer) for file in track(files, len(files), "encoding")]
        held = clips[::HELD_OUT]
        clips = [clip for number, clip in enumerate(clips) if number % HELD_OUT] or held
        network = MaskedModel({"channels": codec.channels, "width": training.width})
        joined = torch.cat(clips, dim=1)
        network.mean.copy_(joined.mean(dim=1))
        network.scale.copy_(joined.std(dim=1).clamp_min(1e-6))
        home = usable_device(device, network)
        network.to(home)
        optimiser = torch.optim.AdamW(network.parameters(), training.learning_rate)
        checkpoint = partial / "checkpoint.safetensors"
        done = _restore(checkpoint, network, optimiser)
        for step in track(range(done, training.steps), training.steps - done, "training"):
            values, known = batch(clips, training, step)
            cost = network.loss(values.to(home), known.to(home))
            optimiser.zero_grad()
            cost.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            for group in optimiser.param_groups:
                group["lr"] = training.learning_rate * _rate(step / training.steps)
            optimiser.step()
            if (step + 1) % training.every == 0 and step + 1 < training.steps:
                _save(checkpoint, network, optimiser, step + 1)
        reached = measured(network.eval(), held, training, home)
        folder.write(out, codec, network, {**record, "held_out": reached}, overwrite)
    shutil.rmtree(partial, ignore_errors=True)
    return reached


def _rate(done: float) -> float:
    """Share of the full learning rate after a share of the training: up, then half a cosine."""
    return min(1.0, (done + 1e-3) / 0.1) * 0.5 * (1 + math.cos(math.pi * done))


@torch.no_grad()
def measured(
    network: MaskedModel, clips: Sequence[Tensor], training: Training, device: torch.device
) -> dict[str, float]:
    """Nats of an unknown element in 50 batches, by the network and by one normal a channel."""
    by_network, plain = [], []
    for number in range(50):
        values, known = (part.to(device) for part in batch(clips, training, -1 - number))
        by_network.append(float(network.loss(values, known)))
        x = network.normalised(values)[~known]
        plain.append(
            float(0.5 * x.square().mean()) + 0.5 * torch.log(torch.tensor(2 * torch.pi)).item()
        )
    return {"nats": sum(by_network) / 50, "plain": sum(plain) / 50}


def batch(clips: Sequence[Tensor], training: Training, step: int) -> tuple[Tensor, Tensor]:
    """Pieces (B, D, N) of latents and what is known of them, drawn by the seed and the step."""
    chance = torch.Generator().manual_seed((training.seed * 1_000_003 + step) % 2**63)
    which = torch.randint(len(clips), (training.batch,), generator=chance).tolist()
    frames = min(training.frames, *(clips[number].shape[1] for number in which))
    rows = []
    for number in which:
        room = clips[number].shape[1] - frames
        start = int(torch.randint(room + 1, (), generator=chance))
        rows.append(clips[number][:, start : start + frames])
    values = torch.stack(rows)
    return values, torch.stack([mask(values.shape[1], frames, chance) for _ in rows])


def mask(channels: int, frames: int, chance: torch.Generator) -> Tensor:
    """What is known, bool (D, N): elements, channels, frames or blocks of a share drawn by chance.

    At least one element is not.
    """
    share = float(torch.rand((), generator=chance))
    kind = int(torch.randint(4, (), generator=chance))
    high, wide = ((1, 1), (1, frames), (channels, 1), (8, 4))[kind]
    shape = -(-channels // high), -(-frames // wide)
    cells = torch.rand(shape, generator=chance) < share
    known = cells.repeat_interleave(high, 0).repeat_interleave(wide, 1)[:channels, :frames]
    if bool(known.all()):
        known[:, int(torch.randint(frames, (), generator=chance))] = False
    return known


@torch.no_grad()
def _latents(file: Path, synthesizer: Synthesizer) -> Tensor:
    waveform = resample(read(file), synthesizer.sample_rate).waveform
    return synthesizer.encode(waveform[None]).values[0]


def _claim(note: Path, record: object) -> None:
    """Note what is trained, or make sure that an interrupted call trained the same."""
    text = json.dumps(record, indent=1, default=str) + "\n"
    if not note.exists():
        write_text(note, text)
    elif note.read_bytes() != text.encode():
        raise ArtifactError(
            f"{note.parent} holds an unfinished training of other settings; give the same to go "
            "on, choose another --out, or remove it"
        )


def _save(path: Path, network: nn.Module, optimiser: torch.optim.Optimizer, done: int) -> None:
    tensors = {f"now.{name}": tensor for name, tensor in network.state_dict().items()}
    for place, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"moments.{place}.{name}": tensor for name, tensor in moments.items()}
    write_bytes(path, to_bytes(tensors, json.dumps({"done": done})))


def _restore(path: Path, network: nn.Module, optimiser: torch.optim.Optimizer) -> int:
    """Put a checkpoint in place, if there is one; how many steps are done."""
    if not path.exists():
        return 0
    try:
        tensors, note = read_tensors(path)
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("moments."):
                _, place, key = name.split(".", 2)
                state.setdefault(int(place), {})[key] = tensor
        network.load_state_dict(
            {n.removeprefix("now."): t for n, t in tensors.items() if n.startswith("now.")}
        )
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": state, "param_groups": groups})
        return int(json.loads(note)["done"])
    except (ArtifactError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise ArtifactError(
            f"{path} is damaged ({one_line(error)}); remove {path.parent} and start anew"
        ) from error
