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
from xplain.models import follow, load_model
from xplain.parameters import Text
from xplain.segmentation.segmenting import SegmentJob, SegmentSettings
from xplain.targets import SimilarTo
from xplain_corpus.place import Place
from xplain_corpus.tables import EXPLAINED, SEGMENTED, Schemas

RUN = "run.json"
SCHEMA = 1
"""Version of the layout; a reader refuses a newer one."""
VOLATILE = ("python", "device", "memory", "max_batch")
"""Parts of a provenance that may differ between the machines of one run."""

Precision = Literal["float16", "int8"]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of each clip, and what of the answer is kept.

    model: a reference, of a segmenter where ``segments``. settings: of xplain.explain() or
    xplain.segment(), as JSON holds them. similar_to: recordings that are the target, if any.
    keep, remove: ratios at which the model is asked. check: whether a verdict is computed.
    attribution: the type that attributions are stored as. audio: whether recordings are stored
    too.
    """

    model: str
    segments: bool = False
    settings: dict[str, Any] = {}
    similar_to: tuple[str, ...] = ()
    keep: tuple[float, ...] = (0.1,)
    remove: tuple[float, ...] = (0.1,)
    check: bool = True
    attribution: Precision = "float16"
    audio: bool = False

    @property
    def schemas(self) -> Schemas:
        """The tables that hold the answers."""
        return SEGMENTED if self.segments else EXPLAINED

    def prepare(self, *, trusted: bool = True) -> Job | SegmentJob:
        """Load the model and resolve the settings; XplainError where that cannot be."""
        settings = {
            name: _as_typed(value) if name.endswith("params") else value
            for name, value in self.settings.items()
        }
        if self.segments:
            found = follow(self.model, trusted=trusted) if ":" in self.model else self.model
            return SegmentJob.prepare(found, cast(SegmentSettings, settings))
        model = load_model(self.model, trusted=trusted)
        if self.similar_to:
            settings["target"] = SimilarTo(list(self.similar_to))
        return Job.prepare(model, cast(Settings, settings))


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
    def of(cls, question: Question, job: Job | SegmentJob) -> Header:
        """Make the header of a question whose job is prepared."""
        try:
            json.dumps(msgspec.to_builtins(question), allow_nan=False)
        except (TypeError, ValueError) as error:
            raise XplainError(
                f"the settings of a corpus are names, numbers and texts: {error}"
            ) from error
        frequencies = job.route.synthesizer.frequencies if isinstance(job, Job) else None
        origin = json.loads(json.dumps(dict(job.provenance)))
        if question.similar_to:
            files = {name: Path(name).read_bytes() for name in question.similar_to}
            origin["similar_to"] = {
                n: hashlib.sha256(data).hexdigest() for n, data in files.items()
            }
        return cls(
            question,
            origin,
            None if frequencies is None else tuple(map(float, frequencies)),
        )

    @property
    def key(self) -> str:
        """A hash of what the answers depend on."""
        return hashlib.sha256(json.dumps(self._compared(), sort_keys=True).encode()).hexdigest()

    def write(self, place: Place) -> None:
        """Write run.json; ArtifactError where that is not possible."""
        held = {
            "schema": SCHEMA,
            "question": msgspec.to_builtins(self.question),
            "origin": dict(self.origin),
            "frequencies": self.frequencies,
        }
        place.write(RUN, (json.dumps(held, indent=1) + "\n").encode())

    @classmethod
    def read(cls, place: Place) -> Header:
        """Read run.json; ArtifactError, in one line, where it cannot be."""
        try:
            held = msgspec.json.decode(place.read(RUN), type=dict[str, Any])
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
        except (ArtifactError, OSError, msgspec.DecodeError, RecursionError) as error:
            raise ArtifactError(
                f"{place} is no run of xplain corpus that can be read ({error}); give the "
                "folder that --out named"
            ) from error

    def check_same(self, other: Header, place: Place) -> None:
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
                f"{place} holds a run that asks something else: {'; '.join(different[:4])}{more}; "
                "ask the same, or choose another folder"
            )

    def _compared(self) -> dict[str, Any]:
        """What has to be the same for answers to belong together."""
        return {
            **cast(dict[str, Any], msgspec.to_builtins(self.question)),
            "origin": {k: v for k, v in self.origin.items() if k not in VOLATILE},
        }


def _as_typed(params: Mapping[str, object]) -> dict[str, object]:
    """Parameters whose texts were typed: what is made with them gives them their types."""
    return {name: Text(v) if isinstance(v, str) else v for name, v in params.items()}


def _leaves(value: object, name: str = "") -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for key, held in value.items():
            yield from _leaves(held, f"{name}.{key}" if name else key)
    else:
        yield name, list(value) if isinstance(value, tuple) else value
