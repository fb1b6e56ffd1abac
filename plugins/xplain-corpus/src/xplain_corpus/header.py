"""run.json: what was asked of every clip of a run; a run holds the answers to one question."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import msgspec

from xplain.errors import ArtifactError, XplainError
from xplain.job import Job, Settings
from xplain.models import load_model
from xplain.storage import write_text
from xplain.validated import decode_json

RUN = "run.json"
SCHEMA = 1
"""Version of the layout; a reader refuses a newer one."""
VOLATILE = ("python", "device")
"""Parts of a provenance that may differ between the machines of one run."""

Precision = Literal["float16", "int8"]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of each clip, and what of the answer is kept.

    model: a reference. settings: of xplain.explain(), as JSON holds them. keep, remove: ratios at
    which the model is asked. check: whether a verdict is computed. attribution: the type that
    attributions are stored as. audio: whether recordings are stored too.
    """

    model: str
    settings: dict[str, Any] = {}
    keep: tuple[float, ...] = (0.1,)
    remove: tuple[float, ...] = (0.1,)
    check: bool = True
    attribution: Precision = "float16"
    audio: bool = False

    def prepare(self, *, trusted: bool = True) -> Job:
        """Load the model and resolve the settings; XplainError where that cannot be."""
        model = load_model(self.model, trusted=trusted)
        return Job.prepare(model, cast(Settings, self.settings))


@dataclass(frozen=True)
class Header:
    """A question, and with what exactly it is answered.

    origin: the provenance that all clips share: the model and its weights, plugins, parameters
    and versions. frequencies: Hz of the channels, where they are frequencies.
    """

    question: Question
    origin: Mapping[str, Any]
    frequencies: tuple[float, ...] | None

    @classmethod
    def of(cls, question: Question, job: Job) -> Header:
        """Make the header of a question whose job is prepared."""
        try:
            json.dumps(msgspec.to_builtins(question), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise XplainError(
                f"the settings of a corpus are names, numbers and texts: {error}"
            ) from error
        frequencies = job.route.synthesizer.frequencies
        return cls(
            question,
            json.loads(json.dumps(dict(job.provenance))),
            None if frequencies is None else tuple(map(float, frequencies)),
        )

    @property
    def key(self) -> str:
        """A hash of what the answers depend on."""
        return hashlib.sha256(json.dumps(self._compared(), sort_keys=True).encode()).hexdigest()

    def write(self, folder: Path) -> None:
        """Write run.json; ArtifactError where that is not possible."""
        held = {
            "schema": SCHEMA,
            "question": msgspec.to_builtins(self.question),
            "origin": dict(self.origin),
            "frequencies": self.frequencies,
        }
        write_text(folder / RUN, json.dumps(held, indent=1) + "\n")

    @classmethod
    def read(cls, folder: Path) -> Header:
        """Read run.json; ArtifactError, in one line, where it cannot be."""
        try:
            held = decode_json(folder / RUN, dict[str, Any])
            if held.get("schema") not in range(1, SCHEMA + 1):
                raise ArtifactError(
                    f"written with schema {held.get('schema')!r}, and this xplain-corpus "
                    f"reads up to {SCHEMA}: upgrade it"
                )
            frequencies = held.get("frequencies")
            return cls(
                msgspec.convert(held.get("question"), Question),
                msgspec.convert(held.get("origin"), dict[str, Any]),
                None if frequencies is None else msgspec.convert(frequencies, tuple[float, ...]),
            )
        except (ArtifactError, msgspec.ValidationError) as error:
            raise ArtifactError(
                f"{folder} is no run of xplain corpus that can be read ({error}); give the "
                "folder that --out named"
            ) from error

    def check_same(self, other: Header, folder: Path) -> None:
        """Refuse a run that asks something else; ArtifactError, with the differences."""
        own, theirs = dict(_leaves(self._compared())), dict(_leaves(other._compared()))
        different = [
            f"{name} is {theirs.get(name)!r} there and {own.get(name)!r} here"
            for name in dict.fromkeys([*theirs, *own])
            if theirs.get(name) != own.get(name)
        ]
        if different:
            more = f" and {len(different) - 4} more" if len(different) > 4 else ""
            raise ArtifactError(
                f"{folder} holds a run that asks something else: {'; '.join(different[:4])}{more}; "
                "ask the same, or choose another folder"
            )

    def _compared(self) -> dict[str, Any]:
        """What has to be the same for answers to belong together."""
        return {
            **cast(dict[str, Any], msgspec.to_builtins(self.question)),
            "origin": {k: v for k, v in self.origin.items() if k not in VOLATILE},
        }


def _leaves(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for key, held in value.items():
            yield from _leaves(held, f"{name}.{key}" if name else key)
    else:
        yield name, list(value) if isinstance(value, tuple) else value
