"""Runs as other tools read them: tar files of WebDataset, a data set of Hugging Face."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from xplain.clips import Failure, guarded
from xplain.storage import whole_folder, write_text
from xplain_corpus.corpus import Corpus
from xplain_corpus.tables import CLIPS

SAMPLES = 1000
"""Clips of a tar file."""
ROWS = 200
"""Clips of a Parquet file: some tens of megabytes, with recordings of ten seconds."""
README = "README.md"
LONG = ("provenance", "record")
"""Columns that hold what a reader of a data set does not ask for."""


def webdataset(
    corpus: Corpus, ids: Sequence[str], folder: Path, failures: list[Failure]
) -> list[Path]:
    """Write tar files of samples, by https://github.com/webdataset/webdataset.

    A sample is NUMBER.json (its row), NUMBER.flac (the recording), and NUMBER.npy (the
    attribution (D, N), float32) or the segments in the JSON. A clip that cannot be read is
    appended to ``failures``, and the others are written.
    """
    with whole_folder(folder, ours=r"\d{6}\.tar", record="000000.tar") as draft:
        for number, some in enumerate(_batches(_samples(corpus, ids, failures), SAMPLES)):
            with tarfile.open(draft / f"{number:06}.tar", "w") as tar:
                for place, sample in enumerate(some):
                    key = f"{number * SAMPLES + place:09}"
                    for ending, data in _files(sample).items():
                        member = tarfile.TarInfo(f"{key}.{ending}")  # of time 0 and no owner
                        member.size = len(data)
                        tar.addfile(member, io.BytesIO(data))
    return sorted(folder.glob("*.tar"))


def dataset(corpus: Corpus, ids: Sequence[str], folder: Path, failures: list[Failure]) -> Path:
    """Write a folder that ``datasets.load_dataset(folder)`` reads: Parquet files and a card.

    Columns are those of the clips, with ``audio``, and ``attribution`` (D, N) or ``segments``;
    maps are JSON. A clip that cannot be read is appended to ``failures``.
    """
    with whole_folder(folder, ours=rf"data|{README}", record=README) as draft:
        (draft / "data").mkdir()
        for number, some in enumerate(_batches(_samples(corpus, ids, failures), ROWS)):
            for sample in some:
                if "attribution" in sample:
                    sample["attribution"] = list(sample["attribution"])
            table = pa.Table.from_pylist(some, _schema(corpus))
            pq.write_table(table, draft / "data" / f"clips-{number:05}.parquet", compression="zstd")
        write_text(draft / README, _card(corpus))
    return folder


def _samples(
    corpus: Corpus, ids: Iterable[str], failures: list[Failure]
) -> Iterator[dict[str, Any]]:
    for name in ids:
        made, _ = guarded(name, partial(_sample, corpus, name))
        if isinstance(made, Failure):
            failures.append(made)
        else:
            yield made


def _sample(corpus: Corpus, name: str) -> dict[str, Any]:
    row = corpus.row(name)
    sample = {key: value for key, value in row.items() if key not in LONG}
    for field in corpus.header.question.schemas[CLIPS]:
        if pa.types.is_map(field.type):
            sample[field.name] = json.dumps(dict(row[field.name] or ()), ensure_ascii=False)
    sample["audio"] = {"bytes": corpus.audio(name), "path": f"{Path(row['path']).stem}.flac"}
    if corpus.header.question.segments:
        sample["segments"] = [asdict(segment) for segment in corpus.segments(name)]
    else:
        sample["attribution"] = corpus.attribution(name).numpy()
    return sample


def _files(sample: dict[str, Any]) -> dict[str, bytes]:
    """A sample's files by their endings."""
    told = {k: v for k, v in sample.items() if k not in ("audio", "attribution")}
    files = {"json": json.dumps(told, ensure_ascii=False).encode()}
    files["flac"] = sample["audio"]["bytes"]
    if "attribution" in sample:
        held = io.BytesIO()
        np.save(held, sample["attribution"])
        files["npy"] = held.getvalue()
    return files


def _schema(corpus: Corpus) -> pa.Schema:
    """Columns of the data set, with what ``datasets`` has to know of them."""
    schemas = corpus.header.question.schemas
    fields = [
        pa.field(f.name, pa.string() if pa.types.is_map(f.type) else f.type)
        for f in schemas[CLIPS]
        if f.name not in LONG
    ]
    sound = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    fields.append(pa.field("audio", sound))
    if corpus.header.question.segments:
        own = [f for f in schemas["segments"] if f.name != "id"]
        fields.append(pa.field("segments", pa.list_(pa.struct(own))))
    else:
        fields.append(pa.field("attribution", pa.list_(pa.list_(pa.float32()))))
    features = {f.name: _feature(f.type) for f in fields} | {"audio": {"_type": "Audio"}}
    info = json.dumps({"info": {"features": features}})
    return pa.schema(fields, metadata={"huggingface": info})


def _feature(kind: pa.DataType) -> Any:
    """A type as ``datasets`` writes its features as JSON."""
    if pa.types.is_list(kind):
        return {"feature": _feature(kind.value_type), "_type": "List"}
    if pa.types.is_struct(kind):
        return {field.name: _feature(field.type) for field in kind.fields}
    names = {"double": "float64", "float": "float32"}
    return {"dtype": names.get(str(kind), str(kind)), "_type": "Value"}


def _card(corpus: Corpus) -> str:
    """The data set's card: where its files are, and what answered which question."""
    question = corpus.header.question
    how = "segments" if question.segments else corpus.header.origin["explainer"]["name"]
    return (
        "---\nconfigs:\n- config_name: default\n  data_files:\n  - split: train\n"
        "    path: data/*.parquet\n---\n\n"
        f"Answers of {question.model} ({how}), by xplain corpus. Run {corpus.header.key}.\n"
    )


def _batches(samples: Iterator[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    held: list[dict[str, Any]] = []
    for sample in samples:
        held.append(sample)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held
