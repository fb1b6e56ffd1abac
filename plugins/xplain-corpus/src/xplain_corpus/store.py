"""A run's folder: run.json, and shards of Parquet that are written whole or not at all.

A shard is a lease's clips: tensors/KEY.parquet or segments/KEY.parquet, then clips/KEY.parquet,
which commits them. KEY is a hash of the run and of the clips' ids, so that a lease that is done
twice lands in its own place, with the same bytes.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from xplain.errors import ArtifactError
from xplain_corpus.place import Place
from xplain_corpus.rows import Rows, tables
from xplain_corpus.tables import CLIPS, Schemas

BINARY = ("attribution", "groups", "audio")
"""Columns that are all different: a dictionary of them would only be thrown away."""


def shard_name(key: str, ids: Iterable[str]) -> str:
    """Name of the shard of these clips of a run; key: the run's."""
    digest = hashlib.sha256(key.encode())
    for name in ids:
        digest.update(b"\0" + name.encode())
    return f"{digest.hexdigest()[:32]}.parquet"


def write(place: Place, key: str, rows: Sequence[Rows], schemas: Schemas) -> None:
    """Write a lease's rows as a shard; ArtifactError where that is not possible."""
    name = shard_name(key, [row.clip["id"] for row in rows])
    made = tables(rows, schemas)
    for table in sorted(made, key=lambda table: table == CLIPS):  # that of the clips is the last
        place.write(f"{table}/{name}", _parquet(made[table]))


def shards(place: Place) -> list[str]:
    """Names of the committed shards."""
    return sorted(name for name in place.listed(CLIPS) if name.endswith(".parquet"))


def states(place: Place) -> Iterator[list[tuple[str, str | None]]]:
    """Of each shard the ids of its clips, with their errors; ArtifactError for a damaged one."""
    system, root = place.opened()
    for name in shards(place):
        try:
            read = pq.read_table(
                f"{root}/{CLIPS}/{name}", columns=["id", "error"], filesystem=system
            )
            ids, errors = read["id"].to_pylist(), read["error"].to_pylist()
        except (OSError, KeyError, pa.ArrowException) as error:
            raise ArtifactError(
                f"{place}/{CLIPS}/{name} cannot be read: {error}; remove it, and its clips are "
                "done again"
            ) from error
        yield list(zip(ids, errors, strict=True))


def _parquet(table: pa.Table) -> bytes:
    held = io.BytesIO()
    coded = [name for name in table.column_names if name not in BINARY]
    pq.write_table(table, held, compression="zstd", use_dictionary=coded)
    return held.getvalue()
