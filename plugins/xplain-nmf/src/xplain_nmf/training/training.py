"""Training a proxy on a teacher's answers, with transformers' Trainer: ``train``."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import platform
import shutil
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import transformers
from accelerate import PartialState  # type: ignore[import-untyped]
from safetensors.torch import save
from torch import Tensor
from transformers import EvalPrediction, Trainer, TrainingArguments

import xplain
from xplain.borrowing import seeded
from xplain.errors import ArtifactError, ModelError, XplainError, one_line
from xplain.progress import say, track
from xplain.storage import check_replaceable, only_writer, whole_folder, write_bytes, write_text
from xplain.tensors import read_tensors
from xplain_nmf.model import NmfProxy, ProxyOutput
from xplain_nmf.proxy_folder import save_proxy
from xplain_nmf.spectrum import frame_count
from xplain_nmf.training.calibration import calibrate
from xplain_nmf.training.objectives import Objective
from xplain_nmf.training.recordings import Recordings
from xplain_nmf.training.teachers import Teacher

RECORD = "training.json"
OURS = r"config\.json|model\.safetensors|training\.json"
"""Names of the files in a proxy's folder."""
CHECKPOINT = ("model.safetensors", "optimizer.pt", "scheduler.pt", "rng_state.pth")
"""What a checkpoint holds, but for the state that is written last."""

MOST_HELD = 1 << 30
"""Bytes of what a network that is not trained gives, which are held."""


@dataclass(frozen=True)
class Settings:
    """How long and how fast is trained.

    precision: "float32", or mixed with "bfloat16" or "float16". every: steps between
    evaluations, and between checkpoints.
    """

    steps: int = 2000
    batch: int = 4
    learning_rate: float = 2e-3
    seed: int = 0
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    every: int = 250

    def __post_init__(self) -> None:
        """Refuse what no training can have."""
        if min(self.steps, self.batch, self.every) < 1 or not self.learning_rate > 0:
            raise XplainError("steps, batch, every and learning rate of a training are above 0")


def train(
    proxy: NmfProxy,
    objective: Objective,
    teacher: Teacher,
    audio: Recordings,
    out: Path,
    settings: Settings = Settings(),
    evaluation: Recordings | None = None,
    origin: Mapping[str, Any] | None = None,
    device: str = "cpu",
    calibrated: bool = False,
) -> dict[str, Any]:
    """Train a proxy and write it to ``out``; returns the record that lies beside it.

    Until it is whole it lives in ``out`` + ".partial": the teacher's answers and the last
    checkpoints, from where the same call goes on after an interruption, to the same weights.
    audio: what it learns on; needs no labels. evaluation: what it is measured on meanwhile,
    which decides nothing. calibrated: whether biases are moved at the end, see
    :func:`calibrate`. origin: what else the record is to say, as JSON holds it.

    Raises XplainError for a folder that holds another training, ModelError where training
    breaks down.
    """
    started = time.monotonic()
    partial = out.with_name(f"{out.name}.partial")
    job = _job(proxy, objective, teacher, audio, evaluation, settings, origin or {})
    processes = PartialState(cpu=device == "cpu")
    with contextlib.ExitStack() as held:
        if processes.is_main_process:
            check_replaceable(out, ours=OURS, record=RECORD)
            held.enter_context(only_writer(partial))
        held.enter_context(seeded(settings.seed, torch.device("cpu")))  # Trainer seeds globally
        with processes.main_process_first():
            _claim(partial, job)
            for name, recordings in (("train", audio), ("evaluation", evaluation)):
                if recordings is not None:
                    kept = partial / f"{name}.safetensors"
                    recordings.answer(_answers(teacher, recordings, kept, device))
                    recordings.hold(_frozen(proxy, recordings, device))
        trainer = ProxyTrainer(
            proxy, objective, teacher, audio, evaluation, partial, settings, device
        )
        checkpoint = last_checkpoint(partial / "checkpoints")
        if checkpoint is not None:
            say(f"resuming from {checkpoint.name} in {partial}")
        try:
            if checkpoint is not None:
                _check_log(checkpoint / "trainer_state.json")
            trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        except Exception as error:  # a pickle that holds more than tensors is one: it is not read
            if checkpoint is None or trainer.goes_on or isinstance(error, XplainError):
                raise
            raise ArtifactError(
                f"training cannot go on from {checkpoint} ({one_line(error)}); where that is "
                f"damaged, remove it to go on from the one before, or {partial} to start anew"
            ) from error
        if not all(torch.isfinite(p).all() for p in proxy.parameters()):
            raise ModelError(
                "the training broke down, weights are not finite; lower the learning rate"
            )
        record = {
            **job,
            "bias_shifts": calibrate(proxy, audio) if calibrated else None,
            "minutes": round((time.monotonic() - started) / 60, 1),
            # Less its summary, which after an interruption is of the steps since.
            "log": [e for e in trainer.state.log_history if "train_runtime" not in e],
        }
        if processes.is_main_process:
            _write(proxy, record, out)
            shutil.rmtree(partial)
        processes.wait_for_everyone()
        return record


class ProxyTrainer(Trainer):
    """transformers' Trainer with the terms of an objective, each in its log."""

    def __init__(
        self,
        proxy: NmfProxy,
        objective: Objective,
        teacher: Teacher,
        audio: Recordings,
        evaluation: Recordings | None,
        folder: Path,
        settings: Settings,
        device: str,
    ) -> None:
        """Prepare it; checkpoints go to ``folder``/checkpoints."""
        arguments = TrainingArguments(
            output_dir=str(folder / "checkpoints"),
            max_steps=settings.steps,
            per_device_train_batch_size=settings.batch,
            per_device_eval_batch_size=settings.batch,
            learning_rate=settings.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=settings.steps // 20,
            weight_decay=1e-3,
            logging_steps=max(n for n in range(1, 51) if settings.every % n == 0),
            eval_strategy="no" if evaluation is None else "steps",
            eval_steps=settings.every,
            save_steps=settings.every,
            save_total_limit=2,
            seed=settings.seed,
            bf16=settings.precision == "bfloat16",
            fp16=settings.precision == "float16",
            use_cpu=device == "cpu",
            remove_unused_columns=False,
            label_names=["teacher"] + (["labels"] if _labelled(evaluation) else []),
            report_to=[],
            dataloader_pin_memory=device != "cpu",
        )
        super().__init__(
            model=proxy,
            args=arguments,
            train_dataset=audio,
            eval_dataset=evaluation,
            compute_metrics=lambda prediction: agreement(prediction, proxy.config.labels),
        )
        self._objective = objective
        # A teacher without gradients teaches nothing by segmenting an explanation.
        self._teacher = teacher.to(arguments.device) if teacher.passes_gradients() else None
        self._terms: dict[str, list[float]] = defaultdict(list)
        self.goes_on = False  # whether a checkpoint was written: all of an older one was right

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The sum of the terms; while evaluating, of those that need no decoding."""
        output: ProxyOutput = model(inputs["waveform"], inputs.get("frozen"))
        proxy: NmfProxy = self.accelerator.unwrap_model(model)
        step, training = self.state.global_step, model.training
        hearing = self._teacher if training else None
        # Mixed precision is for the network: the teacher and W H are computed in float32.
        with torch.autocast(self.args.device.type, enabled=False):
            terms = self._objective.terms(
                proxy, output, inputs, hearing, step, step / self.args.max_steps
            )
            loss = torch.stack(list(terms.values())).sum()
        if training:
            for name, value in terms.items():
                self._terms[name].append(float(value.detach()))
        return (loss, {"loss": loss, "logits": output.logits}) if return_outputs else loss

    def _save_checkpoint(self, model: torch.nn.Module, trial: Any) -> None:
        try:
            super()._save_checkpoint(model, trial)
        except Exception as error:
            half = Path(str(self.args.output_dir)) / f"checkpoint-{self.state.global_step}"
            shutil.rmtree(half, ignore_errors=True)
            raise ArtifactError(
                f"{half} cannot be written ({one_line(error)}); free some space on the disk, and "
                "call again to go on"
            ) from OSError(errno.ENOSPC, str(error))  # its writers do not tell the number
        self.goes_on = True

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Trainer's, with the mean of each term since the last."""
        if "loss" in logs:
            logs = {**logs, **{k: round(sum(v) / len(v), 5) for k, v in self._terms.items()}}
            self._terms.clear()
        super().log(logs, start_time)


def agreement(prediction: EvalPrediction, labels: Sequence[str]) -> dict[str, float]:
    """F1 of each label against the teacher's decisions and, where known, the labels."""
    decided = torch.from_numpy(prediction.predictions) > 0
    truths: Any = prediction.label_ids
    teacher, *known = truths if isinstance(truths, tuple | list) else (truths,)
    said = torch.from_numpy(teacher) > 0.5
    found = {f"fidelity_{c}": _share(decided[..., n] == said[..., n]) for n, c in enumerate(labels)}
    found |= {f"f1_teacher_{c}": _f1(said[..., n], decided[..., n]) for n, c in enumerate(labels)}
    for truth in known:
        there = torch.from_numpy(truth) > 0.5
        found |= {f"f1_{c}": _f1(there[..., n], decided[..., n]) for n, c in enumerate(labels)}
    return found


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that is whole; those that an interruption cut short are removed."""
    found = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))
    for path in reversed(found):
        if all((path / name).is_file() for name in (*CHECKPOINT, "trainer_state.json")):
            return path
        shutil.rmtree(path)
    return None


def _check_log(state: Path) -> None:
    """Refuse a log that the record could not hold, which Trainer does not look into; ValueError."""
    log = json.loads(state.read_text("utf-8"))["log_history"]
    if not (isinstance(log, list) and all(isinstance(entry, dict) for entry in log)):
        raise ValueError(f"log_history in {state.name} is no list of tables")


def _f1(truth: Tensor, decided: Tensor) -> float:
    """2 TP / (2 TP + FP + FN); 1 where there is nothing and nothing is decided."""
    count = int(truth.sum()) + int(decided.sum())
    return 1.0 if count == 0 else 2 * int((truth & decided).sum()) / count


def _share(where: Tensor) -> float:
    return float(where.double().mean())


def _labelled(evaluation: Recordings | None) -> bool:
    return evaluation is not None and evaluation.has_labels


def _job(
    proxy: NmfProxy,
    objective: Objective,
    teacher: Teacher,
    audio: Recordings,
    evaluation: Recordings | None,
    settings: Settings,
    origin: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that decides which weights come out."""
    start = hashlib.sha256()
    for name, tensor in sorted(proxy.state_dict().items()):
        start.update(name.encode() + tensor.detach().cpu().contiguous().numpy().tobytes())
    return {
        **origin,
        "teacher": {**teacher.record, "asked": list(teacher.labels)},
        "objective": asdict(objective),
        "settings": asdict(settings),
        "audio": {"pieces": len(audio), "seconds": audio.seconds, "sha256": audio.fingerprint()},
        "evaluation": evaluation
        and {"pieces": len(evaluation), "sha256": evaluation.fingerprint()},
        "stems": audio.has_stems,
        "start": start.hexdigest(),
        "versions": {
            "xplain": xplain.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
    }


def _claim(partial: Path, job: Mapping[str, Any]) -> None:
    """Say in the folder what is trained there, or see that it says the same."""
    text = json.dumps(job, indent=2, default=str) + "\n"
    record = partial / "job.json"
    if not record.exists():
        write_text(record, text)
    elif record.read_bytes() != text.encode():
        raise XplainError(
            f"{partial} holds another training that was interrupted (see {record.name}); give the "
            "same teacher, audio, dictionary and settings to go on with it, or remove the folder"
        )


def _answers(teacher: Teacher, recordings: Recordings, kept: Path, device: str) -> Tensor:
    """The teacher's probabilities of all pieces (pieces, T, L); asked for once."""
    if kept.is_file():
        before = read_tensors(kept, ["teacher"])[0]["teacher"]
        expected = (len(recordings), frame_count(recordings.samples), len(teacher.labels))
        if before.shape != expected:
            raise ArtifactError(
                f"{kept} holds answers {tuple(before.shape)}, not {expected}; remove it, and the "
                "teacher is asked again"
            )
        return before
    answers = []
    place = PartialState(cpu=device == "cpu").device
    teacher.to(place)
    with torch.no_grad():
        for index in track(range(len(recordings)), len(recordings), "asking the teacher"):
            waveform = recordings[index]["waveform"][None].to(place)
            answers.append(teacher(waveform)[0].sigmoid().cpu())
    teacher.cpu()
    found = torch.stack(answers)
    if not torch.isfinite(found).all():
        raise ModelError("the teacher gave probabilities that are NaN; it cannot be learned from")
    write_bytes(kept, save({"teacher": found}))
    return found


@torch.no_grad()
def _frozen(proxy: NmfProxy, recordings: Recordings, device: str) -> Tensor | None:
    """What the proxy reads of a network that is not trained, (pieces, channels, T) in float16.

    It is asked once and not in every step, of which it would be most. None where the proxy reads
    none, or where that takes more memory than ``MOST_HELD``.
    """
    place = PartialState(cpu=device == "cpu").device
    held: Tensor | None = None
    for index in range(len(recordings)):
        given = proxy.to(place).frozen(recordings[index]["waveform"][None].to(place))
        if given is None or 2 * len(recordings) * given.numel() > MOST_HELD:
            return None
        if held is None:
            held = given.new_empty((len(recordings), *given.shape[1:]), dtype=torch.float16).cpu()
        held[index] = given[0]
    return held


def _write(proxy: NmfProxy, record: Mapping[str, Any], out: Path) -> None:
    """Write weights, configuration and record, whole or not at all."""
    with whole_folder(out, ours=OURS, record=RECORD) as draft:
        save_proxy(proxy, draft)
        text = json.dumps(record, indent=2, default=str)
        (draft / RECORD).write_text(text + "\n", encoding="utf-8")
