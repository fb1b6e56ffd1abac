"""A teacher, recordings and a dictionary in, a proxy out: ``distil``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from xplain.errors import XplainError, nearest
from xplain_nmf.dictionary.dictionary import Dictionary
from xplain_nmf.training.building import Features, begun, build
from xplain_nmf.training.presets import PRESETS
from xplain_nmf.training.recordings import Recordings, read_recordings
from xplain_nmf.training.teachers import load_teacher
from xplain_nmf.training.training import Settings, train


@dataclass(frozen=True)
class Task:
    """What is distilled.

    teacher: segmenters' names or model references, see :func:`load_teacher`; teacher_params: of a
    registered segmenter. audio, at least one, and evaluation:
    manifests, see :func:`xplain_nmf.training.recordings.read_recordings`; split: of ``audio``.
    dictionary: a folder. begin: or a proxy's, which is trained on, with its dictionary and
    features. labels: of the teacher, none for all. train_dictionary: None for the
    preset's choice. seconds: of each piece of a recording.
    """

    teacher: str | Sequence[str]
    audio: Sequence[Path]
    dictionary: Path | None = None
    begin: Path | None = None
    preset: str = "causal"
    evaluation: Path | None = None
    split: str | None = None
    labels: tuple[str, ...] = ()
    teacher_params: Mapping[str, object] = field(default_factory=dict)
    features: Features = field(default_factory=Features)
    train_dictionary: bool | None = None
    seconds: float = 10.0
    settings: Settings = field(default_factory=Settings)


def distil(task: Task, out: Path, device: str = "cpu") -> dict[str, Any]:
    """Train the proxy that a task asks for and write it to ``out``; see :func:`train`.

    Raises a subclass of XplainError for a teacher, recordings, dictionary or preset with
    which it cannot be done.
    """
    if task.preset not in PRESETS:
        raise XplainError(f"no preset {task.preset!r}; {nearest(task.preset, PRESETS)}")
    preset = PRESETS[task.preset]
    teacher = load_teacher(task.teacher, task.labels or None, task.teacher_params)
    origin: dict[str, Any] = {"preset": task.preset}
    objective = preset.objective
    if task.dictionary is not None and task.begin is None:
        dictionary = Dictionary.load(task.dictionary)
        origin |= {"features": asdict(task.features), "dictionary": dictionary.provenance}
        trained = task.train_dictionary
        changes = {} if trained is None else {"dictionary_trained": trained}
        proxy = build(preset, dictionary, teacher, task.features, task.settings.seed, changes)
    elif task.begin is not None and task.dictionary is None and task.features == Features():
        had = preset.config
        proxy = begun(task.begin, teacher, bool(had.get("gates")), int(had.get("spread", 0)))
        origin["from"] = task.begin.name
        # There is something to be necessary from the first step on.
        objective = replace(objective, start=0.0)
    else:
        raise XplainError(
            "a proxy begins on a dictionary, or goes on from a proxy, with its dictionary and "
            "features; give --dictionary or --from, and --layer and --encoder with the first only"
        )
    several = [read_recordings(m, task.seconds, teacher.labels, task.split) for m in task.audio]
    pieces = [piece for recordings in several for piece in recordings.pieces]
    audio = Recordings(pieces, several[0].seconds, teacher.labels)
    evaluation = None
    if task.evaluation is not None:
        evaluation = read_recordings(task.evaluation, task.seconds, teacher.labels)
    return train(
        proxy,
        objective,
        teacher,
        audio,
        out,
        task.settings,
        evaluation,
        origin,
        device,
        preset.calibrated,
    )
