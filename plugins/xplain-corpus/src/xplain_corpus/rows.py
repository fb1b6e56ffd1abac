"""What is stored of a clip: a row of answers, and a row of tensors or rows of segments."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import soundfile
import torch
from torch import Tensor

from xplain.audio import to_pcm16
from xplain.errors import ArtifactError
from xplain.explanation import Explanation
from xplain.interfaces import Groups
from xplain.segmentation.result import Segmentation
from xplain_corpus.entries import Entry
from xplain_corpus.header import VOLATILE, Precision, Question
from xplain_corpus.tables import CLIPS, RESULT, SEGMENTS, TENSORS, Schemas

ELSEWHERE = ("frequencies", "probabilities", "bands", "groups", "results")
"""Parts of an explanation's record that columns or the header hold."""

Row = dict[str, Any]
Numbers = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Rows:
    """What is stored of a clip: its row of the table clips, and its rows of the other one."""

    clip: Row
    others: Mapping[str, Sequence[Row]] = field(default_factory=dict)


def answered(
    entry: Entry, explanation: Explanation, question: Question, origin: Mapping[str, Any], key: str
) -> Rows:
    """Rows of a clip that was explained.

    origin: the provenance that the run's clips share. key: the run's.
    """
    # As JSON has it: versions and the like are their own kinds of text.
    record = json.loads(json.dumps(explanation.to_dict(question.keep, question.remove)))
    target, verdict = record["target"], record["verdict"] or {}
    own = {
        name: value
        for name, value in record["provenance"].items()
        if name not in VOLATILE and origin.get(name) != value
    }
    rest = {k: v for k, v in record.items() if k not in ELSEWHERE} | {"provenance": own}
    probabilities = record["probabilities"]
    figures = verdict.get("figures") or {}
    clip = {
        "id": entry.id,
        "path": _text(entry.path),
        "sha256": own["audio"]["sha256"],
        "seconds": len(explanation.waveform) / explanation.sample_rate,
        "meta": _texts(entry.meta),
        "target": target["label"],
        "versus": target["versus"],
        "probability": target["probability"],
        "value": target["value"],
        "decision": max(probabilities, key=probabilities.__getitem__, default=None),
        "probabilities": list(probabilities.items()),
        **{
            name: record[name]
            for name in (
                "score",
                "baseline_score",
                "completeness_error",
                "converged",
                "bands",
                "groups",
            )
        },
        "verdict": verdict.get("kind"),
        "reasons": list(map(_text, verdict.get("reasons", ()))),
        "figures": [(k, v) for k, v in figures.items() if isinstance(v, int | float)],
        "results": [{f.name: result.get(f.name) for f in RESULT} for result in record["results"]],
        "warnings": list(map(_text, record["warnings"])),
        "error": None,
        "provenance": key,
        "record": _text(json.dumps(rest, ensure_ascii=False)),
    }
    values = explanation.attribution.detach().cpu().float().numpy()
    tensors = {
        "id": entry.id,
        "shape": list(values.shape),
        **stored(values, question.attribution),
        "groups": None
        if explanation.numbers is None
        else explanation.numbers.cpu().numpy().astype("<i4").tobytes(),
        "audio": flac(explanation.waveform, explanation.sample_rate) if question.audio else None,
    }
    return Rows(clip, {TENSORS: [tensors]})


def segmented(entry: Entry, segmentation: Segmentation, key: str) -> Rows:
    """Rows of a recording that was segmented. key: the run's."""
    held: dict[str, float] = dict.fromkeys(segmentation.labels, 0.0)
    for segment in segmentation.segments:
        held[segment.label] = round(held[segment.label] + segment.end - segment.start, 6)
    clip = {
        "id": entry.id,
        "path": _text(entry.path),
        "sha256": segmentation.provenance["audio"]["sha256"],
        "seconds": segmentation.duration,
        "meta": _texts(entry.meta),
        "labels": list(held.items()),
        "warnings": list(map(_text, segmentation.warnings)),
        "error": None,
        "provenance": key,
    }
    parts = [{"id": entry.id, **asdict(segment)} for segment in segmentation.segments]
    return Rows(clip, {SEGMENTS: parts})


def failed(entry: Entry, error: str, key: str, schemas: Schemas) -> Rows:
    """Row of a clip that could not be done, with the reason."""
    clip = dict.fromkeys(schemas[CLIPS].names) | {
        "id": entry.id,
        "path": _text(entry.path),
        "meta": _texts(entry.meta),
        "error": _text(error),
        "provenance": key,
    }
    return Rows(clip)


def stored(values: Numbers, precision: Precision) -> Row:
    """Store an attribution: the columns dtype, scale and attribution.

    int8 rounds to 127 steps of the largest value on each side; float16 keeps 3 digits.
    """
    largest = float(np.abs(values).max())
    steps = 127 if precision == "int8" else 1
    scale = np.float32(largest / steps) if largest > 0 else np.float32(1)
    scaled = values / scale
    rounded = np.rint(scaled).astype("i1") if precision == "int8" else scaled.astype("<f2")
    return {"dtype": precision, "scale": scale, "attribution": rounded.tobytes()}


def restored(row: Row) -> Tensor:
    """The attribution (D, N) of a row of tensors, float32; ArtifactError for a damaged one."""
    numbers = _array(row, "attribution", {"int8": "i1", "float16": "<f2"}.get(row["dtype"], ""))
    return torch.from_numpy(numbers.astype(np.float32) * np.float32(row["scale"]))


def restored_groups(row: Row, names: Sequence[str] | None) -> Groups | None:
    """The groups of a row of tensors; None where there are none."""
    if row["groups"] is None:
        return None
    numbers = _array(row, "groups", "<i4")
    return Groups(torch.from_numpy(numbers.astype(np.int64)), None if not names else tuple(names))


def flac(waveform: Tensor, rate: int) -> bytes:
    """FLAC of 16 bits of a waveform (samples,)."""
    held = io.BytesIO()
    soundfile.write(held, to_pcm16(waveform)[0], rate, format="FLAC", subtype="PCM_16")
    return held.getvalue()


def tables(rows: Sequence[Rows], schemas: Schemas) -> dict[str, pa.Table]:
    """Tables of rows, by their names; a clip that failed is in that of the clips alone."""
    return {
        name: pa.Table.from_pylist(
            [row.clip for row in rows]
            if name == CLIPS
            else [each for row in rows for each in row.others.get(name, ())],
            schema,
        )
        for name, schema in schemas.items()
    }


def _array(row: Row, name: str, kind: str) -> npt.NDArray[Any]:
    """A row's numbers in its shape."""
    try:
        shape = [int(size) for size in row["shape"]]
        if len(shape) != 2 or min(shape) < 1 or not kind:
            raise ValueError(f"numbers {row['dtype']!r} in a shape of {shape}")
        return np.frombuffer(row[name], kind).reshape(shape)
    except (TypeError, ValueError) as error:
        raise ArtifactError(
            f"the {name} of {row['id']} cannot be read: {error}; the shard is damaged"
        ) from error


def _texts(meta: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(_text(name), _text(value)) for name, value in meta.items()]


def _text(text: str) -> str:
    """A text that UTF-8 can hold: what it cannot is shown as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
