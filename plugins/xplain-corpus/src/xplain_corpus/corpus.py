"""A run that is read: its status, queries over it, and single clips as explanations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
import pyarrow as pa
import pyarrow.dataset as pads
from torch import Tensor

from xplain import audio
from xplain.clips import Failure
from xplain.errors import ArtifactError, XplainError, nearest
from xplain.explaining import compare_each
from xplain.explanation import Explanation
from xplain.interfaces import Attribution, Explainer, Score
from xplain.job import Job
from xplain.segmentation.segment import Segment
from xplain.verdict import Verdict
from xplain_corpus import drivers, rows, store
from xplain_corpus.entries import entries, leases
from xplain_corpus.header import Header
from xplain_corpus.place import Place
from xplain_corpus.tables import CLIPS, SEGMENTS, TENSORS

if TYPE_CHECKING:
    import duckdb


KNOWN = 100_000
"""Ids among which the nearest to one that is not there is looked for."""
SAFE: Mapping[str, str | bool | int | float | list[str]] = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "python_enable_replacements": "false",
    "lock_configuration": "true",
}
"""Settings of duckdb by which a query reads the tables it is given, and nothing else."""


@dataclass(frozen=True)
class PartStatus:
    """How far a part of a run is: part ``number`` of ``count``, with the clips that are left.

    running: whether a process is doing it now.
    """

    number: int
    count: int
    clips: int
    left: int
    running: bool


@dataclass(frozen=True)
class Status:
    """What a run holds, and what is missing.

    clips, failed: done, and of these failed. shards, bytes: on disk. missing: clips of the source
    that are not done; None where the source cannot be listed any more. parts: of those that were
    begun.
    """

    clips: int
    failed: int
    shards: int
    bytes: int
    missing: int | None
    parts: tuple[PartStatus, ...]


class Corpus:
    """The folder of a run; it may be read while it is written."""

    def __init__(self, folder: str | Path | Place) -> None:
        """Read run.json; ArtifactError where the folder holds no run."""
        self.place = Place.of(folder)
        self.header = Header.read(self.place)
        self._jobs: dict[str | None, Job] = {}

    def status(self) -> Status:
        """Count what is there, and what is missing."""
        states = {name: error for shard in store.states(self.place) for name, error in shard}
        sizes = [self.place.listed(table) for table in self.header.question.schemas]
        begun = drivers.parts(self.place)
        try:
            listed = entries(Path(begun[0][0].source)) if begun else None
        except XplainError:
            listed = None
        parts = []
        for part, running in begun:
            own = leases(listed or (), (), part.lease, part.number, part.count)
            ids = [entry.id for lease in own for entry in lease]
            left = sum(name not in states for name in ids)
            parts.append(PartStatus(part.number, part.count, len(ids), left, running))
        return Status(
            clips=len(states),
            failed=sum(error is not None for error in states.values()),
            shards=len(store.shards(self.place)),
            bytes=sum(size or 0 for each in sizes for size in each.values()),
            missing=None if listed is None else sum(e.id not in states for e in listed),
            parts=() if listed is None else tuple(parts),
        )

    @property
    def failures(self) -> dict[str, str]:
        """Errors of the clips that failed, by id."""
        found = [each for shard in store.states(self.place) for each in shard]
        return dict(sorted((name, error) for name, error in found if error is not None))

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Open duckdb with the run's tables as views; it reads no files and no other table."""
        import duckdb

        connection = duckdb.connect(config=dict(SAFE))
        for name, schema in self.header.question.schemas.items():
            connection.register(name, self.dataset(name) or schema.empty_table())
        return connection

    def dataset(self, table: str) -> pads.Dataset | None:
        """A table of the run for pyarrow; None where nothing is committed yet."""
        system, root = self.place.opened()
        names = [f"{root}/{table}/{name}" for name in store.shards(self.place)]
        schema = self.header.question.schemas[table]
        return pads.dataset(names, schema, "parquet", system) if names else None

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Ask in SQL, of the run's tables alone: names of columns, and rows.

        Raises XplainError for what duckdb does not understand or what it may not read.
        """
        import duckdb

        try:
            with self.connect() as connection:
                answer = connection.execute(sql)
                names = [str(column[0]) for column in answer.description or ()]
                return names, answer.fetchall()
        except (duckdb.Error, OSError, pa.ArrowException) as error:
            reason = " ".join(str(error).split())
            if isinstance(error, duckdb.PermissionException):
                reason = f"it may read the tables of the run, and no other file ({reason})"
            raise XplainError(f"the query failed: {reason}") from error

    def row(self, clip: str) -> rows.Row:
        """A clip's row; XplainError where there is none."""
        return self._one(CLIPS, clip)

    def attribution(self, clip: str) -> Tensor:
        """A clip's attribution (D, N) as it was stored, float32."""
        self._check_explained()
        row = self.row(clip)
        if row["error"] is not None:
            raise XplainError(f"{clip} failed: {row['error']}")
        return rows.restored(self._one(TENSORS, clip))

    def segments(self, clip: str) -> tuple[Segment, ...]:
        """A clip's segments, by their start; XplainError for a run that holds explanations."""
        if not self.header.question.segments:
            raise XplainError(f"{self.place} holds explanations, and no segments")
        self.row(clip)
        data = self.dataset(SEGMENTS)
        assert data is not None
        found = data.to_table(filter=pads.field("id") == clip).drop_columns("id").to_pylist()
        return msgspec.convert(found, tuple[Segment, ...])

    def audio(self, clip: str) -> bytes:
        """A clip's recording as FLAC: what is stored, else made of the file, which is read now.

        Raises XplainError where the file is not the one that was explained.
        """
        row = self.row(clip)
        if not self.header.question.segments and row["error"] is None:
            stored = self._one(TENSORS, clip)["audio"]
            if stored is not None:
                return bytes(stored)
        found = audio.read(row["path"])
        self._check_recording(row, found.source["sha256"])
        return rows.flac(found.waveform, found.sample_rate)

    def _check_recording(self, row: rows.Row, sha256: object) -> None:
        if sha256 != row["sha256"]:
            raise ArtifactError(f"{row['path']} is not the recording that was explained any more")

    def chosen(self, where: str | None = None) -> list[str]:
        """Ids of the clips that did not fail and meet a condition in SQL."""
        condition = f"error IS NULL AND ({where or 'true'})"
        found = self.query(f"SELECT id FROM clips WHERE {condition} ORDER BY id")[1]
        return [name for (name,) in found]

    def open(self, clip: str, model: str | None = None) -> Explanation:
        """Make a clip's explanation from the store and its recording, which is read now.

        The attribution and the verdict are the stored ones; latents, baseline and audio follow
        from the recording. model: given where the run's is a Python file, which no file may name.
        Raises XplainError where the recording or the model is not the one that was explained.
        """
        attribution, row = self.attribution(clip), self.row(clip)
        job = self.job(model)
        names = [group["name"] for group in row["groups"] or ()]
        groups = rows.restored_groups(self._one(TENSORS, clip), names)
        claim = Attribution(attribution, groups)
        stored = Stored(claim, job.explainer.completeness_tolerance)
        (found,) = compare_each([row["path"]], [replace(job, explainer=stored)])
        if isinstance(found, Failure):
            raise found.error
        self._check_recording(row, found.provenance["audio"]["sha256"])
        try:
            verdict = msgspec.json.decode(row["record"], type=_Record).verdict
        except (msgspec.DecodeError, RecursionError) as error:
            raise ArtifactError(f"the record of {clip} is damaged: {error}") from error
        kept = {name: row[name] for name in ("completeness_error", "converged")}
        opened = replace(found, warnings=tuple(row["warnings"]), **kept)
        if verdict is not None:
            opened._checked.append(verdict)
        return opened

    def job(self, model: str | None = None) -> Job:
        """Load the model and the methods that the run was made with.

        model: see open(). Raises XplainError where they are not the same any more.
        """
        if model not in self._jobs:
            self._jobs[model] = self._prepare(model)
        return self._jobs[model]

    def _prepare(self, model: str | None) -> Job:
        question = self.header.question
        if model is not None:
            question = msgspec.structs.replace(question, model=model)
        self._check_explained()
        job = question.prepare(trusted=model is not None)
        assert isinstance(job, Job)
        Header.of(question, job).check_same(self.header, self.place)
        return job

    def _check_explained(self) -> None:
        if self.header.question.segments:
            raise XplainError(
                f"{self.place} holds segments, and this needs explanations; ask its table "
                "segments in SQL, export it, or explain the recordings: xplain corpus run --model"
            )

    def _one(self, table: str, clip: str) -> rows.Row:
        data = self.dataset(table)
        found = None if data is None else data.filter(pads.field("id") == clip).head(1).to_pylist()
        if found:
            return cast(rows.Row, found[0])
        known = [] if data is None else data.head(KNOWN, columns=["id"])["id"].to_pylist()
        raise XplainError(f"{self.place} has no clip {clip!r}; {nearest(clip, known)}")


class _Record(msgspec.Struct):
    """What is taken from a clip's record."""

    verdict: Verdict | None


class Stored(Explainer):
    """Gives an attribution that was computed before."""

    def __init__(self, attribution: Attribution, tolerance: float | None) -> None:
        """Keep an attribution. tolerance: that of the method which computed it."""
        self._attribution, self.completeness_tolerance = attribution, tolerance

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Attribution:
        """Give the attribution."""
        return self._attribution
