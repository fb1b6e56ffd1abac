"""fit(): from a list of recordings to a classifier on a frozen codec's latents."""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import time
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

import xplain
from xplain import Synthesizer, XplainError, XplainWarning
from xplain.borrowing import seeded
from xplain.errors import ArtifactError, AudioError, ModelError
from xplain.intervals import Interval
from xplain.progress import say, track
from xplain.recording import Recording
from xplain.registry import registry
from xplain.storage import only_writer, write_text
from xplain.validated import decode_json
from xplain_codecs.fit.bands import Bands, BandsSizes
from xplain_codecs.fit.classifier import Config, read_config, read_report, save
from xplain_codecs.fit.codec_record import Codec
from xplain_codecs.fit.emphasis import Emphasis
from xplain_codecs.fit.heads import Head, Sizes, Statistics, head_sizes, make_head, with_positions
from xplain_codecs.fit.latents import Failed, LatentClip, Spectrum, encode, statistics
from xplain_codecs.fit.manifest import PARTS, Entry, check_labels, read_manifest
from xplain_codecs.fit.report import Decisions, Report
from xplain_codecs.fit.taught import Taught, learn_spectra
from xplain_codecs.fit.training import History, Training, by_length, logits_of, train

LONG = 10
"""Seconds that are encoded to count a second's frames."""


@dataclass(frozen=True)
class Task:
    """What is fitted: a head, on the latents of a synthesizer, to the clips of a manifest.

    where: columns of the manifest and the values they must have. split_by: a column of
    which no value is in two of the parts that are made here.
    """

    manifest: Path
    synthesizer: str
    head: str = "transformer"
    synthesizer_params: Mapping[str, Any] = field(default_factory=dict)
    head_params: Mapping[str, Any] = field(default_factory=dict)
    training: Training = field(default_factory=Training)
    where: Mapping[str, str] = field(default_factory=dict)
    split_by: str | None = None


def fit(task: Task, out: Path, *, latents: Path | None = None, device: str = "cpu") -> Report:
    """Encode, train, measure, and write the classifier to ``out``; returns what it reached.

    Until it is whole it lives in ``out`` + ".partial", from where the same call goes on after
    an interruption, to the same weights. latents: a folder in which the encoded clips are kept
    and looked for; else they are removed at the end. A call that was finished gives its report
    again.

    Raises XplainError for a manifest, a setting or a folder with which it cannot be done.
    """
    started = time.monotonic()
    home = _device(device)
    sizes = head_sizes(task.head, task.head_params)
    with torch.device("meta"):  # no memory, no chance
        make_head(with_positions(sizes, 1), 1, 2)  # what cannot be made is refused before the work
    entries = read_manifest(task.manifest, task.where, task.split_by, task.training.seed)
    codec, synthesizer = _codec(task, entries)
    digests = _digests(entries)
    job = _job(task, sizes, codec, entries, digests)
    partial = out.with_name(f"{out.name}.partial")
    done = _standing(out, job)
    taught = isinstance(sizes, BandsSizes)
    if taught and (task.training.emphasis or task.training.masking):
        raise XplainError(
            "the head 'bands' is trained on spectra, of which no element of the latents can be "
            "removed; leave --emphasis and --masking out, or choose another --head"
        )
    if done is not None:
        shutil.rmtree(partial, ignore_errors=True)  # of a call that ended just before it did so
        say(f"{out} is finished already")
        return done
    with only_writer(partial):
        _begin(partial, job)
        clips, failed = encode(
            entries,
            digests,
            codec,
            synthesizer,
            latents or partial / "latents",
            home,
            editable=task.training.emphasis > 0 or task.training.masking > 0,
            spectrum=_spectrum(sizes, codec, synthesizer),
        )
        check_labels([clip.entry for clip in clips], task.manifest)
        parts = {part: [clip for clip in clips if clip.entry.part == part] for part in PARTS}
        sizes = with_positions(sizes, max(clip.frames for clip in parts["train"]))
        labels = tuple(sorted({entry.label for entry in entries}))
        head = _fresh(sizes, codec, labels, parts["train"], task.training.seed).to(home)
        if isinstance(head.network, Bands):
            with seeded(task.training.seed, home):
                learn_spectra(head, parts["train"], by_length, partial / "spectra.safetensors")
            head.network.power.requires_grad_(False)
        emphasis = Emphasis(synthesizer, task.training.emphasis, task.training.reencoded)
        history = train(
            head,
            parts["train"],
            parts["dev"],
            task.training,
            partial / "checkpoint.safetensors",
            emphasis if task.training.emphasis else None,
            Taught(head, parts["train"]) if isinstance(head.network, Bands) else None,
        )
        report = _report(head, labels, parts, history, failed, started)
        record = _record(task, job, parts, report.accuracy)
        save(out, Config(codec, sizes, labels, _digest(job), record), head, report)
        shutil.rmtree(partial, ignore_errors=True)
        return report


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).partition("\n")[0]
        raise XplainError(f"the device {name!r} cannot be used ({first}); give cpu") from error
    return device


def _codec(task: Task, entries: Sequence[Entry]) -> tuple[Codec, Synthesizer]:
    """The synthesizer; one that works at any rate is given the recordings' own."""
    parameters = dict(task.synthesizer_params)
    accepted = registry().parameters("synthesizer", task.synthesizer)
    if "sample_rate" in accepted and "sample_rate" not in parameters:
        parameters["sample_rate"] = _common_rate(entries)
    return Codec.of(task.synthesizer, parameters)


def _common_rate(entries: Sequence[Entry]) -> int:
    rates: set[int] = set()
    for entry in entries:
        # A file that cannot be read is named, with its reason, when it is encoded.
        with suppress(AudioError), warnings.catch_warnings():
            warnings.simplefilter("ignore", XplainWarning)
            rates.add(Recording(entry.file).rate)
    if len(rates) != 1:
        found = ", ".join(map(str, sorted(rates))) or "none that can be read"
        raise XplainError(
            f"the recordings' sample rates are not one ({found}), and this synthesizer works at "
            "any; say at which: --synthesizer-param sample_rate=16000"
        )
    return rates.pop()


def _digests(entries: Sequence[Entry]) -> list[str]:
    """SHA-256 of each file; warns of recordings that are in several parts."""
    digests = [
        hashlib.sha256(entry.file.read_bytes()).hexdigest()
        for entry in track(entries, len(entries), "reading")
    ]
    parts: dict[str, Entry] = {}
    doubled = []
    for entry, digest in zip(entries, digests, strict=True):
        other = parts.setdefault(digest, entry)
        if other.part != entry.part:
            doubled.append(f"{other.name} ({other.part}) is {entry.name} ({entry.part})")
    if doubled:
        warnings.warn(
            f"{len(doubled)} recordings are in more than one part, so that the report flatters: "
            f"{'; '.join(doubled[:3])}",
            XplainWarning,
            stacklevel=3,
        )
    return digests


def _job(
    task: Task, sizes: Sizes, codec: Codec, entries: Sequence[Entry], digests: Sequence[str]
) -> dict[str, Any]:
    """All that decides what weights come out, as JSON holds it."""
    rows = [
        [entry.name, entry.label, entry.part, digest]
        for entry, digest in zip(entries, digests, strict=True)
    ]
    return {
        "head": {"kind": task.head, **asdict(sizes)},
        "synthesizer": codec.identity(),
        "training": asdict(task.training),
        "data": _digest(rows),
    }


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _standing(out: Path, job: Mapping[str, Any]) -> Report | None:
    """What an earlier call has written; ArtifactError where anything else is there."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    try:
        config = read_config(out)
    except ModelError as error:
        raise ArtifactError(
            f"{out} exists, and is no latent classifier that would be replaced; choose another "
            "--out, or remove it"
        ) from error
    if config.job != _digest(job):
        raise ArtifactError(
            f"{out} holds a classifier that was fitted otherwise; choose another --out, or "
            "remove it"
        )
    return read_report(out)


def _begin(partial: Path, job: Mapping[str, Any]) -> None:
    """Note what is being done, or make sure that an unfinished call did the same."""
    note = partial / "job.json"
    if not note.exists():
        write_text(note, json.dumps(job, indent=1) + "\n")
        return
    try:
        before = decode_json(note, dict[str, Any])
    except ArtifactError as error:
        raise ArtifactError(f"{error}; remove {partial} to start anew") from error
    different = [name for name in job if before.get(name) != job[name]]
    if different:
        raise ArtifactError(
            f"{partial} holds an unfinished training of another kind: {', '.join(different)} "
            "differ; give the same settings to go on, choose another --out, or remove it"
        )


def _fresh(
    sizes: Sizes, codec: Codec, labels: Sequence[str], clips: Sequence[LatentClip], seed: int
) -> Head:
    """A head with weights drawn by the seed, which knows how the training clips are scaled."""
    with seeded(seed, torch.device("cpu")):
        head = make_head(sizes, codec.channels, len(labels))
    mean, std = statistics(clips)
    head.mean.copy_(mean)
    head.std.copy_(std)
    if isinstance(head.network, Statistics):
        head.network.measure((clip.read()[None] - mean[:, None]) / std[:, None] for clip in clips)
    return head


def _spectrum(sizes: Sizes, codec: Codec, synthesizer: Synthesizer) -> Spectrum | None:
    """What is kept of the audio's spectrum for the head that learns it."""
    if not isinstance(sizes, BandsSizes):
        return None
    frames = synthesizer.encode(torch.zeros(1, LONG * codec.sample_rate)).values.shape[-1]
    return Spectrum(
        sizes.bands, sizes.parts, round(LONG * codec.sample_rate / frames), sizes.highest
    )


def _report(
    head: Head,
    labels: tuple[str, ...],
    parts: Mapping[str, Sequence[LatentClip]],
    history: History,
    failed: Sequence[Failed],
    started: float,
) -> Report:
    said = logits_of(head, parts["test"]).argmax(-1).tolist()
    decisions = Decisions([clip.label for clip in parts["test"]], said)
    return Report(
        labels=labels,
        accuracy=decisions.accuracy(),
        majority=decisions.majority([clip.label for clip in parts["train"]]),
        recall=decisions.recall(labels),
        confusion=decisions.confusion(len(labels)),
        clips={part: len(clips) for part, clips in parts.items()},
        epochs=len(history.epochs),
        best_epoch=history.best + 1,
        dev_accuracy=history.epochs[history.best].dev_accuracy,
        failed={failure.name: failure.error for failure in failed},
        seconds=round(time.monotonic() - started, 1),
    )


def _record(
    task: Task,
    job: Mapping[str, Any],
    parts: Mapping[str, Sequence[LatentClip]],
    accuracy: Interval,
) -> dict[str, Any]:
    """What config.json says of how the classifier was made."""
    (plugin,) = (p for p in registry().plugins if p.kind == "model" and p.name == "latent")
    return {
        "training": job["training"],
        "data": {
            "sha256": job["data"],
            "manifest": task.manifest.name,
            "where": dict(task.where),
            "split_by": task.split_by,
            "clips": {
                part: dict(sorted(Counter(clip.entry.label for clip in clips).items()))
                for part, clips in parts.items()
            },
        },
        "versions": {
            "xplain": xplain.__version__,
            plugin.distribution: plugin.version,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "accuracy": asdict(accuracy),
    }
