"""Training an interpreter on any model: ``fit``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from xplain import ArtifactError, Model, PluginError, Synthesizer, audio
from xplain.borrowing import borrowed, seeded, usable_device
from xplain.errors import one_line
from xplain.progress import track
from xplain.registry import registry
from xplain.score import Route
from xplain.storage import only_writer, write_bytes, write_text
from xplain.tensors import read_tensors, to_bytes
from xplain_interpreters.layers import hidden_layers, outputs
from xplain_interpreters.trained import folder
from xplain_interpreters.trained.interpreter import Interpreter, Training

LAYERS = 4
"""Hidden layers that are read at most, as in L-MAC's paper."""

PREPARED = 8
"""Batches that a dictionary is learnt from."""


def fit(
    kind: type[Interpreter],
    model: Model,
    synthesizer: Synthesizer,
    files: Sequence[Path],
    out: Path,
    training: Training,
    device: str | None = None,
) -> float:
    """Train an interpreter on recordings and write its folder; returns the mean loss at the end.

    An interrupted call resumes: a checkpoint lies in ``out``.partial. Raises PluginError for a
    model that has no gradients, no hidden layers in time or no labels to decide for.
    """
    route = Route(model, synthesizer)
    decides = model.task in ("classification", "multilabel") and not model.frame_step
    if kind.reads_model and (route.broken_at or not decides):
        raise PluginError(
            f"{model.name} cannot have an explainer trained: it takes gradients on the route "
            f"{route.description}, and one decision for a label in each clip"
        )
    home = usable_device(device, model.module)
    record = {
        "kind": kind.kind,
        "model": {"name": model.name, "sha256": model.fingerprint()},
        "synthesizer": registry().describe("synthesizer", synthesizer),
        "files": [str(file.name) for file in files],
        "training": asdict(training),
    }
    partial = out.with_name(f"{out.name}.partial")
    if (standing := folder.standing(out, record)) is not None:
        folder.remove(partial)
        return standing
    with only_writer(partial), borrowed(route, home):
        _claim(partial / "job.json", record)
        pieces = _Pieces(files, synthesizer, training)
        layers = hidden_layers(route, home, LAYERS) if kind.reads_model else []
        heard = torch.cat([pieces.batch(-1 - number) for number in range(PREPARED)]).to(home)
        values = torch.cat([synthesizer.encode(part[None]).values for part in heard])
        sizes = kind.sizes_of(training, values.shape[1], len(model.labels))
        with seeded(training.seed, torch.device("cpu")):
            network = kind(layers, sizes)
        network.prepare(values.cpu(), training.seed)
        network.to(home)
        optimiser = torch.optim.AdamW(network.parameters(), training.learning_rate)
        checkpoint = partial / "checkpoint.safetensors"
        done, losses = _restore(checkpoint, network, optimiser)
        for step in track(range(done, training.steps), training.steps - done, "training"):
            losses.append(_step(step, route, network, optimiser, pieces, training, home))
            if (step + 1) % training.every == 0 and step + 1 < training.steps:
                _save(checkpoint, network, optimiser, losses)
        last = losses[-training.every :]
        folder.write(out, record, network, sum(last) / len(last))
    folder.remove(partial)
    return sum(last) / len(last)


def _step(
    step: int,
    route: Route,
    network: Interpreter,
    optimiser: torch.optim.Optimizer,
    pieces: _Pieces,
    training: Training,
    device: torch.device,
) -> float:
    waveform = pieces.batch(step).to(device)
    latents = route.synthesizer.encode(waveform)
    silence = route.synthesizer.encode(torch.zeros_like(waveform[:1])).values
    names = [layer.name for layer in network.layers]
    with torch.no_grad(), outputs(route.module, names) as hidden:
        reads = network.reads_model
        logits = route(latents.values, latents.context) if reads else torch.zeros(())
    with torch.enable_grad():
        held = {name: tensor.clone() for name, tensor in hidden.items()}
        cost = network.cost(route, held, latents, silence, logits, training)
        optimiser.zero_grad()
        cost.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return float(cost.detach())


class _Pieces:
    """Pieces of recordings, drawn by the seed and the step alone."""

    def __init__(self, files: Sequence[Path], synthesizer: Synthesizer, training: Training) -> None:
        self._files, self._rate = files, synthesizer.sample_rate
        self._training = training
        self._held: dict[int, Tensor] = {}

    def batch(self, step: int) -> Tensor:
        """Waveforms (B, samples); a short recording is filled up with silence."""
        chance = torch.Generator().manual_seed((self._training.seed * 1_000_003 + step) % 2**63)
        samples = round(self._training.seconds * self._rate)
        rows = []
        for _ in range(self._training.batch):
            number = int(torch.randint(len(self._files), (), generator=chance))
            waveform = self._read(number)
            room = max(0, len(waveform) - samples)
            start = int(torch.randint(room + 1, (), generator=chance))
            piece = waveform[start : start + samples]
            rows.append(functional.pad(piece, (0, samples - len(piece))))
        return torch.stack(rows)

    def _read(self, number: int) -> Tensor:
        if number not in self._held:
            read = audio.resample(audio.read(self._files[number]), self._rate)
            self._held[number] = read.waveform
        return self._held[number]


def _claim(note: Path, record: Mapping[str, Any]) -> None:
    """Note what is trained, or make sure that an interrupted call trained the same."""
    text = json.dumps(record, indent=1, default=str) + "\n"
    if not note.exists():
        write_text(note, text)
    elif note.read_bytes() != text.encode():
        raise ArtifactError(
            f"{note.parent} holds an unfinished training of other settings; give the same to go "
            "on, choose another --out, or remove it"
        )


def _save(
    path: Path, network: Interpreter, optimiser: torch.optim.Optimizer, losses: Sequence[float]
) -> None:
    tensors = {f"now.{name}": tensor for name, tensor in network.state_dict().items()}
    for place, moments in optimiser.state_dict()["state"].items():
        tensors |= {f"moments.{place}.{name}": tensor for name, tensor in moments.items()}
    write_bytes(path, to_bytes(tensors, json.dumps({"losses": list(losses)})))


def _restore(
    path: Path, network: Interpreter, optimiser: torch.optim.Optimizer
) -> tuple[int, list[float]]:
    """Put a checkpoint in place, if there is one; steps done, and their losses."""
    if not path.exists():
        return 0, []
    try:
        tensors, note = read_tensors(path)
        losses = [float(value) for value in json.loads(note)["losses"]]
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            if name.startswith("moments."):
                _, place, key = name.split(".", 2)
                state.setdefault(int(place), {})[key] = tensor
        now = {n.removeprefix("now."): t for n, t in tensors.items() if n.startswith("now.")}
        network.load_state_dict(now)
        groups = optimiser.state_dict()["param_groups"]
        optimiser.load_state_dict({"state": state, "param_groups": groups})
    except (ArtifactError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise ArtifactError(
            f"{path} is damaged ({one_line(error)}); remove {path.parent} and start anew"
        ) from error
    return len(losses), losses
