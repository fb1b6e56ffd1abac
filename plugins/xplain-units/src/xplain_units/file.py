"""Groups from a file of segments that another program or a person has made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from xplain import Clip, Grouping, Groups, PluginError
from xplain.errors import ArtifactError
from xplain.fingerprint import of_files
from xplain.segmentation.result import read_segments
from xplain.segmentation.segment import Segment
from xplain.validated import convert, decode_json
from xplain_units.spans import in_time

ENDINGS = (".TextGrid", ".rttm", ".csv", ".txt", ".json")


class File(Grouping):
    """One group for each segment of a file, over all channels; ``rest`` for what is in none.

    The file is a TextGrid, an RTTM of one or several recordings, a CSV (label, start, end), a
    label track of Audacity, or JSON: what ``xplain segment --format json`` wrote, a list of
    {label, start, end}, or such a list for each recording by name.
    """

    def __init__(self, path: str | None = None) -> None:
        """Read ``path``: a file, or a folder with one for each recording, of its name."""
        if not path:
            raise PluginError(
                "the grouping file needs segments: give path= their file, on the command line "
                "--grouping-param path=FILE"
            )
        self.path = path
        self._path = Path(path).expanduser()
        if not (self._path.is_file() or self._path.is_dir()):
            wrong = "is a pipe or a device" if self._path.exists() else "does not exist"
            raise PluginError(f"{path} {wrong}; give a file of segments, or their folder")

    def fingerprint(self) -> str:
        """SHA-256 of the segments."""
        inside = [self._path] if self._path.is_file() else sorted(self._path.iterdir())
        files = [f for f in inside if f.suffix in ENDINGS and f.is_file()]
        return of_files({f.name: f.read_bytes() for f in files})

    def groups(self, clip: Clip) -> Groups:
        """Group the frames of each segment."""
        try:
            segments = _read(self._of(clip.name), clip.name)
        except ArtifactError as error:
            raise PluginError(str(error)) from error
        if not segments:
            raise PluginError(f"{self.path} has no segment of {clip.name!r}")
        return in_time([(s.label, s.start, s.end) for s in segments], clip, "rest")

    def _of(self, name: str) -> Path:
        if self._path.is_file():
            return self._path
        for ending in ENDINGS:
            # A name that leads elsewhere is no name of a file here.
            if (path := self._path / f"{Path(name).name}{ending}").is_file():
                return path
        raise PluginError(
            f"{self.path} has no {name} with {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
        )


def _read(path: Path, name: str) -> list[Segment]:
    """Segments of one recording, in the order of their start."""
    if path.suffix.lower() != ".json":
        # Only an RTTM of several recordings needs the name of one.
        segments = list(read_segments(path, name if path.suffix.lower() == ".rttm" else None))
    else:
        data = decode_json(path, dict[str, Any] | list[Any])  # type: ignore[arg-type]
        if isinstance(data, dict) and "segments" in data:
            segments = list(read_segments(path))
        elif isinstance(data, dict):
            listed = convert(path, data, dict[str, list[Segment]])
            if name not in listed:
                raise PluginError(f"{path} has no segments of {name!r}; add them by this name")
            segments = listed[name]
        else:
            segments = convert(path, data, list[Segment])
    return sorted(segments, key=lambda segment: segment.start)
