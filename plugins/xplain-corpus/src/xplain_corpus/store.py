"""A run's folder: run.json, and shards of Parquet that are written whole or not at all.

A shard is a lease's clips: tensors/KEY.parquet, then clips/KEY.parquet, which commits them. KEY
is a hash of the run and of the clips' ids, so that a lease that is done twice lands in its own
place, with the same bytes.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from xplain.errors import ArtifactError
from xplain.storage import write_bytes
from xplain_corpus.rows import Row, tables

CLIPS, TENSORS = "clips", "tensors"


def shard_name(key: str, ids: Iterable[str]) -> str:
    """Name of the shard of these clips of a run; key: the run's."""
    digest = hashlib.sha256(key.encode())
    for name in ids:
        digest.update(b"\0" + name.encode())
    return f"{digest.hexdigest()[:32]}.parquet"


def write(folder: Path, key: str, rows: Sequence[tuple[Row, Row | None]]) -> None:
    """Write a lease's rows as a shard; ArtifactError where that is not possible."""
    name = shard_name(key, [clip["id"] for clip, _ in rows])
    clips, tensors = tables(rows)
    write_bytes(folder / TENSORS / name, _parquet(tensors))
    write_bytes(folder / CLIPS / name, _parquet(clips))


def shards(folder: Path) -> list[Path]:
    """The committed shards' tables of clips."""
    return sorted((folder / CLIPS).glob("*.parquet"))


def states(folder: Path) -> Iterator[tuple[str, str | None]]:
    """Give the id of each clip that is done, and its error; ArtifactError for a damaged shard."""
    for path in shards(folder):
        try:
            read = pq.read_table(path, columns=["id", "error"])
        except (OSError, pa.ArrowInvalid) as error:
            raise ArtifactError(
                f"{path} cannot be read: {error}; remove it, and its clips are done again"
            ) from error
        yield from zip(read["id"].to_pylist(), read["error"].to_pylist(), strict=True)


def _parquet(table: pa.Table) -> bytes:
    held = io.BytesIO()
    # Attributions are all different: a dictionary of them would only be thrown away.
    coded = [name for name in table.column_names if name not in ("attribution", "groups", "audio")]
    pq.write_table(table, held, compression="zstd", use_dictionary=coded)
    return held.getvalue()
