"""The tables of a run: what their columns are."""

from __future__ import annotations

from collections.abc import Mapping

import pyarrow as pa

from xplain.selection import Group

CLIPS, TENSORS, SEGMENTS = "clips", "tensors", "segments"
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
EXPLAINED_CLIPS = pa.schema(
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
EXPLAINED_TENSORS = pa.schema(
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
PART = pa.struct([("number", pa.int32()), ("relevance", pa.float64())])
SEGMENTED_CLIPS = pa.schema(
    [
        ("id", pa.string()),
        ("path", pa.string()),
        ("sha256", pa.string()),
        ("seconds", pa.float64()),
        ("meta", TEXTS),
        ("labels", NUMBERS),
        ("warnings", pa.list_(pa.string())),
        ("error", pa.string()),
        ("provenance", pa.string()),
    ]
)
"""Recordings that were segmented, one row for each. labels: seconds of each label."""
SEGMENTED_SEGMENTS = pa.schema(
    [
        ("id", pa.string()),
        ("label", pa.string()),
        ("start", pa.float64()),
        ("end", pa.float64()),
        ("score", pa.float64()),
        ("bands", pa.list_(BAND)),
        ("parts", pa.list_(PART)),
    ]
)
"""Segments, one row for each, by the id of their clip. bands, parts: where asked to explain."""
Schemas = Mapping[str, pa.Schema]
EXPLAINED: Schemas = {CLIPS: EXPLAINED_CLIPS, TENSORS: EXPLAINED_TENSORS}
SEGMENTED: Schemas = {CLIPS: SEGMENTED_CLIPS, SEGMENTS: SEGMENTED_SEGMENTS}
"""Tables of a run of either kind."""
