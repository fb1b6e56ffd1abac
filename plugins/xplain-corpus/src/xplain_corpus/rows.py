"""What is stored of a clip: a row of answers, and a row of tensors."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import soundfile
import torch
from torch import Tensor

from xplain.audio import to_pcm16
from xplain.explanation import Explanation
from xplain.interfaces import Groups
from xplain.selection import Group
from xplain_corpus.entries import Entry
from xplain_corpus.header import Precision, Question

TEXTS = pa.map_(pa.string(), pa.string())
NUMBERS = pa.map_(pa.string(), pa.float64())
BAND = pa.struct([("low", pa.float64()), ("high", pa.float64()), ("share", pa.float64())])
GROUP = pa.struct(
    [(name, pa.float64() if name != "name" else pa.string()) for name in Group.__annotations__]
)
RESULT = pa.struct(
    [
        ("kind", pa.string()),
        ("ratio", pa.float64()),
        ("probability", pa.float64()),
        ("value", pa.float64()),
        ("label", pa.string()),
        ("agrees", pa.bool_()),
    ]
)
CLIPS = pa.schema(
    [
        ("id", pa.string()),
        ("path", pa.string()),
        ("sha256", pa.string()),
        ("seconds", pa.float64()),
        ("meta", TEXTS),
        ("target", pa.string()),
        ("versus", pa.string()),
        ("probability", pa.float64()),
        ("value", pa.float64()),
        ("decision", pa.string()),
        ("probabilities", NUMBERS),
        ("score", pa.float64()),
        ("baseline_score", pa.float64()),
        ("completeness_error", pa.float64()),
        ("converged", pa.bool_()),
        ("verdict", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("figures", NUMBERS),
        ("bands", pa.list_(BAND)),
        ("groups", pa.list_(GROUP)),
        ("results", pa.list_(RESULT)),
        ("warnings", pa.list_(pa.string())),
        ("error", pa.string()),
        ("provenance", pa.string()),
        ("record", pa.string()),
    ]
)
"""Answers, one row for each clip. provenance: the run's key. record: all else that the clip's
explanation.json would hold, as JSON, with the parts of its provenance that are its own."""
TENSORS = pa.schema(
    [
        ("id", pa.string()),
        ("shape", pa.list_(pa.int32())),
        ("dtype", pa.string()),
        ("scale", pa.float32()),
        ("attribution", pa.binary()),
        ("groups", pa.binary()),
        ("audio", pa.binary()),
    ]
)
"""Attributions, one row for each clip that has one: numbers of ``dtype``, little-endian, in rows
of channels, that times ``scale`` are the attribution. groups: the number of each element's group,
32-bit integers, where the groups have names. audio: FLAC of 16 bits, where asked for."""
ELSEWHERE = ("frequencies", "probabilities", "bands", "groups", "results")
"""Parts of an explanation's record that columns or the header hold."""

Row = dict[str, Any]
Numbers = npt.NDArray[np.float32]


def answered(
    entry: Entry, explanation: Explanation, question: Question, origin: Mapping[str, Any], key: str
) -> tuple[Row, Row]:
    """Rows of a clip that was explained.

    origin: the provenance that the run's clips share. key: the run's.
    """
    # As JSON has it: versions and the like are their own kinds of text.
    record = json.loads(json.dumps(explanation.to_dict(question.keep, question.remove)))
    target, verdict = record["target"], record["verdict"] or {}
    own = {k: v for k, v in record["provenance"].items() if origin.get(k) != v}
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
    return clip, tensors


def failed(entry: Entry, error: str, key: str) -> Row:
    """Row of a clip that could not be explained, with the reason."""
    return {name: None for name in CLIPS.names} | {
        "id": entry.id,
        "path": _text(entry.path),
        "meta": _texts(entry.meta),
        "error": _text(error),
        "provenance": key,
    }


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
    """The attribution (D, N) of a row of tensors, float32."""
    kind = {"int8": "i1", "float16": "<f2"}[row["dtype"]]
    numbers = np.frombuffer(row["attribution"], kind).reshape(row["shape"])
    return torch.from_numpy(numbers.astype(np.float32) * np.float32(row["scale"]))


def restored_groups(row: Row, names: Sequence[str] | None) -> Groups | None:
    """The groups of a row of tensors; None where there are none."""
    if row["groups"] is None:
        return None
    numbers = np.frombuffer(row["groups"], "<i4").reshape(row["shape"])
    return Groups(torch.from_numpy(numbers.astype(np.int64)), None if not names else tuple(names))


def flac(waveform: Tensor, rate: int) -> bytes:
    """FLAC of 16 bits of a waveform (samples,)."""
    held = io.BytesIO()
    soundfile.write(held, to_pcm16(waveform)[0], rate, format="FLAC", subtype="PCM_16")
    return held.getvalue()


def tables(rows: Sequence[tuple[Row, Row | None]]) -> tuple[pa.Table, pa.Table]:
    """Tables of clips and of tensors; a clip that failed has no tensors."""
    return (
        pa.Table.from_pylist([clip for clip, _ in rows], CLIPS),
        pa.Table.from_pylist([tensors for _, tensors in rows if tensors is not None], TENSORS),
    )


def _texts(meta: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(_text(name), _text(value)) for name, value in meta.items()]


def _text(text: str) -> str:
    """A text that UTF-8 can hold: what it cannot is shown as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
