"""The result of segment(): which label holds when, how sure that is, and why."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec
import numpy as np
import torch
from torch import Tensor

from xplain.errors import ArtifactError
from xplain.interfaces import Thresholds
from xplain.segmentation import formats
from xplain.segmentation.segment import Segment
from xplain.storage import write_text
from xplain.validated import convert, decode_json
from xplain.views import Viewable

if TYPE_CHECKING:
    from pandas import DataFrame
    from pyannote.core import Annotation

SCHEMA = 1
"""Version of the JSON file; a reader refuses a newer one."""
LARGEST = 2**30
"""Bytes of the JSON file: days of frames."""
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True, eq=False, repr=False)
class Segmentation(Viewable):
    """Which label holds when in one recording.

    frames: (T, L) float32, the probability of each label in each frame, of which frame t
    stands for frame_step · t to frame_step · (t + 1) seconds. duration: seconds.
    thresholds: of every label, by which frames became segments. segments: by their start.
    provenance: where everything came from. warnings: what has to be known about the result.
    """

    name: str
    frames: Tensor
    labels: tuple[str, ...]
    frame_step: float
    duration: float
    thresholds: Mapping[str, Thresholds]
    segments: tuple[Segment, ...]
    provenance: Mapping[str, Any]
    warnings: tuple[str, ...] = ()
    page: ClassVar[str] = "xplain.report.segments:notebook"
    figure: ClassVar[str] = "xplain.report.plots:segmentation_figure"

    @property
    def annotation(self) -> Annotation:
        """The segments for pyannote: each label on a track of its own, so that they overlap."""
        from pyannote.core import Annotation
        from pyannote.core import Segment as Span

        annotation = Annotation(uri=self.name)
        for segment in self.segments:
            annotation[Span(segment.start, segment.end), segment.label] = segment.label
        return annotation

    def to_dataframe(self) -> DataFrame:
        """The segments: label, start and end in seconds, score."""
        from pandas import DataFrame

        columns = ["label", "start", "end", "score"]
        return DataFrame([[getattr(s, c) for c in columns] for s in self.segments], columns=columns)

    def to_rttm(self, path: str | Path) -> Path:
        """Write the segments as RTTM (NIST 2009), which pyannote reads; times in microseconds.

        A field of RTTM ends at white space, so that white space in a name becomes "_".
        """
        return _write(path, formats.to_rttm(self.segments, self.name))

    def to_csv(self, path: str | Path) -> Path:
        """Write the segments as CSV: label, start, end, score, bands."""
        return _write(path, formats.to_csv(self.segments))

    def to_audacity(self, path: str | Path) -> Path:
        """Write the segments as a label track of Audacity, with the first band where known."""
        return _write(path, formats.to_audacity(self.segments))

    def to_textgrid(self, path: str | Path) -> Path:
        """Write the segments as a TextGrid of Praat, one interval tier for each label."""
        return _write(path, formats.to_textgrid(self.segments, self.labels, self.duration))

    def to_json(self, path: str | Path) -> Path:
        """Write all there is, the frames too: load() gives the same again."""
        data = {"schema": SCHEMA, **self.to_dict(), "frames": _packed(self.frames)}
        return _write(path, json.dumps(data, indent=1, allow_nan=False) + "\n")

    def to_dict(self) -> dict[str, Any]:
        """All but the frames, as JSON holds it."""
        return {
            "name": self.name,
            "duration": self.duration,
            "frame_step": self.frame_step,
            "labels": list(self.labels),
            "thresholds": {label: asdict(self.thresholds[label]) for label in self.labels},
            "segments": [segment.to_dict() for segment in self.segments],
            "provenance": dict(self.provenance),
            "warnings": list(self.warnings),
        }

    @classmethod
    def load(cls, path: str | Path) -> Segmentation:
        """Read what to_json wrote. Raises ArtifactError for anything else.

        The other files hold segments alone: see read_segments.
        """
        data = decode_json(Path(path), _Saved, largest=LARGEST)
        if data.schema != SCHEMA:
            raise ArtifactError(
                f"{path} is not a segmentation of schema {SCHEMA} but {data.schema}; give what "
                "to_json wrote, or install a newer xplain"
            )
        place = f"{path}, provenance"
        how = convert(place, data.provenance, _Origin).explanation
        if how is not None:
            convert(f"{place}.explanation", how, _Own if "method" in how else _Blackbox)
        try:
            return cls(
                name=data.name,
                frames=_unpacked(data.frames, len(data.labels)),
                labels=data.labels,
                frame_step=data.frame_step,
                duration=data.duration,
                thresholds={label: data.thresholds[label] for label in data.labels},
                segments=data.checked_segments(),
                provenance=data.provenance,
                warnings=data.warnings,
            )
        except (KeyError, ValueError) as error:
            raise ArtifactError(
                f"{path} is damaged ({type(error).__name__}: {error}); segment the recording again"
            ) from error

    def __repr__(self) -> str:
        """Name, length and how many segments of which label."""
        counts = (
            f"{sum(s.label == label for s in self.segments)} {label}" for label in self.labels
        )
        return f"<Segmentation of {self.name}: {self.duration:.2f} s, {', '.join(counts)}>"


class _Packed(msgspec.Struct):
    """Frames as _packed writes them."""

    shape: tuple[Count, Count]
    data: str


class _Plugin(msgspec.Struct):
    """The part of a plugin's record that is shown."""

    name: str


class _Own(msgspec.Struct):
    """How an additive segmenter explains itself."""

    method: str


class _Blackbox(msgspec.Struct):
    """How the segments of any other segmenter are explained."""

    explainer: _Plugin
    synthesizer: _Plugin
    longest: float


class _Origin(msgspec.Struct):
    """The part of a provenance that is shown; explanation: None where nothing was explained."""

    segmenter: _Plugin
    audio: dict[str, str | float | None] | None = None
    explanation: dict[str, Any] | None = None


class _Saved(msgspec.Struct):
    """A segmentation as to_json writes it."""

    schema: int
    name: str
    duration: Seconds
    frame_step: Annotated[float, msgspec.Meta(gt=0)]
    labels: tuple[str, ...]
    thresholds: dict[str, Thresholds]
    segments: tuple[Segment, ...]
    provenance: dict[str, Any]
    warnings: tuple[str, ...]
    frames: _Packed

    def checked_segments(self) -> tuple[Segment, ...]:
        """Segments, of which each has a label of the segmentation and ends after it begins."""
        for segment in self.segments:
            if segment.label not in self.labels or not 0 <= segment.start <= segment.end:
                raise ValueError(f"no segment can be {segment}")
        return self.segments


def read_segments(path: str | Path, name: str | None = None) -> tuple[Segment, ...]:
    """Read segments: .rttm, .csv, .txt (Audacity), .TextGrid or .json, by the file's name.

    Text is UTF-8 or, after a byte order mark, UTF-16. name: the recording's, where an RTTM file
    holds several. Scores come from CSV and JSON alone; of the other files bands are not read.
    Points (of a TextGrid or of Audacity) last no time and are left out. Raises ArtifactError,
    with the number of the line, for anything that is not read right.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        return Segmentation.load(path).segments
    return formats.read(path, name)


def _write(path: str | Path, text: str) -> Path:
    write_text(Path(path), text)
    return Path(path)


def _packed(frames: Tensor) -> dict[str, Any]:
    """Frames as JSON holds them without loss and in a third of the space of numerals."""
    samples = frames.detach().cpu().numpy().astype("<f4")
    return {
        "shape": list(frames.shape),
        "encoding": "base64, little-endian float32",
        "data": base64.b64encode(samples.tobytes()).decode("ascii"),
    }


def _unpacked(packed: _Packed, labels: int) -> Tensor:
    try:
        samples = np.frombuffer(base64.b64decode(packed.data, validate=True), "<f4")
    except binascii.Error as error:
        raise ValueError(f"the frames are no base64: {error}") from error
    frames, width = packed.shape
    if width != labels:
        raise ValueError(f"frames of {width} labels, where there are {labels}")
    if not ((samples >= 0) & (samples <= 1)).all():
        raise ValueError("a probability of a frame is not between 0 and 1")
    return torch.from_numpy(samples.astype(np.float32).reshape(frames, width))
