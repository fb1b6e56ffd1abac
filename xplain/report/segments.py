"""The page of one recording: which label holds when, to listen to, correct and export."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from xplain import audio
from xplain.errors import AudioError
from xplain.report import html
from xplain.report.arrays import compressed
from xplain.segmentation.result import Segmentation
from xplain.storage import write_text

HEARD = 2700.0
"""Seconds of a recording whose sound a page holds; of a longer one the reader opens the file."""
RATE = 16000
"""Hz, at most, of the sound in the page."""


def write_page(segmentation: Segmentation, path: Path, sound: str | Path | None = None) -> Path:
    """Write one HTML file that needs no other; ArtifactError where that is not possible.

    sound: the recording's file, whose sound the page is to hold.
    """
    write_text(path, page(segmentation, sound))
    return path


def page(segmentation: Segmentation, sound: str | Path | None = None, compact: bool = False) -> str:
    """The page as a text. compact: for a notebook, without what is folded."""
    data = segmentation.to_dict()
    provenance = data.pop("provenance")
    # Label after label, as the page reads them; a 65535th is less than any threshold shows.
    frames = (segmentation.frames.T.double().numpy() * 65535).round().astype("<u2")
    return html.app(
        "recording",
        segmentation.name,
        ("player.js", "table.js", "recording.js"),
        {
            **data,
            "frames": html.packed(frames.tobytes()),
            "audio": None if sound is None else _sound(sound, segmentation.duration),
            "file": str((provenance.get("audio") or {}).get("path") or ""),
            "segmenter": provenance["segmenter"]["name"],
            "method": provenance.get("explanation"),
            "compact": compact,
            "facts": provenance,
        },
    )


def notebook(segmentation: Segmentation) -> str:
    """The page for a notebook, with the sound of the file that was segmented, if it is there."""
    path = (segmentation.provenance.get("audio") or {}).get("path")
    return page(segmentation, path if path and Path(str(path)).is_file() else None, compact=True)


def _sound(path: str | Path, duration: float) -> str | None:
    """A recording, mixed down and compressed; None where it is too long or not to be had."""
    if duration > HEARD:
        return None
    try:
        heard = audio.read_part(path, 0.0, duration)
    except AudioError:  # a pipe, or gone meanwhile
        return None
    rate = min(RATE, heard.sample_rate)
    samples = audio.to_pcm16(audio.resample(heard, rate).waveform)[0]
    return html.encoded(compressed(np.asarray(samples), rate, "OGG"))
