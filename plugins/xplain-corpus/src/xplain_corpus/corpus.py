"""A run that is read: its status, queries over it, and single clips as explanations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import msgspec
from torch import Tensor

from xplain.clips import Failure
from xplain.errors import ArtifactError, XplainError, nearest
from xplain.explaining import compare_each
from xplain.explanation import Explanation
from xplain.interfaces import Attribution, Explainer, Score
from xplain.job import Job
from xplain.verdict import Verdict
from xplain_corpus import rows, store
from xplain_corpus.header import Header

if TYPE_CHECKING:
    import duckdb


@dataclass(frozen=True)
class Status:
    """What a run holds: clips, those of them that failed, shards, and bytes on disk."""

    clips: int
    failed: int
    shards: int
    bytes: int


class Corpus:
    """The folder of a run; it may be read while it is written."""

    def __init__(self, folder: str | Path) -> None:
        """Read run.json; ArtifactError where the folder holds no run."""
        self.folder = Path(folder)
        self.header = Header.read(self.folder)
        self._jobs: dict[str | None, Job] = {}

    def status(self) -> Status:
        """Count what is there."""
        states = list(store.states(self.folder))
        files = [path for kind in (store.CLIPS, store.TENSORS) for path in self._files(kind)]
        return Status(
            clips=len(states),
            failed=sum(error is not None for _, error in states),
            shards=len(store.shards(self.folder)),
            bytes=sum(path.stat().st_size for path in files),
        )

    @property
    def failures(self) -> dict[str, str]:
        """Errors of the clips that failed, by id."""
        found = [(n, error) for n, error in store.states(self.folder) if error is not None]
        return dict(sorted(found))

    def connect(self) -> duckdb.DuckDBPyConnection:
        """Open duckdb with the views ``clips`` and ``tensors``."""
        import duckdb

        connection = duckdb.connect()
        for name, schema in ((store.CLIPS, rows.CLIPS), (store.TENSORS, rows.TENSORS)):
            files = [str(path) for path in self._files(name)]
            if files:
                connection.read_parquet(files).create_view(name)
            else:
                connection.register(name, schema.empty_table())
        return connection

    def query(self, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Ask in SQL, of the tables clips and tensors: names of columns, and rows.

        Raises XplainError for what duckdb does not understand.
        """
        import duckdb

        try:
            with self.connect() as connection:
                answer = connection.execute(sql)
                names = [str(column[0]) for column in answer.description or ()]
                return names, answer.fetchall()
        except duckdb.Error as error:
            raise XplainError(f"the query failed: {' '.join(str(error).split())}") from error

    def row(self, clip: str) -> rows.Row:
        """A clip's row; XplainError where there is none."""
        return self._one(store.CLIPS, clip)

    def attribution(self, clip: str) -> Tensor:
        """A clip's attribution (D, N) as it was stored, float32."""
        row = self.row(clip)
        if row["error"] is not None:
            raise XplainError(f"{clip} failed: {row['error']}")
        return rows.restored(self._one(store.TENSORS, clip))

    def open(self, clip: str, model: str | None = None) -> Explanation:
        """Make a clip's explanation from the store and its recording, which is read now.

        The attribution and the verdict are the stored ones; latents, baseline and audio follow
        from the recording. model: given where the run's is a Python file, which no file may name.
        Raises XplainError where the recording or the model is not the one that was explained.
        """
        attribution, row = self.attribution(clip), self.row(clip)
        job = self.job(model)
        names = [group["name"] for group in row["groups"] or ()]
        groups = rows.restored_groups(self._one(store.TENSORS, clip), names)
        claim = Attribution(attribution, groups)
        stored = Stored(claim, job.explainer.completeness_tolerance)
        (found,) = compare_each([row["path"]], [replace(job, explainer=stored)])
        if isinstance(found, Failure):
            raise found.error
        if found.provenance["audio"]["sha256"] != row["sha256"]:
            raise ArtifactError(f"{row['path']} is not the recording that was explained any more")
        record = msgspec.json.decode(row["record"], type=dict[str, Any])
        kept = {name: row[name] for name in ("completeness_error", "converged")}
        opened = replace(found, warnings=tuple(row["warnings"]), **kept)
        if record["verdict"] is not None:
            opened._checked.append(msgspec.convert(record["verdict"], Verdict))
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
        job = question.prepare(trusted=model is not None)
        Header.of(question, job).check_same(self.header, self.folder)
        return job

    def _files(self, kind: str) -> list[Path]:
        names = [path.name for path in store.shards(self.folder)]
        return [self.folder / kind / name for name in names]

    def _one(self, table: str, clip: str) -> rows.Row:
        with self.connect() as connection:
            found = connection.execute(f"FROM {table} WHERE id = ?", [clip])
            names = [column[0] for column in found.description or ()]
            values = found.fetchone()
            if values is None:
                known = connection.execute(f"SELECT id FROM {table} LIMIT 100000").fetchall()
                hint = nearest(clip, [name for (name,) in known])
                raise XplainError(f"{self.folder} has no clip {clip!r}; {hint}")
        return cast(Mapping[str, Any], dict(zip(names, values, strict=True)))  # type: ignore[return-value]


class Stored(Explainer):
    """Gives an attribution that was computed before."""

    def __init__(self, attribution: Attribution, tolerance: float | None) -> None:
        """Keep an attribution. tolerance: that of the method which computed it."""
        self._attribution, self.completeness_tolerance = attribution, tolerance

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Attribution:
        """Give the attribution."""
        return self._attribution
